//! `tsm2-edge state`: looks at the stored state, lets a stream begin anew, removes a stream.

mod change;
mod export;
mod look;
mod opened;

use clap::{Args, Subcommand};

use change::{Forget, Reset};
use export::Export;
use look::{List, Show};

/// Look at the stored state, let a stream begin anew, or remove a stream
///
/// The daemon must be stopped.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge state list tsm2-edge.toml
  tsm2-edge state show tsm2-edge.toml boiler
  tsm2-edge state export tsm2-edge.toml boiler --output boiler.csv
  tsm2-edge state reset tsm2-edge.toml boiler
  tsm2-edge state forget tsm2-edge.toml boiler --yes
  tsm2-edge state forget tsm2-edge.toml --unserved")]
pub(super) struct State {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All stored streams, and damage
    List(List),
    /// One stream: its checkpoint and its newest entries
    Show(Show),
    /// Write the stored readings as a recording, to train on
    Export(Export),
    /// Let streams begin anew: the next start has no state of them. The readings so far stay
    /// stored, for the warm-up of another model
    Reset(Reset),
    /// Remove streams: their state, their readings, and their retained messages at the broker
    Forget(Forget),
}

impl State {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.task {
            Task::List(task) => task.run(),
            Task::Show(task) => task.run(),
            Task::Export(task) => task.run(),
            Task::Reset(task) => task.run(),
            Task::Forget(task) => task.run(),
        }
    }
}
