//! `tsm2`, the workstation's command line.
//!
//! Results go to stdout, everything else to stderr. An error is one line and exit code 1; wrong usage is exit code 2.

use std::process::ExitCode;

use clap::Parser;
use tsm2_train::cli::{Tsm2, common};

fn main() -> ExitCode {
    common::main(|out| Tsm2::parse().run(out))
}
