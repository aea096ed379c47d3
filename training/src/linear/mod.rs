//! The linear part of a model, in closed form from second moments.

mod bounds;
mod candidates;
mod cholesky;
mod error;
mod features;
mod gather;
mod judged_steps;
mod model;
mod moments;
mod rank;
pub mod ridge;
pub mod step_groups;

pub use error::LinearError;
pub use model::{LinearModel, Periods, choose_linear};
