//! `endurance`: the fault suite, the soak and the load test as commands.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use tsm2_endurance::faults::{Fault, Scale};
use tsm2_endurance::table;

/// The daemon under faults, under load and for a long time.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every fault, one after the other, against mosquitto; fails when a reading is lost or counts twice
    Faults(Faults),
}

#[derive(clap::Args)]
struct Faults {
    /// Seed of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the daemon is killed
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Only these faults, by comma
    #[arg(long, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Also write the table there
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Faults {
    async fn run(self) -> anyhow::Result<()> {
        let scale = Scale::full(self.seed, self.kills);
        let faults = if self.only.is_empty() {
            Fault::value_variants()
        } else {
            &self.only[..]
        };
        let mut verdicts = Vec::new();
        for fault in faults {
            let begun = std::time::Instant::now();
            let verdict = fault.run(&scale).await;
            eprintln!(
                "{}: {} after {:.0} s",
                verdict.fault,
                if verdict.holds() { "holds" } else { "DOES NOT HOLD" },
                begun.elapsed().as_secs_f64()
            );
            verdicts.push(verdict);
        }
        println!("{}\n\n{}", table::markdown(&verdicts), table::notes(&verdicts));
        if let Some(path) = self.csv {
            table::write_csv(&path, &verdicts)?;
        }
        if !verdicts.iter().all(|verdict| verdict.holds()) {
            bail!("something was lost, counted twice or forecast wrong");
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Command::Faults(faults) = Arguments::parse().command;
    runtime.block_on(faults.run())
}
