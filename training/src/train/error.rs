//! Errors of a training.

use std::path::PathBuf;

use tsm2_bundle::BundleError;

use super::checkpoint::CheckpointError;
use super::trainer_options::TrainError;
use crate::data::split::SplitError;
use crate::evaluate::EvaluateError;
use crate::evaluate::neural::NeuralError;
use crate::linear::LinearError;

/// Errors of a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The split, for this file.
    #[error("{}: {source}", path.display())]
    Split {
        /// The CSV file.
        path: PathBuf,
        /// What is wrong.
        source: SplitError,
    },
    /// The linear head, for this file.
    #[error("{}: {source}", path.display())]
    LinearHead {
        /// The CSV file.
        path: PathBuf,
        /// What is wrong.
        source: LinearError,
    },
    /// A model to continue from that forecasts something else.
    #[error("--from: the earlier model has {what}; train without --from")]
    From {
        /// What does not fit.
        what: String,
    },
    /// The network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The configuration.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
    /// The checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The file of a neural baseline.
    #[error(transparent)]
    Neural(#[from] NeuralError),
    /// The output folder.
    #[error("{}: {source}", path.display())]
    Out {
        /// The file or folder.
        path: PathBuf,
        /// The reason given by the operating system.
        source: std::io::Error,
    },
}
