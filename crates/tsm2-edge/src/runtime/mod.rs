//! The daemon's threads: messages in, forecasts out, in one direction.
//!
//! ```text
//! Source -> router -> worker { engine } -> forecasts
//!                     worker --batch{log entries, checkpoints, acks}--> writer -> StateStore, then acks
//! ```
//!
//! [`engine`] is pure: no I/O, no clock, no thread. [`source`] and [`crate::state::StateStore`] are
//! the two traits at its edge.

mod admission;
mod batch;
pub mod daemon;
mod derived;
pub mod engine;
mod forecasts;
pub(crate) mod home_assistant;
mod patience;
pub(crate) mod published;
mod queue;
pub mod record;
pub(crate) mod recorder;
mod restore;
mod router;
pub mod signals;
pub mod source;
mod sparkplug;
mod step;
mod stop;
mod stored;
mod stream;
mod streams;
pub mod supervise;
mod worker;
mod writer;

#[cfg(test)]
mod tests;
