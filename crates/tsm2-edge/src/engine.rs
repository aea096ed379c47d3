//! The way of one message: payload to readings, readings to rows, rows through the model to forecasts. No I/O and no clock.
//!
//! Invariants: each stream has its own grid and state, so streams never touch each other; input that cannot be used is counted, said once
//! and skipped; every row steps the model exactly once, in order.

use std::collections::HashMap;

use tracing::info;
use tsm2_core::Model;
use tsm2_mqtt::FieldError;
use tsm2_stream::{Counts, Event, Grid, Reading, Refused};

use crate::report::{Reporter, Summary};
use crate::service::Service;
use crate::snapshot::{self, SnapshotError};

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
    /// The forecast in the sensors' own units, lead 0 being the next row; shape `[M][H]`. `None` when no token was due.
    pub forecast: Option<&'a [f32]>,
}

/// One stream: its grid, and the model's state for it.
struct Stream {
    grid: Grid,
    state: Vec<f32>,
    /// Whether it is another one than at the last commit.
    changed: bool,
}

/// Turns messages into steps.
pub struct Engine<'s> {
    service: &'s Service,
    model: Model<'s>,
    streams: HashMap<String, Stream>,
    /// Shared by all streams: nothing in it outlives a step.
    scratch: Vec<f32>,
    /// The newest forecast, `[M][H]`.
    forecast: Vec<f32>,
    /// The values of the message at hand, by variate.
    values: Vec<(usize, f32)>,
    /// Readings that changed a stream since the last commit.
    uncommitted: u64,
    reporter: Reporter,
    summary: Summary,
}

impl<'s> Engine<'s> {
    /// An engine without streams.
    pub fn new(service: &'s Service) -> Self {
        let model = service.bundle.model();
        let config = model.config();
        Engine {
            streams: HashMap::new(),
            scratch: vec![0.0; model.scratch_len()],
            forecast: vec![0.0; config.variates * config.horizon],
            values: Vec::with_capacity(config.variates),
            uncommitted: 0,
            reporter: Reporter::default(),
            summary: Summary::default(),
            service,
            model,
        }
    }

    /// What was done so far.
    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }

    /// What a stream's grid has seen in all its life; `None` for a stream that is not there.
    pub fn counts(&self, stream: &str) -> Option<Counts> {
        self.streams.get(stream).map(|stream| stream.grid.counts())
    }

    /// Takes a stream's snapshot as its state.
    ///
    /// # Errors
    /// Why the stream is to start anew; then the engine is as it was.
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let service = self.service;
        if !service.serves(name) {
            return Err(SnapshotError::NotServed);
        }
        if self.streams.len() >= service.max_streams {
            return Err(SnapshotError::TooMany { max: service.max_streams });
        }
        let mut state = vec![0.0; self.model.state_len()];
        let grid = snapshot::decode(bytes, &service.fingerprint, service.grid, &mut state)?;
        let stream = Stream {
            grid,
            state,
            changed: false,
        };
        self.streams.insert(name.to_owned(), stream);
        self.summary.streams += 1;
        Ok(())
    }

    /// Readings that changed a stream since the last [`Engine::committed`].
    pub fn uncommitted(&self) -> u64 {
        self.uncommitted
    }

    /// Name and snapshot of each stream that changed since the last [`Engine::committed`], or of all.
    pub fn snapshots(&self, all: bool) -> impl Iterator<Item = (&str, Vec<u8>)> {
        let wanted = self.streams.iter().filter(move |(_, stream)| all || stream.changed);
        wanted.map(|(name, stream)| {
            let snapshot = snapshot::encode(&self.service.fingerprint, &stream.grid, &stream.state);
            (name.as_str(), snapshot)
        })
    }

    /// The snapshots are durable.
    pub fn committed(&mut self) {
        self.uncommitted = 0;
        for stream in self.streams.values_mut() {
            stream.changed = false;
        }
    }

    /// Takes one message. `on` hears of each row that it closed, before this returns, and says how many forecasts it published.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, arrival_ms: i64, mut on: impl FnMut(Step<'_>) -> u64) {
        self.summary.messages += 1;
        let Some((name, variate)) = self.address(topic) else { return };
        if retained && !self.service.decoder.has_own_time() {
            let why = format_args!("topic {topic:?}: a retained message without a time of its own tells nothing about now");
            return self.reporter.refuse(&mut self.summary, "retained", topic, why);
        }
        self.values.clear();
        let (reporter, summary, values) = (&mut self.reporter, &mut self.summary, &mut self.values);
        let decoded = self
            .service
            .decoder
            .decode(topic, payload, arrival_ms, |_, field, value| match value {
                Ok(value) => values.push((variate.unwrap_or(field), value)),
                Err(error) => {
                    let (FieldError::Missing { field, .. } | FieldError::NotANumber { field, .. }) = &error else {
                        return;
                    };
                    reporter.refuse(summary, error.kind(), &format!("{topic} {field}"), &error);
                }
            });
        let time_ms = match decoded {
            Ok(time_ms) => time_ms,
            Err(error) => return self.reporter.refuse(&mut self.summary, error.kind(), topic, &error),
        };
        if !self.values.is_empty() && self.is_served(name) {
            self.advance(name, time_ms, &mut on);
        }
    }

    /// Stream and variate of a topic.
    fn address<'t>(&mut self, topic: &'t str) -> Option<(&'t str, Option<usize>)>
    where
        's: 't,
    {
        let service = self.service;
        let captured = match service.template.capture(topic) {
            Ok(captured) => captured,
            Err(error) => {
                // The error names a topic of any length shortened.
                self.reporter.refuse(&mut self.summary, "topic", &error.to_string(), &error);
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
                    self.reporter.refuse(&mut self.summary, "unknown_variate", variate, why);
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
            self.reporter.refuse(
                &mut self.summary,
                "unknown_stream",
                name,
                format_args!("stream {name:?} is not in input.streams"),
            );
            return false;
        }
        if self.streams.len() >= self.service.max_streams {
            let why = format_args!(
                "stream {name:?} is one more than the {} of input.max_streams",
                self.service.max_streams
            );
            self.reporter.refuse(&mut self.summary, "too_many_streams", "", why);
            return false;
        }
        let mut state = vec![0.0; self.model.state_len()];
        let (Ok(grid), Ok(())) = (Grid::new(self.service.grid), self.model.reset(&mut state)) else {
            self.reporter
                .refuse(&mut self.summary, "stream", "", "the model's shape makes no stream");
            return false;
        };
        info!(stream = name, "a new stream");
        let stream = Stream {
            grid,
            state,
            changed: false,
        };
        self.streams.insert(name.to_owned(), stream);
        self.summary.streams += 1;
        true
    }

    /// Puts the readings of one message on the stream's grid and steps the model with each row that closes.
    fn advance(&mut self, name: &str, time_ms: i64, on: &mut impl FnMut(Step<'_>) -> u64) {
        let Some(Stream { grid, state, changed }) = self.streams.get_mut(name) else {
            return;
        };
        let (model, scratch, forecast) = (&self.model, &mut self.scratch, &mut self.forecast);
        let (reporter, summary) = (&mut self.reporter, &mut self.summary);
        let before = grid.counts();
        for &(variate, value) in &self.values {
            let refused = grid.push(Reading { variate, value, time_ms }, |event| match event {
                Event::Row(row) => {
                    let made = model.step(state, scratch, row.values, row.time_ms).and_then(|token| match token {
                        Some(mut token) => token.forecast(forecast).map(|()| true),
                        None => Ok(false),
                    });
                    let forecast = match made {
                        Ok(made) => made.then_some(&forecast[..]),
                        Err(error) => return reporter.refuse(summary, "step", name, format_args!("stream {name:?}: {error}")),
                    };
                    summary.forecasts += on(Step {
                        stream: name,
                        time_ms: row.time_ms,
                        last_reading_ms: row.last_reading_ms,
                        values: row.values,
                        forecast,
                    });
                }
                Event::Restart { last_ms, next_ms } => {
                    info!(
                        stream = name,
                        silence_s = (next_ms - last_ms) / 1000,
                        "silent for too long; starting over"
                    );
                    if let Err(error) = model.reset(state) {
                        reporter.refuse(summary, "step", name, format_args!("stream {name:?}: {error}"));
                    }
                }
                Event::LeapDropped { time_ms, readings } => {
                    let why = format_args!(
                        "stream {name:?}: {readings} readings leapt to {} alone",
                        tsm2_mqtt::rfc3339(time_ms)
                    );
                    reporter.refuse(summary, "leap", name, why);
                }
                _ => {}
            });
            // One that is not newer has still ended a leap.
            if !matches!(refused, Err(Refused::Late { .. } | Refused::UnknownVariate { .. })) {
                *changed = true;
                self.uncommitted += 1;
            }
            if let Err(error) = refused {
                reporter.refuse(summary, "late", name, format_args!("stream {name:?}: {error}"));
            }
        }
        let after = grid.counts();
        summary.readings += after.readings - before.readings;
        summary.rows += after.rows - before.rows;
        summary.gap_rows += after.gap_rows - before.gap_rows;
        summary.restarts += after.restarts - before.restarts;
    }
}
