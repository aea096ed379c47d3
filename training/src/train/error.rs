//! Errors of a training.

use std::path::PathBuf;

use tsm2_bundle::BundleError;

use super::checkpoint::CheckpointError;
use super::trainer_options::TrainError;
use crate::data::split::SplitError;
use crate::evaluate::EvaluateError;
use crate::linear::head::LinearError;

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
    /// A validation part too large to be held.
    #[error("{}: the validation part may have {most} rows at {variates} columns and a horizon of {horizon}; it has {rows}", path.display())]
    TooLarge {
        /// The CSV file.
        path: PathBuf,
        /// Rows of the part.
        rows: usize,
        /// Rows that it may have.
        most: usize,
        /// Columns of the file.
        variates: usize,
        /// Rows ahead.
        horizon: usize,
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
    /// The output folder.
    #[error("{}: {source}", path.display())]
    Out {
        /// The file or folder.
        path: PathBuf,
        /// The reason given by the operating system.
        source: std::io::Error,
    },
}
