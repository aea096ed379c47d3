//! The command line: names of the commands, and errors as one line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::backtest::Backtest;
use super::clear_session::ClearSession;
use super::discover::Discover;
use super::health::Health;
use super::record::Record;
use super::replay::Replay;
use super::run::Run;
use super::state::State;
#[cfg(feature = "onnx")]
use super::try_graph::TryGraph;
use super::validate::Validate;

/// Forecasts of your sensors, on the device beside them.
#[derive(Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Run),
    Record(Record),
    Validate(Validate),
    Health(Health),
    Replay(Box<Replay>),
    Backtest(Backtest),
    Discover(Box<Discover>),
    ClearSession(ClearSession),
    State(State),
    #[cfg(feature = "onnx")]
    TryGraph(TryGraph),
}

/// The command line as data: manual pages and completions are made from it.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Run(command) => command.run(),
        Command::Record(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Health(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Backtest(command) => command.run(),
        Command::Discover(command) => command.run(),
        Command::ClearSession(command) => command.run(),
        Command::State(command) => command.run(),
        #[cfg(feature = "onnx")]
        Command::TryGraph(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves the exit status.
            let _ = writeln!(io::stderr(), "Error: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line, without causes that the line quotes already.
fn sentence(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes.fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        _ if line.contains(&cause) => line,
        _ => format!("{line}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{command, sentence};
    use anyhow::anyhow;

    #[test]
    fn an_error_is_one_line_with_each_cause_once() {
        let error = anyhow!("no space left")
            .context("cannot write a.csv")
            .context("cannot write a.csv: no space left");
        assert_eq!(sentence(&error), "cannot write a.csv: no space left");
        let error = anyhow!("no space left").context("cannot write a.csv");
        assert_eq!(sentence(&error), "cannot write a.csv: no space left");
    }

    #[test]
    fn every_command_has_an_example() {
        let command_line = command();
        command_line.clone().debug_assert();
        for command in command_line.get_subcommands() {
            let mut command = command.clone();
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
        }
    }
}
