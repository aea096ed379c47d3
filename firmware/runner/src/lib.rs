//! Runner: a model and a stream of time steps in, every forecast and the last state out.
//!
//! The same code runs on Cortex-M under QEMU, on aarch64 under QEMU, and on the host, so that their
//! numbers can be compared. The input is 32-bit words, little-endian: the number of time steps, then
//! for each of them its Unix time in milliseconds (low word, high word), its readings `[M]`, and its
//! future values `[K][H + 1]` (a covariate whose values are all NaN is not set).
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

use tsm2_blob::{Blob, BlobError};

/// Why a run failed.
#[derive(Clone, Copy, Debug)]
pub enum RunError {
    /// The model cannot be used.
    Blob(BlobError),
    /// The input is cut short or not aligned.
    Input,
    /// The model needs more memory than there is.
    Memory {
        /// Numbers needed.
        needed: usize,
        /// Numbers available.
        available: usize,
    },
    /// A time step was refused.
    Step(BlobError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Blob(error) | RunError::Step(error) => error.fmt(f),
            RunError::Input => f.write_str("the input is cut short or not aligned"),
            RunError::Memory { needed, available } => write!(f, "the model needs {needed} numbers of memory where {available} are free"),
        }
    }
}

/// Runs the stream `input` through the model at the start of `flash`. `memory` is room for state,
/// working memory and forecast.
///
/// `out` receives the forecast `[targets][H]` of each time step, and at the end the network's state.
/// `measure` runs each step: it calls its argument once.
///
/// # Errors
/// See [`RunError`].
pub fn run(
    flash: &[u8],
    input: &[u8],
    memory: &mut [f32],
    mut out: impl FnMut(&[f32]),
    mut measure: impl FnMut(&mut dyn FnMut()),
) -> Result<(), RunError> {
    let blob = Blob::open(flash).map_err(RunError::Blob)?;
    let model = blob.model().map_err(RunError::Blob)?;
    let config = model.config();
    let (of_state, of_scratch, of_forecast) = (model.state_len(), model.scratch_len(), config.forecast_len());
    let too_small = RunError::Memory {
        needed: of_state + of_scratch + of_forecast,
        available: memory.len(),
    };
    let (state, rest) = memory.split_at_mut_checked(of_state).ok_or(too_small)?;
    let (scratch, rest) = rest.split_at_mut_checked(of_scratch).ok_or(too_small)?;
    let forecast = rest.get_mut(..of_forecast).ok_or(too_small)?;
    state.fill(0.0);
    let mut words: &[f32] = bytemuck::try_cast_slice(input).map_err(|_| RunError::Input)?;
    let mut take = |count: usize| -> Result<&[f32], RunError> {
        let (taken, rest) = words.split_at_checked(count).ok_or(RunError::Input)?;
        words = rest;
        Ok(taken)
    };
    let first = config.variates - config.future_covariates;
    let width = config.horizon + 1;
    let refused = |error: tsm2_core::Error| RunError::Step(error.into());
    let word = |words: &[f32]| words.first().map_or(0, |word| word.to_bits());
    for _ in 0..word(take(1)?) {
        let (low, high) = (word(take(1)?), word(take(1)?));
        let time_ms = (u64::from(low) | u64::from(high) << 32).cast_signed();
        let readings = take(config.variates)?;
        let future = take(config.future_covariates * width)?;
        for (variate, values) in (first..).zip(future.chunks_exact(width.max(1))) {
            if !values.iter().all(|value| value.is_nan()) {
                model.set_future(state, variate, values).map_err(refused)?;
            }
        }
        let mut result = Ok(());
        measure(&mut || {
            let token = model.step(state, scratch, readings, time_ms);
            result = token.and_then(|mut token| token.forecast(forecast));
        });
        result.map_err(refused)?;
        out(forecast);
    }
    out(state.get(model.preprocessor().state_len()..).unwrap_or_default());
    Ok(())
}
