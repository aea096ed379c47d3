//! Why no linear head can be fitted.

use std::ops::Range;

use crate::linear::ridge::RidgeError;

/// Errors of fitting a linear head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinearError {
    /// The moments cannot be solved.
    #[error("the linear head: {0}")]
    Ridge(#[from] RidgeError),
    /// A fault of the configuration or the scaler.
    #[error("the linear head: {0}")]
    Model(#[from] tsm2_core::Error),
    /// A part without readings.
    #[error("the {part} part, rows {}..{}, has no reading to compare a forecast with", rows.start, rows.end)]
    NoReading {
        /// `training` or `validation`.
        part: &'static str,
        /// Its rows.
        rows: Range<usize>,
    },
}
