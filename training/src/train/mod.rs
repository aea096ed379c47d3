//! From a table to a bundle.

pub mod blend;
pub mod candidate;
pub mod checkpoint;
pub mod clock;
pub mod curves;
mod error;
mod event_file;
pub mod export;
pub mod feed;
pub mod fit;
pub mod optim;
mod options;
pub mod recipe;
mod refit;
mod run;
mod size;
pub mod trainer;
pub mod trainer_options;
pub mod validation_errors;

pub use clock::{Budget, Stop};
pub use error::Error;
pub use options::{DEFAULT_HORIZON, Event, TrainOptions};
pub use run::{MEASURED, MODEL, Trained, run};
pub use size::Size;
