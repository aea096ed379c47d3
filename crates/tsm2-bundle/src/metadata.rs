//! The metadata of a bundle: the JSON object in the file's header.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tsm2_core::Config;

/// Key of the JSON object in the safetensors file's metadata.
pub const METADATA_KEY: &str = "tsm2";

/// Version of the format that this code writes, and the newest version that it reads.
///
/// Version 2 added keys and tensors; a file of version 1 means the same as ever.
pub const FORMAT_VERSION: u32 = 2;

/// Metrics with the mean squared validation error at a step, which follows the name.
const VALIDATION_MSE: &str = "validation_mse_";

/// Everything but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// From 1 to [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The model's name, published with every forecast.
    pub name: String,
    /// Shape and options of the model.
    pub config: Config,
    /// The M variates, in the order of a time step: targets, past covariates, future covariates.
    pub variates: Vec<Variate>,
    /// Milliseconds from one time step to the next; `None` when the training data had no timestamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// IANA name of the time zone whose time of day and day of the week the model reads; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Where the model came from.
    pub provenance: Provenance,
}

impl Metadata {
    /// The variates that are forecast.
    #[must_use]
    pub fn targets(&self) -> &[Variate] {
        &self.variates[..self.first_covariate()]
    }

    /// The variates that the model reads and does not forecast: past covariates, then future covariates.
    #[must_use]
    pub fn covariates(&self) -> &[Variate] {
        &self.variates[self.first_covariate()..]
    }

    /// The covariates without future values.
    #[must_use]
    pub fn past_covariates(&self) -> &[Variate] {
        let covariates = self.covariates();
        &covariates[..self.config.past_covariates.min(covariates.len())]
    }

    /// The covariates whose next values are known.
    #[must_use]
    pub fn future_covariates(&self) -> &[Variate] {
        let covariates = self.covariates();
        &covariates[self.config.past_covariates.min(covariates.len())..]
    }

    /// The mean squared validation error at some steps of the horizon, counted from 1, in squared training standard
    /// deviations.
    pub fn validation_mse(&self) -> impl Iterator<Item = (usize, f64)> {
        let metrics = self.provenance.metrics.iter();
        metrics.filter_map(|(name, &mse)| Some((name.strip_prefix(VALIDATION_MSE)?.parse().ok()?, mse)))
    }

    fn first_covariate(&self) -> usize {
        self.config.targets().min(self.variates.len())
    }
}

/// One variate of a time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variate {
    /// Name, unique in the model: the column, JSON field or topic level of its readings.
    pub name: String,
    /// Unit of its readings, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Mean over the training rows, in that unit.
    pub mean: f32,
    /// Standard deviation over the training rows, in that unit; positive.
    pub std: f32,
}

/// What is needed to reproduce the model, and its errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of the code that trained it.
    pub code_version: String,
    /// Name of the data file, without its folder.
    pub data: String,
    /// SHA-256 of the data file, hexadecimal.
    pub data_sha256: String,
    /// Rows for training, validation and test, in this order from row 0.
    pub split: [usize; 3],
    /// Devices of the data file that trained nothing and chose nothing; the split is over the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<String>,
    /// Whether the weights were fitted again to the rows of all three parts after every choice. The metrics are those of the
    /// model before, fitted to the training rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refit: bool,
    /// Seed of every random choice.
    pub seed: u64,
    /// Decisions of the training, in order, with their evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// Errors by name, such as `validation_mse`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}
