//! One suite of cases, a thin runner per engine.
//!
//! A case is a small model, a stream of rows, and what comes of it, as data in `cases/`. The numbers come from [`mod@reference`], a naive
//! implementation in double precision written from the specification alone. [`engines::ENGINES`] lists whatever runs models, each
//! with its own tolerance; a new engine is one function and one line there. `cargo run -p tsm2-conformance --bin make-cases` writes the
//! files anew.

pub mod case;
pub mod catalogue;
pub mod engines;
pub mod noise;
pub mod reference;

use std::ops::Range;

use tsm2_bundle::Bundle;
use tsm2_core::layout;

/// Rows of readings with their times.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// `[T, M]`, in the sensors' units; NaN = missing.
    pub readings: Vec<f32>,
    /// `[T]`, Unix time in milliseconds.
    pub times: Vec<i64>,
    /// `[T, K, H + 1]`: what is told of the variates that are known ahead before each row is read, NaN where it is not known; all NaN: nothing is
    /// told, and what was told before goes on.
    pub ahead: Vec<f32>,
}

impl Stream {
    /// Each row.
    pub fn rows<'s>(&'s self, bundle: &Bundle) -> impl Iterator<Item = Row<'s>> {
        let config = bundle.meta().config;
        let told = config.known_ahead * (config.horizon + 1);
        let rows = self.readings.chunks_exact(config.variates).zip(&self.times);
        rows.enumerate().map(move |(t, (readings, &time_ms))| Row {
            readings,
            time_ms,
            ahead: &self.ahead[t * told..(t + 1) * told],
            first: config.variates - config.known_ahead,
            width: config.horizon + 1,
        })
    }

    /// Some of its rows as a stream of their own.
    #[must_use]
    pub fn part(&self, bundle: &Bundle, rows: Range<usize>) -> Self {
        let config = &bundle.meta().config;
        let of_rows = |numbers: &[f32], width: usize| numbers[rows.start * width..rows.end * width].to_vec();
        Self {
            readings: of_rows(&self.readings, config.variates),
            times: self.times[rows.clone()].to_vec(),
            ahead: of_rows(&self.ahead, config.known_ahead * (config.horizon + 1)),
        }
    }
}

/// One row of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Row<'s> {
    /// `[M]`.
    pub readings: &'s [f32],
    /// Unix time in milliseconds.
    pub time_ms: i64,
    /// `[K, H + 1]`.
    ahead: &'s [f32],
    /// M - K.
    first: usize,
    /// H + 1.
    width: usize,
}

impl<'s> Row<'s> {
    /// What is told before it is read: variates, with what they read in this row and the H rows after it.
    pub fn told(&self) -> impl Iterator<Item = (usize, &'s [f32])> {
        let of_variates = (self.first..).zip(self.ahead.chunks_exact(self.width));
        of_variates.filter(|(_, values)| !values.iter().all(|value| value.is_nan()))
    }
}

/// What an engine makes of a stream, from a zero state on.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Rows after which a forecast was issued.
    pub issued: Vec<usize>,
    /// `[issued, M - X, H]`, in the sensors' units.
    pub forecasts: Vec<f32>,
    /// The recurrent state after the last row, of engines that show it: `[phases, layers, M, (K-1) E + N E]`, of each time mixer its
    /// last K-1 values, oldest first, then h `[N, E]`. Phase p takes the tokens of samples t with (t+1) mod S = p.
    pub state: Option<Vec<f32>>,
}

/// The largest difference of two runs' forecasts, relative to the forecasts' scale: both in units of each variate's standard deviation
/// about its mean, so that a large mean hides nothing. Infinite when a number is not finite or forecasts were issued at other rows.
#[must_use]
pub fn deviation(bundle: &Bundle, got: &Run, want: &Run) -> f64 {
    if got.issued != want.issued {
        return f64::INFINITY;
    }
    let meta = bundle.meta();
    let standardised = |run: &Run| -> Vec<f64> {
        let of_variate = run
            .forecasts
            .chunks_exact(meta.config.horizon)
            .zip(meta.endogenous().iter().cycle());
        of_variate
            .flat_map(|(leads, v)| leads.iter().map(|&x| (f64::from(x) - f64::from(v.mean)) / f64::from(v.std)))
            .collect()
    };
    relative_difference(&standardised(got), &standardised(want))
}

/// The largest difference of two runs' states, relative to the state's scale; none when an engine does not show its state.
#[must_use]
pub fn state_deviation(got: &Run, want: &Run) -> Option<f64> {
    let numbers = |run: &Run| -> Option<Vec<f64>> { Some(run.state.as_ref()?.iter().copied().map(f64::from).collect()) };
    Some(relative_difference(&numbers(got)?, &numbers(want)?))
}

/// max |got - want| / max |want|; infinite when a number is not finite or the lengths differ.
#[must_use]
pub fn relative_difference(got: &[f64], want: &[f64]) -> f64 {
    if got.len() != want.len() || got.iter().chain(want).any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let scale = want.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
    let worst = got.iter().zip(want).fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()));
    if worst == 0.0 { 0.0 } else { worst / scale }
}

/// A tensor of the bundle by name; none when its model has no such tensor.
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
