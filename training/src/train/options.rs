//! Options and events of a training.

use std::path::PathBuf;

use candle_core::Device;

use super::trainer_options::Progress;
use crate::data::mask::Rate;
use crate::data::split::SplitSpec;
use crate::network::static_covariates::StaticCovariates;

/// Default horizon.
pub const DEFAULT_HORIZON: usize = 24;

/// Options of a training.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Training, validation and test rows.
    pub split: SplitSpec,
    /// H: steps in a forecast.
    pub horizon: usize,
    /// Folder of the bundle, its metrics and its checkpoints; made if absent.
    pub out: PathBuf,
    /// Name published with every forecast.
    pub name: String,
    /// Seed of the initial weights and every draw.
    pub seed: u64,
    /// Largest number of updates; `None`: as many as a bounded cost allows.
    pub updates: Option<usize>,
    /// Network and linear head may use time of day and day of week, where that lowers the validation error.
    pub calendar: bool,
    /// Static covariates.
    pub statics: Option<StaticCovariates>,
    /// Share of the training rows' readings that is masked in the inputs.
    pub missing_rate: Rate,
    /// Continues from the last checkpoint in `out`.
    pub resume: bool,
    /// Trains the neural baselines, a GRU and an MLP, after TSM2.
    pub baselines: bool,
    /// Where the network is trained.
    pub device: Device,
}

/// Events of a training.
#[derive(Debug)]
pub enum Event<'a> {
    /// A warning about the data.
    Warning(&'a str),
    /// A choice with its evidence, one line.
    Decision(&'a str),
    /// Device and speed of the training.
    Pace(&'a str),
    /// The neural baselines, and the time they took.
    Baselines(&'a str),
    /// Progress of the training of a network.
    Training {
        /// The target of TSM2, or the name of a baseline.
        name: &'a str,
        /// An update or a validation.
        progress: Progress,
        /// Largest number of updates.
        updates: usize,
    },
}

/// Records and reports a decision.
pub(super) fn decide(decisions: &mut Vec<String>, text: String, report: &mut dyn FnMut(Event<'_>)) {
    report(Event::Decision(&text));
    decisions.push(text);
}
