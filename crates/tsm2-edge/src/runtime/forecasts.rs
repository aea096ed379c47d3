//! Forecasts on their way out: what the daemon publishes for a time step, as retained messages.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tsm2_mqtt::{Message, Publisher, rfc3339};

use crate::config::Prepared;
use crate::page::Recent;
use crate::runtime::engine::Step;
use crate::runtime::patience::{Cut, Patience};
use crate::runtime::published::{ForecastMessage, MetricsMessage, seconds};

/// See the module's description.
pub(crate) struct Forecasts {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) publisher: Publisher,
    /// For the web page, where HTTP is served.
    pub(crate) recent: Option<Arc<Recent>>,
}

impl Forecasts {
    /// Publishes a forecast per target variate, and now and then the evaluation of earlier ones.
    /// Returns how many forecasts. A step that bridges a gap has none: the reading that ended the
    /// gap is there already.
    pub(crate) fn publish(&self, patience: &Patience, step: Step<'_>) -> Result<u64, Cut> {
        if let Some(recent) = &self.recent {
            recent.step(&step);
        }
        let Some(origin_ms) = step.last_reading_ms else {
            return Ok(0);
        };
        let prepared = &self.prepared;
        let (meta, origin) = (prepared.bundle.meta(), rfc3339(origin_ms));
        let interval_ms = i64::try_from(prepared.schema.resampler.interval_ms).unwrap_or(i64::MAX);
        let start = rfc3339(step.time_ms.saturating_add(interval_ms));
        let horizon = meta.config.horizon;
        for variate in 0..prepared.topics.targets() {
            let steps = variate * horizon..(variate + 1) * horizon;
            let forecast = ForecastMessage {
                origin: &origin,
                start: &start,
                interval_s: seconds(prepared.schema.resampler.interval_ms),
                mean: &step.mean[steps.clone()],
                lower: &step.lower[steps.clone()],
                upper: &step.upper[steps],
                coverage: prepared.schema.forecaster.coverage,
                model: &meta.name,
            };
            self.send_json(patience, prepared.topics.forecast(step.stream, variate), &forecast)?;
        }
        if let Some(monitor) = step.metrics {
            for variate in 0..prepared.topics.targets() {
                let metrics = MetricsMessage::of(monitor, variate, &origin, &meta.name);
                self.send_json(patience, prepared.topics.metrics(step.stream, variate), &metrics)?;
            }
        }
        Ok(prepared.topics.targets() as u64)
    }

    /// Removes the retained messages of a stream: empty ones replace them.
    pub(crate) fn remove(&self, patience: &Patience, stream: &str) -> Result<(), Cut> {
        if let Some(recent) = &self.recent {
            recent.forget(stream);
        }
        let mut topics = self.prepared.topics.retained_of(stream).into_iter();
        topics.try_for_each(|topic| self.send(patience, topic, Bytes::new()))
    }

    fn send_json(&self, patience: &Patience, topic: String, content: &impl Serialize) -> Result<(), Cut> {
        // Numbers and text are always JSON.
        self.send(patience, topic, serde_json::to_vec(content).unwrap_or_default().into())
    }

    /// Hands a retained message to the session, after waiting for room.
    fn send(&self, patience: &Patience, topic: String, payload: Bytes) -> Result<(), Cut> {
        let message = Message {
            topic,
            payload,
            retain: true,
        };
        patience.wait(self.publisher.publish(message))?.map_err(|_| Cut)
    }
}
