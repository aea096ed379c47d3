//! From a table to a bundle.

pub mod checkpoint;
mod error;
pub mod export;
pub mod optim;
mod options;
pub mod recipe;
mod run;
pub mod statics;
pub mod trainer;
mod trial;

pub use error::Error;
pub use options::{DEFAULT_HORIZON, Event, TrainOptions};
pub use run::{Trained, run};
