//! From a table to a bundle.

pub mod baselines;
mod batch;
pub mod checkpoint;
mod error;
pub mod export;
pub mod optim;
mod options;
mod pilot;
pub mod recipe;
mod run;
pub mod trainer;
pub mod trainer_options;
pub mod validation_errors;

pub use error::Error;
pub use options::{DEFAULT_HORIZON, Event, TrainOptions};
pub use run::{Trained, run};
