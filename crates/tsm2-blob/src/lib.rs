//! Firmware blob: a model as flash memory holds it, read in place without an allocator.
//!
//! A blob is a whole number of 32-bit words, little-endian. Opening one checks it from end to end
//! and copies nothing: the weights that [`Blob::model`] borrows lie in the blob.
//! `docs/reference/firmware-blob.md` specifies the format; `tsm2 export`
//! writes it from a bundle.
//!
//! ```
//! use tsm2_blob::{Blob, Parts, write};
//! use tsm2_core::{Config, Scaler, parameter_count};
//!
//! let config = Config { horizon: 3, ..Config::default() };
//! let weights = vec![0.0; parameter_count(&config)?];
//! let bytes = write(&Parts {
//!     name: "office",
//!     digest: [7; 32],
//!     interval_ms: 60_000,
//!     config,
//!     scaler: Scaler { mean: &[20.0], std: &[2.5] },
//!     variates: &["temperature"],
//!     coverage: 0.9,
//!     initial_widths: &[1.0, 1.5, 2.0],
//!     weights: &weights,
//!     integers: &[],
//! });
//!
//! // In flash a blob is aligned; a vector of bytes need not be.
//! let words: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
//! let blob = Blob::open(bytemuck::cast_slice(&words))?;
//! let model = blob.model()?;
//! assert_eq!((blob.name(), blob.variate(0), model.config()), ("office", "temperature", &config));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "write"))]
extern crate alloc;

mod blob;
mod config;
mod error;
#[cfg(feature = "export")]
mod export;
mod format;
#[cfg(feature = "write")]
mod write;

pub use blob::Blob;
pub use error::BlobError;
#[cfg(feature = "export")]
pub use export::{ExportError, export};
pub use format::{ALIGNMENT, CHECKSUM, MAGIC, VERSION};
#[cfg(feature = "write")]
pub use write::{Parts, write};
