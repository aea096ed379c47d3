//! The configuration: one file per section with its keys, defaults, documentation and checks.
//!
//! [`Config`] has the right types. [`prepare()`] checks that its parts fit together and makes what
//! each part of the daemon needs.

mod address;
mod broker;
pub mod device_class;
mod discovery_topics;
mod file;
mod home_assistant;
mod http;
mod input;
mod log;
mod memory;
mod model;
mod output;
mod prepare;
mod preset;
mod record;
pub mod reference;
mod schema;
mod secret;
mod section;
mod source;
mod sources;
mod state;
mod topics;
mod words;

pub use address::{Address, AddressError, Kind, Route};
pub use broker::{Broker, BrokerError, Tls};
pub use discovery_topics::{DiscoveryTopics, discovery_id};
pub use file::{Config, ConfigError, ENV_PREFIX};
pub use home_assistant::{Announcement, HomeAssistant, HomeAssistantError, Quantity};
pub use http::{Http, HttpSectionError};
pub use input::Input;
pub use log::{Log, LogFormat, LogLevel};
pub use memory::{TooLarge, per_stream};
pub use model::{Engine, Model, ModelError};
pub use output::{Limits, Output, OutputError, Publication};
pub use prepare::{PrepareError, Prepared, prepare};
pub use preset::Preset;
pub use record::Record;
pub use schema::{Schema, SchemaError, forecaster, resampler};
pub use secret::Warnings;
pub use source::{Decimal, Format, Missing, OneOrMore, Source, Units, Value, ValueOrPath, Values, Word};
pub use sources::{PreparedSource, SourceError};
pub use state::{Durability, State, StateError};
pub use topics::{Topics, TopicsError};
pub use tsm2_stream::Aggregate;
pub use words::known_word;
