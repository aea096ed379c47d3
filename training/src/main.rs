//! `tsm2`, the workstation's command line. One module per command under `cli`; this file only names and dispatches them.
//!
//! Results go to stdout, everything else to stderr. An error is one line and exit code 1; wrong usage is exit code 2.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train small forecasting models on your own recordings, and see honestly what they are worth.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Tsm2 {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(cli::train::Train),
    Evaluate(cli::evaluate::Evaluate),
    Forecast(cli::forecast::Forecast),
    Inspect(cli::inspect::Inspect),
    Robustness(cli::robustness::Robustness),
    Ablate(cli::ablate::Ablate),
    Paper(cli::paper::Paper),
}

/// candle spreads its elementwise operations over a pool of spinning threads, which fight with the trainer's own two; only this variable
/// turns the pool off.
#[expect(
    unsafe_code,
    reason = "no other thread exists yet that could read the environment: this is called first in main"
)]
fn one_thread_for_candle() {
    const THREADS: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(THREADS).is_none() {
        // SAFETY: see the reason above.
        unsafe { std::env::set_var(THREADS, "1") };
    }
}

fn main() -> ExitCode {
    one_thread_for_candle();
    let command = Tsm2::parse().command;
    let mut out = io::stdout().lock();
    let done = match command {
        Command::Train(command) => command.run(&mut out),
        Command::Evaluate(command) => command.run(&mut out),
        Command::Forecast(command) => command.run(&mut out),
        Command::Inspect(command) => command.run(&mut out),
        Command::Robustness(command) => command.run(&mut out),
        Command::Ablate(command) => command.run(&mut out),
        Command::Paper(command) => command.run(&mut out),
    };
    let done = done.and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // The messages of the libraries are whole sentences that already name their cause.
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}
