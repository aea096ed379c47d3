//! Trains, evaluates and exports TSM2 models on a workstation.

pub mod baselines;
pub mod evaluate;
pub mod network;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod period;
pub mod ridge;
pub mod scale;
pub mod split;
pub mod table;
pub mod dataset;
pub mod readout;
pub mod trainer;
pub mod train;
pub mod checkpoint;
pub mod export;
