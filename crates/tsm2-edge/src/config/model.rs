//! Section `model`: the model file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tsm2_bundle::{Bundle, BundleError, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{LinearHead, parameter_count};
use tsm2_stream::{MAX_SEASON, Naive};

use super::section::section;
use crate::model::{OpenError, OpenModel, is_graph};

section! {
    /// The model. Before a model exists: without `bundle`, and with `interval_s` and `input.variates`, the
    /// daemon publishes naive or seasonal naive forecasts, whichever has the smaller error so far.
    Model in "model" {
        /// The model file, as written by `tsm2 train`; or, in a program with the feature `onnx`, an ONNX
        /// graph.
        bundle: PathBuf = PathBuf::new() => "none: naive forecasts";
        /// What the model file is: `"native"` for a bundle, `"onnx"` for an ONNX graph.
        engine: Option<Engine> = None => "`\"onnx\"` if the name ends in `.onnx`, else `\"native\"`";
        /// Sampling interval in seconds: for a model trained on data without timestamps, or without `bundle`.
        interval_s: Option<f64> = None => "the model's";
        /// Without `bundle`: the number of time steps that are forecast.
        horizon: usize = 60;
        /// Without `bundle`: seconds of a season, a whole number of intervals, at most 1500 of them.
        season_s: Option<f64> = None => "a day, if it is such a number";
    }
    example: r#"[model]
bundle = "model.safetensors"
engine = "native"
interval_s = 60.0

# Before a model exists
horizon = 60
season_s = 86400.0
"#
}

/// What runs the model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The step of TSM2, for a bundle.
    Native,
    /// An ONNX runtime, for a graph of any maker.
    Onnx,
}

/// Name of the model before a model exists, in every forecast.
const NAIVE: &str = "naive";
/// Milliseconds of a day, the usual season.
const DAY_MS: f64 = 86_400_000.0;

/// A section `model` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bundle cannot be used.
    #[error("model.bundle: {0}")]
    Bundle(#[from] BundleError),
    /// The model file cannot be opened.
    #[error("model.bundle: {0}")]
    Open(#[from] OpenError),
    /// Neither the bundle nor the configuration has a sampling interval.
    #[error("set model.interval_s: the model {name:?} was trained on data without timestamps")]
    NoInterval {
        /// Name of the model.
        name: String,
    },
    /// There is nothing to run.
    #[error("model.engine: set model.bundle, too, or remove this key")]
    EngineAlone,
    /// Without a bundle too little is known.
    #[error("{key}: missing; set it, or model.bundle")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// The season cannot be used.
    #[error("model.season_s is {season_s} s; set it to a whole number of intervals, between 2 and {MAX_SEASON}")]
    Season {
        /// The season.
        season_s: f64,
    },
    /// The interval cannot be used.
    #[error("model.interval_s or the model's own interval is {interval_s} s; it must lie between 0.001 and 10^9 seconds")]
    Interval {
        /// The interval.
        interval_s: f64,
    },
    /// The configuration contradicts the bundle.
    #[error("model.interval_s is {interval_s} s, but the model was trained with {bundle_s} s; remove the key")]
    OtherInterval {
        /// The configuration's.
        interval_s: f64,
        /// The bundle's.
        bundle_s: f64,
    },
}

impl Model {
    /// Whether there is a model file; otherwise the forecasts are naive.
    pub fn has_bundle(&self) -> bool {
        !self.bundle.as_os_str().is_empty()
    }

    /// The model file, if it is an ONNX graph.
    pub fn graph(&self) -> Option<&Path> {
        let is_graph = match self.engine {
            Some(engine) => engine == Engine::Onnx,
            None => is_graph(&self.bundle),
        };
        (self.has_bundle() && is_graph).then_some(&self.bundle)
    }

    /// Opens the model file. Without one: a model of these variates that has no weights and that the
    /// naive forecasts stand in for.
    pub fn open(&self, variates: &[String]) -> Result<OpenModel, ModelError> {
        match (self.has_bundle(), self.engine) {
            (true, _) => {
                return Ok(match self.graph() {
                    Some(graph) => OpenModel::open_graph(graph)?,
                    None => Bundle::open(&self.bundle)?.into(),
                });
            }
            (false, Some(_)) => return Err(ModelError::EngineAlone),
            (false, None) => {}
        }
        let key = match (variates, self.interval_s) {
            ([], _) => Some("input.variates"),
            (_, None) => Some("model.interval_s"),
            _ => None,
        };
        if let Some(key) = key {
            return Err(ModelError::Missing { key });
        }
        let variate = |name: &String| Variate {
            name: name.clone(),
            unit: None,
            mean: 0.0,
            std: 1.0,
        };
        let config = tsm2_core::Config {
            variates: variates.len(),
            horizon: self.horizon,
            network: None,
            linear_head: LinearHead {
                lags: 1,
                ..LinearHead::default()
            },
            ..tsm2_core::Config::default()
        };
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: NAIVE.into(),
            config,
            variates: variates.iter().map(variate).collect(),
            interval_ms: None,
            time_zone: None,
            provenance: Provenance::default(),
        };
        // An invalid horizon is reported by the bundle.
        let weights = parameter_count(&config).unwrap_or_default();
        Ok(Bundle::new(meta, vec![0.0; weights])?.into())
    }

    /// The forecasts before a model exists; `None` with a model.
    pub(super) fn naive(&self, interval_ms: u64) -> Result<Option<Naive>, ModelError> {
        if self.has_bundle() {
            return Ok(None);
        }
        let season_ms = self.season_s.map_or(DAY_MS, |season_s| season_s * 1e3);
        let steps = season_ms / interval_ms as f64;
        let is_usable = steps.fract() == 0.0 && (2.0..=MAX_SEASON as f64).contains(&steps);
        match (is_usable, self.season_s) {
            (true, _) => Ok(Some(Naive {
                season: Some(steps as usize),
            })),
            (false, None) => Ok(Some(Naive { season: None })),
            (false, Some(season_s)) => Err(ModelError::Season { season_s }),
        }
    }

    /// Sampling interval in milliseconds.
    pub fn interval_ms(&self, meta: &Metadata) -> Result<u64, ModelError> {
        let bundle_s = meta.interval_ms.map(|ms| ms as f64 / 1e3);
        for interval_s in [self.interval_s, bundle_s].into_iter().flatten() {
            if !(1e-3..=1e9).contains(&interval_s) {
                return Err(ModelError::Interval { interval_s });
            }
        }
        let configured_ms = self.interval_s.map(|interval_s| (interval_s * 1e3).round() as u64);
        match (meta.interval_ms, configured_ms) {
            (Some(bundle), Some(configured)) if bundle != configured => Err(ModelError::OtherInterval {
                interval_s: configured as f64 / 1e3,
                bundle_s: bundle as f64 / 1e3,
            }),
            (bundle, configured) => bundle
                .or(configured)
                .ok_or_else(|| ModelError::NoInterval { name: meta.name.clone() }),
        }
    }
}
