//! How fast the daemon starts with many stored streams, and how fast it replays their logs.
//!
//! Each stream has a checkpoint and a tail of log entries behind it, as after a power cut. A stream is
//! replayed when its first reading comes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use tsm2_e2e::engine::TestEngine;
use tsm2_edge::config::{Config, prepare};
use tsm2_edge::runtime::record::Entry;
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StreamUpdate};

use crate::fleet::time_s;
use crate::minutes::{Minutes, stream};
use crate::table::Row;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Start {
    /// The bundle.
    pub model: PathBuf,
    /// Numbers of streams.
    pub streams: Vec<usize>,
    /// Log entries behind the checkpoint of each stream, one a minute.
    pub tail: u64,
}

/// The figures of a number of streams.
#[derive(Debug, Clone)]
pub struct Started {
    streams: usize,
    tail: u64,
    /// Size of the state on disk.
    stored: u64,
    /// From the start of the process until it is online.
    start: Duration,
    /// From then on until the first forecast of every stream.
    replay: Duration,
}

impl Row for Started {
    const COLUMNS: &'static [&'static str] = &[
        "streams",
        "rows to replay, each",
        "state on disk, MB",
        "start, s",
        "first forecasts of all, s",
        "rows replayed/s",
    ];

    fn cells(&self) -> Vec<String> {
        // The row that brings the stream back is a step too.
        let rows = self.streams as f64 * (self.tail + 1) as f64;
        vec![
            self.streams.to_string(),
            self.tail.to_string(),
            format!("{:.1}", self.stored as f64 / 1e6),
            format!("{:.2}", self.start.as_secs_f64()),
            format!("{:.2}", self.replay.as_secs_f64()),
            format!("{:.0}", rows / self.replay.as_secs_f64()),
        ]
    }
}

impl Start {
    /// Measures each number of streams.
    ///
    /// # Errors
    /// Mosquitto is not installed, the bundle cannot be read, or the daemon does not go on.
    pub fn run(&self) -> anyhow::Result<Vec<Started>> {
        self.streams.iter().map(|streams| self.row(*streams)).collect()
    }

    fn row(&self, streams: usize) -> anyhow::Result<Started> {
        let mut site = Minutes::new(&self.model, streams)?;
        self.fill(&site, streams)?;
        site.begin_at(self.tail + 1);
        let begun = Instant::now();
        let daemon = site.start()?;
        let start = begun.elapsed();
        site.minute()?;
        let replay = begun.elapsed() - start;
        daemon.terminate();
        Ok(Started {
            streams,
            tail: self.tail,
            stored: site.state_bytes()?,
            start,
            replay,
        })
    }

    /// Writes the state of a daemon that has had a reading of each stream before its checkpoint, and `tail` after it.
    fn fill(&self, site: &Minutes, streams: usize) -> anyhow::Result<()> {
        let prepared = prepare(&Config::load(&site.config())?)?;
        let variates = prepared.bundle.meta().variates.len() as u32;
        let values = |minute: u64| (0..variates).map(move |variate| (variate, 20.0 + ((minute + u64::from(variate)) % 7) as f32));
        let fields = prepared.bundle.meta().variates.iter().zip(values(0));
        let fields: Vec<String> = fields
            .map(|(variate, (_, value))| format!("\"{}\":{value}", variate.name))
            .collect();
        let payload = format!("{{\"t\":{},{}}}", time_s(0), fields.join(","));
        let mut engine = TestEngine::new(&prepared);
        engine.take("s/any", payload.as_bytes(), false, 0, |_| 0);
        let checkpoint = engine.checkpoint("any").context("the first reading begins a stream")?;
        let options = LogOptions {
            retained_entries: 1 << 20,
            verify: false,
        };
        let store = LogStore::open(&site.state(), &options, &mut |_| {})?;
        for number in 0..streams {
            let entry = |minute| {
                let time_ms = 1000 * time_s(minute);
                let values = values(minute).collect();
                Entry::Readings { time_ms, values }.encode()
            };
            let covered = StreamUpdate {
                entries: Vec::new(),
                checkpoint: Some(checkpoint.clone()),
            };
            let tail = StreamUpdate {
                entries: (1..=self.tail).map(entry).collect(),
                checkpoint: None,
            };
            for update in [covered, tail] {
                store.commit(&Batch {
                    streams: BTreeMap::from([(prepared.state_key(&stream(number)), update)]),
                })?;
            }
        }
        Ok(())
    }
}
