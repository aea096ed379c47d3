//! What to train, and what is told meanwhile.

use std::path::PathBuf;

use candle_core::Device;

use super::trainer::Progress;
use crate::data::mask::Rate;
use crate::data::split::SplitSpec;
use crate::network::static_covariates::StaticCovariates;

/// Rows ahead that a model forecasts unless told otherwise.
pub const DEFAULT_HORIZON: usize = 24;

/// What to train and where to put it.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Training, validation and test rows.
    pub split: SplitSpec,
    /// Rows ahead.
    pub horizon: usize,
    /// Folder of the bundle, its metrics and its checkpoints; made if absent.
    pub out: PathBuf,
    /// Name published with every forecast.
    pub name: String,
    /// Seed of the initial weights and every draw.
    pub seed: u64,
    /// Updates at most; without a number, as many as a bounded cost allows.
    pub updates: Option<usize>,
    /// Network and linear head may see the time of day and the day of the week, if that is worth it on validation.
    pub calendar: bool,
    /// What is known of each variate besides its readings.
    pub statics: Option<StaticCovariates>,
    /// Share of the training rows' readings that network and linear head are shown as missing, so that they learn to do without.
    pub missing_rate: Rate,
    /// Goes on from the last checkpoint in `out`.
    pub resume: bool,
    /// Trains the neural baselines, a GRU and an MLP, after TSM2.
    pub baselines: bool,
    /// Where the network is trained.
    pub device: Device,
}

/// What is told while training.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something about the data that the user should know.
    Warning(&'a str),
    /// A decision with its evidence.
    Decision(&'a str),
    /// On what the network was trained, and how fast.
    Pace(&'a str),
    /// The neural baselines, and the time they took.
    Baselines(&'a str),
    /// Where the training of a network stands.
    Training {
        /// What TSM2 is trained to say, or which of the company is trained.
        name: &'a str,
        /// An update or a validation.
        progress: Progress,
        /// Updates at most.
        updates: usize,
    },
}

/// Keeps and tells a decision.
pub(super) fn decide(decisions: &mut Vec<String>, text: String, report: &mut dyn FnMut(Event<'_>)) {
    report(Event::Decision(&text));
    decisions.push(text);
}
