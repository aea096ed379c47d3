//! The TSM2 Edge daemon: readings arrive over MQTT, forecasts leave over MQTT.

pub mod broker;
pub mod simulator;
