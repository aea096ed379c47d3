//! Errors: a fault of a configuration, of the weights, or of a call. One sentence per variant.

use core::fmt;

/// Errors of this crate. Every error is a fault of the caller's input; the model's state is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A number of the configuration lies outside the supported range.
    Config {
        /// The key, as in the model file's metadata.
        key: &'static str,
        /// The requirement.
        requirement: &'static str,
    },
    /// A buffer has the wrong number of elements.
    Length {
        /// Name of the buffer.
        buffer: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        actual: usize,
    },
    /// A scaler entry cannot be used: the mean is not finite, or the standard deviation is not positive and finite.
    Scaler {
        /// Index of the variate.
        variate: usize,
    },
    /// Future values were given for a variate that is not a future covariate.
    NotFutureCovariate {
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
            Self::NotFutureCovariate { variate } => write!(
                f,
                "variate {variate} is not a future covariate: only future covariates take future values"
            ),
        }
    }
}

impl core::error::Error for Error {}

/// Compares the length of a buffer with the length needed.
pub(crate) fn check_len(buffer: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected {
        Ok(())
    } else {
        Err(Error::Length { buffer, expected, actual })
    }
}
