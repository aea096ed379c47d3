//! ETTh1 through a broker into the daemon: every forecast published is the one that the model gives for that row, to the bit.

use std::collections::{HashMap, HashSet};

use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_e2e::process::{self, Running};
use tsm2_e2e::watcher::Watcher;
use tsm2_e2e::{broker::Broker, bundle, data};
use tsm2_edge::table::Table;
use tsm2_mqtt::rfc3339;

const ROWS: std::ops::Range<usize> = 100..400;
const HORIZON: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn every_published_forecast_is_the_models_own_one_object_per_row() {
    follow("sensors/{stream}/telemetry", "time_field = 'time'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_forecast_is_the_models_own_one_topic_per_variate() {
    follow("plant/{stream}/{variate}/state", "time_field = 'time'").await;
}

async fn follow(topic: &str, input: &str) {
    let Some(csv) = data::file("ETTh1.csv") else { return };
    let table = Table::open(&csv).unwrap();
    let names: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let folder = tempdir().unwrap();
    let path = bundle::random(folder.path(), "etth1-random", &names, HORIZON, Some(3_600_000));
    let broker = Broker::start();
    let config = folder.path().join("edge.toml");
    let text = format!(
        "[broker]\nhost = '127.0.0.1'\nport = {}\n[model]\nbundle = 'etth1-random.safetensors'\n[input]\ntopic = '{topic}'\n{input}\n",
        broker.port()
    );
    std::fs::write(&config, text).unwrap();

    let mut watcher = Watcher::connect(broker.port(), &["tsm2/#"]).await;
    let daemon = Running::start(&["run", config.to_str().unwrap(), "--json"]);
    watcher.wait_for("tsm2/status", "online").await;
    let address = format!("127.0.0.1:{}", broker.port());
    let rows = format!("{}..{}", ROWS.start, ROWS.end);
    let csv = csv.to_str().unwrap();
    let replay = [
        "replay", "--data", csv, "--speed", "0", "--topic", topic, "--stream", "etth1", "--broker", &address, "--rows", &rows, "--json",
    ];
    let replayed = tokio::task::spawn_blocking({
        let replay = replay.map(str::to_owned);
        move || process::run(&replay.iter().map(String::as_str).collect::<Vec<_>>())
    });

    let rows: Vec<(i64, Vec<f32>)> = table
        .slice(ROWS)
        .iter()
        .map(|r| (r.time_ms, r.values.iter().map(|&v| v as f32).collect()))
        .collect();
    let expected = bundle::forecasts(&Bundle::open(&path).unwrap(), rows.iter().map(|(t, row)| (*t, row.as_slice())));
    let row_of: HashMap<String, usize> = rows.iter().enumerate().map(|(index, row)| (rfc3339(row.0), index)).collect();
    let mut seen = HashSet::new();
    while seen.len() < rows.len() * names.len() {
        let forecast = watcher.forecast().await;
        let row = *row_of
            .get(&forecast.issued)
            .unwrap_or_else(|| panic!("no row at {}", forecast.issued));
        let variate = names
            .iter()
            .position(|n| forecast.topic == format!("tsm2/etth1/forecast/{n}"))
            .expect("a topic per variate");
        assert_eq!(
            forecast.mean,
            expected[row][variate * HORIZON..][..HORIZON],
            "row {row}, {}",
            names[variate]
        );
        assert_eq!(forecast.payload["interval_s"], 3600);
        assert_eq!(forecast.payload["model"], "etth1-random");
        assert!(seen.insert((row, variate)), "published twice: row {row}, {}", names[variate]);
    }

    let output = replayed.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["rows"], ROWS.len());
    let summary: serde_json::Value = serde_json::from_str(&daemon.terminate()).unwrap();
    watcher.wait_for("tsm2/status", "offline").await;
    assert_eq!(summary["rows"], ROWS.len());
    assert_eq!(summary["forecasts"], ROWS.len() * names.len());
    assert_eq!(summary["refused"], serde_json::json!({}));
    watcher.end().await;
}
