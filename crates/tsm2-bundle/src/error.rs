//! Errors of a model file. One sentence per variant, naming the key or tensor; [`BundleError::File`] adds the path.

use std::path::PathBuf;

/// Errors of reading, making and writing a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A fault of a file, with its path.
    #[error("{}: {source}", path.display())]
    File {
        /// The bundle's path.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<BundleError>,
    },
    /// The operating system refused to read or write.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The bytes are not a whole safetensors file.
    #[error("not a safetensors file, or cut short: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A safetensors file of something else.
    #[error("no `{key}` entry in the file's metadata: this is not a TSM2 model")]
    NoMetadata {
        /// The entry that is missing.
        key: &'static str,
    },
    /// The metadata does not parse.
    #[error("metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    /// A file from before the first release.
    #[error("no `format_version` in the metadata: the file was written before the first release; train the model again")]
    NoVersion,
    /// A version this code does not read.
    #[error("format version {found} is not known; this program reads versions 1 to {known}")]
    Version {
        /// The file's version.
        found: u32,
        /// The version read here.
        known: u32,
    },
    /// A time zone that is not in the database.
    #[error("`time_zone`: there is no zone {name:?} in the time zone database; write an IANA name such as Europe/Berlin")]
    TimeZone {
        /// The name.
        name: String,
    },
    /// A tensor of the layout is not in the file.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor in the file has no place in the layout.
    #[error("tensor `{name}` is not part of this model")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape than the configuration demands.
    #[error("tensor `{name}` has shape {actual:?} where {expected:?} is needed")]
    Shape {
        /// Its name.
        name: String,
        /// The configuration's shape.
        expected: Vec<usize>,
        /// The file's shape.
        actual: Vec<usize>,
    },
    /// A tensor has another element type.
    #[error("tensor `{name}` is {dtype} where {needed} is needed")]
    Dtype {
        /// Its name.
        name: String,
        /// The element type needed.
        needed: &'static str,
        /// Its element type.
        dtype: String,
    },
    /// The blocks of the linear head do not fit.
    #[error("linear head: {what}")]
    Blocks {
        /// The fault.
        what: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor `{name}` holds a number that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
    },
    /// The list of variates does not fit.
    #[error("variates: {0}")]
    Variates(String),
    /// The sampling interval is zero.
    #[error("interval_ms must be positive")]
    Interval,
    /// The configuration, the scaler or the number of weights is at fault.
    #[error("{0}")]
    Model(#[from] tsm2_core::Error),
}
