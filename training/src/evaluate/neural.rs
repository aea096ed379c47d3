//! A trained neural baseline as a file beside the model's, and its errors.
//!
//! A baseline is a network, the linear head, and the weight of the network per step group: the same parts as the model has.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tsm2_core::Config;

use super::tally::{EvaluateError, Tally};
use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::linear::LinearModel;
use crate::linear::step_groups::step_groups;
use crate::network::baseline::{NeuralBaseline, NeuralKind};
use crate::network::learner::Learner;
use crate::train::feed::{Chunk, Feed};

/// The linear head's weights among the tensors.
const LINEAR_HEAD: &str = "linear_head.weight";

/// The bounds of its features among the tensors.
const BOUNDS: &str = "linear_head.bounds";

/// The entry of the metadata.
const META: &str = "tsm2_baseline_2";

/// Tokens in one forward pass.
const TOKENS: usize = 64;

/// A trained baseline.
#[derive(Debug)]
pub struct Neural {
    meta: Meta,
    linear_head: Vec<f32>,
    bounds: Vec<f32>,
    network: NeuralBaseline,
}

/// What a file says besides its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Which network.
    pub kind: NeuralKind,
    /// Width of its hidden layers.
    pub hidden: usize,
    /// Configuration of its preprocessor and its linear head.
    pub config: Config,
    /// The blend weight of the network per step group.
    pub blend_weights: Vec<f64>,
    /// SHA-256 of the recording.
    pub data_sha256: String,
    /// Rows of training, validation and test.
    pub split: [usize; 3],
}

/// Why a file holds no baseline.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}; train the model again", path.display())]
pub struct NeuralError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

/// The file of a baseline, beside the model's.
#[must_use]
pub fn file(model: &Path, kind: NeuralKind) -> PathBuf {
    model.with_file_name(format!("{}.safetensors", kind.name()))
}

/// Writes a baseline with these weights.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, meta: &Meta, linear: &LinearModel, weights: &BTreeMap<String, Vec<f32>>) -> Result<(), NeuralError> {
    let fault = |what: &dyn std::fmt::Display| NeuralError {
        path: path.to_owned(),
        what: what.to_string(),
    };
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let named: Vec<(&str, Vec<u8>)> = weights
        .iter()
        .map(|(name, values)| (name.as_str(), bytes(values)))
        .chain([(LINEAR_HEAD, bytes(&linear.matrices())), (BOUNDS, bytes(&linear.scaler.bounds))])
        .collect();
    let mut views = Vec::with_capacity(named.len());
    for (name, bytes) in &named {
        views.push((
            *name,
            TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map_err(|error| fault(&error))?,
        ));
    }
    let text = serde_json::to_string(meta).map_err(|error| fault(&error))?;
    let serialised = safetensors::serialize(views, Some(HashMap::from([(META.to_owned(), text)]))).map_err(|error| fault(&error))?;
    std::fs::write(path, serialised).map_err(|error| fault(&error))
}

/// The share of the pass through the preprocessor in the time of a neural baseline's errors.
const FEED: f64 = 0.05;

impl Neural {
    /// Reads a baseline.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn open(path: &Path) -> Result<Self, NeuralError> {
        let fault = |what: &dyn std::fmt::Display| NeuralError {
            path: path.to_owned(),
            what: what.to_string(),
        };
        let bytes = std::fs::read(path).map_err(|error| fault(&error))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| fault(&error))?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(META));
        let text = text.ok_or_else(|| fault(&"not a neural baseline"))?;
        let meta: Meta = serde_json::from_str(text).map_err(|error| fault(&error))?;
        meta.config.validate().map_err(|error| fault(&error))?;
        if meta.hidden == 0 || meta.hidden > 4096 || meta.blend_weights.len() != step_groups(meta.config.horizon).len() {
            return Err(fault(&"its sizes do not fit"));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fault(&error))?;
        let values = |name: &str| -> candle_core::Result<Vec<f32>> {
            let tensor = tensors.tensor(name).map_err(candle_core::Error::wrap)?;
            let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Ok(tensor.data().chunks_exact(4).map(number).collect())
        };
        let network = NeuralBaseline::new(meta.kind, meta.hidden, &meta.config, &Device::Cpu, |name, _| values(name));
        Ok(Self {
            network: network.map_err(|error| fault(&error))?,
            linear_head: values(LINEAR_HEAD).map_err(|error| fault(&error))?,
            // A file of an earlier training has none.
            bounds: values(BOUNDS).unwrap_or_default(),
            meta,
        })
    }

    /// What the file says.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Adds the errors at the origins of a tally; the state is carried from the first row of each run. `done` gets the shares of the work:
    /// together 1.
    ///
    /// # Errors
    /// Those of the preprocessor and of candle.
    pub fn tally<'z>(&self, table: &Table, scaler: &Scaler, mut tally: Tally<'z>, done: &dyn Fn(f64)) -> Result<Tally<'z>, EvaluateError> {
        let config = &self.meta.config;
        let (m, f, h, p) = (config.variates, config.targets(), config.horizon, config.patch_len());
        let scaler = Scaler {
            bounds: self.bounds.clone(),
            ..scaler.clone()
        };
        let feed = Feed::new(config, &scaler, table, &self.linear_head, &|| done(FEED / table.len() as f64))?;
        let weights: Vec<f32> = step_groups(h)
            .into_iter()
            .zip(&self.meta.blend_weights)
            .flat_map(|(group, &weight)| group.map(move |_| weight as f32))
            .collect();
        let mut out = vec![0.0; f * h];
        let all: usize = tally.passes().iter().map(ExactSizeIterator::len).sum();
        for rows in tally.passes() {
            let mut state = self.network.zero_state(1, &Device::Cpu)?;
            let mut cursor = feed.cursor(rows.start)?;
            while cursor.row < rows.end {
                let (first, tokens) = (cursor.row, TOKENS.min(rows.end - cursor.row));
                let mut chunk = Chunk::default();
                feed.read(&mut cursor, tokens, &mut chunk)?;
                done((1.0 - FEED) * tokens as f64 / all.max(1) as f64);
                let patches = Tensor::from_slice(&chunk.patches, (1, tokens, m, p), &Device::Cpu)?;
                let (forecast, next) = self.network.forward(&patches, &state)?;
                state = next;
                let forecast = forecast.flatten_all()?.to_vec1::<f32>()?;
                for (token, origin) in (first + 1..=first + tokens).enumerate() {
                    if !tally.is_origin(origin) {
                        continue;
                    }
                    for (i, out) in out.iter_mut().enumerate() {
                        let (base, deviation) = chunk.bases[token * f + i / h];
                        let entry = token * f * h + i;
                        let (linear, weight) = (chunk.linear[entry], weights[i % h]);
                        *out = base + (linear + weight * (forecast[entry] - linear)) * deviation;
                    }
                    tally.add(origin, &out);
                }
            }
        }
        Ok(tally)
    }
}
