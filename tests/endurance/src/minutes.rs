//! A model as people deploy it, and streams that send a reading of every variate each minute.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tsm2_bundle::Bundle;
use tsm2_e2e::http::{get_until, has};
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::load_client::{Listener, Sender};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::rng::Rng;

use crate::fleet::time_s;

/// What the broker may have on its way to the daemon.
const IN_FLIGHT: u32 = 2000;

/// Broker, sensors and listener, and the folder of the daemon.
pub struct Minutes {
    folder: TempDir,
    _broker: Mosquitto,
    sender: Sender,
    _listener: Listener,
    online: Receiver<()>,
    _status: Listener,
    http: u16,
    /// Forecasts so far, one per target.
    forecasts: Arc<AtomicU64>,
    expected: u64,
    variates: Vec<String>,
    targets: u64,
    values: Vec<f32>,
    rng: Rng,
    minute: u64,
}

/// The name of a stream.
pub fn stream(number: usize) -> String {
    format!("building-{number:04}")
}

impl Minutes {
    /// Everything but the daemon. Each reading is committed as soon as it may be.
    ///
    /// # Errors
    /// Mosquitto is not installed, or the bundle cannot be read.
    pub fn new(model: &Path, streams: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, http) = (free_port(), free_port());
        let settings = format!("allow_anonymous true\nmax_inflight_messages {IN_FLIGHT}\nmax_queued_messages 0");
        let broker = Mosquitto::start_with(port, &settings).context("mosquitto is not installed")?;
        let bundle = Bundle::open(model)?;
        let meta = bundle.meta();
        let model = std::path::absolute(model)?;
        let text = format!(
            "model.bundle = '{}'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\nbroker.max_inflight = {IN_FLIGHT}\n\
             input.topic = 's/{{stream}}'\ninput.time_field = 't'\ninput.time_format = 'unix_s'\ninput.max_streams = {streams}\n\
             model.interval_s = 60\nstate.path = 'state'\nstate.commit_every_readings = 1\nhttp.listen = '127.0.0.1:{http}'\n",
            model.display()
        );
        std::fs::write(folder.path().join("edge.toml"), text)?;
        let (sent, online) = mpsc::channel();
        let status = Listener::subscribe(port, "minutes-status", "tsm2/status", move |_, payload| {
            let _ = (payload == b"online").then(|| sent.send(()));
        })?;
        let forecasts = Arc::<AtomicU64>::default();
        let count = forecasts.clone();
        let listener = Listener::subscribe(port, "minutes-listener", "tsm2/+/forecast/+", move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(Minutes {
            sender: Sender::connect(port, "minutes-sensors")?,
            _listener: listener,
            _status: status,
            online,
            http,
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

    /// The daemon's configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    /// The folder of the daemon's state.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Size of the state on disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn state_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.state())? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    /// The minute that comes next.
    pub fn begin_at(&mut self, minute: u64) {
        self.minute = minute;
    }

    /// Starts the daemon, until it is online.
    ///
    /// # Errors
    /// It does not come online.
    pub fn start(&self) -> anyhow::Result<Running> {
        while self.online.try_recv().is_ok() {}
        let daemon = Running::start_quiet(&["run", self.config().to_str().context("a readable path")?, "--json"]);
        self.online.recv_timeout(TIMEOUT).context("the daemon does not come online")?;
        Ok(daemon)
    }

    /// A reading of every variate of every stream; returns when all forecasts have come.
    ///
    /// # Errors
    /// They do not come.
    pub fn minute(&mut self) -> anyhow::Result<()> {
        for (number, value) in self.values.iter_mut().enumerate() {
            let mut payload = format!("{{\"t\":{}", time_s(self.minute));
            for variate in &self.variates {
                *value += self.rng.centred();
                payload.push_str(&format!(",\"{variate}\":{value:.2}"));
            }
            payload.push('}');
            self.sender.add(&format!("s/{}", stream(number)), &payload);
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

    /// Waits until every reading is durable.
    pub fn is_durable(&self) {
        get_until(self.http, "/metrics", |_, page| has(page, "tsm2_edge_uncommitted_readings 0"));
    }
}
