//! Trains, evaluates and exports TSM2 models on a workstation.

pub mod ops;
pub mod table;
pub mod scale;
pub mod split;
