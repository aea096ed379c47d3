//! The commands of `tsm2-edge`: arguments in, library calls, text out.

pub mod demo;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod validate;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::Context;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

/// Events as key=value lines on standard error; `RUST_LOG` chooses which, those of `level` and above unless it says
/// otherwise. A log that nobody takes any more ends nothing.
pub fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},rumqttc=off")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false) // they would be printed to the same place, and panic
        .init();
}

/// Prints lines to standard output.
pub fn print(lines: impl Display) -> anyhow::Result<()> {
    printed(writeln!(io::stdout(), "{lines}"))
}

/// What comes of printing to standard output: a reader that has seen enough (`| head`) is no error.
pub fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// The runtime of a command that talks to a broker.
pub fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Resolves at the first SIGINT or SIGTERM; to be called within the runtime.
pub fn end_signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Without signals only the end of the process stops it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
