//! Daemon: session, router, workers and writer of one configuration; their start and their end.
//!
//! The end, in order: the router ends and the queues close; the workers process what waits and hand
//! their last batches over; the writer writes them; the session acknowledges and leaves. Each part
//! ends because its input ends. After `GRACE` what is left is dropped unacknowledged.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::info;
use tsm2_mqtt::{Publisher, Receiver, Session, SessionError, SessionOptions, SessionState};

use crate::config::Prepared;
use crate::observe::http::{HttpError, Server};
use crate::observe::{Component, Health, InputMetrics, Metrics, Subscription, Summary};
use crate::page::Recent;
use crate::runtime::admission::Admission;
use crate::runtime::batch::Uncommitted;
use crate::runtime::forecasts::Forecasts;
use crate::runtime::home_assistant::{Announcer, Listener, Values, largest_device};
use crate::runtime::patience::Patience;
use crate::runtime::queue::RoundRobinQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::router::Router;
use crate::runtime::sparkplug::Translating;
use crate::runtime::stop::Stop;
use crate::runtime::stored;
use crate::runtime::worker::Worker;
use crate::runtime::writer::Writer;
use crate::state::memory::MemoryStore;
use crate::state::{StateStore, StoreError};

/// How often the daemon looks at its session.
const SECOND: Duration = Duration::from_secs(1);
/// Time for unfinished work at the end.
const GRACE: Duration = Duration::from_secs(3);
/// How often a failed commit is retried where the configuration does not set it.
const RETRY: Duration = Duration::from_secs(1);

/// The longest device of an earlier run that is read, in bytes; those of this run may be longer.
const LARGEST_EARLIER_DEVICE: usize = 1 << 20;

/// Why the daemon did not start or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The session cannot start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session ended unasked.
    #[error("the MQTT session ended unexpectedly")]
    SessionEnded,
    /// HTTP cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A thread ended by a panic.
    #[error("a thread of the daemon ended unexpectedly")]
    Panic,
}

/// What one daemon leaves to the next in the same process: the streams, where no file has them.
#[derive(Debug, Default)]
pub(crate) struct Handover(Arc<MemoryStore>);

/// What the daemons of one process share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    pub(crate) metrics: Metrics,
    pub(crate) health: Arc<Health>,
    /// What the web page shows.
    pub(crate) recent: Arc<Recent>,
}

impl Process {
    /// Serves HTTP, where section `http` asks for it, until the set is dropped.
    pub(crate) async fn serve(&self, prepared: &Prepared) -> Result<JoinSet<Infallible>, HttpError> {
        let mut serving = JoinSet::new();
        if let Some(options) = &prepared.http {
            let server = Server::bind(options).await?;
            serving.spawn(server.run(self.metrics.clone(), self.health.clone(), self.recent.clone()));
        }
        Ok(serving)
    }
}

/// Runs until `shutdown` resolves.
pub async fn run(prepared: Prepared, shutdown: impl Future<Output = ()>) -> Result<Summary, DaemonError> {
    let process = Process::default();
    let _serving = process.serve(&prepared).await?;
    run_after(Arc::new(prepared), Handover::default(), &process, shutdown).await?;
    Ok(process.metrics.summary())
}

/// As [`run`], continuing where another daemon of this process ended.
pub(crate) async fn run_after(
    prepared: Arc<Prepared>,
    handover: Handover,
    process: &Process,
    shutdown: impl Future<Output = ()>,
) -> Result<Handover, DaemonError> {
    let meta = prepared.bundle.meta();
    info!(
        model = meta.name,
        variates = meta.variates.len(),
        horizon = meta.config.horizon,
        filters = prepared.topics.filters().join(", "),
        workers = prepared.workers,
        "starting"
    );
    let interval_ms = prepared.schema.resampler.interval_ms;
    process.recent.set_model(meta, interval_ms, &prepared.publication.steps);
    let Handover(memory) = handover;
    let store: Arc<dyn StateStore> = match &prepared.state {
        Some(durability) => {
            let store = Arc::new(stored::open(&prepared, durability)?);
            crate::state::copy(&*memory, &*store)?;
            store
        }
        None => memory.clone(),
    };
    let admission = Arc::new(Admission::new(prepared.max_streams));
    stored::admit(&prepared, &*store, &admission, &process.metrics.state)?;
    let ends = Session::start(session_options(&prepared))?;
    let was_asked = Daemon {
        prepared: prepared.clone(),
        store,
        admission,
        process: process.clone(),
    }
    .run(ends, shutdown)
    .await?;
    info!(
        summary = serde_json::to_string(&process.metrics.summary()).unwrap_or_default(),
        "stopped"
    );
    match (was_asked, &prepared.state) {
        // A service manager restarts what ends with an error, and takes a clean end for intended.
        (false, _) => Err(DaemonError::SessionEnded),
        (true, None) => Ok(Handover(memory)),
        (true, Some(_)) => Ok(Handover::default()),
    }
}

/// The options of the session. What an earlier run has announced to Home Assistant may be longer than
/// any reading.
fn session_options(prepared: &Prepared) -> SessionOptions {
    let mut options = prepared.session.clone();
    if prepared.home_assistant.is_some() {
        options.max_payload = options.max_payload.max(largest_device(prepared)).max(LARGEST_EARLIER_DEVICE);
    }
    options
}

struct Daemon {
    prepared: Arc<Prepared>,
    store: Arc<dyn StateStore>,
    admission: Arc<Admission>,
    process: Process,
}

impl Daemon {
    /// Runs until `shutdown` resolves or a part ends; returns whether the end was asked for.
    async fn run(self, ends: (Session, Publisher, Receiver), shutdown: impl Future<Output = ()>) -> Result<bool, DaemonError> {
        let (session, publisher, receiver) = ends;
        let Daemon {
            prepared,
            store,
            admission,
            process: Process { metrics, health, recent },
        } = self;
        let (stop, signal) = Stop::new();
        let (batches, closed) = mpsc::channel();
        let durable: Arc<[AtomicU64]> = (0..prepared.workers).map(|_| AtomicU64::new(0)).collect();
        let uncommitted = Arc::new(Uncommitted::new(metrics.state.clone()));
        let queues: Vec<_> = (0..prepared.workers).map(|_| Arc::new(RoundRobinQueue::new())).collect();

        let patience = |component| Patience {
            stop: signal.clone(),
            heartbeat: health.watch(component),
            runtime: Handle::current(),
        };
        let writer = Writer {
            store: store.clone(),
            forecasts: prepared.state.is_some().then(|| publisher.clone()),
            recorder: prepared.recordings.as_ref().map(|folder| {
                let variates = &prepared.bundle.meta().variates;
                RefCell::new(Recorder::new(folder, variates.iter().map(|variate| variate.name.as_str())))
            }),
            retry_every: prepared.state.as_ref().map_or(RETRY, |durability| durability.every),
            durable: durable.clone(),
            uncommitted: uncommitted.clone(),
            patience: patience(Component::Writer),
            metrics: metrics.state.clone(),
            health: health.clone(),
        };
        let mut writing = tokio::task::spawn_blocking(move || writer.run(&closed));
        let announcer = Announcer::new(&prepared, publisher.clone());
        let mut workers = JoinSet::new();
        for ((number, queue), report) in queues.iter().enumerate().zip(metrics.workers(prepared.workers)) {
            let worker = Worker {
                number,
                prepared: prepared.clone(),
                queue: queue.clone(),
                store: store.clone(),
                batches: batches.clone(),
                durable: durable.clone(),
                uncommitted: uncommitted.clone(),
                in_flight: receiver.in_flight(),
                forecasts: Forecasts::new(
                    prepared.clone(),
                    publisher.clone(),
                    prepared.http.is_some().then(|| recent.clone()),
                    Values::new(prepared.clone(), announcer.clone()),
                ),
                patience: patience(Component::Worker(number)),
                admission: admission.clone(),
                metrics: metrics.clone(),
                report,
            };
            workers.spawn_blocking(move || worker.run());
        }
        // The writer ends when the last worker has ended.
        drop(batches);
        let in_flight = receiver.in_flight();
        let listener = Listener {
            source: receiver,
            announcer: announcer.clone(),
        };
        let source = Translating::new(listener, prepared.clone(), publisher.clone(), metrics.input.clone());
        let router = Router {
            prepared,
            queues: queues.clone(),
            in_flight,
            metrics: metrics.input.clone(),
            heartbeat: health.watch(Component::Router),
        };
        let mut routing = tokio::spawn(router.run(source));
        health.started_up();

        let mut dropped = 0;
        let (mut ended, mut written) = (None, None);
        let was_asked = tokio::select! {
            () = shutdown => true,
            _ = &mut routing => false,
            Some(end) = workers.join_next() => {
                ended = Some(end);
                false
            }
            result = &mut writing => {
                written = Some(result);
                false
            }
            () = announce(&session, announcer) => false,
            () = async {
                let mut second = tokio::time::interval(SECOND);
                loop {
                    second.tick().await;
                    metrics.broker.unacknowledged.set(publisher.unacknowledged() as i64);
                    count_dropped(&session, &metrics.input, &mut dropped);
                    metrics.broker.set_connected(session.is_connected());
                    health.set_subscription(match session.state() {
                        SessionState::Disconnected => Subscription::Disconnected,
                        SessionState::Pending => Subscription::Pending,
                        SessionState::Ready => Subscription::Granted,
                        SessionState::Refused { filter } => Subscription::Refused(filter),
                    });
                }
            } => false,
        };
        info!("stopping");
        routing.abort();
        stop.ask(GRACE);
        queues.iter().for_each(|queue| queue.close());
        let mut is_whole = ended.is_none_or(|end| end.is_ok());
        while let Some(end) = workers.join_next().await {
            is_whole &= end.is_ok();
        }
        let written = match written {
            Some(written) => written,
            None => writing.await,
        };
        count_dropped(&session, &metrics.input, &mut dropped);
        session.shutdown().await;
        metrics.broker.set_connected(false);
        health.set_subscription(Subscription::Disconnected);
        match (is_whole, written) {
            (true, Ok(written)) => written.map(|()| was_asked).map_err(Into::into),
            _ => Err(DaemonError::Panic),
        }
    }
}

/// Announces streams to Home Assistant, after each connection those that the broker has not. Does not end.
async fn announce(session: &Session, announcer: Option<Arc<Announcer>>) {
    let Some(announcer) = announcer else {
        return std::future::pending().await;
    };
    let connections = async {
        let mut seen = SessionState::Disconnected;
        while let Some(state) = session.state_after(&seen).await {
            match state {
                SessionState::Disconnected => announcer.disconnected(),
                SessionState::Pending => {}
                SessionState::Ready | SessionState::Refused { .. } => announcer.subscribed(),
            }
            seen = state;
        }
        std::future::pending().await
    };
    tokio::select! {
        () = connections => {}
        // The session has ended; the other parts of the daemon see it, too.
        _closed = announcer.run() => std::future::pending().await,
    }
}

/// Counts the messages that the session has dropped since the last time.
fn count_dropped(session: &Session, metrics: &InputMetrics, counted: &mut u64) {
    let dropped = session.dropped();
    metrics.dropped_messages.inc_by(dropped - *counted);
    *counted = dropped;
}
