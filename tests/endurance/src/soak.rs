//! The soak: many streams, a simulated month of readings, as fast as the machine goes.
//!
//! Invariants: no more than `AHEAD` rows of each stream wait in the broker; a figure at the end is counted, by the daemon's file and by what a
//! listener heard, and the forecasts of some streams are compared one by one with the model run in this process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// How much.
#[derive(Debug, Clone)]
pub struct Soak {
    /// Streams.
    pub streams: usize,
    /// Rows of each, one a minute.
    pub rows: u64,
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
    /// Readings published.
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
    /// What the daemon refused, by kind.
    pub refused: String,
    /// Duration of the whole, in seconds.
    pub seconds: f64,
    /// All samples.
    pub samples: Vec<Sample>,
}

impl Outcome {
    /// Whether nothing was lost, counted twice or forecast wrong.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.gap_rows == 0 && self.forecasts.0 == self.forecasts.1 && self.compared.1 == 0
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
             refused {}\n{:.0} s, {:.0} readings/s\n{}{}{}{}",
            self.sent,
            self.consumed,
            self.lost,
            self.twice,
            self.gap_rows,
            self.forecasts.0,
            self.forecasts.1,
            self.compared.0,
            self.compared.1,
            self.refused,
            self.seconds,
            self.sent as f64 / self.seconds,
            of("memory of the daemon, bytes", |sample| sample.memory),
            of("memory of the broker, bytes", |sample| sample.broker_memory),
            of("state file, bytes", |sample| sample.file),
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
        let fleet = Fleet::start(self.streams, Running::start)?;
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

        std::thread::scope(|scope| {
            let publishers: Vec<_> = (0..self.publishers)
                .map(|publisher| {
                    let (bar, forecasts) = (&bar, &forecasts);
                    scope.spawn(move || self.publish(port, publisher, forecasts, bar))
                })
                .collect();
            publishers
                .into_iter()
                .try_for_each(|publisher| publisher.join().expect("a publisher does not panic"))
        })?;
        bar.finish_and_clear();

        let reference = self.reference(&fleet)?;
        let due = reference.due * self.streams as u64;
        // What stays out is counted below.
        let _ = wait(&forecasts, |heard| heard >= due);
        let seconds = begun.elapsed().as_secs_f64();
        let samples = sampler.end()?;
        let (summary, stored) = fleet.end();
        listener.end();
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = reference
            .forecasts
            .iter()
            .filter(|(key, forecast)| heard.get(key) != Some(forecast))
            .count();
        let sent = self.streams as u64 * self.rows;
        let lost = stored.iter().map(|stored| self.rows.saturating_sub(stored.readings)).sum();
        let twice = stored.iter().map(|stored| stored.readings.saturating_sub(self.rows)).sum();
        Ok(Outcome {
            sent,
            consumed: stored.iter().map(|stored| stored.readings).sum(),
            lost,
            twice,
            gap_rows: stored.iter().map(|stored| stored.gap_rows).sum(),
            forecasts: (due, forecasts.load(Ordering::Relaxed)),
            compared: (reference.forecasts.len() as u64, wrong as u64),
            refused: summary["rejected"].to_string(),
            seconds,
            samples,
        })
    }

    fn listen(&self, port: u16, forecasts: &Arc<AtomicU64>, readings: &Arc<AtomicU64>, heard: &Heard) -> anyhow::Result<Listener> {
        let (forecasts, readings, heard) = (forecasts.clone(), readings.clone(), heard.clone());
        Listener::subscribe(port, "soak-listener", "tsm2/+/forecast/+", move |topic, payload| {
            forecasts.fetch_add(1, Ordering::Relaxed);
            readings.fetch_add(1, Ordering::Relaxed);
            let Some(key) = source(topic, payload).filter(|(stream, _)| *stream < COMPARED) else {
                return;
            };
            if let Ok(payload) = serde_json::from_slice::<Value>(payload) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.insert(key, numbers(&payload["mean"]));
            }
        })
    }

    /// Publishes this connection's share of the streams, row by row.
    fn publish(&self, port: u16, publisher: usize, forecasts: &AtomicU64, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut sender = Sender::connect(port, &format!("soak-{publisher}"))?;
        let mine: Vec<(usize, String)> = (publisher..self.streams)
            .step_by(self.publishers)
            .map(|stream| (stream, format!("s/{stream:05}")))
            .collect();
        for row in 0..self.rows {
            // The row that all streams have reached, give or take a forecast.
            let is_near = |heard: u64| heard / self.streams as u64 + AHEAD >= row;
            wait(forecasts, is_near)?;
            for (stream, topic) in &mine {
                sender.add(topic, &payload(*stream, row));
            }
            sender.send()?;
            bar.inc(mine.len() as u64);
        }
        let begun = Instant::now();
        while sender.unacknowledged() > 0 {
            anyhow::ensure!(begun.elapsed() < TIMEOUT, "the broker does not acknowledge");
            std::thread::sleep(Duration::from_millis(10));
        }
        sender.end();
        Ok(())
    }

    fn reference(&self, fleet: &Fleet) -> anyhow::Result<Reference> {
        let bundle = Bundle::open(&fleet.bundle())?;
        let model = bundle.model();
        let mut reference = Reference::default();
        for stream in 0..COMPARED.min(self.streams) {
            let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
            model.reset(&mut state).context("the reference has no state")?;
            reference.due = 0;
            for row in 0..self.rows {
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
