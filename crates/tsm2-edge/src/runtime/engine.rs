//! Engine: messages -> readings -> time steps -> forecasts, for the streams of one worker.
//! No I/O and no clock.
//!
//! 1. Streams never touch each other.
//! 2. Input that cannot be used is counted, logged once and skipped.
//! 3. Each message that changed its stream gives one log entry. Replaying the entries gives the
//!    same stream.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{info, warn};
use tsm2_mqtt::FieldError;
pub use tsm2_stream::Counts;
use tsm2_stream::{Forecaster, ForecasterConfig, Monitor, Reading, Resampler, Workspace};

use crate::config::Prepared;
use crate::config::{Address, Kind};
use crate::observe::{InputMetrics, LiveErrors, RejectionLog};
use crate::runtime::admission::Admission;
use crate::runtime::record::{Checkpoint, CheckpointV1, Compatibility, Entry};
use crate::runtime::stream::{Outcome, Shared, Stream, Tail};
use crate::state::Stored;

/// Points of one future covariate that are kept.
const MAX_POINTS: usize = 2048;
/// Bytes of checkpoints per time step: they may cost about as much as the log itself.
const CHECKPOINT_BYTES_PER_STEP: u64 = 400;
/// Least time steps between two checkpoints of a stream.
const LEAST_STEPS: u64 = 64;
/// Log entries per time step, beside one per variate, beyond which entries count and not time steps.
const READINGS_PER_STEP: u64 = 16;

/// A time step and what the model makes of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Time of the time bin, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the last reading used; `None` for a step that bridges a gap.
    pub last_reading_ms: Option<i64>,
    /// The time step, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
    /// The forecast in the sensors' units; step 0 is the next time step. Shape `[targets][H]`.
    pub mean: &'a [f32],
    /// Lower bounds, shape `[targets][H]`.
    pub lower: &'a [f32],
    /// Upper bounds, shape `[targets][H]`.
    pub upper: &'a [f32],
    /// Evaluation of earlier forecasts, once in a horizon of time steps.
    pub metrics: Option<&'a Monitor>,
}

/// One message, with its address parsed.
#[derive(Debug, Clone, Copy)]
pub struct Input<'m> {
    /// Topic, for log messages.
    pub topic: &'m str,
    /// What the topic names.
    pub address: Address<'m>,
    /// Payload.
    pub payload: &'m [u8],
    /// Whether the broker had stored it.
    pub retained: bool,
    /// Wall clock at arrival, milliseconds since 1970-01-01 UTC.
    pub arrival_ms: i64,
}

/// What a message changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// For the log.
    pub entry: Entry,
    /// Readings accepted.
    pub readings: u64,
}

/// How a stored stream came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// From checkpoint and log.
    Continued,
    /// Another model: warmed up with so many log entries.
    WarmedUp(usize),
}

/// Streams and the model that forecasts them.
pub struct Engine<'s> {
    prepared: &'s Prepared,
    shared: Shared<'s>,
    streams: HashMap<String, Stream>,
    admission: Arc<Admission>,
    /// Time steps between two checkpoints of a stream.
    checkpoint_every: u64,
    metrics: InputMetrics,
    rejections: RejectionLog,
    /// The values of the message at hand, by variate.
    values: Vec<(usize, f32)>,
}

impl<'s> Engine<'s> {
    /// An engine without streams.
    pub fn new(prepared: &'s Prepared, metrics: InputMetrics) -> Self {
        Self::with_admission(prepared, metrics, Arc::new(Admission::new(prepared.max_streams)))
    }

    /// One of several engines, which together have the streams that `admission` admits.
    pub(crate) fn with_admission(prepared: &'s Prepared, metrics: InputMetrics, admission: Arc<Admission>) -> Self {
        let model = prepared.bundle.model();
        Engine {
            shared: Shared {
                workspace: Workspace::new(&model),
                config: ForecasterConfig {
                    interval_ms: prepared.schema.resampler.interval_ms,
                    coverage: prepared.schema.forecaster.coverage,
                    initial_widths: prepared.schema.forecaster.initial_widths.clone(),
                },
                model,
            },
            streams: HashMap::new(),
            checkpoint_every: LEAST_STEPS,
            admission,
            values: Vec::with_capacity(prepared.topics.inputs().len()),
            rejections: RejectionLog::new(metrics.clone()),
            metrics,
            prepared,
        }
    }

    /// Streams in memory.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no stream is in memory.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What a stream's resampler has counted in its whole life; `None` when it is not in memory.
    pub fn counts(&self, stream: &str) -> Option<Counts> {
        self.streams.get(stream).map(|stream| stream.resampler.counts())
    }

    /// Whether the stream is in memory.
    pub fn has(&self, stream: &str) -> bool {
        self.streams.contains_key(stream)
    }

    /// Takes one message. `on` is called for each time step before this returns.
    ///
    /// Returns `None` when nothing changed.
    pub fn take(&mut self, input: &Input<'_>, mut on: impl FnMut(Step<'_>)) -> Option<Accepted> {
        self.metrics.messages.inc();
        match input.address.kind {
            Kind::Readings { variate } => self.take_readings(input, variate, &mut on),
            Kind::FutureCovariate { variate } => self.take_future(input, variate),
        }
    }

    fn take_readings(&mut self, input: &Input<'_>, variate: Option<usize>, on: &mut impl FnMut(Step<'_>)) -> Option<Accepted> {
        let &Input { topic, address, .. } = input;
        let (name, decoder) = (address.stream, &self.prepared.schema.readings);
        if input.retained && !decoder.has_own_time() {
            let why =
                format_args!("topic {topic:?}: a retained message without a time of its own; set input.time_field or publish unretained");
            self.rejections.reject("retained", topic, why);
            return None;
        }
        let newest_ms = self.streams.get(name).and_then(|stream| stream.resampler.newest_ms());
        self.values.clear();
        let (rejections, values) = (&mut self.rejections, &mut self.values);
        let decoded = decoder.decode(topic, input.payload, input.arrival_ms, newest_ms, |_, field, value| match value {
            Ok(value) => values.push((variate.unwrap_or(field), value)),
            Err(error) => {
                let (FieldError::Missing { field, .. } | FieldError::NotANumber { field, .. }) = &error else {
                    return;
                };
                rejections.reject(error.reason(), &format!("{topic} {field}"), &error);
            }
        });
        let time_ms = match decoded {
            Ok(time_ms) => time_ms,
            Err(error) => {
                self.rejections.reject(error.reason(), topic, &error);
                return None;
            }
        };
        // What the broker had stored must neither begin a stream nor move its clock.
        if input.retained && !self.streams.get(name).is_some_and(|stream| stream.resampler.expects(time_ms)) {
            let why = format_args!("topic {topic:?}: a retained message that does not continue its stream");
            self.rejections.reject("retained", topic, why);
            return None;
        }
        if self.values.is_empty() || !self.begin(name) {
            return None;
        }
        let values = self.advance(name, time_ms, on);
        let stream = self.streams.get_mut(name)?;
        stream.heard_ms = input.arrival_ms;
        if values.is_empty() {
            return None;
        }
        stream.tail.entries += 1;
        Some(Accepted {
            readings: values.len() as u64,
            entry: Entry::Readings { time_ms, values },
        })
    }

    /// Future values of one variate replace earlier ones. They may be retained, and may come before
    /// the first reading.
    fn take_future(&mut self, input: &Input<'_>, variate: usize) -> Option<Accepted> {
        let &Input { topic, address, .. } = input;
        let name = address.stream;
        let decoder = &self.prepared.schema.future_covariates;
        let newest_ms = self.streams.get(name).and_then(|stream| stream.resampler.newest_ms());
        let points = match decoder.points(topic, input.payload, newest_ms) {
            Ok(points) => points,
            Err(error) => {
                self.rejections.reject(error.reason(), topic, &error);
                return None;
            }
        };
        if points.len() > MAX_POINTS {
            let why = format_args!(
                "topic {topic:?}: {} points, at most {MAX_POINTS} are allowed; send fewer",
                points.len()
            );
            self.rejections.reject("too_many_points", topic, why);
            return None;
        }
        if !self.begin(name) {
            return None;
        }
        let stream = self.streams.get_mut(name)?;
        if let Err(error) = stream.set_future(&self.shared, variate, points.clone()) {
            let why = format_args!("topic {topic:?}: {error}");
            self.rejections.reject("not_a_future_covariate", topic, why);
            return None;
        }
        stream.heard_ms = input.arrival_ms;
        stream.tail.entries += 1;
        Some(Accepted {
            readings: 1,
            entry: Entry::FutureCovariate {
                variate: variate as u32,
                points,
            },
        })
    }

    /// Whether `name` is in memory, or begins now.
    fn begin(&mut self, name: &str) -> bool {
        if self.streams.contains_key(name) {
            return true;
        }
        if !self.admission.admit(name) {
            let max = self.admission.max();
            let why = format_args!("stream {name:?} exceeds the {max} of input.max_streams; raise it, or forget streams that are gone");
            self.rejections.reject("too_many_streams", "", why);
            return false;
        }
        match blank(self.prepared, &self.shared) {
            Some(stream) => {
                info!(stream = name, "a new stream");
                self.streams.insert(name.to_owned(), stream);
                true
            }
            None => {
                self.rejections.reject("stream", "", "the model cannot start a stream");
                false
            }
        }
    }

    /// Resamples the values of one message and steps the model; returns the accepted ones.
    fn advance(&mut self, name: &str, time_ms: i64, on: &mut impl FnMut(Step<'_>)) -> Vec<(u32, f32)> {
        let Some(stream) = self.streams.get_mut(name) else {
            return Vec::new();
        };
        let (rejections, variates) = (&mut self.rejections, &self.prepared.bundle.meta().variates);
        let before = stream.resampler.counts();
        let mut accepted = Vec::with_capacity(self.values.len());
        for &(variate, value) in &self.values {
            let pushed = stream.push(
                &mut self.shared,
                Reading { variate, value, time_ms },
                &mut |outcome| match outcome {
                    Outcome::TimeStep { step, forecast, metrics } => {
                        for &variate in forecast.expired {
                            let variate = &variates[variate].name;
                            info!(stream = name, variate, "its known future values have ended; publish new ones");
                        }
                        on(Step {
                            stream: name,
                            time_ms: step.time_ms,
                            last_reading_ms: step.last_reading_ms,
                            values: step.values,
                            mean: forecast.mean,
                            lower: forecast.lower,
                            upper: forecast.upper,
                            metrics,
                        });
                    }
                    Outcome::Restart { last_ms, next_ms } => match next_ms.saturating_sub(last_ms) / 1000 {
                        gap_s @ 0.. => info!(stream = name, gap_s, "the gap is longer than input.max_gap; the stream restarts"),
                        rollback_s => info!(stream = name, rollback_s, "the clock was corrected; the stream restarts"),
                    },
                    Outcome::ClockJump { time_ms, readings } => {
                        let to = tsm2_mqtt::rfc3339(time_ms);
                        let why = format_args!("stream {name:?}: {readings} readings at {to}, a clock jump that nothing confirmed");
                        rejections.reject("clock_jump", name, why);
                    }
                    Outcome::Failed(error) => rejections.reject("step", name, format_args!("stream {name:?}: {error}")),
                },
            );
            match pushed {
                Ok(tsm2_stream::Accepted::Used) => accepted.push((variate as u32, value)),
                // Its time step has been emitted: the log needs no entry.
                Ok(tsm2_stream::Accepted::Surplus) => {}
                Err(error) => rejections.reject("late", name, format_args!("stream {name:?}: {error}")),
            }
        }
        let after = stream.resampler.counts();
        // Counters of a damaged checkpoint may be near the end of their range.
        for (counter, after, before) in [
            (&self.metrics.readings, after.readings, before.readings),
            (&self.metrics.time_steps, after.time_steps, before.time_steps),
            (&self.metrics.bridged_time_steps, after.bridged_steps, before.bridged_steps),
            (&self.metrics.restarts, after.restarts, before.restarts),
            (&self.metrics.clock_rollbacks, after.clock_rollbacks, before.clock_rollbacks),
            (&self.metrics.merged_readings, after.merged, before.merged),
            (&self.metrics.forward_filled_values, after.forward_filled, before.forward_filled),
        ] {
            counter.inc_by(after.saturating_sub(before));
        }
        accepted
    }

    /// Brings a stored stream into memory: checkpoint, then the log after it. A model that cannot use
    /// the checkpoint warms up from the log's `history`. `beat` is called for each time step.
    pub fn load(
        &mut self,
        name: &str,
        stored: &Stored,
        now_ms: i64,
        history: impl FnOnce() -> Vec<Vec<u8>>,
        mut beat: impl FnMut(),
    ) -> Loaded {
        let (shared, decode) = (&mut self.shared, |bytes: &Vec<u8>| Checkpoint::decode(bytes));
        let checkpoint = match stored.checkpoint.as_ref().map(decode) {
            Some(Err(error)) => {
                warn!(stream = name, "{error}; the stream warms up from its log");
                None
            }
            Some(Ok(checkpoint)) => Some(checkpoint),
            None => None,
        };
        let tail = || stored.tail.iter().filter_map(|bytes| entry(name, bytes));
        let continued = match (&checkpoint, &stored.checkpoint) {
            (Some(checkpoint), _) => restore(self.prepared, shared, checkpoint, Compatibility::Same),
            (None, Some(_)) => None,
            (None, None) => blank(self.prepared, shared),
        };
        let (mut stream, loaded) = match continued {
            Some(mut stream) => {
                tail().for_each(|entry| stream.replay(shared, entry, &mut |_| beat()));
                (stream, Loaded::Continued)
            }
            None => {
                if checkpoint.is_some() {
                    let why = "it belongs to another model or to other aggregations";
                    warn!(stream = name, "stored state is not used: {why}; the stream warms up from its log");
                }
                let history: Vec<Entry> = history().iter().filter_map(|bytes| entry(name, bytes)).collect();
                // Without a log, the state of a model of the same architecture is the best there is.
                let inherited = checkpoint.as_ref().filter(|_| history.is_empty());
                let inherited = inherited.and_then(|checkpoint| restore(self.prepared, shared, checkpoint, Compatibility::Architecture));
                let Some(mut stream) = inherited.or_else(|| blank(self.prepared, shared)) else {
                    return Loaded::WarmedUp(0);
                };
                let entries = history.len();
                history.into_iter().for_each(|entry| stream.replay(shared, entry, &mut |_| beat()));
                if let Some(checkpoint) = checkpoint
                    && let Ok(mut resampler) = Resampler::restore(self.prepared.schema.resampler.clone(), checkpoint.resampler)
                {
                    tail().for_each(|entry| resample(&mut resampler, entry));
                    stream.resampler = resampler;
                }
                stream.needs_checkpoint = true;
                info!(stream = name, entries, "the model warmed up from the stream's log");
                (stream, Loaded::WarmedUp(entries))
            }
        };
        stream.heard_ms = now_ms;
        self.admission.admit(name);
        self.streams.insert(name.to_owned(), stream);
        loaded
    }

    /// Notes that the newest entry of a stream is in this batch.
    pub(crate) fn note_batch(&mut self, name: &str, batch: u64) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.batch = batch;
        }
    }

    /// The state of a stream for the store; `None` when it is not in memory.
    pub fn checkpoint(&mut self, name: &str) -> Option<Vec<u8>> {
        let stream = self.streams.get_mut(name)?;
        let checkpoint = Checkpoint::V1(Box::new(CheckpointV1 {
            fingerprint: self.prepared.fingerprint,
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
        let per_step = self.prepared.topics.inputs().len() as u64 + READINGS_PER_STEP;
        self.streams.get(name).is_some_and(|stream| {
            stream.needs_checkpoint
                || stream.tail.time_steps >= self.checkpoint_every
                || stream.tail.entries >= self.checkpoint_every.saturating_mul(per_step)
        })
    }

    /// The streams in memory with at least so many time steps since their last checkpoint.
    pub(crate) fn with_tail(&self, time_steps: u64) -> Vec<String> {
        let with_tail = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.needs_checkpoint || stream.tail.time_steps >= time_steps);
        with_tail.map(|(name, _)| name.clone()).collect()
    }

    /// The streams in memory whose last message came before `since_ms`.
    pub(crate) fn silent_since(&self, since_ms: i64) -> Vec<String> {
        let silent = self.streams.iter().filter(|(_, stream)| stream.heard_ms < since_ms);
        silent.map(|(name, _)| name.clone()).collect()
    }

    /// Drops a stream from the memory. It makes room for another one.
    pub(crate) fn forget(&mut self, name: &str) {
        self.streams.remove(name);
        self.admission.forget(name);
    }

    /// Errors over all streams for each target variate at each of these steps (from 1), and how many
    /// streams drift.
    pub(crate) fn errors(&self, steps: &[usize]) -> (Vec<LiveErrors>, usize) {
        let targets = self.prepared.topics.targets();
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

    /// Drops streams from the memory whose entries are durable up to batch `durable`: those last heard
    /// before `since_ms`, and of the others the longest unheard until `most` are left.
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

/// A stream without history.
fn blank(prepared: &Prepared, shared: &Shared<'_>) -> Option<Stream> {
    let resampler = Resampler::new(prepared.schema.resampler.clone()).ok()?;
    let forecaster = Forecaster::new(&shared.model, &shared.config).ok()?;
    Some(Stream::new(resampler, forecaster))
}

/// A stream as its checkpoint has it, where the models are the same or as compatible as `also`.
fn restore(prepared: &Prepared, shared: &Shared<'_>, checkpoint: &CheckpointV1, also: Compatibility) -> Option<Stream> {
    let found = prepared.fingerprint.compatibility(&checkpoint.fingerprint);
    if found != Compatibility::Same && found != also {
        return None;
    }
    let resampler = Resampler::restore(prepared.schema.resampler.clone(), checkpoint.resampler.clone()).ok()?;
    let forecaster = Forecaster::restore(&shared.model, &shared.config, checkpoint.forecaster.clone()).ok()?;
    Some(Stream::new(resampler, forecaster))
}

fn entry(stream: &str, bytes: &[u8]) -> Option<Entry> {
    Entry::decode(bytes).map_err(|error| warn!(stream, "{error}; it is skipped")).ok()
}

/// Takes readings without their consequences.
fn resample(resampler: &mut Resampler, entry: Entry) {
    if let Entry::Readings { time_ms, values } = entry {
        for (variate, value) in values {
            let variate = variate as usize;
            let _ = resampler.push(Reading { variate, value, time_ms }, |_| {});
        }
    }
}
