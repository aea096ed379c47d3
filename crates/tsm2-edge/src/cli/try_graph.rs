//! `tsm2-edge try-graph`: opens a graph and runs one time step. The daemon has each graph tried before it opens it.
//!
//! The runtime of graphs was not written for those of an attacker: some end the process by a signal or for want of memory,
//! and some keep it busy for days. In a process of its own all of that is one error.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::model::GraphModel;

/// The command.
const NAME: &str = "try-graph";
/// Longest time of a trial, in seconds.
const MAX_SECONDS: u64 = 60;
/// Most bytes of addresses of the process: a graph's values, in each of the runtime's forms of them.
#[cfg(unix)]
const MAX_BYTES: u64 = 4 << 30;
/// How the process ends after its time.
const TOO_SLOW: i32 = 3;

/// Open an ONNX graph and run one time step, within limits of memory and time
#[derive(Args)]
#[command(name = NAME, hide = true, after_long_help = "Example:
  tsm2-edge try-graph model.onnx 60")]
pub(super) struct TryGraph {
    /// The graph
    graph: PathBuf,
    /// The longest time, in seconds
    seconds: u64,
}

impl TryGraph {
    pub(super) fn run(self) -> anyhow::Result<()> {
        limit_memory().context("cannot limit the memory of the trial")?;
        end_with_time_or_daemon(Duration::from_secs(self.seconds)).context("cannot start the threads of the trial")?;
        GraphModel::open(&self.graph)?;
        Ok(())
    }
}

/// Ends this process after so long, and when the one that started it has ended and so has closed its standard input.
fn end_with_time_or_daemon(time: Duration) -> io::Result<()> {
    thread::Builder::new().spawn(move || {
        thread::sleep(time);
        exit(TOO_SLOW);
    })?;
    thread::Builder::new().spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        exit(TOO_SLOW);
    })?;
    Ok(())
}

#[cfg(unix)]
fn limit_memory() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    for (resource, most) in [(Resource::As, MAX_BYTES), (Resource::Core, 0)] {
        // A limit of its own may be lower already, and cannot be raised.
        let most = getrlimit(resource).maximum.map_or(most, |own| own.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    // Where the memory of the machine or of its group ends, Linux ends this process and not the daemon.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

#[cfg(not(unix))]
fn limit_memory() -> io::Result<()> {
    Ok(())
}

/// Tries a graph in a process of its own.
///
/// # Errors
/// What is wrong with the graph, or how that process ended.
pub(super) fn tried(graph: &Path) -> anyhow::Result<()> {
    // This program, also where its file was replaced since its start.
    let program = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().context("cannot find this program")?,
    };
    let file = graph.display();
    let mut command = Command::new(&program);
    // A name may begin with a dash.
    command.args([NAME, "--"]).arg(graph).arg(MAX_SECONDS.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = command.spawn();
    let mut process = started.with_context(|| format!("{file}: cannot start {}, which tries the graph", program.display()))?;
    let _open_until_its_end = process.stdin.take();
    let output = process.wait_with_output()?;
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) => {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}", error.trim().trim_start_matches("Error: "))
        }
        Some(TOO_SLOW) => {
            bail!("{file}: reading the graph and running one time step takes more than {MAX_SECONDS} s; export a smaller model")
        }
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.trim().lines().next().map_or(String::new(), |line| format!(": {line}"));
            bail!(
                "{file}: the graph ends the program that runs it ({}{why}); export the model in another way, or a smaller one",
                output.status
            )
        }
    }
}
