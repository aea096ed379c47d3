//! The daemon: a session, its pipeline, and the shelf on which the streams' state lies.
//!
//! Invariant: the end is clean whenever `shutdown` resolves.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc;
use tracing::{info, warn};
use tsm2_mqtt::{Session, SessionError};

use crate::config::service::{Durability, Service};
use crate::observe::{Health, Metrics, Summary};
use crate::runtime::pipeline::Pipeline;
use crate::state::shelf::{Carried, Changes, Shelf};
use crate::state::snapshot::{self, Kinship, SnapshotError};
use crate::state::store::{Store, StoreError};

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
    let (metrics, health) = (Metrics::new(), Arc::default());
    run_after(Arc::new(service), Legacy::default(), (&metrics, &health), shutdown, observer).await?;
    Ok(metrics.summary())
}

/// As [`run`], going on where another daemon of this process ended.
pub(crate) async fn run_after(
    service: Arc<Service>,
    legacy: Legacy,
    (metrics, health): (&Metrics, &Arc<Health>),
    shutdown: impl Future<Output = ()>,
    observer: Option<mpsc::UnboundedSender<Observation>>,
) -> Result<Legacy, DaemonError> {
    let meta = service.bundle.meta();
    info!(
        model = meta.name,
        variates = meta.variates.len(),
        covariates = meta.covariates().len(),
        horizon = meta.config.horizon,
        filters = service.filters().join(", "),
        threads = service.shards,
        "starting"
    );
    let carried = Arc::new(Carried::new(legacy.changes));
    let (shelf, known): (Arc<dyn Shelf>, _) = match &service.durability {
        Some(durability) => {
            let (store, known) = open_store(&service, durability, &carried.take())?;
            (Arc::new(store), known)
        }
        None => (carried.clone(), carried.len()),
    };
    let ended = Pipeline {
        ends: Session::start(service.session.clone())?,
        service,
        shelf,
        known: Arc::new(AtomicUsize::new(known)),
        metrics: metrics.clone(),
        health: health.clone(),
        observer,
    }
    .run(shutdown)
    .await?;
    info!(summary = serde_json::to_string(&metrics.summary()).unwrap_or_default(), "stopped");
    // A service manager restarts what ends with an error, and takes a clean end for wanted.
    match ended.asked {
        true => {
            // Streams that were silent all the while go on too.
            let mut changes = carried.take();
            changes.extend(ended.changes);
            Ok(Legacy { changes })
        }
        false => Err(DaemonError::SessionEnded),
    }
}

/// Opens the state's file, writes what was in memory only, and looks at each stream in it; returns how many will be used. The others leave
/// the file.
fn open_store(service: &Service, durability: &Durability, carried: &Changes) -> Result<(Store, usize), StoreError> {
    let interval_ms = i64::try_from(service.grid.interval_ms).unwrap_or(i64::MAX);
    let store = Store::open(&durability.path, interval_ms.saturating_mul(durability.history_rows.into()))?;
    if !carried.is_empty() {
        store.commit(carried)?;
    }
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
