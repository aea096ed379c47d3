//! Bytes that the daemon sends to the disk, as the kernel counts them, and how fast it starts.
//!
//! Readings are published as fast as the daemon takes them, stamped a minute apart. The streams'
//! readings of a minute are published together, and the next minute follows when all forecasts of
//! this one have come. `commit_every_readings` is 1: nothing waits for a commit on purpose.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tsm2_bundle::Bundle;
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::load_client::{Listener, Sender};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::rng::Rng;

use crate::fleet::time_s;

/// What the broker may have on its way to the daemon.
const IN_FLIGHT: u32 = 2000;
/// After the forecasts of a minute, for their commit.
const COMMIT: Duration = Duration::from_millis(20);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// The bundle.
    pub model: PathBuf,
    /// Numbers of streams.
    pub streams: Vec<usize>,
    /// Minutes of readings.
    pub minutes: u64,
}

/// The figures of a number of streams.
#[derive(Debug, Clone)]
pub struct Row {
    /// Streams.
    pub streams: usize,
    /// `write_bytes` of the daemon.
    pub written: u64,
    /// Size of the state's folder.
    pub stored: u64,
    /// Readings, that is messages, per second.
    pub rate: f64,
    /// From the start of the process with this state until it is online.
    pub start: Duration,
    /// From then on, until the first forecast of every stream: each replays its log first.
    pub replay: Duration,
}

impl Bytes {
    /// Measures each number of streams.
    ///
    /// # Errors
    /// Mosquitto is not installed, the bundle cannot be read, or the daemon does not go on.
    pub fn run(&self) -> anyhow::Result<Vec<Row>> {
        self.streams.iter().map(|streams| self.row(*streams)).collect()
    }

    fn row(&self, streams: usize) -> anyhow::Result<Row> {
        let mut site = Site::new(&self.model, streams)?;
        let daemon = site.start()?;
        let begun = Instant::now();
        for _ in 0..self.minutes {
            site.minute()?;
            std::thread::sleep(COMMIT);
        }
        let seconds = begun.elapsed().saturating_sub(COMMIT * self.minutes as u32).as_secs_f64();
        let written = written_bytes(daemon.id())?;
        ensure!(
            written > 0,
            "{} is in memory: set TMPDIR to a folder on a disk",
            site.folder.path().display()
        );
        // The state is as a crash leaves it: the tails are as long as they get.
        daemon.kill();
        let stored = folder_bytes(&site.folder.path().join("state"))?;
        let begun = Instant::now();
        let daemon = site.start()?;
        let start = begun.elapsed();
        site.minute()?;
        let replay = begun.elapsed() - start;
        daemon.terminate();
        Ok(Row {
            streams,
            written,
            stored,
            rate: (self.minutes * streams as u64) as f64 / seconds,
            start,
            replay,
        })
    }
}

/// Broker, sensors and listener, and the folder of the daemon.
struct Site {
    folder: TempDir,
    _broker: Mosquitto,
    sender: Sender,
    _listener: Listener,
    online: Receiver<()>,
    _status: Listener,
    /// Forecasts so far, one per target.
    forecasts: Arc<AtomicU64>,
    expected: u64,
    variates: Vec<String>,
    targets: u64,
    values: Vec<f32>,
    rng: Rng,
    minute: u64,
}

impl Site {
    fn new(model: &Path, streams: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let settings = format!("allow_anonymous true\nmax_inflight_messages {IN_FLIGHT}\nmax_queued_messages 0");
        let broker = Mosquitto::start_with(port, &settings).context("mosquitto is not installed")?;
        let bundle = Bundle::open(model)?;
        let meta = bundle.meta();
        let model = std::path::absolute(model)?;
        let text = format!(
            "model.bundle = '{}'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\nbroker.max_inflight = {IN_FLIGHT}\n\
             input.topic = 's/{{stream}}'\ninput.time_field = 't'\ninput.time_format = 'unix_s'\ninput.max_streams = {streams}\n\
             model.interval_s = 60\nstate.path = 'state'\nstate.commit_every_readings = 1\n",
            model.display()
        );
        std::fs::write(folder.path().join("edge.toml"), text)?;
        let (sent, online) = mpsc::channel();
        let status = Listener::subscribe(port, "bytes-status", "tsm2/status", move |_, payload| {
            let _ = (payload == b"online").then(|| sent.send(()));
        })?;
        let forecasts = Arc::<AtomicU64>::default();
        let count = forecasts.clone();
        let listener = Listener::subscribe(port, "bytes-listener", "tsm2/+/forecast/+", move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(Site {
            sender: Sender::connect(port, "bytes-sensors")?,
            _listener: listener,
            _status: status,
            online,
            _broker: broker,
            forecasts,
            expected: 0,
            variates: meta.variates.iter().map(|variate| variate.name.clone()).collect(),
            targets: meta.targets().len() as u64,
            values: vec![20.0; streams],
            rng: Rng::new(1),
            minute: 0,
            folder,
        })
    }

    fn start(&self) -> anyhow::Result<Running> {
        while self.online.try_recv().is_ok() {}
        let config = self.folder.path().join("edge.toml");
        let daemon = Running::start_quiet(&["run", config.to_str().context("a readable path")?, "--json"]);
        self.online.recv_timeout(TIMEOUT).context("the daemon does not come online")?;
        Ok(daemon)
    }

    /// A reading of every variate of every stream; returns when all forecasts have come.
    fn minute(&mut self) -> anyhow::Result<()> {
        for (stream, value) in self.values.iter_mut().enumerate() {
            let mut payload = format!("{{\"t\":{}", time_s(self.minute));
            for variate in &self.variates {
                *value += self.rng.centred();
                payload.push_str(&format!(",\"{variate}\":{value:.2}"));
            }
            payload.push('}');
            self.sender.add(&format!("s/building-{stream:04}"), &payload);
        }
        self.sender.send()?;
        self.minute += 1;
        self.expected += self.targets * self.values.len() as u64;
        let begun = Instant::now();
        while self.forecasts.load(Ordering::Relaxed) < self.expected {
            ensure!(begun.elapsed() < 10 * TIMEOUT, "the daemon does not go on");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// `write_bytes` of a process.
fn written_bytes(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/io");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}: Linux only"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes
        .and_then(|bytes| bytes.parse().ok())
        .with_context(|| format!("{path} has no write_bytes"))
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
