//! Patience: how a thread of the daemon waits. Every wait sends heartbeats, and ends at the latest when
//! the time to stop is over.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::observe::Heartbeat;
use crate::runtime::stop::StopSignal;

/// See the module's description.
pub(crate) struct Patience {
    pub(crate) stop: StopSignal,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) runtime: Handle,
}

/// The time to stop is over: what is not finished is dropped unacknowledged.
#[derive(Debug)]
pub(crate) struct Cut;

impl Patience {
    /// Sends a heartbeat.
    pub(crate) fn beat(&self) {
        self.heartbeat.beat();
    }

    /// Whether the time to stop is over.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_over()
    }

    /// Waits for `work`.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Cut> {
        let done = self.runtime.block_on(self.heartbeat.while_waiting(self.stop.or_over(work)));
        done.ok_or(Cut)
    }

    /// Waits so long.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Cut> {
        self.wait(async { tokio::time::sleep(time).await })
    }
}
