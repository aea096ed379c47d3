//! Options and events of a training.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use tsm2_bundle::Bundle;
use tsm2_data::Meter;

use super::clock::{Budget, Stop};
use super::size::Size;
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
    /// What the training may use; `None`: time in proportion to the readings.
    pub budget: Option<Budget>,
    /// Network and linear head may use time of day and day of week, where that lowers the validation error.
    pub calendar: bool,
    /// How large the model may be.
    pub size: Size,
    /// Static covariates.
    pub statics: Option<StaticCovariates>,
    /// Share of the training rows' readings that is masked in the inputs.
    pub missing_rate: Rate,
    /// Writes event files for TensorBoard into `out/tensorboard`.
    pub tensorboard: bool,
    /// Continues from the last checkpoint in `out`.
    pub resume: bool,
    /// Continues from the network of an earlier model of the same variates.
    pub from: Option<Arc<Bundle>>,
    /// Trains the neural baselines, a GRU and an MLP, after TSM2.
    pub baselines: bool,
    /// Where the network is trained.
    pub device: Device,
    /// A request to end with the best so far.
    pub stop: Stop,
}

/// Events of a training.
#[derive(Debug)]
pub enum Event<'a> {
    /// A warning about the data.
    Warning(&'a str),
    /// A choice with its evidence, one line.
    Decision(&'a str),
    /// A share of a task is done: from 0 to 1.
    Share {
        /// What is done.
        task: &'a str,
        /// The share.
        done: f64,
    },
    /// The task has ended.
    End,
    /// Progress of a network's training.
    Progress {
        /// What is done.
        task: &'a str,
        /// Updates done.
        done: usize,
        /// Updates in all, as it now looks.
        total: usize,
        /// The last validation; empty before the first.
        note: &'a str,
    },
}

/// Records and reports a decision.
pub(super) fn decide(decisions: &mut Vec<String>, text: String, report: &mut dyn FnMut(Event<'_>)) {
    report(Event::Decision(&text));
    decisions.push(text);
}

/// Does `work`, and reports how far it is.
pub(super) fn metered<T: Send>(report: &mut dyn FnMut(Event<'_>), work: impl FnOnce(&Meter) -> T + Send) -> T {
    let result = Meter::watch(work, |task, done| report(Event::Share { task, done }));
    report(Event::End);
    result
}
