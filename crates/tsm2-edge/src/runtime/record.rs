//! Records of the state store: log entries and checkpoints, as postcard with a version enum.
//!
//! 1. An entry is what one message added to a stream: accepted readings, or a future covariate.
//! 2. Replaying the entries after a checkpoint gives the stream to the same bits.
//! 3. A stream lies under the key `NAME/SCHEMA`. State of another schema, or of another version of
//!    these records, therefore has another key: it is never read and never overwritten.
//! 4. Any bytes decode without a panic.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tsm2_stream::{ForecasterSnapshot, Reading, ResamplerSnapshot, ResamplerSnapshotV1};

use crate::model::OpenModel;

/// Version of the records; a part of every key. Raise it with a change that old programs cannot
/// read, and with a change of what the numbers in the model's state mean.
const VERSION: u32 = 1;
/// Hexadecimal digits of a schema in a key.
const SCHEMA_DIGITS: usize = 8;

/// Follows the schema in the key of a checkpoint that cannot be read; the time follows.
const SET_ASIDE: &str = ".damaged-";

/// A SHA-256.
type Hash = [u8; 32];

/// Which state a model can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of the variates, in order, and the sampling interval: the meaning of a reading.
    pub schema: Hash,
    /// Of the model's configuration: the meaning of the numbers in its state.
    pub architecture: Hash,
    /// Of the bytes of the bundle's file.
    pub weights: Hash,
}

/// What a model can use of a stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compatibility {
    /// Everything: the same model wrote it.
    Same,
    /// The log. A model of the same architecture with other weights wrote the state.
    Architecture,
    /// The log. A model of another architecture wrote the state.
    Schema,
    /// Nothing: other variates or another sampling interval.
    None,
}

impl Fingerprint {
    /// The fingerprint of a model whose time steps are `interval_ms` apart.
    pub fn of(bundle: &OpenModel, interval_ms: u64) -> Self {
        let meta = bundle.meta();
        let mut schema = Sha256::new_with_prefix(VERSION.to_le_bytes());
        schema.update(interval_ms.to_le_bytes());
        for variate in &meta.variates {
            schema.update((variate.name.len() as u64).to_le_bytes());
            schema.update(&variate.name);
        }
        // A configuration of numbers and names always has a text.
        let mut architecture = Sha256::new_with_prefix(serde_json::to_vec(&meta.config).unwrap_or_default());
        architecture.update(bundle.graph_states());
        Fingerprint {
            schema: schema.finalize().into(),
            architecture: architecture.finalize().into(),
            weights: bundle.digest(),
        }
    }

    /// What this model can use of the state that `stored` wrote.
    pub fn compatibility(&self, stored: &Fingerprint) -> Compatibility {
        match () {
            () if self.schema != stored.schema => Compatibility::None,
            () if self.weights == stored.weights => Compatibility::Same,
            () if self.architecture == stored.architecture => Compatibility::Architecture,
            () => Compatibility::Schema,
        }
    }

    /// The key of a stream's state.
    pub fn key(&self, stream: &str) -> String {
        format!("{stream}/{}", self.schema_digits())
    }

    /// The stream of a key, if the key has this schema.
    pub fn stream_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let key = Key::parse(key)?;
        (key.schema == self.schema_digits()).then_some(key.stream)
    }

    fn schema_digits(&self) -> String {
        let digits: String = self.schema.iter().map(|byte| format!("{byte:02x}")).collect();
        digits[..SCHEMA_DIGITS].to_owned()
    }
}

/// A key of the state store, `NAME/SCHEMA`. A stream's name has no `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'k> {
    /// The stream.
    pub stream: &'k str,
    /// The first digits of [`Fingerprint::schema`], and a suffix for state that was set aside.
    pub schema: &'k str,
}

impl<'k> Key<'k> {
    /// Splits a key; `None` for a name that is no key.
    pub fn parse(key: &'k str) -> Option<Self> {
        let (stream, schema) = key.split_once('/')?;
        Some(Key { stream, schema })
    }

    /// The key under which a checkpoint that cannot be read is kept, found at this time.
    pub(crate) fn set_aside(key: &str, now_ms: i64) -> String {
        format!("{key}{SET_ASIDE}{now_ms}")
    }

    /// Whether a checkpoint that cannot be read is kept under this key.
    pub fn is_set_aside(&self) -> bool {
        self.schema.contains(SET_ASIDE)
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.schema)
    }
}

/// What one message added to a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// Version 1: accepted readings of one moment.
    Readings {
        /// Milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// Variate and value, in the order of acceptance.
        values: Vec<(u32, f32)>,
    },
    /// Version 1: future values of one variate.
    FutureCovariate {
        /// The variate.
        variate: u32,
        /// Time in milliseconds since 1970-01-01 UTC, and value.
        points: Vec<(i64, f32)>,
    },
    /// Version 2: readings of one moment, accepted or held, and how long after it they arrived.
    Arrived {
        /// Milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// Milliseconds from then to the arrival.
        age_ms: i64,
        /// Variate and value, in the order of acceptance.
        values: Vec<(u32, f32)>,
    },
}

/// The whole state of a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Checkpoint {
    /// Version 1: streams of one source.
    V1(Box<CheckpointOf<ResamplerSnapshotV1>>),
    /// Version 2.
    V2(Box<CheckpointV2>),
}

/// See [`Checkpoint::V2`].
pub type CheckpointV2 = CheckpointOf<ResamplerSnapshot>;

/// A checkpoint with a resampler of one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointOf<R> {
    /// The model that wrote it.
    pub fingerprint: Fingerprint,
    /// Readings on their way to time steps.
    pub resampler: R,
    /// The model's state, future covariates and evaluation.
    pub forecaster: ForecasterSnapshot,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are no record.
    #[error("the {0} is damaged")]
    Damaged(&'static str),
}

impl Entry {
    /// Readings of one moment.
    pub(crate) fn of_readings(time_ms: i64, arrival_ms: Option<i64>, values: Vec<(u32, f32)>) -> Self {
        match arrival_ms {
            Some(arrival_ms) => Entry::Arrived {
                time_ms,
                age_ms: arrival_ms.saturating_sub(time_ms),
                values,
            },
            None => Entry::Readings { time_ms, values },
        }
    }

    /// Its readings, in the order of acceptance.
    pub(crate) fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        let (time_ms, age_ms, values) = match self {
            Entry::Readings { time_ms, values } => (*time_ms, None, values.as_slice()),
            Entry::Arrived { time_ms, age_ms, values } => (*time_ms, Some(*age_ms), values.as_slice()),
            Entry::FutureCovariate { .. } => (0, None, [].as_slice()),
        };
        let arrival_ms = age_ms.map(|age_ms| time_ms.saturating_add(age_ms));
        values.iter().map(move |&(variate, value)| Reading {
            variate: variate as usize,
            value,
            time_ms,
            arrival_ms,
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// An entry from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        postcard::from_bytes(bytes).map_err(|_| RecordError::Damaged("log entry"))
    }
}

impl Checkpoint {
    /// Its bytes, and their CRC.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// A checkpoint from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<CheckpointV2, RecordError> {
        match postcard::from_bytes(bytes) {
            Ok(Checkpoint::V1(checkpoint)) => Ok(CheckpointV2 {
                fingerprint: checkpoint.fingerprint,
                resampler: checkpoint.resampler.into(),
                forecaster: checkpoint.forecaster,
            }),
            Ok(Checkpoint::V2(checkpoint)) => Ok(*checkpoint),
            Err(_) => Err(RecordError::Damaged("checkpoint")),
        }
    }
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    // Records have no type that postcard cannot write.
    postcard::to_allocvec(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(schema: u8, architecture: u8, weights: u8) -> Fingerprint {
        Fingerprint {
            schema: [schema; 32],
            architecture: [architecture; 32],
            weights: [weights; 32],
        }
    }

    #[test]
    fn compatibility_of_models() {
        let own = fingerprint(1, 1, 1);
        for (stored, expected) in [
            (fingerprint(1, 1, 1), Compatibility::Same),
            (fingerprint(1, 1, 2), Compatibility::Architecture),
            (fingerprint(1, 2, 2), Compatibility::Schema),
            (fingerprint(2, 1, 1), Compatibility::None),
        ] {
            assert_eq!(own.compatibility(&stored), expected);
        }
    }

    #[test]
    fn a_key_names_stream_and_schema() {
        let own = fingerprint(0xa1, 1, 1);
        let key = own.key("room 1");
        assert_eq!(key, "room 1/a1a1a1a1");
        assert_eq!(own.stream_of(&key), Some("room 1"));
        assert_eq!(fingerprint(2, 1, 1).stream_of(&key), None);
        assert_eq!(own.stream_of("room 1"), None);
        let aside = Key::set_aside(&key, 7);
        assert!(own.stream_of(&aside).is_none() && Key::parse(&aside).unwrap().is_set_aside());
    }

    #[test]
    fn an_entry_of_a_row_takes_tens_of_bytes() {
        let values = (0..11).map(|variate| (variate, 20.5)).collect();
        let entry = Entry::of_readings(1_764_000_000_000, Some(1_764_000_000_350), values);
        let bytes = entry.encode();
        assert!(bytes.len() < 70, "{}", bytes.len());
        assert_eq!(Entry::decode(&bytes), Ok(entry));
        assert_eq!(Entry::decode(&bytes[..20]), Err(RecordError::Damaged("log entry")));
    }
}
