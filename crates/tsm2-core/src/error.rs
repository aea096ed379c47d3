//! What can be wrong with a configuration, weights or a call. One sentence per variant.

use core::fmt;

/// Errors of this crate; every one is the caller's input, none is a state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A number of the configuration lies outside what the forecaster supports.
    Config {
        /// The key, as in the model file's metadata.
        key: &'static str,
        /// What is required of it.
        requirement: &'static str,
    },
    /// A buffer has the wrong number of elements.
    Length {
        /// Which buffer.
        buffer: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        actual: usize,
    },
    /// A scaler entry cannot be used: a mean that is not finite, or a standard deviation that is not positive and finite.
    Scaler {
        /// Index of the variate.
        variate: usize,
    },
    /// What a variate will read was told, though it is not known ahead.
    NotKnownAhead {
        /// Index of the variate.
        variate: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { key, requirement } => write!(f, "configuration key `{key}` must be {requirement}"),
            Self::Length { buffer, expected, actual } => write!(f, "`{buffer}` has {actual} elements where {expected} are needed"),
            Self::Scaler { variate } => write!(
                f,
                "the scaler of variate {variate} needs a finite mean and a positive, finite standard deviation"
            ),
            Self::NotKnownAhead { variate } => write!(f, "variate {variate} is none of those that are known ahead"),
        }
    }
}

impl core::error::Error for Error {}
