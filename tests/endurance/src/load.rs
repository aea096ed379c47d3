//! The load test: how many readings per second one core takes without a loss, and how long a forecast takes.
//!
//! Open loop: readings are published when they are due, whether or not the last were answered, and every delay counts from the moment at which
//! a reading was due. Each reading closes a row, so each has a forecast; a rate is sustained when all of them have come within a moment after
//! the last reading. At higher rates a newer forecast may replace one that waits; readings are never lost. The daemon has one core, broker and
//! sensors have the others.

use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tsm2_e2e::process::{Running, edge};

use crate::fleet::{Fleet, payload, source};
use crate::table::Row;
use tsm2_mqtt_testkit::load_client::{Listener, Sender};

/// How long a backlog may take after a rate that was too high.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often the interval between a rate that holds and one that does not is halved.
const HALVINGS: u32 = 3;

/// What to try.
#[derive(Debug, Clone)]
pub struct Load {
    /// Numbers of streams.
    pub streams: Vec<usize>,
    /// Length of a trial.
    pub trial: Duration,
    /// The first and the highest rate, readings per second.
    pub rates: (f64, f64),
    /// How long after the last reading the last forecast may come.
    pub drained: Duration,
}

/// The highest rate found for a number of streams.
#[derive(Debug, Clone)]
pub struct Rate {
    /// Streams.
    pub streams: usize,
    /// Readings per second.
    pub rate: f64,
    /// Readings of that trial.
    pub readings: usize,
    /// Milliseconds from when a reading was due to its forecast: half of all, 99 of 100, all.
    pub delay_ms: [f64; 3],
    /// Readings of all trials, and those that the daemon's state has at the end.
    pub total: (u64, u64),
    /// Forecasts that never came, at rates that are too high: without a connection a newer forecast of
    /// a variate replaces one that waits.
    pub missing: u64,
}

impl Row for Rate {
    const COLUMNS: &'static [&'static str] = &[
        "streams",
        "readings/s",
        "delay p50, ms",
        "p99",
        "longest",
        "readings of that trial",
        "readings of all trials",
        "lost",
        "twice",
        "forecasts replaced by newer ones",
    ];

    fn cells(&self) -> Vec<String> {
        let (sent, consumed) = self.total;
        let mut cells = vec![self.streams.to_string(), format!("{:.0}", self.rate)];
        cells.extend(self.delay_ms.map(|delay| format!("{delay:.1}")));
        cells.extend([
            self.readings.to_string(),
            sent.to_string(),
            sent.saturating_sub(consumed).to_string(),
            consumed.saturating_sub(sent).to_string(),
            self.missing.to_string(),
        ]);
        cells
    }
}

impl Load {
    /// Runs all trials.
    ///
    /// # Errors
    /// When the processors cannot be told apart, or broker or daemon do not go on.
    pub fn run(&self, mut on: impl FnMut(&str)) -> anyhow::Result<Vec<Rate>> {
        keep_off_the_first_core()?;
        self.streams.iter().map(|&streams| self.row(streams, &mut on)).collect()
    }

    fn row(&self, streams: usize, on: &mut impl FnMut(&str)) -> anyhow::Result<Rate> {
        let mut bed = LoadBed::start(streams, |arguments| Running::start_on_one_core(edge(), arguments), "")?;
        // New streams cost more than known ones.
        bed.trial(1000.0, Duration::from_secs_f64(streams as f64 / 1000.0), self.drained)?;
        let (mut low, mut high, mut best) = (0.0, f64::INFINITY, None);
        let ((mut rate, highest), mut halvings) = (self.rates, 0);
        while halvings < HALVINGS && rate <= highest {
            let delays = bed.trial(rate, self.trial, self.drained)?;
            on(&format!(
                "{streams} streams, {rate:.0} readings/s: {}",
                if delays.is_some() { "sustained" } else { "too many" }
            ));
            match delays {
                Some(delays) => {
                    low = rate;
                    best = Some((rate, delays));
                }
                None => high = rate,
            }
            if high.is_finite() {
                halvings += 1;
                rate = (low + high) / 2.0;
            } else {
                rate *= 2.0;
            }
        }
        let (rate, delays) = best.context("not even the first rate is sustained")?;
        let at = |part: f64| f64::from(delays[((delays.len() - 1) as f64 * part) as usize]) / 1000.0;
        Ok(Rate {
            streams,
            rate,
            readings: delays.len(),
            delay_ms: [at(0.5), at(0.99), at(1.0)],
            missing: bed.missing,
            total: bed.end(),
        })
    }
}

/// Keeps this process, and those that it starts, off the first core, which is the daemon's.
///
/// # Errors
/// With one core only, or without `taskset`.
pub fn keep_off_the_first_core() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(
        cores > 1,
        "one core is for the daemon, and there is no other for broker and sensors"
    );
    let me = std::process::id().to_string();
    let others = Command::new("taskset")
        .args(["-a", "-p", "-c", &format!("1-{}", cores - 1), &me])
        .output();
    ensure!(
        others.context("taskset is needed")?.status.success(),
        "this process cannot be kept off the first core"
    );
    Ok(())
}

/// What the listener writes and a trial reads: when each reading's forecast came, in microseconds after the trial's begin, 0 for not yet.
struct Arrivals {
    begun: Instant,
    /// The trial's first reading.
    first: u64,
    moments: Vec<AtomicU32>,
    count: AtomicU64,
}

/// A broker, a daemon on one core, and sensors of streams whose readings go round.
pub struct LoadBed {
    fleet: Fleet,
    sender: Sender,
    listener: Listener,
    arrivals: Arc<Mutex<Arc<Arrivals>>>,
    /// The next reading; they go round all streams.
    next: u64,
    /// Forecasts that never came.
    missing: u64,
}

impl LoadBed {
    /// Starts all; `start` starts the daemon, whose configuration has these further lines.
    ///
    /// # Errors
    /// When mosquitto is not installed, or a part does not start.
    pub fn start(streams: usize, start: impl FnOnce(&[&str]) -> Running, extra: &str) -> anyhow::Result<Self> {
        let fleet = Fleet::start(streams, 0, start, extra)?;
        let port = fleet.broker.port();
        let arrivals = Arc::new(Mutex::new(Arc::new(Arrivals::new(0, 0))));
        let shared = arrivals.clone();
        let listener = Listener::subscribe(port, "load-listener", "tsm2/+/forecast/+", move |topic, payload| {
            let Some((stream, row)) = source(topic, payload) else { return };
            let arrivals = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(index) = (row * streams as u64 + stream as u64).checked_sub(arrivals.first) else {
                return;
            };
            if let Some(moment) = arrivals.moments.get(index as usize) {
                let now = arrivals.begun.elapsed().as_micros() as u32;
                if moment.swap(now.max(1), Ordering::Relaxed) == 0 {
                    arrivals.count.fetch_add(1, Ordering::Relaxed);
                }
            }
        })?;
        let sender = Sender::connect(port, "load-sensors")?;
        Ok(LoadBed {
            fleet,
            sender,
            listener,
            arrivals,
            next: 0,
            missing: 0,
        })
    }

    /// The daemon's process.
    pub fn daemon(&self) -> u32 {
        self.fleet.daemon.id()
    }

    /// Readings sent.
    pub fn sent(&self) -> u64 {
        self.next
    }

    /// Forecasts that never came.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Delays in microseconds, sorted; `None` for a rate that is not sustained.
    ///
    /// # Errors
    /// The connection of the sensors.
    pub fn trial(&mut self, rate: f64, length: Duration, drained: Duration) -> anyhow::Result<Option<Vec<u32>>> {
        let streams = self.fleet.streams.len();
        let topics: Vec<String> = self.fleet.streams.iter().map(|stream| format!("s/{stream}")).collect();
        // Whole rounds, so that every stream goes on where it was.
        let rounds = ((rate * length.as_secs_f64()) / streams as f64).ceil().max(1.0) as usize;
        let count = rounds * streams;
        let arrivals = Arc::new(Arrivals::new(self.next, count));
        *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner) = arrivals.clone();
        let mut sent = 0;
        while sent < count {
            let due = ((arrivals.begun.elapsed().as_secs_f64() * rate) as usize).min(count);
            for _ in sent..due {
                let (stream, row) = ((self.next % streams as u64) as usize, self.next / streams as u64);
                self.sender.add(&topics[stream], &payload(stream, row));
                self.next += 1;
            }
            sent = sent.max(due);
            self.sender.send()?;
            std::thread::sleep(Duration::from_micros(500));
        }
        let last_due = Duration::from_secs_f64(count as f64 / rate);
        let in_time = loop {
            let late = arrivals.begun.elapsed().saturating_sub(last_due);
            let came = arrivals.count.load(Ordering::Relaxed);
            if came == count as u64 {
                break late <= drained;
            }
            if late >= TIMEOUT {
                self.missing += count as u64 - came;
                break false;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        Ok(in_time.then(|| {
            let due = |index: usize| (index as f64 / rate * 1e6) as u32;
            let moments = arrivals.moments.iter().map(|moment| moment.load(Ordering::Relaxed));
            let mut delays: Vec<u32> = moments
                .enumerate()
                .map(|(index, moment)| moment.saturating_sub(due(index)))
                .collect();
            delays.sort_unstable();
            delays
        }))
    }

    /// Readings sent, and those that the daemon's state has.
    fn end(self) -> (u64, u64) {
        self.sender.end();
        let (_, stored, _) = self.fleet.end();
        self.listener.end();
        (self.next, stored.iter().map(|stored| stored.readings).sum())
    }
}

impl Arrivals {
    fn new(first: u64, count: usize) -> Self {
        Arrivals {
            begun: Instant::now(),
            first,
            moments: (0..count).map(|_| AtomicU32::new(0)).collect(),
            count: AtomicU64::new(0),
        }
    }
}
