//! Section `state`: what outlives the process, and which streams are in memory.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Warnings;
use super::section::section;

section! {
    /// Stored state of the streams.
    State in "state" {
        /// Where the state of the streams is stored. Without it every start begins anew. One daemon per
        /// path; the folder above it must exist.
        path: Option<PathBuf> = None;
        /// Largest number of readings in one commit.
        commit_every_readings: u64 = 1000;
        /// Largest age in seconds of a reading that is not committed.
        commit_every_s: u32 = 10;
        /// Number of time steps of each stream that are kept to warm up another model.
        warmup_steps: u32 = 512;
        /// Seconds without a reading after which a stream leaves the memory. Its next reading brings it
        /// back from `state.path`.
        idle_eviction_s: u32 = 3600;
        /// Largest number of streams in memory. The others are in `state.path`.
        max_streams_in_memory: Option<usize> = None => "`input.max_streams`";
        /// Seconds without a reading after which a stream is forgotten: its state, its retained topics and
        /// its place among `input.max_streams`.
        forget_after_s: Option<u64> = None => "never";
    }
    example: r#"[state]
path = "/var/lib/tsm2-edge/state"
commit_every_readings = 1000
commit_every_s = 10
warmup_steps = 512
idle_eviction_s = 3600
max_streams_in_memory = 200
forget_after_s = 2592000
"#
}

/// A section `state` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A number that must not be zero.
    #[error("state.{key} is 0; set it to at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
}

/// Where and when state becomes durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// Where the state is stored.
    pub path: PathBuf,
    /// Largest number of readings in one commit.
    pub readings: u64,
    /// Largest age of a reading that is not committed.
    pub every: Duration,
    /// Time steps of each stream that are kept to warm up another model.
    pub warmup_steps: u32,
    /// Time without a reading after which a stream leaves the memory.
    pub idle_eviction: Duration,
    /// Largest number of streams in memory.
    pub max_streams_in_memory: usize,
}

impl State {
    /// `None`: the state ends with the process.
    pub(super) fn durability(&self, max_streams: usize, warnings: &mut Warnings) -> Result<Option<Durability>, StateError> {
        for (key, is_zero) in [
            ("commit_every_readings", self.commit_every_readings == 0),
            ("commit_every_s", self.commit_every_s == 0),
            ("idle_eviction_s", self.idle_eviction_s == 0),
            ("max_streams_in_memory", self.max_streams_in_memory == Some(0)),
            ("forget_after_s", self.forget_after_s == Some(0)),
        ] {
            if is_zero {
                return Err(StateError::Zero { key });
            }
        }
        let Some(path) = &self.path else { return Ok(None) };
        warnings.check_private("state.path", path);
        Ok(Some(Durability {
            path: path.clone(),
            readings: self.commit_every_readings,
            every: Duration::from_secs(self.commit_every_s.into()),
            warmup_steps: self.warmup_steps,
            idle_eviction: Duration::from_secs(self.idle_eviction_s.into()),
            max_streams_in_memory: self.max_streams_in_memory.unwrap_or(max_streams),
        }))
    }

    /// The file beside the state that lists the filters subscribed at the broker.
    pub(super) fn session_record(&self) -> Option<PathBuf> {
        self.path.as_ref().map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(".session.json");
            name.into()
        })
    }

    /// Time without a reading after which a stream is forgotten.
    pub(super) fn forget_after(&self) -> Option<Duration> {
        self.forget_after_s.map(Duration::from_secs)
    }
}
