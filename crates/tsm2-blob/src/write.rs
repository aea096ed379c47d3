//! Writing a blob.

use alloc::vec::Vec;

use tsm2_core::{Config, Scaler};

use crate::config;
use crate::error::BlobError;
use crate::format::{CHECKSUM, MAGIC, UNCHECKED, VERSION};

/// What a blob holds. [`crate::Blob::open`] checks it.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// Identity of the model: SHA-256 of the bundle's file.
    pub digest: [u8; 32],
    /// Milliseconds from one time step to the next.
    pub interval_ms: u64,
    /// Shape and options of the model.
    pub config: Config,
    /// Mean and standard deviation of each variate, `[M]`.
    pub scaler: Scaler<'a>,
    /// Names of the variates, `[M]`.
    pub variates: &'a [&'a str],
    /// Fraction of the readings that the prediction intervals are to cover.
    pub coverage: f32,
    /// Half-widths of the first prediction intervals, `[targets][H]`.
    pub initial_widths: &'a [f32],
    /// The weights in single precision, in the order of [`tsm2_core::stored_layout`].
    pub weights: &'a [f32],
    /// The weights in 8-bit integers, in the same order.
    pub integers: &'a [i8],
}

/// The bytes of a blob.
#[must_use]
pub fn write(parts: &Parts<'_>) -> Vec<u8> {
    let mut words = Vec::new();
    let collected: Result<Config, BlobError> = config::config(
        &mut |_, word| {
            words.push(word);
            Ok(word)
        },
        &parts.config,
    );
    debug_assert_eq!(collected, Ok(parts.config));
    let mut body = Vec::new();
    body.extend(parts.digest);
    body.extend(parts.interval_ms.to_le_bytes());
    body.extend(parts.coverage.to_le_bytes());
    body.extend((words.len() as u32).to_le_bytes());
    body.extend(words.into_iter().flat_map(u32::to_le_bytes));
    for numbers in [parts.scaler.mean, parts.scaler.std, parts.initial_widths, parts.weights] {
        body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    body.extend(parts.integers.iter().map(|integer| integer.cast_unsigned()));
    body.resize(body.len().next_multiple_of(size_of::<f32>()), 0);
    for name in [parts.name].iter().chain(parts.variates) {
        body.extend((name.len() as u32).to_le_bytes());
        body.extend(name.as_bytes());
        body.resize(body.len().next_multiple_of(size_of::<f32>()), 0);
    }
    let length = (UNCHECKED + body.len()) as u32;
    let mut bytes = Vec::with_capacity(UNCHECKED + body.len());
    for word in [MAGIC, VERSION, length, CHECKSUM.checksum(&body)] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(body);
    bytes
}
