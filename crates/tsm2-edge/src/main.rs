//! `tsm2-edge`, the command line of the daemon. One module per command under `commands`; this file only names and dispatches them.

mod commands;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Forecasts of your sensors, on the device beside them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(commands::run::Run),
    Validate(commands::validate::Validate),
    Replay(commands::replay::Replay),
    Backtest(commands::backtest::Backtest),
    Demo(commands::demo::Demo),
    Simulate(commands::simulate::Simulate),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Backtest(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Simulate(command) => command.run(),
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
