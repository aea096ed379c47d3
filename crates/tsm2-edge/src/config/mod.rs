//! The configuration: one file per section with its keys, defaults, documentation and checks.
//!
//! [`Config`] has the right types. [`prepare()`] checks that its parts fit together and makes what
//! each part of the daemon needs.

mod broker;
mod file;
mod http;
mod input;
mod log;
mod memory;
mod model;
mod output;
mod prepare;
pub mod reference;
mod schema;
mod secret;
mod section;
mod state;
mod topics;

pub use broker::{Broker, BrokerError, Tls};
pub use file::{Config, ConfigError, ENV_PREFIX};
pub use http::{Http, HttpSectionError};
pub use input::Input;
pub use log::{Log, LogFormat, LogLevel};
pub use memory::{TooLarge, per_stream};
pub use model::{Model, ModelError};
pub use output::{Output, OutputError};
pub use prepare::{PrepareError, Prepared, prepare};
pub use schema::{Schema, SchemaError, forecaster, resampler};
pub use secret::Warnings;
pub use state::{Durability, State, StateError};
pub use topics::{Address, AddressError, Kind, Topics, TopicsError};
pub use tsm2_stream::Aggregate;
