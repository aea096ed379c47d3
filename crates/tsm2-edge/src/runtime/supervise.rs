//! Supervisor: the daemon as a service. HTTP, service manager, reload.
//!
//! 1. A configuration that cannot be used changes nothing; the log says why.
//! 2. A new configuration continues where the old one ended. The broker keeps the session meanwhile.
//! 3. A configuration is read on a thread of its own: the end does not wait for it.
//! 4. HTTP and the service manager are served without a break.

use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::config::Prepared;
use crate::observe::{ModelLabels, Summary, systemd};
use crate::runtime::daemon::{self, DaemonError, Handover, Process};
use crate::runtime::record::Compatibility;
use crate::runtime::signals::{Asked, Signals};
use crate::runtime::stored;

/// Runs until a signal asks for the end. `load` reads the configuration again, for a reload.
pub async fn supervise<E: std::fmt::Display>(
    prepared: Prepared,
    signals: &mut Signals,
    load: impl Fn() -> Result<Prepared, E> + Clone + Send + 'static,
) -> Result<Summary, DaemonError> {
    let process = Process::default();
    let Process { metrics, health, .. } = &process;
    let server = process.serve(&prepared).await?;
    let notify = tokio::spawn(systemd::run(health.clone()));
    let done = run(prepared, signals, load, &process).await;
    notify.abort();
    drop(server);
    done?;
    Ok(metrics.summary())
}

async fn run<E: std::fmt::Display>(
    prepared: Prepared,
    signals: &mut Signals,
    load: impl Fn() -> Result<Prepared, E> + Clone + Send + 'static,
    process: &Process,
) -> Result<(), DaemonError> {
    let Process { metrics, health, .. } = process;
    let (mut prepared, mut handover) = (Arc::new(prepared), Handover::default());
    loop {
        let meta = prepared.bundle.meta();
        metrics.set_model(ModelLabels::new(
            &meta.name,
            meta.targets().iter().map(|variate| variate.name.clone()),
            meta.config.horizon,
        ));
        let mut next = None;
        let end = async {
            let mut loading = None;
            loop {
                let loaded = tokio::select! {
                    asked = signals.next() => match asked {
                        Asked::Stop => {
                            health.stopping();
                            return systemd::stopping();
                        }
                        Asked::Reload => {
                            systemd::reloading();
                            loading = Some(on_a_thread(load.clone()));
                            continue;
                        }
                    },
                    Some(loaded) = async { Some(loading.as_mut()?.await) } => loaded,
                };
                loading = None;
                let loaded = loaded.unwrap_or_else(|_| Err("it could not be read".into()));
                match loaded.and_then(|loaded| openable(&prepared, loaded)) {
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
        };
        handover = daemon::run_after(prepared.clone(), handover, process, end).await?;
        let Some(mut loaded) = next else { return Ok(()) };
        take_over(&prepared, &mut loaded);
        prepared = Arc::new(loaded);
        metrics.reloads.applied.inc();
        systemd::ready();
    }
}

/// Reads a configuration while the daemon goes on. The thread ends with the process at the latest.
fn on_a_thread<E: std::fmt::Display>(
    load: impl Fn() -> Result<Prepared, E> + Send + 'static,
) -> oneshot::Receiver<Result<Prepared, String>> {
    let (result, results) = oneshot::channel();
    thread::spawn(move || {
        // A newer reload or the end has taken its place.
        let _ = result.send(load().map_err(|why| format!("{why:#}")));
    });
    results
}

/// Checks, before anything ends, whether another state path can be opened.
fn openable(old: &Prepared, new: Prepared) -> Result<Prepared, String> {
    let path = |prepared: &Prepared| prepared.state.as_ref().map(|durability| durability.path.clone());
    if let Some(durability) = &new.state
        && path(old) != path(&new)
    {
        stored::open(&new, durability).map_err(|why| why.to_string())?;
    }
    Ok(new)
}

/// Logs what becomes of the streams.
fn take_over(old: &Prepared, new: &mut Prepared) {
    new.workers = old.workers;
    if old.http != new.http {
        warn!("http: a changed section takes effect at the next start");
    }
    let path = |prepared: &Prepared| prepared.state.as_ref().map(|durability| durability.path.clone());
    let model = new.bundle.meta().name.as_str();
    if let (Some(before), after) = (path(old), path(new))
        && after.as_ref() != Some(&before)
    {
        warn!(
            before = %before.display(),
            after = %after.map_or_else(|| "none".into(), |path| path.display().to_string()),
            "new configuration with another state.path: no stream goes along, the streams are those of the new path"
        );
        return;
    }
    match new.fingerprint.compatibility(&old.fingerprint) {
        Compatibility::Same => info!("new configuration, the same model: the streams continue"),
        Compatibility::Architecture => info!(
            model,
            "new configuration, a model of the same architecture: each stream warms up from its log, or keeps its state where there is none"
        ),
        Compatibility::Schema => warn!(
            model,
            "new configuration, a model of another architecture: each stream warms up from its log, or starts anew where there is none"
        ),
        Compatibility::None => warn!(
            model,
            "new configuration, a model of other variates or of another interval: all streams start anew; the stored ones are kept"
        ),
    }
}
