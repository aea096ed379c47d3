//! ONNX: the step of a bundle as a graph that other runtimes run.
//!
//! [`export`] writes the one-step graph with its states as inputs and outputs. The graph computes what
//! [`tsm2_core::Model::step`] and [`tsm2_core::Token::forecast`] compute, to about 1e-5 of the forecast's scale.
//! `docs/reference/onnx.md` specifies inputs, outputs, states and metadata.
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
//! let bundle = Bundle::new(meta, vec![0.1; parameter_count(&config)?])?;
//! let exported = tsm2_onnx::export(&bundle)?;
//! assert!(exported.nodes > 50);
//! std::fs::write(std::env::temp_dir().join("office.onnx"), exported.bytes)?;
//! # Ok(())
//! # }
//! ```

mod bounds;
mod calendar;
#[cfg(feature = "run")]
mod contained;
mod error;
mod export;
mod future;
mod graph;
mod linear_head;
#[cfg(feature = "run")]
mod memory;
mod metadata;
mod mixers;
#[cfg(feature = "run")]
mod model;
mod network;
#[allow(missing_docs, reason = "fields of the protobuf schema; onnx.proto documents them")]
mod proto;
mod reader;
#[cfg(feature = "run")]
mod roles;
mod samples;
mod scaler;
mod seasonal;
mod states;
mod weights;

pub use error::GraphError;
pub use export::{ExportError, Exported, export};
pub use metadata::{GraphMetadata, METADATA_KEY, METADATA_VERSION, Missing};
#[cfg(feature = "run")]
pub use model::GraphModel;
pub use proto::{DataType, OPSET};
pub use reader::{Interface, Port};
pub use states::NEXT;
