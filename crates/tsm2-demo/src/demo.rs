//! The demo: broker, simulated building, daemon and watcher, started and stopped together.
//!
//! Invariant: the scoreboard sees nothing that did not pass the broker. The watcher is an MQTT client like any other.

use crate::broker::{Broker, BrokerError};
use crate::error::{DemoError, STATUS};
use crate::outcome::Outcome;
use crate::runner::{FORECASTS, READINGS, Runner};
use crate::simulator::{INTERVAL_MS, NAMES};
use crate::view::View;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use tsm2_bundle::Metadata;
use tsm2_edge::config::{Config, prepare};
use tsm2_edge::runtime::daemon;
use tsm2_mqtt::{Session, SessionOptions};

const PORT: u16 = 1883;
/// Port of the web page, where it is free.
const PAGE_PORT: u16 = 9464;
const STREAM: &str = "building";

/// Options of the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of the broker; `None`: 1883, or a free one if that is taken.
    pub port: Option<u16>,
    /// Seconds to run after the warm-up; `None`: until stopped.
    pub seconds: Option<u64>,
    /// The model.
    pub bundle: PathBuf,
}

/// Runs the demo until `stop` resolves, until the time is over, or until `show` breaks.
///
/// `show` gets a view a few times a second, and a last one at the end.
///
/// # Errors
/// The cause, when not every target of the model was forecast.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()>,
    mut show: impl FnMut(View<'_>) -> ControlFlow<()>,
) -> Result<Outcome, DemoError> {
    let broker = match options.port {
        Some(port) => Broker::start(port)?,
        None => match Broker::start(PORT) {
            Err(BrokerError::PortTaken { .. }) => Broker::start(0)?,
            started => started?,
        },
    };
    let mut config = Config::new(&options.bundle, READINGS);
    config.broker.host = "127.0.0.1".into();
    config.broker.port = broker.port();
    config.input.stream = Some(STREAM.into());
    config.input.time_field = Some("time".into());
    // Several demos at once have ports of their own.
    let page = free_address(options.port.map_or(PAGE_PORT, |_| 0));
    config.http.get_or_insert_default().listen = page;
    let prepared = prepare(&config)?;
    fits_the_building(prepared.bundle.meta())?;
    let meta = prepared.bundle.meta();
    let model = meta.name.clone();
    let is_covariate = NAMES.map(|name| meta.covariates().iter().any(|variate| variate.name == name));

    let session = |client_id: &str, filters: &[&str]| {
        Session::start(SessionOptions {
            filters: filters.iter().map(|filter| (*filter).into()).collect(),
            ..SessionOptions::new("127.0.0.1", broker.port(), client_id)
        })
    };
    let (sensors, publisher, _) = session("demo-sensors", &[])?;
    let (watcher, _, receiver) = session("demo-watcher", &[STATUS, READINGS, &format!("{FORECASTS}+")])?;
    let (stop_daemon, daemon_stops) = oneshot::channel::<()>();
    let mut daemon = tokio::spawn(daemon::run(prepared, async {
        // An error means that the sender was dropped, which ends the daemon too.
        let _ = daemon_stops.await;
    }));

    let mut runner = Runner::new(model, is_covariate, (broker.port(), page), publisher, receiver);
    let played = tokio::select! {
        played = runner.play(options.seconds.map(Duration::from_secs), &mut show) => played,
        () = stop => Ok(()),
        ended = &mut daemon => return Err(match ended {
            Ok(Err(error)) => error.into(),
            _ => DemoError::DaemonEnded,
        }),
    };
    drop(stop_daemon);
    let ended = daemon.await;
    watcher.shutdown().await;
    sensors.shutdown().await;
    played?;
    ended.map_err(|_| DemoError::DaemonEnded)??;
    let outcome = runner.outcome()?;
    // The last view: a break changes nothing any more.
    let _ = show(runner.view());
    Ok(outcome)
}

/// The port on loopback, or another free one if it is taken.
fn free_address(port: u16) -> SocketAddr {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let address = bound.and_then(|listener| listener.local_addr());
    // Without any free port the daemon fails, with a message that names the address.
    address.unwrap_or_else(|_| (Ipv4Addr::LOCALHOST, port).into())
}

/// Checks that the model has the building's variates, in any order, and its sampling interval.
fn fits_the_building(meta: &Metadata) -> Result<(), DemoError> {
    let known = |name: &str| meta.variates.iter().any(|variate| variate.name == name);
    let measured = |name: &str| NAMES.contains(&name);
    let lacking = NAMES.into_iter().find(|name| !known(name));
    let foreign = meta
        .variates
        .iter()
        .map(|variate| variate.name.as_str())
        .find(|name| !measured(name));
    if let Some(variate) = lacking {
        return Err(DemoError::LacksVariate {
            model: meta.name.clone(),
            variate,
        });
    }
    if let Some(variate) = foreign {
        return Err(DemoError::ForeignVariate {
            model: meta.name.clone(),
            variate: variate.into(),
        });
    }
    match meta.interval_ms {
        Some(interval_ms) if interval_ms != INTERVAL_MS as u64 => Err(DemoError::ForeignInterval {
            model: meta.name.clone(),
            interval_s: interval_ms as f64 / 1e3,
        }),
        _ => Ok(()),
    }
}
