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
pub mod subject;
pub mod train;

use std::io::Write;

use clap::{Parser, Subcommand};

/// Train small forecasting models on your own recordings and compare them with simple baselines.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Tsm2 {
    #[command(subcommand)]
    command: Command,
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
}

impl Tsm2 {
    /// Runs the command.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
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
        }
    }
}
