//! The commands of `tsm2`, a module each.

pub mod common;
pub mod compare;
pub mod deploy;
pub mod describe;
pub mod evaluate;
pub mod export;
pub mod forecast;
pub mod import;
pub mod inspect;
pub mod lines;
pub mod measure;
pub mod progress;
pub mod reading;
pub mod report;
pub mod shell;
pub mod subject;
pub mod train;

use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};

/// Train small forecasting models on your own recordings and compare them with simple baselines.
#[derive(Parser)]
#[command(name = "tsm2", version, about, arg_required_else_help = true)]
pub struct Tsm2 {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    progress: progress::ProgressArgs,
}

#[derive(Subcommand)]
enum Command {
    Describe(describe::Describe),
    Import(import::Import),
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Report(report::Report),
    Compare(compare::Compare),
    Forecast(forecast::Forecast),
    Inspect(inspect::Inspect),
    Export(export::Export),
    Deploy(deploy::Deploy),
    Completions(shell::Completions),
    Manual(shell::Manual),
}

impl Tsm2 {
    /// Runs the command.
    pub fn run(self, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
        self.progress.apply();
        match self.command {
            Command::Describe(command) => command.run(out),
            Command::Import(command) => command.run(out),
            Command::Train(command) => command.run(out),
            Command::Evaluate(command) => command.run(out),
            Command::Report(command) => command.run(out),
            Command::Compare(command) => command.run(out),
            Command::Forecast(command) => command.run(out),
            Command::Inspect(command) => command.run(out),
            Command::Export(command) => command.run(out),
            Command::Deploy(command) => command.run(out),
            Command::Completions(command) => command.run(Self::command(), out),
            Command::Manual(command) => command.run(Self::command(), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_command(command: &clap::Command, check: &mut impl FnMut(&clap::Command)) {
        command.get_subcommands().for_each(|command| {
            check(command);
            every_command(command, check);
        });
    }

    #[test]
    fn every_command_has_an_example_or_commands_of_its_own_that_have() {
        let command_line = Tsm2::command();
        command_line.clone().debug_assert();
        every_command(&command_line, &mut |command| {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example") || command.has_subcommands(), "{help}");
        });
    }
}
