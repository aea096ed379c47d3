//! What the end-to-end tests share: brokers, bundles, the daemon as a process, and a client that watches.
//!
//! Invariants: everything lives in a temporary folder and on free ports of this machine; dropping a broker or a daemon ends its process.

pub mod authority;
pub mod broker;
pub mod bundle;
pub mod data;
pub mod peer;
pub mod process;
pub mod recording;
pub mod site;
pub mod stored;
pub mod watcher;

use std::time::Duration;

/// How long an event may take on a loaded machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);
