//! What a bundle says about itself, as it stands in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tsm2_core::Config;

/// Key of the JSON object in the safetensors file's metadata.
pub const METADATA_KEY: &str = "tsm2";

/// Version of the format that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Everything but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// The model's name, published with every forecast.
    pub name: String,
    /// Shape and options of the network.
    pub config: Config,
    /// The M variates, in the order of a row: those that are forecast, then the exogenous ones, of these last what is known ahead.
    pub variates: Vec<Variate>,
    /// Milliseconds from one row to the next; `None` when the training data had no timestamps.
    pub interval_ms: Option<u64>,
    /// Where the model came from.
    pub provenance: Provenance,
}

impl Metadata {
    /// The variates that are forecast.
    #[must_use]
    pub fn endogenous(&self) -> &[Variate] {
        self.parts().0
    }

    /// The variates that are read but not forecast.
    #[must_use]
    pub fn exogenous(&self) -> &[Variate] {
        self.parts().1
    }

    /// Those of the exogenous variates whose readings are told ahead.
    #[must_use]
    pub fn known_ahead(&self) -> &[Variate] {
        &self.variates[self.variates.len().saturating_sub(self.config.known_ahead)..]
    }

    fn parts(&self) -> (&[Variate], &[Variate]) {
        self.variates.split_at(self.config.endogenous().min(self.variates.len()))
    }
}

/// One variate of the row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variate {
    /// Name, unique in the model; the column, field or topic it is read from unless the user says otherwise.
    pub name: String,
    /// Unit of its readings, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Mean over the training rows, in that unit.
    pub mean: f32,
    /// Standard deviation over the training rows, in that unit; positive.
    pub std: f32,
}

/// Enough to make the model again, and what it scored.
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
    /// Seed of every random choice.
    pub seed: u64,
    /// What was decided while training, in order, with its evidence.
    #[serde(default)]
    pub decisions: Vec<String>,
    /// Figures by name, such as `validation_mse`.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}
