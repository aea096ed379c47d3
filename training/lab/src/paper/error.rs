//! Why there is no figure.

use tsm2_train::data::split::SplitError;
use tsm2_train::train::optim::OptimError;
use tsm2_train::train::trainer::TrainError;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PaperError {
    /// A window that is shorter than a patch.
    #[error("a lookback of {lookback} samples does not hold a patch of {patch}")]
    Lookback {
        /// Samples in a window.
        lookback: usize,
        /// Samples in a patch.
        patch: usize,
    },
    /// A size that is zero.
    #[error("{0} is 0, and must be at least 1")]
    Zero(&'static str),
    /// The split leaves too little.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Training fails.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl From<candle_core::Error> for PaperError {
    fn from(error: candle_core::Error) -> Self {
        Self::Train(error.into())
    }
}

impl From<OptimError> for PaperError {
    fn from(error: OptimError) -> Self {
        Self::Train(error.into())
    }
}
