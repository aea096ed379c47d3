//! The daemon's threads: messages in, forecasts out.

pub(crate) mod ahead;
mod committer;
pub mod daemon;
pub mod engine;
mod fair;
mod pipeline;
pub(crate) mod published;
mod shard;
pub mod signals;
pub mod supervise;
