//! The TSM2 Edge daemon: readings arrive over MQTT, forecasts leave over MQTT.
//!
//! `MQTT payload -> codec -> readings -> rows on the grid -> the model's step -> forecasts -> publisher`, in one direction:
//! [`config`] says what to do, [`service`] checks that it can be done, [`engine`] does it for one message, [`daemon`] puts an engine per core
//! between the two ends of a session, [`store`] keeps a [`snapshot`] of every stream; [`vitals`] are how all of it is, and [`http`] and
//! [`notify`] show them. [`replay`] plays a file as sensors would; [`simulator`] and [`broker`] are for the demo and for tests.

mod ahead;
pub mod backtest;
pub mod broker;
mod cluster;
mod committer;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod engine;
mod fair;
pub mod http;
pub mod notify;
mod pipeline;
pub mod prior;
mod published;
pub mod replay;
pub mod report;
mod retained;
pub mod service;
mod shard;
pub mod shelf;
pub mod signals;
pub mod simulator;
pub mod snapshot;
pub mod store;
pub mod supervise;
pub mod table;
pub mod vitals;
