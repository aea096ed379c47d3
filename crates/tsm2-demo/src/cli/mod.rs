//! The commands of `tsm2-demo`, one module each.

pub mod demo;
mod process;
pub mod simulate;
