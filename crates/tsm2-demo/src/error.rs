//! Why the demo failed.

use crate::broker::BrokerError;
use std::time::Duration;
use thiserror::Error;
use tsm2_edge::config::PrepareError;
use tsm2_edge::runtime::daemon::DaemonError;
use tsm2_mqtt::{SessionError, rfc3339};

/// The demo gives up when nothing has come from the daemon for this long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// Where the daemon publishes whether it is online.
pub(crate) const STATUS: &str = "tsm2/status";

/// Why the demo failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The broker did not start.
    #[error("{0}; choose another port with --port, or leave --port out")]
    Broker(#[from] BrokerError),
    /// The bundle cannot be used.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The bundle lacks a variate that the building measures.
    #[error("the model {model:?} has no variate {variate:?}; use a model that was trained on the simulated building")]
    LacksVariate {
        /// The model's name.
        model: String,
        /// The variate.
        variate: &'static str,
    },
    /// The bundle needs a variate that the building does not measure.
    #[error("the model {model:?} needs {variate:?}, which the simulated building does not measure")]
    ForeignVariate {
        /// The model's name.
        model: String,
        /// The variate.
        variate: String,
    },
    /// The bundle expects another sampling interval.
    #[error("the model {model:?} expects a time step every {interval_s} s; the simulated building gives one a minute")]
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
    #[error("the daemon ended by itself")]
    DaemonEnded,
    /// The daemon did not come online.
    #[error("the daemon did not publish `online` on {STATUS:?} within {} seconds", TIMEOUT.as_secs())]
    NotOnline,
    /// Readings were published and no forecast came.
    #[error("no forecast arrived for {} seconds; the last reading published is of {}", TIMEOUT.as_secs(), rfc3339(*last_ms))]
    Silence {
        /// Time of that reading.
        last_ms: i64,
    },
    /// The demo ended before the first forecast of a variate.
    #[error("no forecast of {variate:?} arrived")]
    NoForecast {
        /// The variate.
        variate: &'static str,
    },
}
