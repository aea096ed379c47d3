//! One model thread: it takes the messages of the streams that fall to it through the engine and publishes what comes out.
//!
//! Invariants: all messages of a stream come to the same thread, in order; a message is reported, or acknowledged where nothing is durable,
//! after its forecasts are handed over; a stream that is not in memory is fetched before its message is looked at.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, warn};
use tsm2_mqtt::{Incoming, Message, Publisher, rfc3339};

use crate::config::service::Service;
use crate::observe::{Heartbeat, Metrics, WorkerMetrics};
use crate::runtime::committer::{Collect, Report, Reports};
use crate::runtime::daemon::Observation;
use crate::runtime::engine::{Engine, Step};
use crate::runtime::fair::{FairQueue, Next};
use crate::runtime::published::{ForecastMessage, MetricsMessage, seconds};
use crate::state::shelf::{Changes, Rows, Shelf};
use crate::state::snapshot::Hash;

/// What waits for a model thread.
pub(crate) type Queue = FairQueue<Incoming, Collect>;

/// How long the thread sleeps when nothing is to be done.
const NOTHING: Duration = Duration::from_secs(1);
/// How often the thread tells what it did.
const TELL: Duration = Duration::from_secs(2);
/// How long to wait before what cannot be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which of `shards` threads a stream falls to: the same one in every process.
pub(crate) fn shard_of(stream: &str, shards: usize) -> usize {
    (hash(stream) % shards.max(1) as u64) as usize
}

/// A name's hash, the same on every machine, unlike the standard library's.
pub(crate) fn hash(name: &str) -> u64 {
    let digest: Hash = Sha256::digest(name).into();
    let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

/// See the module's invariants.
pub(crate) struct Shard {
    pub(crate) heartbeat: Heartbeat,
    pub(crate) metrics: Metrics,
    pub(crate) report: WorkerMetrics,
    pub(crate) service: Arc<Service>,
    pub(crate) queue: Arc<Queue>,
    /// Where streams lie that are not in memory.
    pub(crate) shelf: Arc<dyn Shelf>,
    /// The way to the committer; `None` where nothing is durable.
    pub(crate) reports: Option<Reports>,
    pub(crate) publisher: Publisher,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) runtime: Handle,
    pub(crate) observer: Option<mpsc::UnboundedSender<Observation>>,
    /// Streams that all threads know together.
    pub(crate) known: Arc<AtomicUsize>,
}

impl Shard {
    /// Runs until its queue is closed; where nothing is durable its streams as they are then.
    pub(crate) fn run(self) -> Changes {
        let service = self.service.clone();
        let mut engine = Engine::among(&service, self.known.clone(), self.metrics.input.clone());
        let mut told: Option<Instant> = None;
        loop {
            let now = Instant::now();
            self.heartbeat.beat();
            if told.is_none_or(|told| now >= told + TELL) {
                told = Some(now);
                self.tell(&engine);
            }
            match self.queue.pop(NOTHING) {
                Next::Idle => {}
                Next::Urgent(collect) => self.collect(collect, &mut engine),
                Next::Message(incoming) => {
                    let Some(readings) = self.take(&mut engine, &incoming) else {
                        // Neither committed nor acknowledged: its forecasts come with it, after the next start.
                        self.send(Report::Cut);
                        return Changes::new();
                    };
                    let ack = incoming.ack;
                    match &self.reports {
                        Some(_) => self.send(Report::Done { ack, readings }),
                        None => {
                            ack.done();
                        }
                    }
                }
                Next::End => break,
            }
        }
        self.tell(&engine);
        let changes = engine.collect(self.reports.is_none());
        if self.reports.is_none() {
            return changes;
        }
        self.send(Report::Last(changes));
        Changes::new()
    }

    fn tell(&self, engine: &Engine<'_>) {
        let (errors, drifting) = engine.scores(&self.metrics.model().steps);
        self.report.report(engine.len(), drifting, errors);
    }

    fn send(&self, report: Report) {
        if let Some(reports) = &self.reports {
            // The committer ends after this thread.
            let _ = reports.send(report);
        }
    }

    fn collect(&self, collect: Collect, engine: &mut Engine<'_>) {
        if let (true, Some(limits)) = (collect.durable, &self.service.durability) {
            let since_ms = unix_ms(SystemTime::now()).saturating_sub(i64::try_from(limits.evict_after.as_millis()).unwrap_or(i64::MAX));
            let left = engine.evict(since_ms, limits.resident_streams.div_ceil(self.service.shards));
            if left > 0 {
                debug!(streams = left, "out of memory, kept in the file");
            }
        }
        let changes = engine.collect(collect.all);
        collect.answer(changes);
    }

    /// Takes one message; `None` when the daemon stops before all its forecasts are handed over.
    fn take(&self, engine: &mut Engine<'_>, incoming: &Incoming) -> Option<u64> {
        if let Some(name) = engine.absent(&incoming.topic) {
            self.fetch(engine, name)?;
        }
        let (mut whole, mut forecasts) = (true, 0);
        let readings = engine.take(
            &incoming.topic,
            &incoming.payload,
            incoming.retain,
            unix_ms(incoming.arrived),
            |step| {
                self.observe(step);
                let published = self.publish(step);
                whole &= published.is_some();
                forecasts += published.unwrap_or(0);
                published.unwrap_or(0)
            },
        );
        if forecasts > 0 {
            // A clock set back tells nothing.
            let latency = incoming.arrived.elapsed().unwrap_or_default();
            self.metrics.input.latency.observe(latency.as_secs_f64());
        }
        whole.then_some(readings)
    }

    /// Brings a stream back into memory, if it was ever there. While it cannot be read this waits, for a stream that began anew in its place
    /// would be another one; `None` when the daemon stops before.
    fn fetch(&self, engine: &mut Engine<'_>, name: &str) -> Option<()> {
        let snapshot = self.patiently(name, || self.shelf.load(name))?;
        let Some(snapshot) = snapshot else { return Some(()) };
        let rows = || {
            let rows = self.shelf.rows(name);
            rows.unwrap_or_else(|error| {
                warn!(stream = name, "its last rows cannot be read: {error}");
                Rows::default()
            })
        };
        if let Err(why) = engine.restore(name, &snapshot, rows) {
            warn!(stream = name, "stored state is not used: {why}; the stream starts anew");
        }
        Some(())
    }

    fn patiently<T, E: std::fmt::Display>(&self, name: &str, mut read: impl FnMut() -> Result<T, E>) -> Option<T> {
        let mut said = false;
        loop {
            match read() {
                Ok(read) => return Some(read),
                Err(error) if !said => {
                    error!(stream = name, "stored state cannot be read: {error}; trying again");
                    said = true;
                }
                Err(_) => {}
            }
            self.heartbeat.beat();
            let again = Instant::now() + RETRY;
            while Instant::now() < again {
                if self.queue.is_closed() {
                    return None;
                }
                std::thread::sleep(RETRY / 10);
            }
        }
    }

    fn observe(&self, step: Step<'_>) {
        if let Some(observer) = &self.observer {
            // Nobody watches any more: nothing to do about it.
            let _ = observer.send(Observation {
                stream: step.stream.to_owned(),
                time_ms: step.time_ms,
                values: step.values.to_vec(),
                forecast: step.forecast.map(<[f32]>::to_vec),
            });
        }
    }

    /// Hands over a forecast per variate, and now and then how good they have been; counts the forecasts. `None` when the daemon stops before.
    /// A row that bridges a gap has none: the reading that ended the gap is there already, and its own follows at once.
    fn publish(&self, step: Step<'_>) -> Option<u64> {
        let Some(origin_ms) = step.last_reading_ms else { return Some(0) };
        let service = &self.service;
        let (meta, origin) = (service.bundle.meta(), rfc3339(origin_ms));
        let start = rfc3339(
            step.time_ms
                .saturating_add(i64::try_from(service.interval_ms()).unwrap_or(i64::MAX)),
        );
        let horizon = meta.config.horizon;
        let variates = 0..service.outputs.len();
        if let Some(forecast) = step.forecast {
            for variate in variates.clone() {
                let leads = variate * horizon..(variate + 1) * horizon;
                let forecast = ForecastMessage {
                    origin: &origin,
                    start: &start,
                    interval_s: seconds(service.interval_ms()),
                    mean: &forecast[leads.clone()],
                    lower: &step.interval.0[leads.clone()],
                    upper: &step.interval.1[leads],
                    coverage: service.monitor.coverage,
                    model: &meta.name,
                };
                self.hand_over(service.forecast_topic(step.stream, variate), &forecast)?;
            }
        }
        if let Some(monitor) = step.skill {
            for variate in variates.clone() {
                let metrics = MetricsMessage::of(monitor, variate, &origin, &meta.name);
                self.hand_over(service.metrics_topic(step.stream, variate), &metrics)?;
            }
        }
        Some(step.forecast.map_or(0, |_| variates.len() as u64))
    }

    /// Publishes; `None` when the daemon stops before the session took the message.
    fn hand_over(&self, topic: String, content: &impl Serialize) -> Option<()> {
        // Numbers and text are always JSON.
        let payload = Bytes::from(serde_json::to_vec(content).ok()?);
        let message = Message {
            topic,
            payload,
            retain: true,
        };
        let mut stopped = self.stopped.clone();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = self.publisher.publish(message) => done.ok(),
                _ = stopped.wait_for(|&stopped| stopped) => None,
            }
        })
    }
}

/// Milliseconds since 1970-01-01 UTC; a clock before that counts backwards.
fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}
