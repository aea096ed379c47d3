//! The demo: the whole path on one machine, with nothing to install.
//!
//! An embedded broker on loopback, the simulated building publishing as sensors do, the daemon, and a watcher that hears readings and
//! forecasts over MQTT like any other client. Invariant: nothing reaches the board but through the broker.

mod outcome;
mod score;
mod stage;
mod table;

pub use outcome::{LeadOutcome, Outcome, VariateOutcome};
pub use score::{Board, LEADS_MIN, Skill, Track};
pub use stage::MINUTES_PER_SECOND;
pub use table::{Style, WIDE, picture};

use crate::broker::{Broker, BrokerError};
use crate::config::Config;
use crate::config::service::{Service, ServiceError};
use crate::runtime::daemon::{self, DaemonError};
use crate::simulator::{INTERVAL_MS, NAMES};
use stage::Stage;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::oneshot;
use tsm2_bundle::Metadata;
use tsm2_mqtt::{Session, SessionError, SessionOptions, rfc3339};

const PORT: u16 = 1883;
const STREAM: &str = "building";
const READINGS: &str = "sensors/building/telemetry";
const FORECASTS: &str = "tsm2/building/forecast/";
const STATUS: &str = "tsm2/status";

/// Silence after which something must be wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of the broker; `None`: 1883, or a free one if that is taken.
    pub port: Option<u16>,
    /// Seconds to run after the warm-up; `None`: until stopped.
    pub seconds: Option<u64>,
    /// The model.
    pub bundle: PathBuf,
}

/// Why the demo could not be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The broker did not start.
    #[error("{0}; choose another with --port, or leave it out")]
    Broker(#[from] BrokerError),
    /// The bundle cannot be used.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The bundle does not forecast something that the building measures.
    #[error("the model {model:?} has no variate {variate:?}; the demo needs one that was trained on the simulated building")]
    LacksVariate {
        /// The model's name.
        model: String,
        /// What the building measures.
        variate: &'static str,
    },
    /// The bundle needs something that the building does not measure.
    #[error("the model {model:?} needs {variate:?}, which the simulated building does not measure")]
    ForeignVariate {
        /// The model's name.
        model: String,
        /// What is missing.
        variate: String,
    },
    /// The bundle expects another rate of readings.
    #[error("the model {model:?} expects a row every {interval_s} s; the simulated building gives one a minute")]
    ForeignInterval {
        /// The model's name.
        model: String,
        /// Its sampling interval.
        interval_s: f64,
    },
    /// A session did not start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The daemon failed.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The daemon ended by itself.
    #[error("the daemon ended while it was watched")]
    DaemonEnded,
    /// The daemon did not come online.
    #[error("the daemon did not announce itself on {STATUS:?} within {} seconds", PATIENCE.as_secs())]
    NotOnline,
    /// Readings went out and nothing came back.
    #[error("no forecast arrived for {} seconds; the last reading sent is of {}", PATIENCE.as_secs(), rfc3339(*last_ms))]
    Silence {
        /// Time of that reading.
        last_ms: i64,
    },
    /// The end came before the first forecast of a variate.
    #[error("no forecast of {variate:?} arrived")]
    NoForecast {
        /// The variate.
        variate: &'static str,
    },
}

/// What there is to show at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The broker's port.
    pub port: u16,
    /// Readings and forecasts so far.
    pub board: &'a Board,
    /// Part of the warm-up that is done, below 1 while it lasts.
    pub warm_up: f32,
}

/// Shows the demo until `stop` resolves, its time is over or `show`, which gets a scene a few times a second and the
/// last one at the end, wants no more.
///
/// # Errors
/// Whatever kept a forecast of every variate that the model forecasts from arriving.
pub async fn run(
    options: Options,
    stop: impl Future<Output = ()>,
    mut show: impl FnMut(Scene<'_>) -> ControlFlow<()>,
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
    let service = Service::prepare(&config)?;
    fits_the_building(service.bundle().meta())?;
    let meta = service.bundle().meta();
    let model = meta.name.clone();
    let exogenous = NAMES.map(|name| meta.exogenous().iter().any(|variate| variate.name == name));

    let session = |client_id: &str, filters: &[&str]| {
        Session::start(SessionOptions {
            filters: filters.iter().map(|filter| (*filter).into()).collect(),
            ..SessionOptions::new("127.0.0.1", broker.port(), client_id)
        })
    };
    let (sensors, publisher, _) = session("demo-sensors", &[])?;
    let (watcher, _, receiver) = session("demo-watcher", &[STATUS, READINGS, &format!("{FORECASTS}+")])?;
    let (stop_daemon, daemon_stops) = oneshot::channel::<()>();
    let mut daemon = tokio::spawn(daemon::run(
        service,
        async {
            // Sent or dropped, it says the same.
            let _ = daemon_stops.await;
        },
        None,
    ));

    let mut stage = Stage::new(model, exogenous, broker.port(), publisher, receiver);
    let played = tokio::select! {
        played = stage.play(options.seconds.map(Duration::from_secs), &mut show) => played,
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
    let outcome = stage.outcome()?;
    // The last scene; there is nothing to break off.
    let _ = show(stage.scene());
    Ok(outcome)
}

/// The building's variates in whatever order, and its rate.
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
