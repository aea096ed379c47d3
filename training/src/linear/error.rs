//! Errors of fitting a linear part.

/// Why a linear part cannot be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinearError {
    /// A part of the rows holds no reading of any target that a forecast can be compared with.
    #[error("the {part} part, {rows}, has no reading of a target to compare a forecast with: give more rows, or another --split")]
    NoReading {
        /// Name of the part.
        part: &'static str,
        /// Its rows.
        rows: String,
    },
    /// The features or the readings are not finite, or far too large.
    #[error("a linear map of {features} features cannot be solved: the readings are too large, or not finite")]
    NotSolved {
        /// Features of the map.
        features: usize,
    },
    /// A fault of the configuration.
    #[error(transparent)]
    Core(#[from] tsm2_core::Error),
}
