//! What operators see of the daemon: metrics, health, HTTP, systemd, log.
//!
//! The parts of the daemon hold handles of [`Metrics`] and [`Heartbeat`]s of [`Health`]; the
//! modules [`http`] and [`systemd`] show them. Nothing here calls back into the daemon.

mod definition;
mod groups;
pub mod health;
pub mod http;
mod live_errors;
pub mod log;
pub mod metrics;
mod page;
mod process;
mod recent_rejections;
mod rejections;
pub mod systemd;
pub mod token;

pub use definition::Definition;
pub use groups::{BrokerMetrics, InputMetrics, REASONS, ReloadMetrics, StateMetrics, Summary};
pub use health::{Component, Health, Heartbeat, Subscription};
pub use live_errors::{LiveErrors, ModelLabels};
pub use metrics::{Metrics, WorkerMetrics};
pub use rejections::RejectionLog;
