//! Trains, evaluates and exports TSM2 models on a workstation.

pub mod cli;
pub mod data;
pub mod evaluate;
pub mod linear;
pub mod model;
pub mod network;
pub mod ops;
pub mod report;
pub mod train;
