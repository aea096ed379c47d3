//! The daemon: a session, a model thread per core that takes its messages through the engine and publishes what comes out, and a committer.
//!
//! Invariants: the model never runs where the connection is polled; all messages of a stream go through the same thread, in order; a message
//! is acknowledged after its forecasts are handed over and the state that contains it is durable, so that one cut short by a stop comes again;
//! the end is clean whenever `shutdown` resolves.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};
use tsm2_mqtt::{Receiver, Session, SessionError};

use crate::committer::Committer;
use crate::fair::FairQueue;
use crate::report::Summary;
use crate::service::{Durability, Service};
use crate::shard::{Queue, Shard, shard_of};
use crate::shelf::{Carried, Changes, Shelf};
use crate::snapshot::{self, Kinship, SnapshotError};
use crate::store::{Store, StoreError};
use crate::vitals::{Part, Vitals};

/// How often the daemon looks at itself.
const SECOND: Duration = Duration::from_secs(1);
/// How many streams whose state is not used are said by name.
const SAID: u64 = 100;

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
    /// The session ended although nobody had asked for it.
    #[error("the MQTT session ended unexpectedly")]
    SessionEnded,
    /// A model's thread ended by a panic.
    #[error("a model's thread ended unexpectedly")]
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

/// What a daemon leaves to the next one in the same process.
#[derive(Debug, Default)]
pub struct Legacy {
    /// The streams, where no file has them.
    changes: Changes,
}

/// Runs until `shutdown` resolves; `observer`, if any, gets every row.
pub async fn run(
    service: Service,
    shutdown: impl Future<Output = ()>,
    observer: Option<mpsc::UnboundedSender<Observation>>,
) -> Result<Summary, DaemonError> {
    let vitals = Arc::new(Vitals::new(service.shards));
    let (summary, _) = run_after(Arc::new(service), Legacy::default(), &vitals, shutdown, observer).await?;
    Ok(summary)
}

/// As [`run`], going on where another daemon of this process ended; all its parts tell `vitals` how they are.
pub(crate) async fn run_after(
    service: Arc<Service>,
    legacy: Legacy,
    vitals: &Arc<Vitals>,
    shutdown: impl Future<Output = ()>,
    observer: Option<mpsc::UnboundedSender<Observation>>,
) -> Result<(Summary, Legacy), DaemonError> {
    let meta = service.bundle.meta();
    info!(
        model = meta.name,
        variates = meta.variates.len(),
        horizon = meta.config.horizon,
        filter = service.filter(),
        threads = service.shards,
        "starting"
    );
    let (shelf, known) = match &service.durability {
        Some(durability) => {
            let (store, known) = open_store(&service, durability)?;
            (Arc::new(store) as Arc<dyn Shelf>, known)
        }
        None => {
            let carried = Carried::new(legacy.changes);
            let known = carried.len();
            (Arc::new(carried) as Arc<dyn Shelf>, known)
        }
    };
    let known = Arc::new(AtomicUsize::new(known));
    let (session, publisher, receiver) = Session::start(service.session.clone())?;
    let (stop, stopped) = watch::channel(false);
    let queues: Vec<Arc<Queue>> = (0..service.shards).map(|_| Arc::new(FairQueue::new())).collect();
    let (reports, reported) = std::sync::mpsc::channel();
    let mut shards = JoinSet::new();
    for (number, queue) in queues.iter().enumerate() {
        let shard = Shard {
            number,
            vitals: vitals.clone(),
            service: service.clone(),
            queue: queue.clone(),
            shelf: shelf.clone(),
            reports: service.durability.is_some().then(|| reports.clone()),
            publisher: publisher.clone(),
            stopped: stopped.clone(),
            runtime: Handle::current(),
            observer: observer.clone(),
            known: known.clone(),
        };
        shards.spawn_blocking(move || shard.run());
    }
    drop(reports);
    let committer = service.durability.clone().map(|limits| {
        let committer = Committer::new(limits, shelf, queues.clone(), publisher.clone(), vitals.clone(), Handle::current());
        tokio::task::spawn_blocking(move || committer.run(&reported))
    });
    let overload = Arc::new(AtomicU64::new(0));
    let mut routing = tokio::spawn(route(receiver, service.clone(), queues.clone(), overload.clone(), vitals.clone()));
    vitals.restored();

    let mut ends = Vec::new();
    let asked = tokio::select! {
        () = shutdown => true,
        _ = &mut routing => false,
        Some(end) = shards.join_next() => {
            ends.push(end);
            false
        }
        () = async {
            let mut second = tokio::time::interval(SECOND);
            loop {
                second.tick().await;
                vitals.connected(session.is_connected());
                vitals.unacknowledged_publishes(publisher.unacknowledged());
                vitals.dropped(session.dropped() + overload.load(Ordering::Relaxed));
            }
        } => false,
    };
    vitals.connected(false);
    info!("stopping");
    routing.abort();
    stop.send_replace(true);
    for queue in &queues {
        queue.close();
    }
    while let Some(end) = shards.join_next().await {
        ends.push(end);
    }
    let committed = match committer {
        Some(committer) => committer.await,
        None => Ok(()),
    };
    let dropped = session.dropped() + overload.load(Ordering::Relaxed);
    session.shutdown().await;
    committed.map_err(|_| DaemonError::Panic)?;
    let (mut summary, mut legacy) = (Summary::default(), Legacy::default());
    for end in ends {
        let (part, changes) = end.map_err(|_| DaemonError::Panic)?;
        summary += &part;
        legacy.changes.extend(changes);
    }
    if dropped > 0 {
        summary.refused.insert("overload", dropped);
    }
    info!(summary = serde_json::to_string(&summary).unwrap_or_default(), "stopped");
    // A service manager restarts what ends with an error, and takes a clean end for wanted.
    if asked {
        Ok((summary, legacy))
    } else {
        Err(DaemonError::SessionEnded)
    }
}

/// Gives every message to the thread of its stream, until the session ends. What is at QoS 0 and finds its stream's lane full is dropped and
/// counted; the others are as few as the broker lets be unacknowledged.
async fn route(mut receiver: Receiver, service: Arc<Service>, queues: Vec<Arc<Queue>>, overload: Arc<AtomicU64>, vitals: Arc<Vitals>) {
    loop {
        vitals.beat(Part::Router);
        let incoming = match tokio::time::timeout(SECOND, receiver.recv()).await {
            Ok(Some(incoming)) => incoming,
            Ok(None) => break,
            Err(_) => continue,
        };
        // A topic of no stream is refused by the engine, whichever it is.
        let stream = service.stream_of(&incoming.topic).unwrap_or_default().to_owned();
        let bounded = !incoming.ack.is_awaited();
        if !queues[shard_of(&stream, queues.len())].push(&stream, incoming, bounded) && overload.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(stream, "messages at QoS 0 arrive faster than they are dealt with; dropping");
        }
    }
}

/// Opens the state's file and looks at each stream in it; returns how many will be used. The others leave the file.
fn open_store(service: &Service, durability: &Durability) -> Result<(Store, usize), StoreError> {
    let interval_ms = i64::try_from(service.grid.interval_ms).unwrap_or(i64::MAX);
    let store = Store::open(&durability.path, interval_ms.saturating_mul(durability.history_rows.into()))?;
    let (mut known, mut others, mut refused) = (0, 0u64, Vec::new());
    store.each(|name, bytes| {
        let usable = match () {
            () if !service.serves(name) => Err(SnapshotError::NotServed),
            () if known >= service.max_streams => Err(SnapshotError::TooMany { max: service.max_streams }),
            () => snapshot::kinship(bytes, &service.identity),
        };
        match usable {
            Ok(kinship) => {
                known += 1;
                if kinship != Kinship::Same {
                    others += 1;
                    if others <= SAID {
                        warn!(
                            stream = name,
                            "stored state is not used: it belongs to another model; this one warms up from the stream's last rows"
                        );
                    }
                }
            }
            Err(why) => {
                if refused.len() < SAID as usize {
                    warn!(stream = name, "stored state is not used: {why}; the stream starts anew");
                }
                refused.push(name.to_owned());
            }
        }
    })?;
    if !refused.is_empty()
        && let Err(why) = store.remove(&refused)
    {
        warn!("the refused streams stay in the file: {why}");
    }
    info!(file = %store.path().display(), streams = known, of_another_model = others, refused = refused.len(), "state found");
    Ok((store, known))
}
