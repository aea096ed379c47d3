//! The commands of `tsm2-edge`, one file each, and what they share.

mod backtest;
mod clear_session;
mod command_line;
mod common;
mod connection;
mod discover;
pub mod evaluation;
mod explain;
mod health;
pub mod playback;
mod record;
mod replay;
mod run;
mod state;
#[cfg(feature = "onnx")]
mod try_graph;
mod validate;

pub use command_line::{command, main};
