//! Trains, evaluates and exports TSM2 models on a workstation.

pub mod network;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod ridge;
pub mod scale;
pub mod split;
pub mod table;
