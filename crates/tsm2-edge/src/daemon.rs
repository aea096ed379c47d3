//! The daemon: a session, and one thread that takes its messages through the engine and publishes what comes out.
//!
//! Invariants: the model never runs where the connection is polled; a message is acknowledged after its forecasts are handed over and the
//! state that contains it is durable, so that one cut short by a stop comes again; what is committed has been published, as long as there is
//! a connection; the end is clean whenever `shutdown` resolves.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;
use tsm2_mqtt::{Incoming, Message, Publisher, Receiver, Session, SessionError, rfc3339};

use crate::engine::{Engine, Step};
use crate::ledger::Ledger;
use crate::report::Summary;
use crate::service::Service;
use crate::store::{Snapshots, Store, StoreError};

/// How long a commit waits for the broker to have the forecasts.
const PUBLISHED_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the daemon did not start or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The session cannot start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The state's file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no thread.
    #[error("no thread for the model: {0}")]
    Thread(std::io::Error),
    /// The session ended although nobody had asked for it.
    #[error("the MQTT session ended unexpectedly")]
    SessionEnded,
    /// The model's thread ended by a panic.
    #[error("the model's thread ended unexpectedly")]
    Panic,
}

/// A row and its forecast, for those who watch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Observation {
    /// Name of the stream.
    pub stream: String,
    /// The row's time, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The row, NaN where missing. Shape `[M]`.
    pub values: Vec<f32>,
    /// The forecast, shape `[M][H]`, lead 0 being the next row; `None` when no token was due.
    pub forecast: Option<Vec<f32>>,
}

/// What is published per variate.
#[derive(Serialize)]
struct Forecast<'a> {
    /// Time of the last reading used, RFC 3339.
    issued: &'a str,
    interval_s: serde_json::Number,
    /// Lead 0 is one interval after `issued`.
    mean: &'a [f32],
    model: &'a str,
}

/// Runs until `shutdown` resolves; `observer`, if any, gets every row.
pub async fn run(
    service: Service,
    shutdown: impl Future<Output = ()>,
    observer: Option<mpsc::UnboundedSender<Observation>>,
) -> Result<Summary, DaemonError> {
    let meta = service.bundle.meta();
    info!(
        model = meta.name,
        variates = meta.variates.len(),
        horizon = meta.config.horizon,
        filter = service.filter(),
        "starting"
    );
    let stored = service
        .durability
        .as_ref()
        .map(|durability| Store::open(&durability.path))
        .transpose()?;
    let (session, publisher, receiver) = Session::start(service.session.clone())?;
    let (stop, stopped) = watch::channel(false);
    let (ended, end) = oneshot::channel();
    let worker = Worker {
        publisher,
        receiver,
        stopped,
        runtime: Handle::current(),
        observer,
    };
    thread::Builder::new()
        .name("model".into())
        .spawn(move || {
            // The other end waits for this until the thread ends, however it ends.
            let _ = ended.send(worker.run(&service, stored));
        })
        .map_err(DaemonError::Thread)?;

    tokio::pin!(end);
    let (summary, asked) = tokio::select! {
        () = shutdown => {
            info!("stopping");
            stop.send_replace(true);
            (end.await, true)
        }
        early = &mut end => (early, false),
    };
    let dropped = session.dropped();
    session.shutdown().await;
    let mut summary = summary.map_err(|_| DaemonError::Panic)?;
    if dropped > 0 {
        summary.refused.insert("overload", dropped);
    }
    info!(summary = serde_json::to_string(&summary).unwrap_or_default(), "stopped");
    // A service manager restarts what ends with an error, and takes a clean end for wanted.
    if asked { Ok(summary) } else { Err(DaemonError::SessionEnded) }
}

/// The model's thread.
struct Worker {
    publisher: Publisher,
    receiver: Receiver,
    stopped: watch::Receiver<bool>,
    runtime: Handle,
    observer: Option<mpsc::UnboundedSender<Observation>>,
}

/// What the worker does next.
enum Next {
    Message(Incoming),
    Commit,
    End,
}

impl Worker {
    fn run(mut self, service: &Service, stored: Option<(Store, Snapshots)>) -> Summary {
        let mut engine = Engine::new(service);
        let mut ledger = service
            .durability
            .as_ref()
            .zip(stored)
            .map(|(durability, stored)| Ledger::new(durability, stored, &mut engine));
        loop {
            let incoming = match (self.next(ledger.as_ref().and_then(Ledger::due)), &mut ledger) {
                (Next::Message(incoming), _) => incoming,
                (Next::Commit, Some(ledger)) => {
                    self.commit(ledger, &mut engine);
                    continue;
                }
                (Next::End, Some(ledger)) => {
                    self.commit(ledger, &mut engine);
                    break;
                }
                (Next::Commit | Next::End, None) => break,
            };
            if !self.take(service, &mut engine, &incoming) {
                // Neither committed nor acknowledged: its forecasts come with it, after the next start.
                break;
            }
            match &mut ledger {
                None => incoming.ack.done(),
                Some(ledger) => {
                    ledger.hold(incoming.ack);
                    if ledger.is_full(&engine) {
                        self.commit(ledger, &mut engine);
                    }
                }
            }
        }
        engine.summary()
    }

    /// Takes one message; false when the daemon stops before all its forecasts are handed over.
    fn take(&self, service: &Service, engine: &mut Engine<'_>, incoming: &Incoming) -> bool {
        let mut whole = true;
        engine.take(
            &incoming.topic,
            &incoming.payload,
            incoming.retain,
            unix_ms(incoming.arrived),
            |step| {
                self.observe(step);
                let published = self.publish(service, step);
                whole &= published.is_some();
                published.unwrap_or(0)
            },
        );
        whole
    }

    /// Commits once the broker has the forecasts: those of a committed row do not come again.
    fn commit(&self, ledger: &mut Ledger<'_>, engine: &mut Engine<'_>) {
        if engine.uncommitted() > 0 {
            self.runtime.block_on(async {
                // Without a connection the state is what matters: forecasts of later rows will replace these.
                let _ = tokio::time::timeout(PUBLISHED_TIMEOUT, self.publisher.flush()).await;
            });
        }
        ledger.commit(engine);
    }

    /// Waits for the next message, at most until `due`.
    fn next(&mut self, due: Option<Instant>) -> Next {
        let (receiver, stopped) = (&mut self.receiver, &mut self.stopped);
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|&stopped| stopped) => Next::End,
                incoming = receiver.recv() => incoming.map_or(Next::End, Next::Message),
                () = due => Next::Commit,
            }
        })
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

    /// Hands over a forecast per variate and counts them; `None` when the daemon stops before. A row that bridges a gap has none: the reading
    /// that ended the gap is there already, and its own follows at once.
    fn publish(&self, service: &Service, step: Step<'_>) -> Option<u64> {
        let (Some(forecast), Some(issued_ms)) = (step.forecast, step.last_reading_ms) else {
            return Some(0);
        };
        let meta = service.bundle.meta();
        let issued = rfc3339(issued_ms);
        for (variate, mean) in forecast.chunks_exact(meta.config.horizon).enumerate() {
            let forecast = Forecast {
                issued: &issued,
                interval_s: seconds(service.interval_ms()),
                mean,
                model: &meta.name,
            };
            // Numbers and text are always JSON.
            let payload = serde_json::to_vec(&forecast).ok()?;
            let message = Message {
                topic: service.forecast_topic(step.stream, variate),
                payload: Bytes::from(payload),
                retain: true,
            };
            if !self.hand_over(message) {
                return None;
            }
        }
        Some(service.outputs.len() as u64)
    }

    /// Whether the session took the message before the daemon stops.
    fn hand_over(&self, message: Message) -> bool {
        let mut stopped = self.stopped.clone();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = self.publisher.publish(message) => done.is_ok(),
                _ = stopped.wait_for(|&stopped| stopped) => false,
            }
        })
    }
}

/// Seconds as JSON writes them best: whole ones without a fraction.
fn seconds(ms: u64) -> serde_json::Number {
    if ms.is_multiple_of(1000) {
        (ms / 1000).into()
    } else {
        serde_json::Number::from_f64(ms as f64 / 1e3).unwrap_or_else(|| ms.into())
    }
}

/// Milliseconds since 1970-01-01 UTC; a clock before that counts backwards.
fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}
