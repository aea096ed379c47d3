//! What the operating system asks of the daemon: to end, or to read its configuration again.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT, or the end of the terminal that the daemon writes to.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals since it was made. They do nothing else any more, so ask for the [`Self::next`] one until the end.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen; to be called within a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Signals {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Nothing is lost when the wait is given up.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Asked {
        use std::io::IsTerminal;

        // Where there is no more to come of one of them the others still count.
        tokio::select! {
            Some(()) = self.terminate.recv() => Asked::Stop,
            Some(()) = self.interrupt.recv() => Asked::Stop,
            Some(()) = self.hang_up.recv() => match io::stderr().is_terminal() {
                true => Asked::Stop,
                false => Asked::Reload,
            },
            else => std::future::pending().await,
        }
    }

    /// Waits for the next one.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Asked {
        // Without signals only the end of the process stops it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Asked::Stop
    }
}
