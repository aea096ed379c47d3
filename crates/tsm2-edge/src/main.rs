//! `tsm2-edge`, the command line of the daemon. One module per command under `commands`; this file only names and dispatches them.

mod commands;

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
    Simulate(commands::simulate::Simulate),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Simulate(command) => command.run(),
    }
}
