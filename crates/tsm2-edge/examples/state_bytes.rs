//! Bytes that the state store writes in a day, as the kernel counts them, and how fast it opens.
//!
//! `cargo run --release -p tsm2-edge --example state_bytes -- --folder /var/tmp/state-bytes`
//!
//! Each stream gets an entry a minute. The entries of a minute are written by `--commits` commits.
//! Every `--checkpoint-every` entries a stream gets a checkpoint, another minute for each stream.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StreamUpdate};

/// Measures the state store on the disk of a folder.
#[derive(Parser)]
struct Arguments {
    /// A folder that does not exist yet, on the disk to measure
    #[arg(long)]
    folder: PathBuf,
    /// Numbers of streams, by comma
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    streams: Vec<usize>,
    /// Days
    #[arg(long, default_value_t = 1)]
    days: usize,
    /// Bytes of an entry
    #[arg(long, default_value_t = 60)]
    entry: usize,
    /// Bytes of a checkpoint
    #[arg(long, default_value_t = 108_000)]
    checkpoint: usize,
    /// Entries of a stream between two checkpoints
    #[arg(long, default_value_t = 360)]
    checkpoint_every: usize,
    /// Commits for the entries of a minute
    #[arg(long, default_value_t = 1)]
    commits: usize,
    /// Entries kept of each stream
    #[arg(long, default_value_t = 512)]
    retained: usize,
    /// Streams of the store that is opened
    #[arg(long, default_value_t = 1000)]
    open: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    println!("| streams | days | written a day | largest size on disk | memory of the process | seconds |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for &streams in &arguments.streams {
        let store = open(&arguments)?;
        let (begun, before) = (Instant::now(), written_bytes()?);
        let largest = fill(&store, &arguments, streams, 24 * 60 * arguments.days)?;
        let memory = resident_bytes()? as f64 / 1e6;
        drop(store);
        let written = (written_bytes()? - before) as f64 / arguments.days as f64;
        let (written, largest) = (written / 1e6, largest as f64 / 1e6);
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "| {streams} | {} | {written:.2} MB | {largest:.1} MB | {memory:.0} MB | {seconds:.1} |",
            arguments.days
        );
        std::fs::remove_dir_all(&arguments.folder)?;
    }
    let store = open(&arguments)?;
    fill(&store, &arguments, arguments.open, 2 * arguments.retained)?;
    drop(store);
    for (what, verify) in [("footers", false), ("every record checked", true)] {
        let begun = Instant::now();
        let options = LogOptions {
            verify,
            ..options(&arguments)
        };
        let store = LogStore::open(&arguments.folder, &options, &mut |_| {})?;
        let seconds = begun.elapsed().as_secs_f64();
        let (megabytes, memory) = (store.disk_bytes() as f64 / 1e6, resident_bytes()? as f64 / 1e6);
        println!(
            "\nopen, {what}: {seconds:.2} s for {} streams in {megabytes:.0} MB, {memory:.0} MB of memory in use",
            arguments.open
        );
        let begun = Instant::now();
        let mut entries = 0;
        for info in store.streams()? {
            entries += store.load(&info.name)?.map_or(0, |stored| stored.tail.len());
        }
        println!(
            "load all streams: {:.2} s, {entries} entries in the tails",
            begun.elapsed().as_secs_f64()
        );
    }
    std::fs::remove_dir_all(&arguments.folder)?;
    Ok(())
}

fn options(arguments: &Arguments) -> LogOptions {
    LogOptions {
        retained_entries: arguments.retained,
        verify: false,
    }
}

fn open(arguments: &Arguments) -> anyhow::Result<LogStore> {
    let folder: &Path = &arguments.folder;
    anyhow::ensure!(!folder.exists(), "{} exists: name a new folder", folder.display());
    Ok(LogStore::open(folder, &options(arguments), &mut |_| {})?)
}

/// Writes an entry a minute and stream. Returns the largest size of the log.
fn fill(store: &LogStore, arguments: &Arguments, streams: usize, minutes: usize) -> anyhow::Result<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut noise = |length: usize| {
        let mut bytes = vec![0; length];
        random.fill_bytes(&mut bytes);
        bytes
    };
    let mut largest = 0;
    for minute in 0..minutes {
        for part in 0..arguments.commits.min(streams) {
            let mut batch = Batch::default();
            for stream in (part..streams).step_by(arguments.commits) {
                let spread = stream * arguments.checkpoint_every / streams;
                let is_due = (minute + spread).is_multiple_of(arguments.checkpoint_every);
                let update = StreamUpdate {
                    entries: vec![noise(arguments.entry)],
                    checkpoint: is_due.then(|| noise(arguments.checkpoint)),
                };
                batch.streams.insert(format!("building-{stream:04}/0123abcd"), update);
            }
            store.commit(&batch)?;
        }
        largest = largest.max(store.disk_bytes());
    }
    Ok(largest)
}

/// `write_bytes` of this process: what it caused to be sent to the disk.
fn written_bytes() -> anyhow::Result<u64> {
    number("/proc/self/io", "write_bytes: ")
}

fn resident_bytes() -> anyhow::Result<u64> {
    Ok(number("/proc/self/status", "VmRSS:")? * 1024)
}

fn number(path: &str, key: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}: Linux only"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let number = line.trim().split(' ').next().unwrap_or_default();
    number.parse().with_context(|| format!("{path} has no {key}"))
}
