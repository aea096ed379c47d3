//! What a state store has of a stream, read when no daemon has it open.

use std::path::Path;

use tsm2_edge::config::{Config, prepare};
use tsm2_edge::state::StateStore;
use tsm2_edge::state::log::{LogOptions, LogStore, Report};

use crate::engine::TestEngine;

/// A stream's counts over all its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Readings accepted.
    pub readings: u64,
    /// Time steps with at least one reading.
    pub rows: u64,
    /// Time steps that bridged gaps.
    pub gap_rows: u64,
}

/// The counts of `streams` in the store of a daemon of this configuration, those of an absent stream being zero.
pub fn counts<S: AsRef<str>>(config: &Path, path: &Path, streams: &[S]) -> Vec<Stored> {
    read(config, path, streams, |report| assert_eq!(report.damaged, 0, "{report:?}"))
}

/// As [`counts`], of a store that may be damaged.
pub fn counts_of_damaged<S: AsRef<str>>(config: &Path, path: &Path, streams: &[S]) -> Vec<Stored> {
    read(config, path, streams, |_| ())
}

/// How many streams a store has.
pub fn streams(path: &Path) -> usize {
    open(path).streams().expect("a readable store").len()
}

fn open(path: &Path) -> LogStore {
    let options = LogOptions {
        retained_entries: 1 << 20,
        verify: true,
    };
    LogStore::open(path, &options, &mut |_| {}).expect("a state store")
}

fn read<S: AsRef<str>>(config: &Path, path: &Path, streams: &[S], check: impl Fn(Report)) -> Vec<Stored> {
    let prepared = prepare(&Config::load(config).expect("a configuration")).expect("a valid configuration");
    let mut engine = TestEngine::new(&prepared);
    let store = open(path);
    check(store.report());
    let counts = |name: &S| {
        let (name, key) = (name.as_ref(), prepared.state_key(name.as_ref()));
        if let Some(stored) = store.load(&key).expect("a readable store") {
            engine.load(name, &stored, &[]);
        }
        engine.counts(name).map_or_else(Stored::default, |counts| Stored {
            readings: counts.readings,
            rows: counts.time_steps,
            gap_rows: counts.bridged_steps,
        })
    };
    streams.iter().map(counts).collect()
}
