//! The way of one message: payload to readings, readings to rows, rows through the model to forecasts. No I/O and no clock.
//!
//! Invariants: each stream has its own grid and state, so streams never touch each other; input that cannot be used is counted, said once
//! and skipped; every row steps the model exactly once, in order; a stream is evicted only when what it is has been committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::info;
use tsm2_core::Model;
use tsm2_mqtt::{FieldError, Template};
use tsm2_stream::{Accepted, Counts, Event, FutureCovariate, Monitor, Reading, Resampler};

use crate::config::service::{KnownAhead, Service};
use crate::observe::{InputMetrics, LiveErrors, Metrics, RejectionLog, Summary};
use crate::runtime::ahead::FutureCovariates;
use crate::state::shelf::{Change, Changes, Rows};
use crate::state::snapshot::{self, Kinship, SnapshotError};

/// Points of what is known ahead of one variate that are kept.
const MAX_POINTS: usize = 2048;

/// A row and what the model makes of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// The row's time on the grid, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the last reading used; `None` for a row that bridges a gap.
    pub last_reading_ms: Option<i64>,
    /// The row, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
    /// The forecast in the sensors' own units, lead 0 being the next row; shape `[M - X][H]`. `None` when no token was due.
    pub forecast: Option<&'a [f32]>,
    /// Bounds of the forecast, `[M - X][H]` each; of no meaning where there is none.
    pub interval: (&'a [f32], &'a [f32]),
    /// How good the forecasts have been, once in a horizon of rows.
    pub skill: Option<&'a Monitor>,
}

/// One stream: its grid, the model's state for it, and who watches its forecasts.
struct Stream {
    grid: Resampler,
    monitor: Monitor,
    covariates: FutureCovariates,
    state: Vec<f32>,
    /// Whether it is another one than when it was last collected.
    changed: bool,
    /// Its rows since then, the last few only.
    rows: Rows,
    /// When its last message came, milliseconds since 1970-01-01 UTC.
    heard_ms: i64,
}

impl Stream {
    fn new(grid: Resampler, monitor: Monitor, covariates: FutureCovariates, state: Vec<f32>) -> Self {
        Stream {
            grid,
            monitor,
            covariates,
            state,
            changed: false,
            rows: Rows::default(),
            heard_ms: i64::MIN,
        }
    }

    /// Notes a row for those who will have to warm up another model.
    fn note(rows: &mut Rows, time_ms: i64, values: &[f32], keep: usize) {
        if keep == 0 {
            return;
        }
        // Twice as many at most, so that the old ones are not moved at every row.
        if rows.times_ms.len() >= 2 * keep {
            rows.times_ms.drain(..keep);
            rows.values.drain(..keep * values.len());
        }
        rows.times_ms.push(time_ms);
        rows.values.extend_from_slice(values);
    }
}

/// Turns messages into steps, for the streams that are its own.
pub struct Engine<'s> {
    service: &'s Service,
    model: Model<'s>,
    streams: HashMap<String, Stream>,
    /// How many streams there are, evicted ones and those of other engines included.
    known: Arc<AtomicUsize>,
    /// Shared by all streams: nothing in it outlives a step.
    scratch: Vec<f32>,
    /// The newest forecast, `[M - X][H]`.
    forecast: Vec<f32>,
    /// Its bounds.
    interval: (Vec<f32>, Vec<f32>),
    /// What is known ahead of one variate, `[H + 1]`.
    ahead: Vec<f32>,
    /// The values of the message at hand, by variate.
    values: Vec<(usize, f32)>,
    rejections: RejectionLog,
    metrics: InputMetrics,
}

impl<'s> Engine<'s> {
    /// An engine without streams, the only one.
    pub fn new(service: &'s Service) -> Self {
        Self::among(service, Arc::default(), Metrics::new().input)
    }

    /// One of several engines, which together have at most `input.max_streams` streams; `known` counts them.
    pub(crate) fn among(service: &'s Service, known: Arc<AtomicUsize>, metrics: InputMetrics) -> Self {
        let model = service.bundle.model();
        let config = model.config();
        Engine {
            streams: HashMap::new(),
            known,
            scratch: vec![0.0; model.scratch_len()],
            forecast: vec![0.0; config.forecast_len()],
            interval: (vec![0.0; config.forecast_len()], vec![0.0; config.forecast_len()]),
            ahead: vec![0.0; config.horizon + 1],
            values: Vec::with_capacity(config.variates),
            rejections: RejectionLog::new(metrics.clone()),
            metrics,
            service,
            model,
        }
    }

    /// What was done so far.
    pub fn summary(&self) -> Summary {
        self.metrics.summary(self.streams.len() as u64)
    }

    /// What a stream's grid has seen in all its life; `None` for a stream that is not there.
    pub fn counts(&self, stream: &str) -> Option<Counts> {
        self.streams.get(stream).map(|stream| stream.grid.counts())
    }

    /// Streams in memory.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether the stream is in memory.
    pub fn has(&self, stream: &str) -> bool {
        self.streams.contains_key(stream)
    }

    /// Takes a stream's snapshot as its state. Where the state is another model's, the rows that `rows` gives warm up a new one; the grid
    /// goes on in any case.
    ///
    /// # Errors
    /// Why the stream is to start anew; then the engine is as it was.
    pub fn restore(&mut self, name: &str, bytes: &[u8], rows: impl FnOnce() -> Rows) -> Result<(), SnapshotError> {
        let service = self.service;
        let mut state = vec![0.0; self.model.state_len()];
        let accepts = |kinship: Kinship, model: &snapshot::Hash| match kinship {
            Kinship::Same => true,
            Kinship::Shape => service.heir_of.contains(model),
            Kinship::Rows => false,
        };
        let decoded = snapshot::decode(
            bytes,
            &service.identity,
            (service.grid.clone(), service.monitor, &self.model),
            accepts,
            &mut state,
        )?;
        let fresh = || Monitor::new(service.monitor, &service.prior).map_err(|_| SnapshotError::Damaged);
        let mut monitor = decoded.monitor.map_or_else(fresh, Ok)?;
        if !decoded.has_state {
            let rows = self.warm_up(&mut state, &mut monitor, &rows());
            info!(stream = name, rows, "the model warmed up again from the stream's last rows");
        }
        let covariates = decoded.covariates.unwrap_or_else(|| FutureCovariates::none(&self.model));
        let mut stream = Stream::new(decoded.grid, monitor, covariates, state);
        stream.changed = !decoded.has_state;
        self.streams.insert(name.to_owned(), stream);
        Ok(())
    }

    /// A new state that has seen the last unbroken run of `rows`; returns how many those are.
    fn warm_up(&mut self, state: &mut [f32], monitor: &mut Monitor, rows: &Rows) -> usize {
        // The state's length is the model's own.
        let _ = self.model.reset(state);
        monitor.restart();
        let interval_ms = i64::try_from(self.service.grid.interval_ms).unwrap_or(i64::MAX);
        let broken = rows
            .times_ms
            .windows(2)
            .rposition(|pair| pair[1].saturating_sub(pair[0]) != interval_ms);
        let first = broken.map_or(0, |last_before| last_before + 1);
        let config = self.model.config();
        let all = rows.times_ms.iter().zip(rows.values.chunks_exact(config.variates));
        all.enumerate()
            .skip(first)
            .take_while(|(index, (time_ms, values))| {
                monitor.observe(&values[..config.targets()]);
                // What came true stands for what was known.
                for variate in config.variates - config.future_covariates..config.variates {
                    let to_come = rows.values[index * config.variates + variate..].iter().step_by(config.variates);
                    self.ahead.clear();
                    self.ahead.extend(to_come.take(config.horizon + 1));
                    if self.model.set_future(state, variate, &self.ahead).is_err() {
                        return false;
                    }
                }
                self.ahead.resize(config.horizon + 1, f32::NAN);
                match self.model.step(state, &mut self.scratch, values, **time_ms) {
                    Ok(mut token) => {
                        if token.forecast(&mut self.forecast).is_ok() {
                            monitor.issue(&self.forecast);
                        }
                    }
                    Err(_) => return false,
                }
                true
            })
            .count()
    }

    /// Name and change of each stream that is another one than when it was last collected, or of all; from now on they count as unchanged.
    pub fn collect(&mut self, all: bool) -> Changes {
        let covariates = self.model.config().future_covariates > 0;
        let wanted = self.streams.iter_mut().filter(|(_, stream)| all || stream.changed);
        wanted
            .map(|(name, stream)| {
                stream.changed = false;
                let snapshot = snapshot::encode(
                    &self.service.identity,
                    &stream.grid,
                    &stream.monitor,
                    covariates.then_some(&stream.covariates),
                    &stream.state,
                );
                let rows = std::mem::take(&mut stream.rows);
                (name.clone(), Change { snapshot, rows })
            })
            .collect()
    }

    /// Sums over all streams for each variate that is forecast at each of these leads (from 1), and how many streams drift.
    pub(crate) fn scores(&self, leads: &[usize]) -> (Vec<LiveErrors>, usize) {
        let variates = self.model.config().targets();
        let mut scores = vec![LiveErrors::default(); variates * leads.len()];
        for stream in self.streams.values() {
            for (place, score) in scores.iter_mut().enumerate() {
                let (variate, lead) = (place / leads.len(), leads[place % leads.len()]);
                if let Some(live) = stream.monitor.live_metrics(variate, lead) {
                    *score += LiveErrors::of(&live);
                }
            }
        }
        let drifting = self.streams.values().filter(|stream| stream.monitor.drifts()).count();
        (scores, drifting)
    }

    /// Takes streams out of memory that are as they were collected: those last heard before `since_ms`, and of the others the longest unheard
    /// until `most` are left. To be called when all that was collected is durable. Returns how many left.
    pub fn evict(&mut self, since_ms: i64, most: usize) -> usize {
        let before = self.streams.len();
        self.streams.retain(|_, stream| stream.changed || stream.heard_ms >= since_ms);
        let excess = self.streams.len().saturating_sub(most);
        if excess > 0 {
            let mut heard: Vec<i64> = self
                .streams
                .values()
                .filter(|stream| !stream.changed)
                .map(|stream| stream.heard_ms)
                .collect();
            let excess = excess.min(heard.len());
            if excess > 0 {
                let (_, &mut limit_ms, _) = heard.select_nth_unstable(excess - 1);
                self.streams.retain(|_, stream| stream.changed || stream.heard_ms > limit_ms);
            }
        }
        before - self.streams.len()
    }

    /// The stream of a topic, when it is to be served and is not in memory.
    pub fn absent<'t>(&self, topic: &'t str) -> Option<&'t str>
    where
        's: 't,
    {
        let name = self.service.stream_of(topic)?;
        (!self.has(name) && self.service.serves(name)).then_some(name)
    }

    /// Takes one message. `on` hears of each row that it closed, before this returns, and says how many forecasts it published. Returns how
    /// many readings changed their stream.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, arrival_ms: i64, mut on: impl FnMut(Step<'_>) -> u64) -> u64 {
        self.metrics.messages.inc();
        let service = self.service;
        if let Some(known_ahead) = &service.known_ahead
            && known_ahead.template.capture(topic).is_ok()
        {
            return self.take_future_covariate(known_ahead, topic, payload, arrival_ms);
        }
        let Some((name, variate)) = self.address(&service.template, topic) else {
            return 0;
        };
        if retained && !self.service.decoder.has_own_time() {
            let why = format_args!("topic {topic:?}: a retained message without a time of its own tells nothing about now");
            self.rejections.reject("retained", topic, why);
            return 0;
        }
        let newest_ms = self.streams.get(name).and_then(|stream| stream.grid.newest_ms());
        self.values.clear();
        let (rejections, values) = (&mut self.rejections, &mut self.values);
        let decoded = self
            .service
            .decoder
            .decode(topic, payload, arrival_ms, newest_ms, |_, field, value| match value {
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
                return 0;
            }
        };
        // What was stored for long must neither begin a stream nor move its clock.
        if retained && !self.streams.get(name).is_some_and(|stream| stream.grid.expects(time_ms)) {
            let why =
                format_args!("topic {topic:?}: a retained message of a time that does not go on with the stream tells nothing about now");
            self.rejections.reject("retained", topic, why);
            return 0;
        }
        if self.values.is_empty() || !self.is_served(name) {
            return 0;
        }
        self.advance(name, time_ms, arrival_ms, &mut on)
    }

    /// Takes a message that tells what is known ahead of one variate, from now on instead of what was told before. It may be one that the broker had
    /// retained, and may come before the stream's first reading.
    fn take_future_covariate(&mut self, known_ahead: &'s KnownAhead, topic: &str, payload: &[u8], arrival_ms: i64) -> u64 {
        let Some((name, Some(variate))) = self.address(&known_ahead.template, topic) else {
            return 0;
        };
        let newest_ms = self.streams.get(name).and_then(|stream| stream.grid.newest_ms());
        let points = match known_ahead.decoder.points(topic, payload, newest_ms) {
            Ok(points) => points,
            Err(error) => {
                self.rejections.reject(error.reason(), topic, &error);
                return 0;
            }
        };
        if points.len() > MAX_POINTS {
            let why = format_args!(
                "topic {topic:?}: {} points are more than the {MAX_POINTS} that are kept",
                points.len()
            );
            self.rejections.reject("too_many_points", topic, why);
            return 0;
        }
        if !self.is_served(name) {
            return 0;
        }
        let Some(stream) = self.streams.get_mut(name) else { return 0 };
        if let Err(error) = stream
            .covariates
            .set_future(&self.model, &mut stream.state, variate, FutureCovariate::new(points))
        {
            let why = format_args!("topic {topic:?}: {error}");
            self.rejections.reject("not_a_future_covariate", topic, why);
            return 0;
        }
        stream.changed = true;
        stream.heard_ms = arrival_ms;
        1
    }

    /// Stream and variate of a topic.
    fn address<'t>(&mut self, template: &Template, topic: &'t str) -> Option<(&'t str, Option<usize>)>
    where
        's: 't,
    {
        let service = self.service;
        let captured = match template.capture(topic) {
            Ok(captured) => captured,
            Err(error) => {
                // The error names a topic of any length shortened.
                self.rejections.reject("topic", &error.to_string(), &error);
                return None;
            }
        };
        let name = captured.stream.or(service.stream.as_deref())?;
        let variate = match captured.variate {
            None => None,
            Some(variate) => match service.inputs.iter().position(|input| input == variate) {
                Some(index) => Some(index),
                None => {
                    let why = format_args!("topic {topic:?}: the model has no variate {variate:?}");
                    self.rejections.reject("unknown_variate", variate, why);
                    return None;
                }
            },
        };
        Some((name, variate))
    }

    /// Whether `name` is a stream to serve, known or new.
    fn is_served(&mut self, name: &str) -> bool {
        if self.streams.contains_key(name) {
            return true;
        }
        if !self.service.serves(name) {
            self.rejections
                .reject("unknown_stream", name, format_args!("stream {name:?} is not in input.streams"));
            return false;
        }
        let max = self.service.max_streams;
        let one_more = |known| (known < max).then_some(known + 1);
        if self.known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            let why = format_args!("stream {name:?} is one more than the {max} of input.max_streams");
            self.rejections.reject("too_many_streams", "", why);
            return false;
        }
        let mut state = vec![0.0; self.model.state_len()];
        let monitor = Monitor::new(self.service.monitor, &self.service.prior);
        let (Ok(grid), Ok(monitor), Ok(())) = (Resampler::new(self.service.grid.clone()), monitor, self.model.reset(&mut state)) else {
            self.rejections.reject("stream", "", "the model's shape makes no stream");
            return false;
        };
        info!(stream = name, "a new stream");
        let covariates = FutureCovariates::none(&self.model);
        self.streams.insert(name.to_owned(), Stream::new(grid, monitor, covariates, state));
        true
    }

    /// Puts the readings of one message on the stream's grid and steps the model with each row that closes.
    fn advance(&mut self, name: &str, time_ms: i64, arrival_ms: i64, on: &mut impl FnMut(Step<'_>) -> u64) -> u64 {
        let Some(stream) = self.streams.get_mut(name) else { return 0 };
        let Stream {
            grid,
            monitor,
            covariates,
            state,
            rows,
            ..
        } = stream;
        let interval_ms = i64::try_from(self.service.grid.interval_ms).unwrap_or(i64::MAX);
        let (endogenous, horizon) = (self.model.config().targets(), self.model.config().horizon as u64);
        let keep = self.service.history_rows();
        let mut changes = 0;
        let (model, scratch, forecast, (lo, hi)) = (&self.model, &mut self.scratch, &mut self.forecast, &mut self.interval);
        let (ahead, variates) = (&mut self.ahead, &self.service.bundle.meta().variates);
        let (rejections, metrics) = (&mut self.rejections, &self.metrics);
        let before = grid.counts();
        let mut closed = before.time_steps;
        for &(variate, value) in &self.values {
            let refused = grid.push(Reading { variate, value, time_ms }, |event| match event {
                Event::TimeStep(row) => {
                    Stream::note(rows, row.time_ms, row.values, keep);
                    monitor.observe(&row.values[..endogenous]);
                    closed += u64::from(row.last_reading_ms.is_some());
                    let over = |variate: usize| {
                        let variate = &variates[variate].name;
                        info!(
                            stream = name,
                            variate, "what was told ahead of it is over; it stands at its last reading until it is told anew"
                        );
                    };
                    let told = covariates.tell(model, state, (row.time_ms, interval_ms), ahead, over);
                    let stepped = told.and_then(|()| model.step(state, scratch, row.values, row.time_ms));
                    let made = stepped.and_then(|mut token| token.forecast(forecast).map(|()| true));
                    let forecast = match made {
                        Ok(made) => made.then_some(&forecast[..]),
                        Err(error) => return rejections.reject("step", name, format_args!("stream {name:?}: {error}")),
                    };
                    if let Some(forecast) = forecast {
                        monitor.issue(forecast);
                        monitor.interval(forecast, lo, hi);
                    }
                    let is_due = row.last_reading_ms.is_some() && closed.is_multiple_of(horizon);
                    let published = on(Step {
                        interval: (lo, hi),
                        skill: is_due.then_some(&*monitor),
                        stream: name,
                        time_ms: row.time_ms,
                        last_reading_ms: row.last_reading_ms,
                        values: row.values,
                        forecast,
                    });
                    metrics.forecasts.inc_by(published);
                }
                Event::Restart { last_ms, next_ms } => {
                    let leap_s = next_ms.saturating_sub(last_ms) / 1000;
                    match leap_s < 0 {
                        false => info!(stream = name, silence_s = leap_s, "silent for too long; starting over"),
                        true => info!(stream = name, leap_s, "its clock was wrong and is right again; starting over"),
                    }
                    monitor.restart();
                    if let Err(error) = model.reset(state) {
                        rejections.reject("step", name, format_args!("stream {name:?}: {error}"));
                    }
                }
                Event::ClockJumpDropped { time_ms, readings } => {
                    let why = format_args!(
                        "stream {name:?}: {readings} readings leapt to {} alone",
                        tsm2_mqtt::rfc3339(time_ms)
                    );
                    rejections.reject("clock_jump", name, why);
                }
                _ => {}
            });
            if refused == Ok(Accepted::Used) {
                changes += 1;
            }
            if let Err(error) = refused {
                rejections.reject("late", name, format_args!("stream {name:?}: {error}"));
            }
        }
        let after = grid.counts();
        // A damaged snapshot may have counters near the end of their range.
        for (counter, after, before) in [
            (&metrics.readings, after.readings, before.readings),
            (&metrics.time_steps, after.time_steps, before.time_steps),
            (&metrics.bridged_time_steps, after.bridged_steps, before.bridged_steps),
            (&metrics.restarts, after.restarts, before.restarts),
            (&metrics.clock_rollbacks, after.clock_rollbacks, before.clock_rollbacks),
            (&metrics.merged_readings, after.merged, before.merged),
            (&metrics.forward_filled_values, after.forward_filled, before.forward_filled),
        ] {
            counter.inc_by(after.saturating_sub(before));
        }
        stream.changed |= changes > 0;
        stream.heard_ms = arrival_ms;
        changes
    }
}
