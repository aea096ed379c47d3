//! A place with one model and one configuration, where a daemon can be started, stopped and started again.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tsm2_bundle::Bundle;
use tsm2_mqtt::rfc3339;

use crate::bundle;
use crate::process::Running;
use tsm2_mqtt_testkit::test_client::TestClient;

/// Leads of the forecasts.
pub const HORIZON: usize = 5;
/// Milliseconds.
pub const MINUTE: i64 = 60_000;
/// Time of row 0.
pub const START: i64 = 1_750_000_020_000; // a whole minute

/// A folder with a bundle of two variates, `site.safetensors`, and a configuration.
pub struct Site {
    folder: TempDir,
    /// The broker's port.
    pub port: u16,
}

impl Site {
    /// Streams that send a message per row; `extra`: further lines of the configuration.
    pub fn new(port: u16, extra: &str) -> Self {
        Self::with_topic(port, "sensors/{stream}", extra)
    }

    /// Streams that send as `topic` says.
    pub fn with_topic(port: u16, topic: &str, extra: &str) -> Self {
        let folder = tempdir().expect("a temporary folder");
        bundle::random(folder.path(), "site", &["temp", "power"], HORIZON, Some(MINUTE as u64));
        let text = format!(
            "model.bundle = 'site.safetensors'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\ninput.topic = '{topic}'\n\
             input.time_field = 'time'\n{extra}\n"
        );
        std::fs::write(folder.path().join("edge.toml"), text).expect("a configuration");
        Site { folder, port }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file.
    pub fn config(&self) -> String {
        self.path().join("edge.toml").to_str().expect("a readable path").to_owned()
    }

    /// Starts the daemon.
    pub fn start(&self) -> Running {
        self.start_by(Running::start)
    }

    /// Starts the daemon in a way of its own.
    pub fn start_by(&self, start: fn(&[&str]) -> Running) -> Running {
        start(&["run", &self.config(), "--json"])
    }

    /// Somebody who watches all that is published.
    pub async fn client(&self) -> TestClient {
        TestClient::connect(self.port, &["tsm2/#"]).await
    }

    /// The forecasts that the model gives over these rows of [`row`], as one stream.
    pub fn expected(&self, rows: std::ops::Range<i64>) -> Vec<Vec<f32>> {
        let rows: Vec<(i64, [f32; 2])> = rows.map(|index| (START + index * MINUTE, row(index))).collect();
        self.forecasts(&rows)
    }

    /// The forecasts that the model gives after each of these rows, as one stream; NaN where a reading is missing.
    pub fn forecasts(&self, rows: &[(i64, [f32; 2])]) -> Vec<Vec<f32>> {
        let bundle = Bundle::open(&self.path().join("site.safetensors")).expect("a bundle");
        bundle::forecasts(&bundle, rows.iter().map(|(time, row)| (*time, row.as_slice())))
    }
}

/// Waits until no time bin of a minute ends within the next seconds, for messages whose time of arrival counts.
pub async fn within_a_minute() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let second = now.expect("a clock after 1970").as_secs() % 60;
    if (22..30).contains(&second) {
        tokio::time::sleep(std::time::Duration::from_secs(31 - second)).await;
    }
}

/// The readings of row `index`.
pub fn row(index: i64) -> [f32; 2] {
    [20.0 + (index % 7) as f32, 3.5 - (index % 4) as f32]
}

/// Row `index` as a message.
pub fn payload(index: i64) -> String {
    let [temp, power] = row(index);
    json!({ "time": rfc3339(START + index * MINUTE), "temp": temp, "power": power }).to_string()
}

/// Publishes row `index` and waits for its two forecasts.
pub async fn exchange(client: &mut TestClient, index: i64) -> Vec<f32> {
    client.publish("sensors/a", payload(index)).await;
    forecast_of(client, index).await
}

/// The forecast whose origin is row `index`, both variates, passing over older ones.
pub async fn forecast_of(client: &mut TestClient, index: i64) -> Vec<f32> {
    let origin = rfc3339(START + index * MINUTE);
    let mut both = Vec::new();
    while both.len() < 2 * HORIZON {
        let forecast = client.forecast().await;
        if forecast.origin == origin {
            assert_eq!(
                forecast.topic,
                ["tsm2/a/forecast/temp", "tsm2/a/forecast/power"][both.len() / HORIZON]
            );
            both.extend(forecast.mean);
        }
    }
    both
}

/// Ends a daemon; what it says that it did.
pub fn summary(daemon: Running) -> Value {
    serde_json::from_str(&daemon.terminate()).expect("a summary")
}
