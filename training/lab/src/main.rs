//! `tsm2-lab`, the command line of the research.

use std::process::ExitCode;

use clap::Parser;
use tsm2_lab::cli::Lab;
use tsm2_train::cli::common;

fn main() -> ExitCode {
    common::main(|out| Lab::parse().run(out))
}
