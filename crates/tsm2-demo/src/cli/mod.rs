//! The commands of `tsm2-demo`, one module each.

pub mod demo;
pub mod simulate;
