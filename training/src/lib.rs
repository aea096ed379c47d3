//! Trains, evaluates and exports TSM2 models on a workstation.

pub mod ablation;
pub mod baselines;
pub mod checkpoint;
pub mod company;
pub mod dataset;
pub mod errors;
pub mod evaluate;
pub mod export;
pub mod learner;
pub mod mixer;
pub mod network;
pub mod ops;
pub mod optim;
pub mod paper;
pub mod parameters;
pub mod period;
pub mod readout;
pub mod ridge;
pub mod robustness;
pub mod scale;
pub mod split;
pub mod statics;
pub mod table;
pub mod thin;
pub mod train;
pub mod trainer;
