//! Shared by the end-to-end tests: bundles, the daemon as a process, sites, certificates, a browser.
//!
//! Everything lives in a temporary folder and on free ports of this machine. Dropping a daemon ends
//! its process.

pub mod browser;
pub mod bundle;
pub mod cases;
pub mod data;
#[cfg(target_os = "linux")]
pub mod device;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod home_assistant;
pub mod http;
pub mod process;
pub mod promtool;
pub mod recording;
pub mod site;
pub mod stored;
pub mod test_ca;
pub mod tutorial;
