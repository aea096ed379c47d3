//! ETTh1 through a broker into the daemon: every forecast published is the one that the model gives for that row, and the one that
//! `tsm2 forecast` prints for it, to the bit.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tsm2_bundle::Bundle;
use tsm2_data::Recording;
use tsm2_e2e::process::{self, Running};
use tsm2_e2e::{bundle, data};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::{TestClient, numbers};

/// Rows played; the first is row 0, so that all streams are the same.
const ROWS: usize = 300;
const HORIZON: usize = 24;

/// What one forecast must be.
type Expected = HashMap<(String, String), Vec<f32>>;

/// ETTh1 and a model of its variates.
struct Case {
    folder: TempDir,
    csv: PathBuf,
    bundle: PathBuf,
    recording: Recording,
}

impl Case {
    /// `None`, with a line printed, where the data is absent.
    fn new() -> Option<Self> {
        let csv = data::file("ETTh1.csv")?;
        let recording = tsm2_e2e::recording::open(&csv);
        let names: Vec<&str> = recording.variates.iter().map(|variate| variate.name.as_str()).collect();
        let folder = tempdir().unwrap();
        let bundle = bundle::random(folder.path(), "etth1-random", &names, HORIZON, Some(3_600_000));
        Some(Case {
            folder,
            csv,
            bundle,
            recording,
        })
    }

    fn names(&self) -> Vec<String> {
        self.recording.variates.iter().map(|variate| variate.name.clone()).collect()
    }

    /// The model's own forecasts, by time of issue and variate.
    fn of_the_model(&self) -> Expected {
        let (series, variates) = (&self.recording.series[0], self.recording.variates.len());
        let rows: Vec<(i64, Vec<f32>)> = (0..ROWS)
            .map(|row| (series.times_ms[row], series.row(row, variates).to_vec()))
            .collect();
        let bundle = Bundle::open(&self.bundle).unwrap();
        let forecasts = bundle::forecasts(&bundle, rows.iter().map(|(time_ms, row)| (*time_ms, row.as_slice())));
        let by_variate = |(time_ms, forecast): (i64, Vec<f32>)| {
            let names = self.names().into_iter();
            let forecast: Vec<Vec<f32>> = forecast.chunks_exact(HORIZON).map(<[f32]>::to_vec).collect();
            names.zip(forecast).map(move |(name, mean)| ((rfc3339(time_ms), name), mean))
        };
        rows.iter().map(|row| row.0).zip(forecasts).flat_map(by_variate).collect()
    }

    /// What `tsm2 forecast` prints.
    fn of_the_workstation(&self) -> Expected {
        let at: Vec<String> = (1..=ROWS).map(|row| row.to_string()).collect();
        let output = process::run_tsm2(&[
            "forecast",
            "--model",
            text(&self.bundle),
            "--data",
            text(&self.csv),
            "--at",
            &at.join(","),
            "--json",
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let by_variate = |line: Value| {
            let origin = line["origin"].as_str().unwrap().to_owned();
            let forecast = line["forecast"].as_object().unwrap().clone();
            forecast
                .into_iter()
                .map(move |(name, mean)| ((origin.clone(), name), numbers(&mean)))
        };
        lines.flat_map(by_variate).collect()
    }

    /// Plays the rows to a daemon and compares all that it publishes.
    async fn play(&self, topic: &str, expected: &Expected) {
        assert_eq!(expected.len(), ROWS * self.names().len());
        let Some(broker) = Mosquitto::start() else { return };
        let config = self.folder.path().join("edge.toml");
        let text_of_config = format!(
            "broker.host = '127.0.0.1'\nbroker.port = {}\nmodel.bundle = '{}'\ninput.topic = '{topic}'\ninput.time_field = 'time'\n",
            broker.port(),
            self.bundle.display()
        );
        std::fs::write(&config, text_of_config).unwrap();
        let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
        let daemon = Running::start(&["run", text(&config), "--json"]);
        client.wait_for("tsm2/status", "online").await;
        let (address, rows) = (format!("127.0.0.1:{}", broker.port()), format!("..{ROWS}"));
        let replay = [
            "replay",
            "--data",
            text(&self.csv),
            "--speed",
            "0",
            "--topic",
            topic,
            "--stream",
            "etth1",
        ];
        let replay: Vec<String> = replay
            .iter()
            .chain(&["--broker", &address, "--rows", &rows, "--json"])
            .map(|a| (*a).to_owned())
            .collect();
        let replayed = tokio::task::spawn_blocking(move || process::run(&replay.iter().map(String::as_str).collect::<Vec<_>>()));

        let mut seen = HashSet::new();
        while seen.len() < expected.len() {
            let forecast = client.forecast().await;
            let variate = forecast
                .topic
                .strip_prefix("tsm2/etth1/forecast/")
                .expect("the stream's topic")
                .to_owned();
            let key = (forecast.origin, variate);
            assert_eq!(Some(&forecast.mean), expected.get(&key), "{key:?}");
            assert_eq!(
                (&forecast.payload["interval_s"], &forecast.payload["model"]),
                (&json!(3600), &json!("etth1-random"))
            );
            assert!(seen.insert(key), "published twice");
        }

        let output = replayed.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["rows"], ROWS);
        let summary: Value = serde_json::from_str(&daemon.terminate()).unwrap();
        client.wait_for("tsm2/status", "offline").await;
        assert_eq!(
            (&summary["time_steps"], &summary["forecasts"], &summary["rejected"]),
            (&json!(ROWS), &json!(expected.len()), &json!({}))
        );
        client.end().await;
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_forecast_is_the_models_own() {
    let Some(case) = Case::new() else { return };
    case.play("bed/{stream}/{variate}/state", &case.of_the_model()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_forecast_is_that_of_the_workstation() {
    let Some(case) = Case::new() else { return };
    let expected = case.of_the_workstation();
    assert!(
        expected == case.of_the_model(),
        "the workstation's forecasts differ from the model's"
    );
    case.play("sensors/{stream}/telemetry", &expected).await;
}
