//! Opening a blob: every check, and views of its parts.
//!
//! The order of the parts is fixed and the configuration gives their sizes, so a blob holds no
//! offsets: header, configuration, scaler, first widths of the prediction intervals, weights in single
//! precision, weights in 8-bit integers, names.

use core::mem::size_of;

use tsm2_core::{Config, Model, Scaler, storage_lens};

use crate::config;
use crate::error::BlobError;
use crate::format::{CHECKSUM, HEADER, MAGIC, UNCHECKED, VERSION};

/// A blob that was checked. It borrows its bytes, which lie in flash.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    config: Config,
    digest: &'a [u8; 32],
    interval_ms: u64,
    coverage: f32,
    scaler: Scaler<'a>,
    initial_widths: &'a [f32],
    weights: &'a [f32],
    integers: &'a [i8],
    names: Names<'a>,
    bytes: usize,
}

/// Names one after the other, each a word of its length and its bytes, padded with zeros to a word.
#[derive(Clone, Copy, Debug)]
struct Names<'a>(&'a [u8]);

impl<'a> Blob<'a> {
    /// Checks the blob that begins at the start of `flash`; what follows the blob does not matter.
    ///
    /// # Errors
    /// The first fault, see [`BlobError`].
    pub fn open(flash: &'a [u8]) -> Result<Self, BlobError> {
        if !flash.as_ptr().cast::<f32>().is_aligned() {
            return Err(BlobError::Alignment);
        }
        let Some(header) = flash.first_chunk::<HEADER>() else {
            return Err(BlobError::Length {
                stated: HEADER as u32,
                available: flash.len(),
            });
        };
        let found = word(header, 0);
        if found != MAGIC {
            return Err(BlobError::Magic { found });
        }
        let found = word(header, 1);
        if found != VERSION {
            return Err(BlobError::Version { found });
        }
        let (stated, available) = (word(header, 2), flash.len());
        let length = usize::try_from(stated)
            .ok()
            .filter(|length| length.is_multiple_of(size_of::<f32>()));
        let Some(bytes) = length.filter(|&length| length >= HEADER).and_then(|length| flash.get(..length)) else {
            return Err(BlobError::Length { stated, available });
        };
        let (stated, actual) = (word(header, 3), CHECKSUM.checksum(&bytes[UNCHECKED..]));
        if stated != actual {
            return Err(BlobError::Checksum { stated, actual });
        }
        Self::checked(bytes, header)
    }

    /// Blob of the right version, length and checksum.
    fn checked(bytes: &'a [u8], header: &'a [u8; HEADER]) -> Result<Self, BlobError> {
        let size_fault = |needed| BlobError::Size {
            needed,
            actual: bytes.len(),
        };
        let mut rest = bytes.get(HEADER..).unwrap_or_default();
        let mut read = 0;
        let config = config::config(
            &mut |_, _| {
                let (word, tail) = rest.split_first_chunk::<4>().ok_or(size_fault(bytes.len() + 4))?;
                (rest, read) = (tail, read + 1);
                Ok(u32::from_le_bytes(*word))
            },
            &Config::default(),
        )?;
        if read != word(header, 15) {
            return Err(size_fault(HEADER + 4 * read as usize));
        }
        let (singles, integers) = storage_lens(&config)?;
        let (variates, forecast) = (config.variates, config.forecast_len());
        // `storage_lens` has validated the configuration: no sum of sizes overflows 32 bits by itself.
        let numbers = size_of::<f32>().saturating_mul(2 * variates + forecast + singles);
        let padded = integers.next_multiple_of(size_of::<f32>());
        let before = bytes.len() - rest.len();
        let too_short = size_fault(before.saturating_add(numbers).saturating_add(padded));
        let (numbers, rest) = rest.split_at_checked(numbers).ok_or(too_short)?;
        let (integers, names) = rest
            .split_at_checked(padded)
            .and_then(|(part, names)| Some((part.get(..integers)?, names)))
            .ok_or(too_short)?;
        let numbers: &[f32] = bytemuck::try_cast_slice(numbers).map_err(|_| BlobError::Alignment)?;
        let (mean, numbers) = numbers.split_at_checked(variates).ok_or(too_short)?;
        let (std, numbers) = numbers.split_at_checked(variates).ok_or(too_short)?;
        let (initial_widths, weights) = numbers.split_at_checked(forecast).ok_or(too_short)?;
        let names = Names(names);
        let blob = Self {
            config,
            digest: header[UNCHECKED..].first_chunk().ok_or(size_fault(HEADER))?,
            interval_ms: u64::from(word(header, 12)) | u64::from(word(header, 13)) << 32,
            coverage: f32::from_bits(word(header, 14)),
            scaler: Scaler { mean, std },
            initial_widths,
            weights,
            integers: bytemuck::cast_slice(integers),
            names,
            bytes: bytes.len(),
        };
        blob.check()?;
        Ok(blob)
    }

    fn check(&self) -> Result<(), BlobError> {
        if !(1..=i64::MAX as u64).contains(&self.interval_ms) {
            return Err(BlobError::Range { key: "interval_ms" });
        }
        if !(self.coverage > 0.0 && self.coverage < 1.0) {
            return Err(BlobError::Range { key: "coverage" });
        }
        let is_width = |width: &f32| *width > 0.0 && width.is_finite();
        if !self.initial_widths.iter().all(is_width) {
            return Err(BlobError::NotFinite { part: "initial_widths" });
        }
        if !self.weights.iter().all(|weight| weight.is_finite()) {
            return Err(BlobError::NotFinite { part: "weights" });
        }
        self.names.check(1 + self.config.variates)?;
        self.model().map(|_| ())
    }

    /// The model, ready to step. Its weights are the blob's.
    ///
    /// # Errors
    /// None for a blob that was opened.
    pub fn model(&self) -> Result<Model<'a>, BlobError> {
        Ok(Model::with_int8(&self.config, self.scaler, self.weights, self.integers)?)
    }

    /// Shape and options of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Identity of the model: SHA-256 of the bundle's file.
    #[must_use]
    pub fn digest(&self) -> &'a [u8; 32] {
        self.digest
    }

    /// Milliseconds from one time step to the next.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// Fraction of the readings that the prediction intervals are to cover.
    #[must_use]
    pub fn coverage(&self) -> f32 {
        self.coverage
    }

    /// Half-widths of the first prediction intervals, in the sensors' units. Shape `[targets][H]`.
    #[must_use]
    pub fn initial_widths(&self) -> &'a [f32] {
        self.initial_widths
    }

    /// Name of the model.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.names.get(0).unwrap_or_default()
    }

    /// Name of variate `index`; empty beyond the last.
    #[must_use]
    pub fn variate(&self, index: usize) -> &'a str {
        self.names.get(index + 1).unwrap_or_default()
    }

    /// Index of the variate of this name.
    #[must_use]
    pub fn variate_named(&self, name: &str) -> Option<usize> {
        (0..self.config.variates).find(|&index| self.variate(index) == name)
    }

    /// Bytes of the blob.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<'a> Names<'a> {
    /// Checks that there are `count` names and nothing else.
    fn check(&self, count: usize) -> Result<(), BlobError> {
        let mut rest = self.0;
        for place in 0..count {
            let (name, tail) = split(rest).ok_or(BlobError::Name { place })?;
            if name.is_empty() {
                return Err(BlobError::Name { place });
            }
            rest = tail;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(BlobError::Name { place: count }),
        }
    }

    fn get(&self, place: usize) -> Option<&'a str> {
        let mut rest = self.0;
        for _ in 0..place {
            rest = split(rest)?.1;
        }
        Some(split(rest)?.0)
    }
}

/// The first name, and what follows it.
fn split(names: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = names.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let padded = length.checked_next_multiple_of(size_of::<f32>())?;
    let (name, rest) = rest.split_at_checked(padded)?;
    Some((core::str::from_utf8(name.get(..length)?).ok()?, rest))
}

/// Word `index` of the header.
fn word(header: &[u8; HEADER], index: usize) -> u32 {
    header.as_chunks::<4>().0.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
