//! The soak: many streams, a simulated month of readings, as fast as the machine goes, and streams
//! that come and go.
//!
//! 1. No more than `AHEAD` rows of each stream wait in the broker.
//! 2. A figure at the end is counted, by the daemon's state and by what a listener heard. The forecasts
//!    of some streams are compared one by one with the model run in this process.
//! 3. The daemon has room for the names that come within `ROOM_S`, so that it rejects new ones unless it
//!    forgets silent ones.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tsm2_bundle::Bundle;
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::test_client::numbers;

use crate::fleet::{Fleet, HORIZON, payload, source, time_s, value};
use crate::sampler::{Sample, Sampler, slope};
use tsm2_mqtt_testkit::load_client::{Listener, Sender};

/// Rows of each stream that may be on their way: with what the daemon has not acknowledged, fewer messages than MQTT has packet identifiers, for mosquitto 2.0.11 does
/// not keep to `max_inflight_messages` in a flood and uses those of unacknowledged messages again.
const AHEAD: u64 = 25;
/// Streams whose every forecast is compared.
const COMPARED: usize = 10;
/// How long nothing may come before the run is given up.
const TIMEOUT: Duration = Duration::from_secs(120);

/// After so many seconds of silence a stream is forgotten.
const FORGET_AFTER_S: usize = 60;
/// The daemon has room for the names of so many seconds: it looks for silent streams once a minute.
const ROOM_S: usize = 4 * FORGET_AFTER_S;

/// How much.
#[derive(Debug, Clone)]
pub struct Soak {
    /// Streams.
    pub streams: usize,
    /// Rows of each, one a minute.
    pub rows: u64,
    /// The run ends early after this time.
    pub limit: Duration,
    /// Streams with a name of their own that send one reading and nothing more, per second.
    pub names_per_s: usize,
    /// Connections that publish.
    pub publishers: usize,
    /// Where the samples go.
    pub csv: Option<PathBuf>,
    /// Time between two samples.
    pub every: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Rows of each stream.
    pub rows: u64,
    /// Names that came and went, and those that the state still has.
    pub names: (u64, u64),
    /// Readings published by the streams that stay.
    pub sent: u64,
    /// Readings in the daemon's state.
    pub consumed: u64,
    /// Published and not in the state.
    pub lost: u64,
    /// In the state more often than published.
    pub twice: u64,
    /// Rows that had to be bridged.
    pub gap_rows: u64,
    /// Forecasts that are due, and those that were heard.
    pub forecasts: (u64, u64),
    /// Forecasts compared, and those that were wrong.
    pub compared: (u64, u64),
    /// What the daemon rejected, by reason.
    pub rejected: String,
    /// Duration of the whole, in seconds.
    pub seconds: f64,
    /// All samples.
    pub samples: Vec<Sample>,
}

impl Outcome {
    /// Whether nothing was lost, counted twice or forecast wrong.
    pub fn holds(&self) -> bool {
        self.lost == 0
            && self.twice == 0
            && self.gap_rows == 0
            && self.forecasts.0 == self.forecasts.1
            && self.compared.1 == 0
            && self.rejected == "{}"
    }

    /// The figures, a line each.
    pub fn report(&self) -> String {
        let of = |name: &str, of: fn(&Sample) -> u64| {
            format!(
                "{name}: {} at most, {} at the end, slope over the second half {:.0} per million readings\n",
                self.samples.iter().map(of).max().unwrap_or(0),
                self.samples.last().map_or(0, of),
                slope(&self.samples, of)
            )
        };
        format!(
            "readings sent {}, consumed {}, lost {}, twice {}, rows bridged {}\nforecasts due {}, heard {}; compared {}, wrong {}\n\
             rejected {}; names that came and went {}, still stored {}\n{:.0} s, {:.0} readings/s\n{}{}{}{}",
            self.sent,
            self.consumed,
            self.lost,
            self.twice,
            self.gap_rows,
            self.forecasts.0,
            self.forecasts.1,
            self.compared.0,
            self.compared.1,
            self.rejected,
            self.names.0,
            self.names.1,
            self.seconds,
            self.sent as f64 / self.seconds,
            of("memory of the daemon, bytes", |sample| sample.memory),
            of("memory of the broker, bytes", |sample| sample.broker_memory),
            of("state on disk, bytes", |sample| sample.state),
            of("open files", |sample| sample.open_files),
        )
    }
}

/// The forecasts heard of the streams that are compared, by stream and row.
type Heard = Arc<Mutex<HashMap<(usize, u64), Vec<f32>>>>;

impl Soak {
    /// Runs it to the end.
    ///
    /// # Errors
    /// When the broker or the daemon do not go on.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let extra = match self.names_per_s {
            0 => String::new(),
            _ => format!("state.forget_after_s = {FORGET_AFTER_S}"),
        };
        let fleet = Fleet::start(self.streams, ROOM_S * self.names_per_s, Running::start_quiet, &extra)?;
        let port = fleet.broker.port();
        let (forecasts, readings) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let heard = Heard::default();
        let listener = self.listen(port, &forecasts, &readings, &heard)?;
        let broker = fleet.broker.id();
        let sampler = Sampler::start(fleet.daemon.id(), broker, fleet.state(), readings, self.every, self.csv.clone());
        let begun = Instant::now();
        let bar = ProgressBar::new(self.streams as u64 * self.rows);
        bar.set_style(ProgressStyle::with_template(
            "{wide_bar} {human_pos} of {human_len} readings, {per_sec}, {eta} left",
        )?);

        let run = Run {
            port,
            begun,
            rows: AtomicU64::new(self.rows),
            is_over: AtomicBool::new(false),
            forecasts: &forecasts,
            bar: &bar,
        };
        let names = std::thread::scope(|scope| {
            let names = scope.spawn(|| self.publish_names(&run));
            let publish = |publisher| {
                scope.spawn({
                    let run = &run;
                    move || self.publish(run, publisher)
                })
            };
            let publishers: Vec<_> = (0..self.publishers).map(publish).collect();
            let published: Vec<_> = publishers.into_iter().map(ScopedJoinHandle::join).collect();
            run.is_over.store(true, Ordering::Relaxed);
            for published in published {
                published.expect("a publisher does not panic")?;
            }
            names.join().expect("a publisher does not panic")
        })?;
        let rows = run.rows.into_inner();
        bar.finish_and_clear();

        let reference = self.reference(&fleet, rows)?;
        let due = reference.due * self.streams as u64;
        // What stays out is counted below.
        let _ = wait(&forecasts, |heard| heard >= due);
        let seconds = begun.elapsed().as_secs_f64();
        let samples = sampler.end()?;
        let (summary, stored, names_left) = fleet.end();
        listener.end();
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = reference
            .forecasts
            .iter()
            .filter(|(key, forecast)| heard.get(key) != Some(forecast))
            .count();
        let lost = stored.iter().map(|stored| rows.saturating_sub(stored.readings)).sum();
        let twice = stored.iter().map(|stored| stored.readings.saturating_sub(rows)).sum();
        Ok(Outcome {
            rows,
            names: (names, (names_left - self.streams) as u64),
            sent: self.streams as u64 * rows,
            consumed: stored.iter().map(|stored| stored.readings).sum(),
            lost,
            twice,
            gap_rows: stored.iter().map(|stored| stored.gap_rows).sum(),
            forecasts: (due, forecasts.load(Ordering::Relaxed)),
            compared: (reference.forecasts.len() as u64, wrong as u64),
            rejected: summary["rejected"].to_string(),
            seconds,
            samples,
        })
    }

    fn listen(&self, port: u16, forecasts: &Arc<AtomicU64>, readings: &Arc<AtomicU64>, heard: &Heard) -> anyhow::Result<Listener> {
        let (forecasts, readings, heard) = (forecasts.clone(), readings.clone(), heard.clone());
        Listener::subscribe(port, "soak-listener", "tsm2/+/forecast/+", move |topic, payload| {
            // Streams that come and go have no number.
            let Some(key) = source(topic, payload) else { return };
            forecasts.fetch_add(1, Ordering::Relaxed);
            readings.fetch_add(1, Ordering::Relaxed);
            if key.0 >= COMPARED {
                return;
            }
            if let Ok(payload) = serde_json::from_slice::<Value>(payload) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.insert(key, numbers(&payload["mean"]));
            }
        })
    }

    /// Publishes this connection's share of the streams, row by row.
    fn publish(&self, run: &Run<'_>, publisher: usize) -> anyhow::Result<()> {
        let mut sender = Sender::connect(run.port, &format!("soak-{publisher}"))?;
        let mine: Vec<(usize, String)> = (publisher..self.streams)
            .step_by(self.publishers)
            .map(|stream| (stream, format!("s/{stream:05}")))
            .collect();
        let mut row = 0;
        while row < run.rows.load(Ordering::Relaxed) {
            // The row that all streams have reached, give or take a forecast.
            let is_near = |heard: u64| heard / self.streams as u64 + AHEAD >= row;
            wait(run.forecasts, is_near)?;
            if run.begun.elapsed() > self.limit {
                // No publisher is further than this.
                run.rows.fetch_min(row + 2 * AHEAD, Ordering::Relaxed);
            }
            for (stream, topic) in &mine {
                sender.add(topic, &payload(*stream, row));
            }
            sender.send()?;
            run.bar.inc(mine.len() as u64);
            row += 1;
        }
        delivered(sender)
    }

    /// Publishes one reading each of streams that nobody heard of before, until the others are done.
    fn publish_names(&self, run: &Run<'_>) -> anyhow::Result<u64> {
        let mut sender = Sender::connect(run.port, "soak-names")?;
        let mut names = 0;
        while !run.is_over.load(Ordering::Relaxed) {
            let due = (run.begun.elapsed().as_secs_f64() * self.names_per_s as f64) as u64;
            for name in names..due {
                sender.add(&format!("s/guest-{name}"), &payload(0, 0));
            }
            names = names.max(due);
            sender.send()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        delivered(sender)?;
        Ok(names)
    }

    fn reference(&self, fleet: &Fleet, rows: u64) -> anyhow::Result<Reference> {
        let bundle = Bundle::open(&fleet.bundle())?;
        let model = bundle.model();
        let mut reference = Reference::default();
        for stream in 0..COMPARED.min(self.streams) {
            let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
            model.reset(&mut state).context("the reference has no state")?;
            reference.due = 0;
            for row in 0..rows {
                let token = model.step(&mut state, &mut scratch, &[value(stream, row)], time_s(row) * 1000);
                {
                    let mut token = token.context("the reference does not step")?;
                    let mut forecast = vec![0.0; HORIZON];
                    token.forecast(&mut forecast).context("the reference does not forecast")?;
                    reference.due += 1;
                    reference.forecasts.insert((stream, row), forecast);
                }
            }
        }
        Ok(reference)
    }
}

/// What the connections that publish share.
struct Run<'a> {
    port: u16,
    begun: Instant,
    /// Rows of each stream.
    rows: AtomicU64,
    is_over: AtomicBool,
    /// Forecasts heard of the streams that stay.
    forecasts: &'a AtomicU64,
    bar: &'a ProgressBar,
}

/// Waits until the broker has everything.
fn delivered(sender: Sender) -> anyhow::Result<()> {
    let begun = Instant::now();
    while sender.unacknowledged() > 0 {
        anyhow::ensure!(begun.elapsed() < TIMEOUT, "the broker does not acknowledge");
        std::thread::sleep(Duration::from_millis(10));
    }
    sender.end();
    Ok(())
}

/// The model's own forecasts.
#[derive(Default)]
struct Reference {
    /// Forecasts that each stream should give.
    due: u64,
    forecasts: HashMap<(usize, u64), Vec<f32>>,
}

/// Waits for a count; gives up when it stands still for long.
fn wait(count: &AtomicU64, is_enough: impl Fn(u64) -> bool) -> anyhow::Result<()> {
    let (mut last, mut since) = (count.load(Ordering::Relaxed), Instant::now());
    while !is_enough(last) {
        std::thread::sleep(Duration::from_millis(1));
        let now = count.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        anyhow::ensure!(since.elapsed() < TIMEOUT, "no forecast in {TIMEOUT:?}, after {last}");
    }
    Ok(())
}
