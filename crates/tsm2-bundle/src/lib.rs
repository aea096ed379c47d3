//! The model file of TSM2: safetensors weights with JSON metadata, fully validated.
//!
//! A bundle is one safetensors file. Its tensors are those that [`tsm2_core::layout`] names, f32, row-major. Its metadata entry
//! [`METADATA_KEY`] is one JSON object, [`Metadata`]: the format's version, the configuration, the variates with their units and
//! scaler, the sampling interval, and where the model came from. People's own tools read both.
//!
//! A [`Bundle`] in memory is always valid: an unknown version, an unknown key, a missing or unknown tensor, a wrong shape and a
//! weight that is not finite are refused by name when it is made.

mod bundle;
mod error;
mod metadata;

pub use bundle::Bundle;
pub use error::BundleError;
pub use metadata::{FORMAT_VERSION, METADATA_KEY, Metadata, Provenance, Variate};
