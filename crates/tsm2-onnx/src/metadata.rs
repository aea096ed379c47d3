//! What a graph does not say of itself: names, units and scales of the variates, sampling interval, states.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tsm2_bundle::{Bundle, Variate};

use crate::error::GraphError;

/// The key of the metadata's entry in the ONNX file.
pub const METADATA_KEY: &str = "tsm2";

/// The only version of the metadata so far.
pub const METADATA_VERSION: u32 = 1;

/// The metadata of a graph, a JSON object in the entry [`METADATA_KEY`] of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphMetadata {
    /// [`METADATA_VERSION`].
    #[serde(default = "newest")]
    pub format_version: u32,
    /// Name of the model.
    #[serde(default = "unnamed")]
    pub name: String,
    /// The columns of `readings`: targets, then past covariates, then future covariates.
    pub variates: Vec<Variate>,
    /// Variates that are read and not forecast.
    #[serde(default)]
    pub past_covariates: usize,
    /// Variates that are read and not forecast, whose next values are an input.
    #[serde(default)]
    pub future_covariates: usize,
    /// Steps of the forecast; absent: those of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<usize>,
    /// Milliseconds between time steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// IANA name of the time zone of `time_ms`; absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What the graph reads for a missing reading.
    #[serde(default)]
    pub missing: Missing,
    /// Input and output of each state; absent: pairs of the same name and shape.
    #[serde(default)]
    pub states: Vec<(String, String)>,
    /// SHA-256 of the bundle that the graph was made from, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_sha256: Option<String>,
}

/// What a graph reads for a missing reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The variate's last reading; its mean before the first one.
    #[default]
    Last,
    /// NaN.
    Nan,
}

fn newest() -> u32 {
    METADATA_VERSION
}

fn unnamed() -> String {
    "onnx".into()
}

impl GraphMetadata {
    /// Checks every number and name.
    ///
    /// # Errors
    /// [`GraphError::Metadata`] with the key at fault.
    pub fn validate(&self) -> Result<(), GraphError> {
        let names: HashSet<&str> = self.variates.iter().map(|variate| variate.name.as_str()).collect();
        let wrong_scale = |variate: &&Variate| !(variate.mean.is_finite() && variate.std.is_finite() && variate.std > 0.0);
        let covariates = self.past_covariates.saturating_add(self.future_covariates);
        let fault = if self.format_version != METADATA_VERSION {
            format!(
                "format_version {} is not known; this program reads {METADATA_VERSION}",
                self.format_version
            )
        } else if names.len() != self.variates.len() || names.contains("") {
            "variates: names must be unique and not empty".into()
        } else if let Some(variate) = self.variates.iter().find(wrong_scale) {
            format!("variate {:?}: mean must be finite, and std finite and positive", variate.name)
        } else if covariates >= self.variates.len() {
            "variates: at least one must be a target".into()
        } else if self.future_covariates > 0 && self.missing == Missing::Last {
            "future_covariates need a graph that reads NaN: set missing to \"nan\"".into()
        } else if self.interval_ms == Some(0) {
            "interval_ms must be positive".into()
        } else {
            return Ok(());
        };
        Err(GraphError::Metadata(fault))
    }

    /// Variates that are forecast: the first ones.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.variates.len() - self.past_covariates - self.future_covariates
    }

    /// The metadata of a bundle's graph with these states.
    pub(crate) fn of(bundle: &Bundle, states: Vec<(String, String)>) -> Self {
        let meta = bundle.meta();
        Self {
            format_version: METADATA_VERSION,
            name: meta.name.clone(),
            variates: meta.variates.clone(),
            past_covariates: meta.config.past_covariates,
            future_covariates: meta.config.future_covariates,
            horizon: Some(meta.config.horizon),
            interval_ms: meta.interval_ms,
            time_zone: meta.time_zone.clone(),
            missing: Missing::Nan,
            states,
            bundle_sha256: Some(bundle.digest().iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}
