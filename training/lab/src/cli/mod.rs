//! The commands of `tsm2-lab`.

pub mod ablate;
pub mod bench;
pub mod paper;
pub mod robustness;
mod trainings;
pub mod transfer;

use std::io::Write;

use clap::{Parser, Subcommand};
use tsm2_train::cli::progress::ProgressArgs;

/// Research on TSM2: the paper's tables, ablations, and robustness studies.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Lab {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    progress: ProgressArgs,
}

#[derive(Subcommand)]
enum Command {
    Paper(paper::Paper),
    Ablate(ablate::Ablate),
    Bench(bench::Bench),
    Missing(robustness::Missing),
    Gap(robustness::Gap),
    ColdStart(robustness::ColdStart),
    Transfer(transfer::Transfer),
}

impl Lab {
    /// Runs the command.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        self.progress.apply();
        match self.command {
            Command::Paper(command) => command.run(out),
            Command::Ablate(command) => command.run(out),
            Command::Bench(command) => command.run(out),
            Command::Missing(command) => command.run(out),
            Command::Gap(command) => command.run(out),
            Command::ColdStart(command) => command.run(out),
            Command::Transfer(command) => command.run(out),
        }
    }
}
