//! The first days without a model: recordings, naive forecasts, and the model that follows.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tsm2_e2e::bundle;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{HORIZON, MINUTE, START, payload, row};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::require::skip;
use tsm2_mqtt_testkit::test_client::TestClient;

/// A folder with a configuration without a model.
fn site(port: u16, extra: &str) -> (TempDir, String) {
    let folder = tempdir().unwrap();
    let text = format!(
        "broker.host = '127.0.0.1'\nbroker.port = {port}\nmodel.interval_s = 60\nmodel.horizon = {HORIZON}\n\
         input.topic = 'sensors/{{stream}}'\ninput.time_field = 'time'\ninput.variates = ['temp', 'power']\n\
         state.commit_every_readings = 4\n{extra}\n"
    );
    let config = folder.path().join("edge.toml");
    std::fs::write(&config, text).unwrap();
    (folder, config.to_str().unwrap().to_owned())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("recordings/a"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The rows of a recording as `tsm2` reads them: time, values.
fn read(files: &[PathBuf]) -> Vec<(i64, Vec<f32>)> {
    let options = tsm2_data::Options {
        join: true,
        ..tsm2_data::Options::default()
    };
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let (recording, _) = tsm2_data::read(&paths, &options).unwrap();
    let names: Vec<&str> = recording.variates.iter().map(|variate| variate.name.as_str()).collect();
    assert_eq!((names, recording.series.len()), (vec!["temp", "power"], 1));
    let series = &recording.series[0];
    series
        .times_ms
        .iter()
        .copied()
        .zip(series.values.chunks(2).map(<[f32]>::to_vec))
        .collect()
}

fn expected(rows: impl IntoIterator<Item = i64>) -> Vec<(i64, Vec<f32>)> {
    rows.into_iter()
        .map(|index| (START + index * MINUTE, row(index).to_vec()))
        .collect()
}

/// Waits until the recording has a row.
async fn wait_for(folder: &Path, index: i64) {
    let time = rfc3339(START + index * MINUTE);
    for _ in 0..600 {
        let path = folder.join("recordings/a");
        let found = std::fs::read_dir(path).into_iter().flatten().flatten();
        if found
            .into_iter()
            .any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains(&time)))
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no row of {time}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_has_the_time_steps_of_the_daemon_also_after_kills_within_a_row() {
    let Some(broker) = Mosquitto::start() else {
        return skip("mosquitto");
    };
    let (folder, config) = site(broker.port(), "record.path = 'recordings'\nstate.commit_every_s = 1");
    let start = || Running::start(&["record", &config, "--json"]);
    let client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    let mut recorder = start();
    recorder.wait_for("subscribed");
    for index in 0..40 {
        client.publish("sensors/a", payload(index)).await;
        if index % 13 == 12 {
            wait_for(folder.path(), index - 12).await;
            recorder.kill();
            // A row of which only a part reached the disk.
            let newest = files(folder.path()).pop().unwrap();
            let mut text = std::fs::read_to_string(&newest).unwrap();
            text.push_str("2025-06-15T15:4");
            std::fs::write(&newest, text).unwrap();
            recorder = start();
            recorder.wait_for("connected");
        }
    }
    // Three minutes are missing, one variate for two of them.
    client.publish("sensors/a", payload(43)).await;
    wait_for(folder.path(), 43).await;
    let summary: Value = serde_json::from_str(&recorder.terminate()).unwrap();
    assert_eq!(summary["forecasts"], 0, "{summary}");
    let rows = read(&files(folder.path()));
    let missing = (40..43).map(|index| (START + index * MINUTE, vec![f32::NAN; 2]));
    let expected: Vec<_> = expected(0..40).into_iter().chain(missing).chain(expected(43..44)).collect();
    assert_eq!(format!("{rows:?}"), format!("{expected:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_model_exists_naive_forecasts_say_so_and_the_model_that_follows_warms_up_from_the_log() {
    let Some(broker) = Mosquitto::start() else {
        return skip("mosquitto");
    };
    let (folder, config) = site(broker.port(), "state.path = 'state'");
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    let daemon = Running::start(&["run", &config]);
    client.wait_for("tsm2/status", "online").await;
    for index in 0..20 {
        client.publish("sensors/a", payload(index)).await;
        for value in row(index) {
            let forecast = client.forecast().await;
            assert_eq!(forecast.mean, [value; HORIZON]);
            assert_eq!(forecast.payload["model"], "naive");
            let bounds = [&forecast.payload["lower"][0], &forecast.payload["upper"][0]].map(|bound| bound.as_f64().unwrap() as f32);
            assert!(
                bounds[0] <= value && value <= bounds[1] && bounds[0] < bounds[1],
                "{bounds:?} around {value}"
            );
        }
    }
    // The model is there: the same variates.
    let path = bundle::random(folder.path(), "first", &["temp", "power"], HORIZON, Some(MINUTE as u64));
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("model.bundle = 'first.safetensors'\n{text}")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for("a model of another architecture");
    daemon.wait_for("connected");
    client.publish("sensors/a", payload(20)).await;
    let model = tsm2_bundle::Bundle::open(&path).unwrap();
    let rows: Vec<(i64, [f32; 2])> = (0..21).map(|index| (START + index * MINUTE, row(index))).collect();
    let expected = bundle::forecasts(&model, rows.iter().map(|(time, row)| (*time, row.as_slice())));
    let mut mean = Vec::new();
    for _ in 0..2 {
        let forecast = client.forecast().await;
        assert_eq!(forecast.payload["model"], "first");
        mean.extend(forecast.mean);
    }
    assert_eq!(mean, expected[20], "as if the model had run from the start");
    daemon.terminate();
}
