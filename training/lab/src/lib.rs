//! Research on TSM2: the paper's tables, ablations, and robustness studies. Nothing that ships imports it.

pub mod ablation;
pub mod bench;
pub mod cli;
pub mod paper;
