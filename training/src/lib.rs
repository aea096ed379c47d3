//! Trains, evaluates and exports TSM2 models on a workstation.
