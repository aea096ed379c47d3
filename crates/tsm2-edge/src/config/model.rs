//! Section `model`: the model file.

use std::path::PathBuf;

use tsm2_bundle::{Bundle, BundleError, Metadata};

use super::section::section;

section! {
    /// The model.
    Model in "model" {
        /// The model file, as written by `tsm2 train`.
        bundle: PathBuf = PathBuf::new() => "required";
        /// Sampling interval in seconds, for a model trained on data without timestamps.
        interval_s: Option<f64> = None => "the model's";
    }
    example: r#"[model]
bundle = "model.safetensors"
interval_s = 60.0
"#
}

/// A section `model` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bundle cannot be used.
    #[error("model.bundle: {0}")]
    Bundle(#[from] BundleError),
    /// Neither the bundle nor the configuration has a sampling interval.
    #[error("set model.interval_s: the model {name:?} was trained on data without timestamps")]
    NoInterval {
        /// Name of the model.
        name: String,
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
    /// Opens the model file.
    pub fn open(&self) -> Result<Bundle, ModelError> {
        Ok(Bundle::open(&self.bundle)?)
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
