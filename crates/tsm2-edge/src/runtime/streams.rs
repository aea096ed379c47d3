//! Streams in memory: which may begin, whose checkpoint is due, and which leave.

use std::collections::HashMap;
use std::sync::Arc;

use crate::observe::LiveErrors;
use crate::runtime::admission::Admission;
use crate::runtime::record::{Checkpoint, CheckpointV2, Fingerprint};
use crate::runtime::stream::{Stream, Tail};

/// Bytes of checkpoints per time step: they may cost about twice as much as the log itself.
const CHECKPOINT_BYTES_PER_STEP: u64 = 200;
/// Least time steps between two checkpoints of a stream.
const LEAST_STEPS: u64 = 64;
/// Log entries per time step, beside one per variate, beyond which entries count and not time steps.
const READINGS_PER_STEP: u64 = 16;

/// See the module's description.
pub(crate) struct Streams {
    streams: HashMap<String, Stream>,
    admission: Arc<Admission>,
    fingerprint: Fingerprint,
    /// Time steps between two checkpoints of a stream.
    checkpoint_every: u64,
    /// Entries of one time step beyond which a checkpoint does not wait for time steps.
    entries_per_step: u64,
}

impl Streams {
    /// Of models with this fingerprint and so many inputs.
    pub(crate) fn new(fingerprint: Fingerprint, inputs: usize, admission: Arc<Admission>) -> Self {
        Streams {
            streams: HashMap::new(),
            admission,
            fingerprint,
            checkpoint_every: LEAST_STEPS,
            entries_per_step: inputs as u64 + READINGS_PER_STEP,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.streams.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Stream> {
        self.streams.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Stream> {
        self.streams.get_mut(name)
    }

    /// Whether `name` is one of the daemon's streams or may become one; it is one afterwards if so.
    pub(crate) fn admit(&self, name: &str) -> bool {
        self.admission.admit(name)
    }

    /// The largest number of the daemon's streams.
    pub(crate) fn max(&self) -> usize {
        self.admission.max()
    }

    pub(crate) fn insert(&mut self, name: &str, stream: Stream) {
        self.streams.insert(name.to_owned(), stream);
    }

    /// Drops a stream from the memory. It makes room for another one.
    pub(crate) fn forget(&mut self, name: &str) {
        self.streams.remove(name);
        self.admission.forget(name);
    }

    /// Notes that the newest entry of a stream is in this batch.
    pub(crate) fn note_batch(&mut self, name: &str, batch: u64) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.batch = batch;
        }
    }

    /// The state of a stream for the store; `None` when it is not in memory.
    pub(crate) fn checkpoint(&mut self, name: &str) -> Option<Vec<u8>> {
        let stream = self.streams.get_mut(name)?;
        let checkpoint = Checkpoint::V2(Box::new(CheckpointV2 {
            fingerprint: self.fingerprint,
            resampler: stream.resampler.snapshot(),
            forecaster: stream.forecaster.snapshot(),
        }));
        stream.tail = Tail::default();
        stream.needs_checkpoint = false;
        let bytes = checkpoint.encode();
        self.checkpoint_every = checkpoint_every(bytes.len());
        Some(bytes)
    }

    /// Whether the log of a stream has grown so long that a checkpoint is worth its bytes.
    pub(crate) fn is_checkpoint_due(&self, name: &str) -> bool {
        self.streams.get(name).is_some_and(|stream| {
            stream.needs_checkpoint
                || stream.tail.time_steps >= self.checkpoint_every
                || stream.tail.entries >= self.checkpoint_every.saturating_mul(self.entries_per_step)
        })
    }

    /// The streams with at least so many time steps since their last checkpoint.
    pub(crate) fn with_tail(&self, time_steps: u64) -> Vec<String> {
        self.names(|stream| stream.needs_checkpoint || stream.tail.time_steps >= time_steps)
    }

    /// The streams whose last message came before `since_ms`.
    pub(crate) fn silent_since(&self, since_ms: i64) -> Vec<String> {
        self.names(|stream| stream.heard_ms < since_ms)
    }

    fn names(&self, which: impl Fn(&Stream) -> bool) -> Vec<String> {
        let named = self.streams.iter().filter(|(_, stream)| which(stream));
        named.map(|(name, _)| name.clone()).collect()
    }

    /// Errors over all streams for each of these target variates at each of these steps (from 1),
    /// and how many streams drift.
    pub(crate) fn errors(&self, targets: usize, steps: &[usize]) -> (Vec<LiveErrors>, usize) {
        let mut errors = vec![LiveErrors::default(); targets * steps.len()];
        for stream in self.streams.values() {
            for (index, sum) in errors.iter_mut().enumerate() {
                let (variate, step) = (index / steps.len(), steps[index % steps.len()]);
                if let Some(metrics) = stream.forecaster.monitor().live_metrics(variate, step) {
                    *sum += LiveErrors::of(&metrics);
                }
            }
        }
        let drifting = self.streams.values().filter(|stream| stream.forecaster.monitor().drifts()).count();
        (errors, drifting)
    }

    /// Drops streams whose entries are durable up to batch `durable`: those last heard before
    /// `since_ms`, and of the others the longest unheard until `most` are left.
    pub(crate) fn evict(&mut self, since_ms: i64, most: usize, durable: u64) -> usize {
        let before = self.streams.len();
        self.streams
            .retain(|_, stream| stream.batch > durable || stream.heard_ms >= since_ms);
        let excess = self.streams.len().saturating_sub(most);
        if excess > 0 {
            let evictable = self.streams.values().filter(|stream| stream.batch <= durable);
            let mut heard: Vec<i64> = evictable.map(|stream| stream.heard_ms).collect();
            let excess = excess.min(heard.len());
            if excess > 0 {
                let (_, &mut limit_ms, _) = heard.select_nth_unstable(excess - 1);
                self.streams
                    .retain(|_, stream| stream.batch > durable || stream.heard_ms > limit_ms);
            }
        }
        before - self.streams.len()
    }
}

/// Time steps between two checkpoints of so many bytes.
fn checkpoint_every(bytes: usize) -> u64 {
    (bytes as u64 / CHECKPOINT_BYTES_PER_STEP).max(LEAST_STEPS)
}
