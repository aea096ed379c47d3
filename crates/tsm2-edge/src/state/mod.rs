//! The state of every stream, and where it is kept.

pub mod shelf;
pub mod snapshot;
pub mod store;
