//! One suite of cases; each case is a named test per engine.
//!
//! A case is a small model, a stream of time steps, and the expected forecasts, as data in `cases/`. The numbers come
//! from [`mod@reference`], an independent implementation in double precision. [`engines::ENGINES`] lists the engines,
//! each with its tolerance and its exceptions. A new engine is one function, one line there, and one line in
//! `tests/cases.rs`. The engines on other processors stand in `tests/firmware`.
//!
//! `cargo run -p tsm2-conformance --bin make-cases` writes the files anew.
//!
//! ```
//! use tsm2_conformance::{case::Case, engines::STEP, tolerance::Distance};
//!
//! let case = Case::open("mlp_over_variates");
//! let run = (STEP.run)(&case.bundle, &case.stream);
//! assert!(Distance::new(&case.bundle, &run, &case.expected).within(STEP.tolerance("mlp_over_variates")));
//! ```

/// Calls a macro with the names of all cases, in the order of the catalogue.
#[macro_export]
macro_rules! with_cases {
    ($cases:ident) => {
        $cases! {
            unmixed
            scan_over_variates
            mlp_over_variates
            both_over_variates
            no_convolution
            one_variate
            calendar
            linear_head
            linear_head_alone
            heads_per_variate
            past_covariate
            past_covariates_and_heads_per_variate
            linear_head_with_calendar
            future_covariate
            future_covariates_known_in_part
            missing_readings
            missing_readings_global
            extreme_readings
            averages_and_harmonics
            relative_head
            bounded_head
            head_of_a_rank
            integers
            integers_and_a_whole_head
            shared_head_of_a_rank
        }
    };
}

pub mod case;
pub mod catalogue;
pub mod engines;
pub mod noise;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod reference;
pub mod tolerance;

use std::ops::Range;

use tsm2_bundle::Bundle;
use tsm2_core::layout;

/// Time steps of readings.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// `[T, M]`, in the sensors' units; NaN = missing.
    pub readings: Vec<f32>,
    /// `[T]`, Unix time in milliseconds.
    pub times: Vec<i64>,
    /// `[T, K, H + 1]`: the future values set before each time step, NaN where a value is not known. All NaN: nothing is
    /// set, and the values set before go on.
    pub future: Vec<f32>,
}

impl Stream {
    /// Each time step.
    pub fn steps<'s>(&'s self, bundle: &Bundle) -> impl Iterator<Item = TimeStep<'s>> {
        let config = bundle.meta().config;
        let width = config.future_covariates * (config.horizon + 1);
        let steps = self.readings.chunks_exact(config.variates).zip(&self.times);
        steps.enumerate().map(move |(t, (readings, &time_ms))| TimeStep {
            readings,
            time_ms,
            future: &self.future[t * width..(t + 1) * width],
            first: config.variates - config.future_covariates,
            width: config.horizon + 1,
        })
    }

    /// Some of its time steps as a stream of their own.
    #[must_use]
    pub fn part(&self, bundle: &Bundle, steps: Range<usize>) -> Self {
        let config = &bundle.meta().config;
        let of_steps = |numbers: &[f32], width: usize| numbers[steps.start * width..steps.end * width].to_vec();
        Self {
            readings: of_steps(&self.readings, config.variates),
            times: self.times[steps.clone()].to_vec(),
            future: of_steps(&self.future, config.future_covariates * (config.horizon + 1)),
        }
    }
}

/// One time step of a stream.
#[derive(Clone, Copy, Debug)]
pub struct TimeStep<'s> {
    /// `[M]`.
    pub readings: &'s [f32],
    /// Unix time in milliseconds.
    pub time_ms: i64,
    /// `[K, H + 1]`.
    future: &'s [f32],
    /// M - K.
    first: usize,
    /// H + 1.
    width: usize,
}

impl<'s> TimeStep<'s> {
    /// The future values that are set before it: variates, with their values at this time step and the H after it.
    pub fn future(&self) -> impl Iterator<Item = (usize, &'s [f32])> {
        let of_variates = (self.first..).zip(self.future.chunks_exact(self.width));
        of_variates.filter(|(_, values)| !values.iter().all(|value| value.is_nan()))
    }

    /// As [`TimeStep::future`], a row for each future covariate `[K, H + 1]`; a row of NaN sets nothing.
    #[must_use]
    pub fn future_rows(&self) -> &'s [f32] {
        self.future
    }
}

/// The output of an engine on a stream, from a zero state on.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// `[T, targets, H]`, in the sensors' units.
    pub forecasts: Vec<f32>,
    /// The recurrent state after the last time step: `[layers, M, (d_conv - 1) E + N E]`, of each time mixer its last
    /// d_conv - 1 values, oldest first, then h `[N, E]`. Empty without a network.
    pub state: Vec<f32>,
}

/// A tensor of the bundle by name; none where its model has no such tensor.
#[must_use]
pub fn tensor<'b>(bundle: &'b Bundle, name: &str) -> Option<&'b [f32]> {
    let mut rest = bundle.weights();
    let mut found = None;
    layout(&bundle.meta().config, |tensor, shape| {
        let (data, tail) = rest.split_at(shape.iter().product());
        rest = tail;
        if tensor.to_string() == name {
            found = Some(data);
        }
    })
    .expect("a bundle's configuration is valid");
    found
}
