//! The play itself: sensors publish, the watcher listens, the clock runs.
//!
//! Invariant: sensors never run more than [`AHEAD`] rows ahead of the forecasts, so that a slow machine shows a slower building and
//! not a growing queue.

use crate::error::{DemoError, STATUS, TIMEOUT};
use crate::outcome::Outcome;
use crate::scoreboard::Scoreboard;
use crate::simulator::{Building, INTERVAL_MS, NAMES, Row, VARIATES};
use crate::view::{MINUTES_PER_SECOND, View};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tsm2_mqtt::{Incoming, Message, Publisher, Receiver, Status, rfc3339};

/// Another building than the one that `simulate` makes training data of unless told otherwise.
const SEED: u64 = 2026;
/// Wednesday 2026-03-18, 06:30 UTC: the rooms are being heated up, and people are about to come.
const LIVE_FROM_MS: i64 = 1_773_815_400_000;
/// Readings that the model is given as fast as it can take them before the clock starts.
const WARM_UP_ROWS: usize = 2 * 1440;
/// The first day's forecasts come from a model that has not seen a day yet; they are not judged.
const UNJUDGED_ROWS: usize = 1440;

/// Topic of the readings.
pub(crate) const READINGS: &str = "sensors/building/telemetry";
/// Beginning of the topics of the forecasts.
pub(crate) const FORECASTS: &str = "tsm2/building/forecast/";
const AHEAD: i64 = 64;
const FRAME: Duration = Duration::from_millis(200);

pub(crate) struct Runner {
    model: String,
    port: u16,
    page: SocketAddr,
    publisher: Publisher,
    receiver: Receiver,
    building: Building,
    scoreboard: Scoreboard,
    /// Whether the daemon has said that it listens.
    online: bool,
    rows_sent: usize,
    last_sent_ms: i64,
    time_steps: u64,
}

/// What the demo needs of a forecast as the daemon publishes it.
#[derive(Deserialize)]
struct Forecast {
    origin: String,
    mean: Vec<f32>,
}

impl Runner {
    /// `is_covariate` says of each variate whether the model only reads it.
    pub(crate) fn new(
        model: String,
        is_covariate: [bool; VARIATES],
        (port, page): (u16, SocketAddr),
        publisher: Publisher,
        receiver: Receiver,
    ) -> Self {
        let start_ms = LIVE_FROM_MS - WARM_UP_ROWS as i64 * INTERVAL_MS;
        let mut scoreboard = Scoreboard::new(start_ms + UNJUDGED_ROWS as i64 * INTERVAL_MS);
        for (series, is_covariate) in scoreboard.series.iter_mut().zip(is_covariate) {
            series.is_covariate = is_covariate;
        }
        Self {
            model,
            port,
            page,
            publisher,
            receiver,
            building: Building::new(SEED, start_ms),
            scoreboard,
            online: false,
            rows_sent: 0,
            last_sent_ms: start_ms - INTERVAL_MS,
            time_steps: 0,
        }
    }

    /// Plays until `time` is over, counted from the end of the warm-up, or until `show` wants no more.
    pub(crate) async fn play(
        &mut self,
        time: Option<Duration>,
        mut show: impl FnMut(View<'_>) -> ControlFlow<()>,
    ) -> Result<(), DemoError> {
        let mut minute = interval(Duration::from_secs(1) / MINUTES_PER_SECOND);
        minute.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut frame = interval(FRAME);
        frame.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut heard = Instant::now();
        let mut live_since = None;
        loop {
            let warming_up = self.rows_sent < WARM_UP_ROWS;
            tokio::select! {
                incoming = self.receiver.recv() => {
                    let incoming = incoming.ok_or(DemoError::DaemonEnded)?;
                    if self.hear(&incoming) {
                        heard = Instant::now();
                    }
                    incoming.ack.done();
                    while self.rows_sent < WARM_UP_ROWS && self.online && self.rows_ahead() < AHEAD {
                        self.send_row().await?;
                    }
                }
                _ = minute.tick(), if !warming_up && self.rows_ahead() < AHEAD => self.send_row().await?,
                now = frame.tick() => {
                    if show(self.view()).is_break() {
                        return Ok(());
                    }
                    if now.duration_since(heard) > TIMEOUT {
                        return Err(if self.online { DemoError::Silence { last_ms: self.last_sent_ms } } else { DemoError::NotOnline });
                    }
                    if !warming_up {
                        let since = *live_since.get_or_insert(now);
                        if time.is_some_and(|time| now.duration_since(since) >= time) {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn outcome(&self) -> Result<Outcome, DemoError> {
        Outcome::of(&self.scoreboard, self.model.clone(), self.port, self.time_steps)
    }

    pub(crate) fn view(&self) -> View<'_> {
        let warm_up = self.rows_sent as f32 / WARM_UP_ROWS as f32;
        View {
            model: &self.model,
            port: self.port,
            page: self.page,
            scoreboard: &self.scoreboard,
            warm_up: warm_up.min(1.0),
        }
    }

    /// Rows that not every variate that is forecast has a forecast for yet.
    fn rows_ahead(&self) -> i64 {
        let origin = self
            .scoreboard
            .series
            .iter()
            .filter(|series| !series.is_covariate)
            .map(|series| series.newest.as_ref().map(|(origin_ms, _)| *origin_ms));
        match origin.min().flatten() {
            Some(origin_ms) => (self.last_sent_ms - origin_ms) / INTERVAL_MS,
            None => self.rows_sent as i64,
        }
    }

    async fn send_row(&mut self) -> Result<(), DemoError> {
        let Some(row) = self.building.next() else {
            return Ok(());
        };
        self.rows_sent += 1;
        self.last_sent_ms = row.time_ms;
        let message = Message {
            topic: READINGS.into(),
            payload: Bytes::from(telemetry(&row)),
            retain: false,
        };
        self.publisher.publish(message).await.map_err(|_| DemoError::DaemonEnded)
    }

    /// Whether it was a sign of life of the daemon. Anybody may publish on this broker; what is not understood is passed over.
    fn hear(&mut self, incoming: &Incoming) -> bool {
        let (topic, payload) = (incoming.topic.as_str(), &incoming.payload[..]);
        if topic == STATUS {
            self.online = payload == Status::Online.as_str().as_bytes();
            self.online
        } else if topic == READINGS {
            if let Some(row) = reading(payload) {
                self.time_steps += 1;
                self.scoreboard.read(row.time_ms, row.values);
            }
            false
        } else {
            let variate = topic
                .strip_prefix(FORECASTS)
                .and_then(|name| NAMES.iter().position(|known| *known == name));
            let forecast = serde_json::from_slice::<Forecast>(payload).ok();
            let origin = forecast.as_ref().and_then(|forecast| forecast.origin.parse::<Timestamp>().ok());
            if let (Some(variate), Some(origin), Some(forecast)) = (variate, origin, forecast) {
                self.scoreboard.forecast(variate, origin.as_millisecond(), forecast.mean);
                return true;
            }
            false
        }
    }
}

/// A row as a gateway would publish it.
fn telemetry(row: &Row) -> String {
    let mut json = format!("{{\"time\":\"{}\"", rfc3339(row.time_ms));
    for (name, value) in NAMES.iter().zip(row.values) {
        // Writing to a string does not fail.
        let _ = write!(json, ",\"{name}\":{value:.4}");
    }
    json + "}"
}

fn reading(payload: &[u8]) -> Option<Row> {
    let fields = serde_json::from_slice::<Map<String, Value>>(payload).ok()?;
    let time = fields.get("time")?.as_str()?.parse::<Timestamp>().ok()?;
    let mut values = [0.0; VARIATES];
    for (name, value) in NAMES.iter().zip(&mut values) {
        *value = fields.get(*name)?.as_f64()? as f32;
    }
    Some(Row {
        time_ms: time.as_millisecond(),
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sensors_say_is_what_the_watcher_hears() {
        for row in Building::new(5, LIVE_FROM_MS).take(50) {
            let heard = reading(telemetry(&row).as_bytes()).expect("our own format");
            assert_eq!(heard.time_ms, row.time_ms);
            for (heard, said) in heard.values.into_iter().zip(row.values) {
                assert!((heard - said).abs() <= 1e-4, "{heard} was {said}");
            }
        }
        for nonsense in [&b"{}"[..], b"[1]", b"\xff", b"{\"time\":\"yesterday\"}"] {
            assert!(reading(nonsense).is_none());
        }
    }
}
