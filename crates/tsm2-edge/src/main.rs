//! `tsm2-edge`, the command line of the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    tsm2_edge::cli::main()
}
