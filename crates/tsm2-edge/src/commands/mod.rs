//! The commands of `tsm2-edge`: arguments in, library calls, text out.

pub mod backtest;
pub mod demo;
pub mod log;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod validate;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use tokio::runtime::Runtime;
use tsm2_edge::signals::Signals;

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

/// Resolves at the first signal that ends a command; to be called within the runtime.
pub fn end_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.next().await;
    })
}
