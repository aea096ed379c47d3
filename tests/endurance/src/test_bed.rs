//! One place under test: a mosquitto, the faulty link, and the daemon as a process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{Site, summary};
use tsm2_e2e::stored::{self, Stored};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};

use crate::load_generator::{Feed, LoadGenerator};
use crate::readings::{STREAMS, TOPIC, VARIATES, forecast_key, time_ms};
use crate::recorder::Recorder;
use tsm2_mqtt_testkit::proxy::Proxy;

/// Mosquitto, link, daemon.
pub struct TestBed {
    broker: Option<Mosquitto>,
    broker_port: u16,
    /// The broker's memory.
    kept: TempDir,
    /// The link.
    pub proxy: Proxy,
    /// Who saw what passed.
    pub recorder: Recorder,
    /// Bundle and configuration.
    pub site: Site,
    state: PathBuf,
    start: fn(&[&str]) -> Running,
    daemon: Option<Running>,
    /// When each fault was over.
    pub cleared: Vec<Instant>,
}

impl TestBed {
    /// Starts all three and waits until the daemon listens. `extra`: further lines of its configuration.
    pub async fn start(seed: u64, extra: &str) -> Self {
        let mut bed = Self::prepare(seed, None, Running::start_quiet, extra).await;
        bed.start_daemon();
        bed.is_online(1).await;
        bed
    }

    /// All but the daemon, which will be started by `start`; `folder`: where its state is kept, else beside its configuration.
    pub async fn prepare(seed: u64, folder: Option<&Path>, start: fn(&[&str]) -> Running, extra: &str) -> Self {
        let kept = tempfile::tempdir().expect("a temporary folder");
        let broker_port = free_port();
        let broker = Mosquitto::start_in(kept.path(), broker_port).expect("mosquitto is installed");
        let recorder = Recorder::default();
        let proxy = Proxy::start(broker_port, seed, recorder.clone()).await;
        let state = folder.map_or_else(|| "state".into(), |folder| folder.join("state"));
        let site = Site::with_topic(proxy.port(), TOPIC, &format!("state.path = '{}'\n{extra}", state.display()));
        TestBed {
            broker: Some(broker),
            broker_port,
            kept,
            proxy,
            recorder,
            state: site.path().join(state),
            site,
            start,
            daemon: None,
            cleared: Vec::new(),
        }
    }

    /// Starts the daemon.
    pub fn start_daemon(&mut self) {
        self.daemon = Some(self.site.start_by(self.start));
    }

    /// The running daemon.
    pub fn daemon(&self) -> &Running {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// Ends the daemon at once.
    pub fn kill_daemon(&mut self) {
        self.take_daemon().kill();
    }

    /// The daemon, to be ended.
    pub fn take_daemon(&mut self) -> Running {
        self.daemon.take().expect("the daemon runs")
    }

    /// Ends the daemon as a service manager does; what it says that it did.
    pub async fn stop_daemon(&mut self) -> Value {
        let daemon = self.take_daemon();
        tokio::task::spawn_blocking(|| summary(daemon)).await.expect("a summary")
    }

    /// Stops the broker so that it saves everything.
    pub fn stop_broker(&mut self) {
        self.broker.take().expect("the broker runs").stop();
    }

    /// Ends the broker at once; with what it remembered, if `forgets`.
    pub fn kill_broker(&mut self, forgets: bool) {
        drop(self.broker.take());
        let memory = self.kept.path().join("mosquitto.db");
        if forgets && memory.exists() {
            std::fs::remove_file(memory).expect("the broker's file");
        }
    }

    /// Starts the broker again.
    pub fn start_broker(&mut self) {
        self.broker = Mosquitto::start_in(self.kept.path(), self.broker_port);
        assert!(self.broker.is_some(), "mosquitto is installed");
    }

    /// Sensors at the broker.
    pub fn feed(&self, feed: Feed) -> LoadGenerator {
        LoadGenerator::start(self.broker_port, feed)
    }

    /// The state's file.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What the state's file says of all streams; only without a daemon.
    pub fn stored(&self) -> Vec<Stored> {
        stored::counts(self.site.config().as_ref(), &self.state, &STREAMS)
    }

    /// As [`TestBed::stored`], of a state that may be damaged.
    pub fn stored_of_damaged(&self) -> Vec<Stored> {
        stored::counts_of_damaged(self.site.config().as_ref(), &self.state, &STREAMS)
    }

    /// A fault is over now.
    pub fn clear_fault(&mut self) {
        self.cleared.push(Instant::now());
    }

    /// Waits until the daemon has said `online` so often.
    pub async fn is_online(&self, times: u64) {
        let came = self.recorder.wait(TIMEOUT, |seen| seen.online >= times).await;
        assert!(came, "the daemon does not come online");
    }

    /// Waits for a forecast that passes after the last fault.
    pub async fn wait_for_recovery(&self) {
        let Some(&cleared) = self.cleared.last() else { return };
        let came = self
            .recorder
            .wait(TIMEOUT, |seen| seen.moments.last().is_some_and(|&last| last > cleared))
            .await;
        assert!(came, "no forecast in {TIMEOUT:?} after a fault");
    }

    /// Waits for the forecasts of row `index` of all streams, sent by a clock that is off by `clock_ms`.
    pub async fn has_forecast(&self, index: i64, clock_ms: i64) -> bool {
        self.recorder
            .wait(TIMEOUT, |seen| {
                STREAMS.iter().all(|stream| {
                    let key = |variate| forecast_key(stream, variate, time_ms(index) + clock_ms);
                    VARIATES.iter().all(|variate| seen.forecasts.contains_key(&key(variate)))
                })
            })
            .await
    }

    /// How long after each fault the first forecast passed, in seconds; faults that the next one overtook are left out.
    pub fn recoveries(&self) -> Vec<f64> {
        let seen = self.recorder.seen();
        let ends = self.cleared.iter().skip(1).copied().map(Some).chain([None]);
        let first = |(&from, until): (&Instant, Option<Instant>)| {
            let first = *seen.moments.get(seen.moments.partition_point(|&moment| moment <= from))?;
            (until.is_none_or(|until| first < until)).then(|| first.duration_since(from).as_secs_f64())
        };
        self.cleared.iter().zip(ends).filter_map(first).collect()
    }
}

/// Waits.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
