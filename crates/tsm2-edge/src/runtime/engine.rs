//! Engine: messages -> readings -> time steps -> forecasts, for the streams of one worker.
//! No I/O and no clock.
//!
//! 1. Streams never touch each other.
//! 2. Input that cannot be used is counted, logged once and skipped.
//! 3. Each message that changed its stream gives log entries, one for each time in it. Replaying the
//!    entries gives the same stream.

use std::sync::Arc;

use tracing::info;
use tsm2_mqtt::{Outcome as Decoded, Payload};
pub use tsm2_stream::Counts;
use tsm2_stream::{Reading, Workspace};

use crate::config::{Address, Kind, Prepared, Route};
use crate::observe::{InputMetrics, RejectionLog};
use crate::runtime::admission::Admission;
use crate::runtime::record::Entry;
use crate::runtime::restore;
pub use crate::runtime::restore::Loaded;
pub use crate::runtime::step::Step;
use crate::runtime::stream::{Outcome, Shared};
use crate::runtime::streams::Streams;
use crate::state::Stored;

/// Points of one future covariate that are kept.
const MAX_POINTS: usize = 2048;
/// 2024-01-01: the wall clock of a machine that shows an earlier time was never set.
const CLOCK_SET_MS: i64 = 1_704_067_200_000;

/// How far the times of readings without a time of their own may lie ahead of the clock, so that no two
/// are the same.
const MAX_LEAD_MS: i64 = 1000;

/// One message, with its address parsed.
#[derive(Debug, Clone, Copy)]
pub struct Input<'m> {
    /// Topic, for log messages.
    pub topic: &'m str,
    /// What the topic names.
    pub address: &'m Address<'m>,
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
    /// For the log, in order.
    pub entries: Vec<Entry>,
    /// Readings accepted.
    pub readings: u64,
}

/// Streams and the model that forecasts them.
pub struct Engine<'s> {
    prepared: &'s Prepared,
    shared: Shared<'s>,
    pub(crate) streams: Streams,
    metrics: InputMetrics,
    rejections: RejectionLog,
    /// The values of the message at hand.
    values: Vec<Value>,
}

/// A value of a message.
#[derive(Debug, Clone, Copy)]
struct Value {
    variate: usize,
    time_ms: i64,
    value: f32,
    /// Wall clock at arrival, where it can testify to `time_ms`.
    arrival_ms: Option<i64>,
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
                config: prepared.schema.forecaster.clone(),
                model,
            },
            streams: Streams::new(prepared.fingerprint, prepared.topics.variates(), admission),
            values: Vec::with_capacity(prepared.topics.variates()),
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
        self.streams.len() == 0
    }

    /// What a stream's resampler has counted in its whole life; `None` when it is not in memory.
    pub fn counts(&self, stream: &str) -> Option<Counts> {
        self.streams.get(stream).map(|stream| stream.resampler.counts())
    }

    /// Takes one message. `on` is called for each time step before this returns.
    ///
    /// Returns `None` when nothing changed.
    pub fn take(&mut self, input: &Input<'_>, mut on: impl FnMut(Step<'_>)) -> Option<Accepted> {
        self.metrics.messages.inc();
        match &input.address.kind {
            Kind::Readings(routes) => self.take_readings(input, routes, &mut on),
            Kind::FutureCovariate { variate } => self.take_future(input, *variate),
        }
    }

    fn take_readings(&mut self, input: &Input<'_>, routes: &[Route], on: &mut impl FnMut(Step<'_>)) -> Option<Accepted> {
        let name = input.address.stream;
        let arrived_ms = self.arrived_ms(input);
        self.decode(input, routes, arrived_ms);
        self.drop_unexpected(input);
        if self.values.is_empty() || !self.begin(name) {
            return None;
        }
        // A batch may begin with its newest reading, which would make the others late.
        if !self.values.is_sorted_by_key(|value| value.time_ms) {
            self.values.sort_by_key(|value| value.time_ms);
        }
        let values = std::mem::take(&mut self.values);
        let mut accepted = Accepted {
            entries: Vec::new(),
            readings: 0,
        };
        for moment in values.chunk_by(|one, next| (one.time_ms, one.arrival_ms) == (next.time_ms, next.arrival_ms)) {
            let Value { time_ms, arrival_ms, .. } = moment[0];
            let values = self.advance(name, moment, on);
            accepted.readings += values.len() as u64;
            if !values.is_empty() {
                accepted.entries.push(Entry::of_readings(time_ms, arrival_ms, values));
            }
        }
        self.values = values;
        let stream = self.streams.get_mut(name)?;
        (stream.heard_ms, stream.arrived_ms) = (input.arrival_ms, arrived_ms);
        stream.tail.entries += accepted.entries.len() as u64;
        (!accepted.entries.is_empty()).then_some(accepted)
    }

    /// The time of a reading without a time of its own. Where others have times of their own, the same
    /// time again is a duplicate, so each message has another.
    fn arrived_ms(&self, input: &Input<'_>) -> i64 {
        let newest = self.streams.get(input.address.stream).map(|stream| stream.arrived_ms);
        match newest.filter(|_| self.prepared.schema.resampler.device_times) {
            Some(newest_ms) if (0..MAX_LEAD_MS).contains(&newest_ms.saturating_sub(input.arrival_ms)) => newest_ms + 1,
            _ => input.arrival_ms,
        }
    }

    /// Reads a payload as each of its sources does.
    fn decode(&mut self, input: &Input<'_>, routes: &[Route], arrived_ms: i64) {
        let &Input { topic, address, .. } = input;
        let newest_ms = self.streams.get(address.stream).and_then(|stream| stream.resampler.newest_ms());
        self.values.clear();
        let (rejections, values) = (&mut self.rejections, &mut self.values);
        let (mut absent, mut is_used) = (None, false);
        for route in routes {
            let source = &self.prepared.topics.sources()[route.source];
            if input.retained && !source.decoder.has_own_time() {
                let why =
                    format_args!("topic {topic:?}: a retained message without a time of its own; set time_field or publish unretained");
                rejections.reject("retained", topic, why);
                is_used = true;
                continue;
            }
            let payload = Payload {
                topic,
                bytes: input.payload,
                arrival_ms: arrived_ms,
                retained: input.retained,
                newest_ms,
                field: route.field,
            };
            // A clock that was never set is no witness.
            let is_asked = self.prepared.schema.resampler.device_times;
            let is_witness = is_asked && !input.retained && input.arrival_ms >= CLOCK_SET_MS;
            let arrival_ms = is_witness.then_some(input.arrival_ms);
            let decoded = source.decoder.decode(&payload, |outcome| match outcome {
                Decoded::Value { time_ms, field, value } => {
                    let variate = source.variates[field];
                    values.push(Value {
                        variate,
                        time_ms,
                        value,
                        arrival_ms,
                    });
                }
                Decoded::Absent { field } => absent = absent.or(Some((source, field))),
                Decoded::Fault(error) => {
                    is_used = true;
                    rejections.reject(error.reason(), &format!("{topic} {}", error.field()), &error);
                }
            });
            if let Err(error) = decoded {
                is_used = true;
                rejections.reject(error.reason(), topic, &error);
            }
        }
        if let (Some((source, field)), true) = (absent, values.is_empty() && !is_used) {
            let path = source.decoder.options().fields[field].path.as_str();
            let what = format_args!("topic {topic:?}: a message has no field {path:?}; that is no fault if others have it");
            rejections.note(topic, what);
        }
    }

    /// What the broker had stored must neither begin a stream nor move its clock.
    fn drop_unexpected(&mut self, input: &Input<'_>) {
        let &Input { topic, address, .. } = input;
        if !input.retained || self.values.is_empty() {
            return;
        }
        let stream = self.streams.get(address.stream);
        self.values
            .retain(|value| stream.is_some_and(|stream| stream.resampler.expects(value.time_ms)));
        if self.values.is_empty() {
            let why = format_args!("topic {topic:?}: a retained message that does not continue its stream");
            self.rejections.reject("retained", topic, why);
        }
    }

    /// Future values of one variate replace earlier ones. They may be retained, and may come before
    /// the first reading.
    fn take_future(&mut self, input: &Input<'_>, variate: usize) -> Option<Accepted> {
        let &Input { topic, address, .. } = input;
        let name = address.stream;
        let decoder = &self.prepared.schema.future_covariates;
        let newest_ms = self.streams.get(name).and_then(|stream| stream.resampler.newest_ms());
        let payload = Payload {
            topic,
            bytes: input.payload,
            arrival_ms: input.arrival_ms,
            retained: input.retained,
            newest_ms,
            field: None,
        };
        let points = match decoder.points(&payload) {
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
            entries: vec![Entry::FutureCovariate {
                variate: variate as u32,
                points,
            }],
        })
    }

    /// Whether `name` is in memory, or begins now.
    fn begin(&mut self, name: &str) -> bool {
        if self.streams.has(name) {
            return true;
        }
        if !self.streams.admit(name) {
            let max = self.streams.max();
            let why = format_args!("stream {name:?} exceeds the {max} of input.max_streams; raise it, or forget streams that are gone");
            self.rejections.reject("too_many_streams", "", why);
            return false;
        }
        match restore::blank(self.prepared, &self.shared) {
            Some(stream) => {
                info!(stream = name, "a new stream");
                self.streams.insert(name, stream);
                true
            }
            None => {
                self.rejections.reject("stream", "", "the model cannot start a stream");
                false
            }
        }
    }

    /// Resamples the values of one moment and steps the model; returns the accepted ones.
    fn advance(&mut self, name: &str, moment: &[Value], on: &mut impl FnMut(Step<'_>)) -> Vec<(u32, f32)> {
        let Some(stream) = self.streams.get_mut(name) else {
            return Vec::new();
        };
        let (rejections, variates) = (&mut self.rejections, &self.prepared.bundle.meta().variates);
        let before = stream.resampler.counts();
        let mut accepted = Vec::with_capacity(moment.len());
        for &Value {
            variate,
            time_ms,
            value,
            arrival_ms,
        } in moment
        {
            let pushed = stream.push(
                &mut self.shared,
                Reading {
                    variate,
                    value,
                    time_ms,
                    arrival_ms,
                },
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
                    Outcome::ClockMoved { last_ms, next_ms } => {
                        let (from, to) = (tsm2_mqtt::rfc3339(last_ms), tsm2_mqtt::rfc3339(next_ms));
                        info!(stream = name, from, to, "the clock moved, and later readings confirm it");
                    }
                    Outcome::ClockJump {
                        time_ms,
                        readings,
                        is_behind,
                    } => {
                        let (to, reason) = (tsm2_mqtt::rfc3339(time_ms), if is_behind { "late" } else { "clock_jump" });
                        let why = format_args!("stream {name:?}: readings at {to}, far from the others, and nothing confirmed their time");
                        let count = if is_behind { readings } else { 1 };
                        (0..count).for_each(|_| rejections.reject(reason, name, why));
                    }
                    Outcome::Failed(error) => rejections.reject("step", name, format_args!("stream {name:?}: {error}")),
                },
            );
            match pushed {
                Ok(tsm2_stream::Accepted::Used | tsm2_stream::Accepted::Held) => accepted.push((variate as u32, value)),
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
    pub fn load(&mut self, name: &str, stored: &Stored, now_ms: i64, history: impl FnOnce() -> Vec<Vec<u8>>, beat: impl FnMut()) -> Loaded {
        let loaded = restore::stored(self.prepared, &mut self.shared, name, stored, history, beat);
        let Some((mut stream, loaded)) = loaded else {
            return Loaded::WarmedUp(0);
        };
        stream.heard_ms = now_ms;
        self.streams.admit(name);
        self.streams.insert(name, stream);
        loaded
    }

    /// The state of a stream for the store; `None` when it is not in memory.
    pub fn checkpoint(&mut self, name: &str) -> Option<Vec<u8>> {
        self.streams.checkpoint(name)
    }
}
