//! A bundle as a blob.

use alloc::vec::Vec;
use core::fmt;

use tsm2_bundle::{Bundle, Variate};
use tsm2_core::Scaler;
use tsm2_stream::initial_widths;

use crate::write::{Parts, write};

/// Why a bundle makes no blob.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExportError {
    /// The coverage is not between 0 and 1.
    Coverage {
        /// The coverage given.
        coverage: f32,
    },
    /// The bundle has no sampling interval.
    NoInterval,
}

/// The blob of a bundle, for prediction intervals that cover the fraction `coverage` of the readings.
///
/// # Errors
/// See [`ExportError`].
pub fn export(bundle: &Bundle, coverage: f32) -> Result<Vec<u8>, ExportError> {
    if !(coverage > 0.0 && coverage < 1.0) {
        return Err(ExportError::Coverage { coverage });
    }
    let meta = bundle.meta();
    let of_variates = |number: fn(&Variate) -> f32| meta.variates.iter().map(number).collect::<Vec<f32>>();
    let (mean, std) = (of_variates(|variate| variate.mean), of_variates(|variate| variate.std));
    let names: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
    let deviations = meta.targets().iter().map(|variate| variate.std);
    Ok(write(&Parts {
        name: if meta.name.is_empty() { "model" } else { &meta.name },
        digest: bundle.digest(),
        interval_ms: meta.interval_ms.ok_or(ExportError::NoInterval)?,
        config: meta.config,
        scaler: Scaler { mean: &mean, std: &std },
        variates: &names,
        coverage,
        initial_widths: &initial_widths(deviations, meta.config.horizon, coverage, meta.validation_mse()),
        weights: bundle.weights(),
        integers: bundle.integers(),
    }))
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coverage { coverage } => write!(f, "the coverage is {coverage}; choose a number between 0 and 1"),
            Self::NoInterval => f.write_str(
                "the model has no sampling interval, which firmware needs; train it on a recording with times, or give `tsm2 train` --interval",
            ),
        }
    }
}

impl core::error::Error for ExportError {}
