//! The commands of `tsm2-edge`: arguments in, library calls, text out.

pub mod backtest;
pub mod replay;
pub mod run;
pub mod validate;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::runtime::signals::Signals;
use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

/// Forecasts of your sensors, on the device beside them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Validate(validate::Validate),
    Replay(replay::Replay),
    Backtest(backtest::Backtest),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Backtest(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it the exit status tells.
            let _ = writeln!(std::io::stderr(), "Error: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line. Typed errors already quote the cause that matters, so what was said is not said again.
fn sentence(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |said, cause| match said.as_str() {
            "" => cause,
            _ if said.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        })
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

/// Resolves at the first signal that ends a command; to be called within the runtime.
pub fn end_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.next().await;
    })
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use anyhow::anyhow;

    #[test]
    fn an_error_is_one_sentence_that_says_each_cause_once() {
        let error = anyhow!("no space left")
            .context("cannot write a.csv")
            .context("cannot write a.csv: no space left");
        assert_eq!(sentence(&error), "cannot write a.csv: no space left");
        let error = anyhow!("no space left").context("cannot write a.csv");
        assert_eq!(sentence(&error), "cannot write a.csv: no space left");
    }
}
