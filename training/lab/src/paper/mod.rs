//! The paper in its own mode, to be compared with: windows of a fixed length, normalised each by itself, forecast from all their tokens.
//!
//! TSM2.md section 1 calls this window mode. Nothing here is exported or run on a device. It shares the mixers, operations and optimiser with
//! the streaming network; what differs is that every window starts from nothing and that a head may read all of its tokens at once.
//! The same seed makes the same figures.

mod attention;
mod config;
mod echo;
mod fit;
mod memory;
mod network;
mod published;
mod variants;
mod windows;

pub use config::{Config, Reads, Start, TimeMixer};
pub use echo::Echo;
pub use fit::{Budget, Fitted, Score, fit, repeat_last};
pub use memory::peak;
pub use network::Network;
pub use published::Published;
pub use variants::{LOOKBACK, Variant, long};
pub use windows::{Part, Source, Windows, revin};

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
