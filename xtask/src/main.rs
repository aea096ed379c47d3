//! `cargo xtask`: the project's own build steps.

use std::process::ExitCode;

use clap::Parser;

mod binary;
mod budget;
mod container;
mod deb;
mod dist;
mod package;
mod target;

/// Build steps of TSM2 Edge.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    Dist(dist::Dist),
}

fn main() -> ExitCode {
    let Xtask::Dist(dist) = Xtask::parse();
    match dist.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
