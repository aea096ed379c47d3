//! The daemon as a service: it answers over HTTP, tells the service manager how it is, and takes a new configuration while it runs.
//!
//! Invariants: a configuration that cannot be used changes nothing, and it is said why; a new one takes over where the old one ended, from the
//! state's file or, without one, from memory, so that no reading is lost (the broker keeps the session meanwhile); whoever watches from
//! outside, by HTTP or as the service manager, watches without a break.

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::config::service::Service;
use crate::observe::http::{HttpError, Server};
use crate::observe::{Health, Metrics, ModelLabels, Summary, systemd};
use crate::runtime::daemon::{self, DaemonError, Legacy};
use crate::runtime::signals::{Asked, Signals};
use crate::state::snapshot::Kinship;
use crate::state::store::Store;

/// Why the service did not start or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// The daemon.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The HTTP server.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Runs until a signal asks for the end. `load` reads the configuration again, for a reload.
pub async fn supervise<E: std::fmt::Display>(
    service: Service,
    signals: &mut Signals,
    load: impl Fn() -> Result<Service, E>,
) -> Result<Summary, SuperviseError> {
    let (metrics, health) = (Metrics::new(), Arc::<Health>::default());
    let server = match service.http() {
        Some(options) => Some(tokio::spawn(Server::bind(options).await?.run(metrics.clone(), health.clone()))),
        None => None,
    };
    let notify = tokio::spawn(systemd::run(health.clone()));
    let done = run(service, signals, load, &metrics, &health).await;
    notify.abort();
    if let Some(server) = server {
        server.abort();
    }
    done?;
    Ok(metrics.summary())
}

async fn run<E: std::fmt::Display>(
    service: Service,
    signals: &mut Signals,
    load: impl Fn() -> Result<Service, E>,
    metrics: &Metrics,
    health: &Arc<Health>,
) -> Result<(), DaemonError> {
    let (mut service, mut legacy) = (Arc::new(service), Legacy::default());
    loop {
        let meta = service.bundle.meta();
        metrics.set_model(ModelLabels::new(
            &meta.name,
            meta.targets().iter().map(|variate| variate.name.clone()),
            meta.config.horizon,
        ));
        let mut next = None;
        let end = async {
            loop {
                match signals.next().await {
                    Asked::Stop => {
                        health.stopping();
                        return systemd::stopping();
                    }
                    Asked::Reload => {
                        systemd::reloading();
                        match load()
                            .map_err(|why| format!("{why:#}"))
                            .and_then(|loaded| openable(&service, loaded))
                        {
                            Ok(loaded) => {
                                next = Some(loaded);
                                return;
                            }
                            Err(why) => {
                                error!("the configuration stays as it is, the new one cannot be used: {why}");
                                metrics.reloads.rejected.inc();
                                systemd::ready();
                            }
                        }
                    }
                }
            }
        };
        legacy = daemon::run_after(service.clone(), legacy, (metrics, health), end, None).await?;
        let Some(mut loaded) = next else { return Ok(()) };
        take_over(&service, &mut loaded);
        service = Arc::new(loaded);
        metrics.reloads.applied.inc();
        systemd::ready();
    }
}

/// Finds before anything ends whether another state file can be opened.
fn openable(old: &Service, new: Service) -> Result<Service, String> {
    let path = |service: &Service| service.durability.as_ref().map(|durability| durability.path.clone());
    if let Some(path) = path(&new).filter(|new| path(old).as_ref() != Some(new)) {
        Store::open(&path, 0).map_err(|why| why.to_string())?;
    }
    Ok(new)
}

/// Says what becomes of the state, and notes whose heir the new model is.
fn take_over(old: &Service, new: &mut Service) {
    new.shards = old.shards;
    if old.http() != new.http() {
        warn!("http: a changed section counts from the next start on");
    }
    match new.identity.kinship(&old.identity) {
        Some(Kinship::Same) => info!("new configuration, the same model: the streams go on"),
        Some(Kinship::Shape) => {
            new.heir_of = old.heir_of.iter().copied().chain([old.identity.model()]).collect();
            info!(
                model = new.bundle.meta().name,
                "new configuration, a model of the same shape: the streams go on with their state"
            );
        }
        Some(Kinship::Rows) => {
            warn!(
                model = new.bundle.meta().name,
                rows = new.history_rows(),
                "new configuration, a model of another shape: each stream's state is made anew from its last stored rows"
            );
        }
        None => warn!(
            model = new.bundle.meta().name,
            "new configuration, a model of other variates or of another interval: all streams start anew"
        ),
    }
}
