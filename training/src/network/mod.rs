//! Networks that are trained.

pub mod learner;
pub mod mixer;
pub mod parameters;
pub mod peer;
pub mod tsm2;

pub use tsm2::Network;
