//! The model file of TSM2: one safetensors file of weights with JSON metadata, fully validated.
//!
//! - The tensors are those that [`tsm2_core::layout`] lists, row-major: f32 or, the large matrices of a smaller model,
//!   8-bit integers with a scale for each row. A whole linear head of f32 is stored without its zero columns.
//! - The metadata entry [`METADATA_KEY`] is one JSON object, [`Metadata`]: version of the format, configuration,
//!   variates with units and scaler, sampling interval, provenance.
//! - `docs/reference/bundle.md` specifies the format for readers in other languages.
//!
//! A [`Bundle`] in memory is always valid. Reading refuses, by name, an unknown version, an unknown key, a missing or
//! unknown tensor, a wrong shape, and a weight that is not finite.
//!
//! Every later version of this crate reads every version of the format.
//!
//! ```
//! use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
//! use tsm2_core::{Config, parameter_count};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { horizon: 3, ..Config::default() };
//! let variate = Variate { name: "temperature".into(), unit: Some("°C".into()), mean: 20.0, std: 2.5 };
//! let meta = Metadata {
//!     format_version: FORMAT_VERSION,
//!     name: "office".into(),
//!     config,
//!     variates: vec![variate],
//!     interval_ms: Some(60_000),
//!     time_zone: None,
//!     provenance: Provenance::default(),
//! };
//! let bundle = Bundle::new(meta, vec![0.0; parameter_count(&config)?])?;
//!
//! let read = Bundle::from_bytes(&bundle.to_bytes()?)?;
//! assert_eq!(read.meta().name, "office");
//! assert_eq!(read.digest(), bundle.digest());
//!
//! let model = read.model();
//! let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
//! let mut forecast = [0.0; 3];
//! model.step(&mut state, &mut scratch, &[21.0], 0)?.forecast(&mut forecast)?;
//! assert_eq!(forecast, [20.0; 3]);
//! # Ok(())
//! # }
//! ```

mod blocks;
mod bundle;
mod calendar_zone;
mod error;
mod metadata;

pub use bundle::Bundle;
pub use calendar_zone::CalendarZone;
pub use error::BundleError;
pub use metadata::{FORMAT_VERSION, METADATA_KEY, Metadata, Provenance, Variate};
