//! Errors of a blob. One sentence per variant: what is wrong and what to do.

use core::fmt;

use crate::format::{MAGIC, VERSION};

/// Why bytes are not a usable blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    /// The bytes do not begin at a multiple of four.
    Alignment,
    /// Something else, or nothing, stands there.
    Magic {
        /// The first word.
        found: u32,
    },
    /// Another version of the format.
    Version {
        /// The blob's version.
        found: u32,
    },
    /// The blob is cut short, or its length is not a whole number of words.
    Length {
        /// Bytes that the blob claims.
        stated: u32,
        /// Bytes that are there.
        available: usize,
    },
    /// A byte of the blob changed.
    Checksum {
        /// The checksum in the blob.
        stated: u32,
        /// The checksum of its bytes.
        actual: u32,
    },
    /// A word of the configuration has no meaning.
    Option {
        /// The key, as in a bundle's metadata.
        key: &'static str,
        /// The word.
        word: u32,
    },
    /// The sizes that the configuration demands are not those of the blob.
    Size {
        /// Bytes that the configuration demands.
        needed: usize,
        /// Bytes of the blob.
        actual: usize,
    },
    /// A name is not UTF-8, empty, or longer than the blob.
    Name {
        /// Its place: 0 is the model, then the variates.
        place: usize,
    },
    /// The sampling interval or the coverage of the prediction intervals is out of range.
    Range {
        /// The key.
        key: &'static str,
    },
    /// A width is not positive, or a weight is not finite.
    NotFinite {
        /// `initial_widths` or `weights`.
        part: &'static str,
    },
    /// The configuration or the scaler is at fault.
    Model(tsm2_core::Error),
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alignment => f.write_str("the blob does not begin at a multiple of 4 bytes; place it at an aligned address"),
            Self::Magic { found } => write!(
                f,
                "the first word is {found:#010x} where a blob has {:#010x}; write a file of `tsm2 export` to this address",
                MAGIC
            ),
            Self::Version { found } => write!(
                f,
                "the blob has version {found}, this firmware reads version {}; export the bundle again with the `tsm2` of this firmware",
                VERSION
            ),
            Self::Length { stated, available } => write!(
                f,
                "the blob states a length of {stated} bytes where {available} are available; write the whole file"
            ),
            Self::Checksum { stated, actual } => write!(
                f,
                "the blob's checksum is {actual:#010x} where {stated:#010x} is stated; write the file again"
            ),
            Self::Option { key, word } => write!(f, "configuration key `{key}` has the unknown value {word}"),
            Self::Size { needed, actual } => write!(f, "the configuration demands {needed} bytes where the blob has {actual}"),
            Self::Name { place: 0 } => f.write_str("the name of the model is empty or not UTF-8"),
            Self::Name { place } => write!(f, "the name of variate {} is empty or not UTF-8", place - 1),
            Self::Range { key } => write!(f, "`{key}` is out of range"),
            Self::NotFinite { part } => write!(f, "`{part}` holds a number that cannot be used"),
            Self::Model(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BlobError {}

impl From<tsm2_core::Error> for BlobError {
    fn from(error: tsm2_core::Error) -> Self {
        Self::Model(error)
    }
}
