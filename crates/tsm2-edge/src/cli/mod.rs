//! The commands of `tsm2-edge`, and the files that they read.

pub mod backtest;
mod commands;
pub mod replay;
pub mod table;

pub use commands::main;
