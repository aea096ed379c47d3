//! `tsm2-demo`, the command line of the demo.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watch live forecasts of a simulated building, with an MQTT broker and the daemon in one program.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    demo: cli::demo::Demo,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Simulate(cli::simulate::Simulate),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => cli.demo.run(),
        Some(Command::Simulate(command)) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The exit status stays when nobody reads standard error.
            let _ = writeln!(io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
