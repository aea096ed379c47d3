//! Networks that are trained.

pub mod baseline;
pub mod learner;
pub mod mixer;
pub mod parameters;
pub mod static_covariates;
pub mod tsm2;

pub use tsm2::Network;
