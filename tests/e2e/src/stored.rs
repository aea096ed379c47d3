//! What a state file says of a stream, read when no daemon has it.

use std::path::Path;

use tsm2_edge::config::Config;
use tsm2_edge::config::service::Service;
use tsm2_edge::runtime::engine::Engine;
use tsm2_edge::state::shelf::Rows;
use tsm2_edge::state::store::Store;

/// A stream's counts over all its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Readings taken.
    pub readings: u64,
    /// Rows with at least one reading.
    pub rows: u64,
    /// Rows that bridged gaps.
    pub gap_rows: u64,
}

/// The counts of `streams` in the file of a daemon of this configuration, those of an absent stream being zero.
pub fn counts<S: AsRef<str>>(config: &Path, file: &Path, streams: &[S]) -> Vec<Stored> {
    let service = Service::prepare(&Config::load(config).expect("a configuration")).expect("a service");
    let mut engine = Engine::new(&service);
    let store = Store::open(file, 0).expect("a state file");
    store
        .each(|name, snapshot| engine.restore(name, snapshot, Rows::default).expect("a snapshot of this model"))
        .expect("a readable file");
    let counts = |name: &S| {
        engine.counts(name.as_ref()).map_or_else(Stored::default, |counts| Stored {
            readings: counts.readings,
            rows: counts.time_steps,
            gap_rows: counts.bridged_steps,
        })
    };
    streams.iter().map(counts).collect()
}
