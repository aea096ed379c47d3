//! Many small streams of one variate, a mosquitto that holds back nothing, and the daemon as a process.

use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;
use tsm2_core::{Config, NetworkConfig, S6, VariateMixer};
use tsm2_e2e::bundle;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{MINUTE, START, summary};
use tsm2_e2e::stored::{self, Stored};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};

use tsm2_mqtt_testkit::load_client::Listener;
use tsm2_mqtt_testkit::rng::Rng;

/// What the broker may have on its way to the daemon.
const IN_FLIGHT: u32 = 2000;
/// Steps of the forecasts.
pub const HORIZON: usize = 4;

/// Mosquitto, daemon, and the folder with all they need.
pub struct Fleet {
    folder: TempDir,
    /// The broker; its process may be asked for.
    pub broker: Mosquitto,
    /// The daemon.
    pub daemon: Running,
    /// Names of the streams.
    pub streams: Vec<String>,
}

impl Fleet {
    /// Starts both; `start` starts the daemon, which has room for so many streams more. `extra`: further
    /// lines of its configuration.
    ///
    /// # Errors
    /// When mosquitto is not installed.
    pub fn start(streams: usize, room: usize, start: impl FnOnce(&[&str]) -> Running, extra: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let more = format!("allow_anonymous true\nmax_inflight_messages {IN_FLIGHT}");
        let broker = Mosquitto::start_with(port, &more).context("mosquitto is not installed")?;
        let s6 = S6 {
            d_inner: 4,
            d_state: 2,
            dt_rank: 1,
            d_conv: 3,
        };
        let config = Config {
            horizon: HORIZON,
            ..Config::default()
        }
        .with_network(NetworkConfig {
            patch: 4,
            d_model: 4,
            layers: 1,
            time_mixer: s6,
            variate_mixer: VariateMixer::None,
            ..NetworkConfig::default()
        });
        bundle::write(folder.path(), "fleet", &["v"], Some(MINUTE as u64), config);
        let text = format!(
            "model.bundle = 'fleet.safetensors'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\nbroker.max_inflight = {IN_FLIGHT}\n\
             input.topic = 's/{{stream}}'\ninput.time_field = 't'\ninput.time_format = 'unix_s'\ninput.max_streams = {}\n\
             state.path = 'state'\nstate.commit_every_readings = 10000\n{extra}\n",
            streams + room
        );
        let file = folder.path().join("edge.toml");
        std::fs::write(&file, text)?;
        let (online, is_online) = mpsc::channel();
        let status = Listener::subscribe(port, "fleet-status", "tsm2/status", move |_, payload| {
            // Heard no more than once.
            let _ = (payload == b"online").then(|| online.send(()));
        })?;
        let daemon = start(&["run", file.to_str().context("a readable path")?, "--json"]);
        is_online.recv_timeout(TIMEOUT).context("the daemon does not come online")?;
        status.end();
        Ok(Fleet {
            folder,
            broker,
            daemon,
            streams: (0..streams).map(|stream| format!("{stream:05}")).collect(),
        })
    }

    /// The daemon's configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    /// The bundle.
    pub fn bundle(&self) -> PathBuf {
        self.folder.path().join("fleet.safetensors")
    }

    /// The state's folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Ends the daemon; its summary, what its state has of the streams, and how many streams it has.
    pub fn end(self) -> (Value, Vec<Stored>, usize) {
        let (config, state) = (self.config(), self.state());
        let summary = summary(self.daemon);
        (summary, stored::counts(&config, &state, &self.streams), stored::streams(&state))
    }
}

/// Time of a row in seconds.
pub fn time_s(row: u64) -> i64 {
    START / 1000 + row as i64 * (MINUTE / 1000)
}

/// The reading of a row of a stream, in hundredths.
fn hundredths(stream: usize, row: u64) -> u64 {
    Rng::new((stream as u64) << 32 | row).below(1000)
}

/// The reading of a row of a stream.
pub fn value(stream: usize, row: u64) -> f32 {
    (hundredths(stream, row) as f64 / 100.0) as f32
}

/// It as a message.
pub fn payload(stream: usize, row: u64) -> String {
    let value = hundredths(stream, row);
    format!("{{\"t\":{},\"v\":{}.{:02}}}", time_s(row), value / 100, value % 100)
}

/// Stream and row of a forecast.
pub fn source(topic: &[u8], payload: &[u8]) -> Option<(usize, u64)> {
    let stream = std::str::from_utf8(topic).ok()?.split('/').nth(1)?.parse().ok()?;
    let text = std::str::from_utf8(payload).ok()?;
    let (_, origin) = text.split_once("\"origin\":\"")?;
    let origin: jiff::Timestamp = origin.split_once('"')?.0.parse().ok()?;
    let row = (origin.as_second() - time_s(0)) / (MINUTE / 1000);
    Some((stream, u64::try_from(row).ok()?))
}
