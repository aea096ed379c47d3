//! What the daemon shows of itself: metrics, health, HTTP, log.

pub mod http;
pub mod log;
pub mod notify;
pub mod vitals;
