//! The daemon's engine without broker, clock and store.

use tsm2_edge::config::Prepared;
use tsm2_edge::observe::{Metrics, Summary};
use tsm2_edge::runtime::engine::Counts;
use tsm2_edge::runtime::engine::{Accepted, Engine, Input, Step};
use tsm2_edge::state::Stored;

/// An engine and what stands before it in the daemon: the router's address of a topic.
pub struct TestEngine<'s> {
    prepared: &'s Prepared,
    engine: Engine<'s>,
    metrics: Metrics,
    log: Vec<Vec<u8>>,
}

impl<'s> TestEngine<'s> {
    /// An engine without streams.
    pub fn new(prepared: &'s Prepared) -> Self {
        let metrics = Metrics::new();
        TestEngine {
            prepared,
            engine: Engine::new(prepared, metrics.input.clone()),
            metrics,
            log: Vec::new(),
        }
    }

    /// Takes one message; `on` says how many forecasts of a time step it counts. Returns how many readings were accepted.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, arrival_ms: i64, mut on: impl FnMut(Step<'_>) -> u64) -> u64 {
        let address = match self.prepared.topics.parse(topic) {
            Ok(address) => address,
            Err(error) => {
                self.metrics.input.messages.inc();
                self.metrics.input.rejected(error.reason()).inc();
                return 0;
            }
        };
        let input = Input {
            topic,
            address: &address,
            payload,
            retained,
            arrival_ms,
        };
        let forecasts = self.metrics.input.forecasts.clone();
        match self.engine.take(&input, |step| forecasts.inc_by(on(step))) {
            Some(Accepted { entries, readings }) => {
                self.log.extend(entries.iter().map(|entry| entry.encode()));
                readings
            }
            None => 0,
        }
    }

    /// What was done so far.
    pub fn summary(&self) -> Summary {
        self.metrics.input.summary(self.engine.len() as u64)
    }

    /// What a stream's resampler has counted.
    pub fn counts(&self, stream: &str) -> Option<Counts> {
        self.engine.counts(stream)
    }

    /// The checkpoint of a stream in memory.
    pub fn checkpoint(&mut self, stream: &str) -> Option<Vec<u8>> {
        self.engine.checkpoint(stream)
    }

    /// The log entries so far, of all streams.
    pub fn log(&self) -> &[Vec<u8>] {
        &self.log
    }

    /// Brings a stored stream into memory; `history` warms up another model.
    pub fn load(&mut self, stream: &str, stored: &Stored, history: &[Vec<u8>]) {
        self.engine.load(stream, stored, 0, || history.to_vec(), || {});
    }
}
