//! The TSM2 Edge daemon: readings arrive over MQTT, forecasts leave over MQTT.
//!
//! | folder | task |
//! |---|---|
//! | [`config`] | reads the configuration, checks it and opens what it names |
//! | [`model`] | the model: a bundle's, or an ONNX graph |
//! | [`runtime`] | messages in, forecasts out: router, worker, writer; start, stop, reload |
//! | [`state`] | keeps the state of every stream |
//! | [`observe`] | metrics, health, HTTP, log |
//! | [`cli`] | the commands of `tsm2-edge` |

pub mod cli;
pub mod config;
pub mod model;
pub mod observe;
pub mod page;
pub mod runtime;
pub mod state;
