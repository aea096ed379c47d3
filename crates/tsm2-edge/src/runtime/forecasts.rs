//! Forecasts on their way out: what the daemon publishes for a time step, as retained messages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tsm2_mqtt::{Message, Publisher, rfc3339};

use crate::config::{Prepared, Publication};
use crate::page::Recent;
use crate::runtime::derived::{self, Residual};
use crate::runtime::engine::Step;
use crate::runtime::home_assistant::Values;
use crate::runtime::patience::{Cut, Patience};
use crate::runtime::published::{ForecastMessage, MetricsMessage, seconds};

/// See the module's description.
pub(crate) struct Forecasts {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) publisher: Publisher,
    /// For the web page, where HTTP is served.
    pub(crate) recent: Option<Arc<Recent>>,
    /// For Home Assistant.
    sensors: Option<Values>,
    /// For residuals: the newest forecast of each stream. A start begins without.
    expected: RefCell<HashMap<String, Expected>>,
}

/// The forecast of the next time step.
struct Expected {
    time_ms: i64,
    /// For each target: mean, lower and upper bound.
    targets: Vec<[f32; 3]>,
}

impl Forecasts {
    pub(crate) fn new(prepared: Arc<Prepared>, publisher: Publisher, recent: Option<Arc<Recent>>, sensors: Option<Values>) -> Self {
        Forecasts {
            prepared,
            publisher,
            recent,
            sensors,
            expected: RefCell::default(),
        }
    }

    /// Publishes a forecast per target variate, and now and then the evaluation of earlier ones.
    /// Returns how many forecasts. A step that bridges a gap has none: the reading that ended the
    /// gap is there already.
    pub(crate) fn publish(&self, patience: &Patience, step: Step<'_>) -> Result<u64, Cut> {
        if let Some(recent) = &self.recent {
            recent.step(&step);
        }
        let prepared = &self.prepared;
        let Some(origin_ms) = step.last_reading_ms.filter(|_| prepared.publishes) else {
            return Ok(0);
        };
        let (meta, origin) = (prepared.bundle.meta(), rfc3339(origin_ms));
        let interval_ms = i64::try_from(prepared.schema.resampler.interval_ms).unwrap_or(i64::MAX);
        let step_time = step.time_ms;
        let start = rfc3339(step.time_ms.saturating_add(interval_ms));
        let horizon = meta.config.horizon;
        let Publication {
            steps,
            limits,
            extremes,
            thresholds,
            ..
        } = &prepared.publication;
        let time = |step: usize| rfc3339(step_time.saturating_add(interval_ms.saturating_mul(step as i64)));
        let mut published = 0;
        for variate in 0..prepared.topics.targets() {
            // A naive forecast needs a first reading.
            if !step.mean[variate * horizon..(variate + 1) * horizon]
                .iter()
                .all(|mean| mean.is_finite())
            {
                continue;
            }
            published += 1;
            let (all, limits) = (variate * horizon..(variate + 1) * horizon, limits[variate]);
            let part = |numbers: &[f32]| derived::selected(&numbers[all.clone()], steps, limits);
            let (newest, thresholds) = (step.values[variate], &thresholds[variate]);
            let mean = match *extremes || !thresholds.is_empty() {
                true => derived::selected(&step.mean[all.clone()], &[], limits),
                false => Vec::new(),
            };
            let forecast = ForecastMessage {
                origin: &origin,
                start: &start,
                interval_s: seconds(prepared.schema.resampler.interval_ms),
                step: steps,
                mean: part(step.mean),
                lower: part(step.lower),
                upper: part(step.upper),
                coverage: prepared.schema.forecaster.coverage,
                model: &meta.name,
                maximum: extremes.then(|| derived::extreme(&mean, 1.0, time)).flatten(),
                minimum: extremes.then(|| derived::extreme(&mean, -1.0, time)).flatten(),
                crossings: (!thresholds.is_empty()).then(|| derived::crossings(newest, &mean, thresholds, time)),
            };
            self.send_json(patience, prepared.topics.forecast(step.stream, variate), &forecast, true)?;
        }
        if prepared.publication.residuals || self.sensors.is_some() {
            let residuals = self.residuals(&step, interval_ms);
            if let Some(sensors) = &self.sensors {
                let scores: Vec<_> = residuals
                    .iter()
                    .map(|residual| residual.as_ref().map(|residual| residual.score))
                    .collect();
                for message in sensors.of_step(&step, origin_ms, &scores) {
                    self.send(patience, message)?;
                }
            }
            let wanted = residuals.into_iter().enumerate().filter(|_| prepared.publication.residuals);
            for (variate, residual) in wanted.filter_map(|(variate, residual)| Some((variate, residual?))) {
                self.send_json(patience, prepared.topics.residual(step.stream, variate), &residual, false)?;
            }
        }
        if let Some(monitor) = step.metrics {
            for variate in 0..prepared.topics.targets() {
                let metrics = MetricsMessage::of(monitor, variate, &origin, &meta.name);
                self.send_json(patience, prepared.topics.metrics(step.stream, variate), &metrics, true)?;
            }
        }
        Ok(published)
    }

    /// For each target the reading of a time step beside the forecast of it.
    fn residuals(&self, step: &Step<'_>, interval_ms: i64) -> Vec<Option<Residual<'_>>> {
        let (prepared, horizon) = (&self.prepared, self.prepared.bundle.meta().config.horizon);
        let targets = (0..prepared.topics.targets()).map(|variate| {
            let first = variate * horizon;
            [step.mean[first], step.lower[first], step.upper[first]]
        });
        let next = Expected {
            time_ms: step.time_ms.saturating_add(interval_ms),
            targets: targets.collect(),
        };
        let expected = self.expected.borrow_mut().insert(step.stream.to_owned(), next);
        let Some(expected) = expected.filter(|expected| expected.time_ms == step.time_ms) else {
            return Vec::new();
        };
        let residual = |(variate, &[mean, lower, upper]): (usize, &[f32; 3])| {
            let value = step.values[variate];
            (value.is_finite() && mean.is_finite()).then(|| Residual {
                time: rfc3339(step.time_ms),
                value,
                expected: mean,
                lower,
                upper,
                score: derived::score(value, mean, lower, upper),
                model: &prepared.bundle.meta().name,
            })
        };
        expected.targets.iter().enumerate().map(residual).collect()
    }

    /// Removes the retained messages of a stream: empty ones replace them.
    pub(crate) fn remove(&self, patience: &Patience, stream: &str) -> Result<(), Cut> {
        if let Some(recent) = &self.recent {
            recent.forget(stream);
        }
        if let Some(sensors) = &self.sensors {
            sensors.forget(stream);
        }
        self.expected.borrow_mut().remove(stream);
        let mut topics = self.prepared.topics.retained_of(stream).into_iter();
        topics.try_for_each(|topic| {
            let message = Message {
                topic,
                payload: Bytes::new(),
                retain: true,
            };
            self.send(patience, message)
        })
    }

    fn send_json(&self, patience: &Patience, topic: String, content: &impl Serialize, retain: bool) -> Result<(), Cut> {
        // Numbers and text are always JSON.
        let payload = serde_json::to_vec(content).unwrap_or_default().into();
        self.send(patience, Message { topic, payload, retain })
    }

    /// Hands a message to the session, after waiting for room.
    fn send(&self, patience: &Patience, message: Message) -> Result<(), Cut> {
        patience.wait(self.publisher.publish(message))?.map_err(|_| Cut)
    }
}
