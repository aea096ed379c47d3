//! Future covariates: published over MQTT they move the forecasts as the model alone would, outlive the daemon with the stream, and end.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_core::{Config, LinearHead};
use tsm2_data::Recording;
use tsm2_e2e::bundle;
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::recording::{evaluated, recording};
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site};
use tsm2_edge::config::Config as EdgeConfig;
use tsm2_edge::config::Input;
use tsm2_edge::config::{Prepared, prepare};
use tsm2_edge::state::Stored;
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;

const ROWS: usize = 24;
/// The last row with a future covariate.
const TOLD: usize = 17;

/// Writes a bundle of two variates, the second of which is a future covariate.
fn model(folder: &Path, name: &str) -> PathBuf {
    let config = Config {
        future_covariates: 1,
        linear_head: LinearHead {
            lags: 2,
            future_covariates: true,
            per_variate: true,
            ..LinearHead::default()
        },
        ..bundle::small(2, HORIZON)
    };
    bundle::write(folder, name, &["temp", "power"], Some(MINUTE as u64), config)
}

fn temp(row: usize) -> f32 {
    20.0 + (row % 7) as f32
}

/// The future covariate of a row.
fn power(row: usize) -> f32 {
    (row / 3) as f32
}

/// Points of these rows as a message; each value stands for three rows.
fn outlook(rows: impl Iterator<Item = usize>) -> String {
    let point = |row: usize| json!({ "time": rfc3339(START + row as i64 * MINUTE), "value": power(row) });
    Value::Array(rows.map(point).collect()).to_string()
}

/// The forecasts of the model alone, which gets the same.
fn expected(path: &Path) -> Vec<Vec<f32>> {
    let bundle = Bundle::open(path).unwrap();
    let model = bundle.model();
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    (0..ROWS)
        .map(|row| {
            let told: Vec<f32> = (row..=TOLD).map(power).take(HORIZON + 1).collect();
            model.set_future(&mut state, 1, &told).unwrap();
            let time_ms = START + row as i64 * MINUTE;
            let mut forecast = vec![0.0; HORIZON];
            let mut token = model.step(&mut state, &mut scratch, &[temp(row), f32::NAN], time_ms).unwrap();
            token.forecast(&mut forecast).unwrap();
            forecast
        })
        .collect()
}

fn prepared(path: &Path) -> Prepared {
    let mut config = EdgeConfig::new(path, "s/{stream}");
    config.input.future_covariates_topic = Some("ahead/{stream}/{variate}".into());
    config.input.max_payload_bytes = 1 << 20;
    prepare(&config).unwrap()
}

/// Rows through the engine; the forecasts that come of them.
fn rows(engine: &mut TestEngine<'_>, rows: std::ops::Range<usize>) -> Vec<Vec<f32>> {
    let mut forecasts = Vec::new();
    for row in rows {
        let payload = json!({ "temp": temp(row), "power": null }).to_string();
        engine.take("s/x", payload.as_bytes(), false, START + row as i64 * MINUTE, |step| {
            forecasts.push(step.mean.to_vec());
            1
        });
    }
    forecasts
}

#[test]
fn what_is_told_moves_the_forecasts_outlives_a_restart_and_ends() {
    let folder = tempdir().unwrap();
    let path = model(folder.path(), "m");
    let (prepared, expected) = (prepared(&path), expected(&path));
    let mut engine = TestEngine::new(&prepared);
    // Retained from before, so it comes before the first reading.
    let message = outlook((0..=TOLD).filter(|row| row % 3 == 0 || *row == TOLD));
    assert_eq!(engine.take("ahead/x/power", message.as_bytes(), true, START, |_| 0), 1);
    let mut forecasts = rows(&mut engine, 0..9);
    let checkpoint = engine.checkpoint("x");
    let stored = Stored {
        checkpoint: checkpoint.clone(),
        tail: Vec::new(),
    };
    let mut next = TestEngine::new(&prepared);
    next.load("x", &stored, &[]);
    assert!(next.checkpoint("x") == checkpoint);
    forecasts.extend(rows(&mut next, 9..ROWS));
    assert_eq!(forecasts, expected);

    // Told nothing, the same readings have other forecasts; told that nothing is known, those again.
    let mut untold = TestEngine::new(&prepared);
    let alone = rows(&mut untold, 0..9);
    assert_ne!(alone, expected[..9]);
    let mut taken_back = TestEngine::new(&prepared);
    taken_back.take("ahead/x/power", message.as_bytes(), true, START, |_| 0);
    taken_back.take("ahead/x/power", b"[]", true, START, |_| 0);
    assert_eq!(rows(&mut taken_back, 0..9), alone);
}

#[test]
fn what_cannot_be_used_is_counted_and_changes_nothing() {
    let folder = tempdir().unwrap();
    let path = model(folder.path(), "m");
    let prepared = prepared(&path);
    let mut engine = TestEngine::new(&prepared);
    let good = outlook(0..=TOLD);
    engine.take("ahead/x/power", good.as_bytes(), true, START, |_| 0);
    let many = Value::Array(vec![json!({ "time": START, "value": 1 }); 2049]).to_string();
    for (topic, payload, kind) in [
        ("ahead/x/temp", good.as_str(), "not_a_future_covariate"),
        ("ahead/x/wind", &good, "unknown_variate"),
        ("ahead/x/power", "7", "not_points"),
        ("ahead/x/power", r#"[{"value": 7}]"#, "no_time"),
        ("ahead/x/power", r#"[{"time": 7}]"#, "field_missing"),
        ("ahead/x/power", &many, "too_many_points"),
    ] {
        assert_eq!(engine.take(topic, payload.as_bytes(), true, START, |_| 0), 0, "{payload}");
        assert_eq!(engine.summary().rejected.get(kind), Some(&1), "{kind}: {:?}", engine.summary());
    }
    assert_eq!(rows(&mut engine, 0..9), expected(&path)[..9]);
}

#[test]
fn a_backtest_tells_the_model_what_came_true() {
    let folder = tempdir().unwrap();
    let bundle = Bundle::open(&model(folder.path(), "m")).unwrap();
    let of = |value: &dyn Fn(usize) -> f32| {
        let row = |row: usize| (START + row as i64 * MINUTE, vec![temp(row), value(row)]);
        recording(&["temp", "power"], (0..60).map(row))
    };
    let mse = |recording: &Recording, rows: std::ops::Range<usize>| {
        let outcome = evaluated(&bundle, recording, rows, &Input::default());
        outcome.of(0, 1).unwrap().model.mse
    };
    // Two recordings that are the same up to row 30: what differs afterwards is known before.
    let (rises, stays) = (of(&power), of(&|row| power(row.min(30))));
    assert_eq!(mse(&rises, 0..20), mse(&stays, 0..20));
    assert_ne!(mse(&rises, 26..31), mse(&stays, 26..31));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_hears_what_was_retained_before_it_began() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "input.future_covariates_topic = 'ahead/{stream}/{variate}'");
    let path = model(site.path(), "site");
    let early = site.client().await;
    early.publish_retained("ahead/a/power", outlook(0..=TOLD)).await;
    early.end().await;
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    for row in 0..ROWS {
        let payload = json!({ "time": rfc3339(START + row as i64 * MINUTE), "temp": temp(row), "power": power(row.min(TOLD)) });
        client.publish("sensors/a", payload.to_string()).await;
    }
    let bundle = Bundle::open(&path).unwrap();
    let model = bundle.model();
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    for row in 0..ROWS {
        let told: Vec<f32> = (row..=TOLD).map(power).take(HORIZON + 1).collect();
        model.set_future(&mut state, 1, &told).unwrap();
        let readings = [temp(row), power(row.min(TOLD))];
        let mut token = model
            .step(&mut state, &mut scratch, &readings, START + row as i64 * MINUTE)
            .unwrap();
        let mut forecast = vec![0.0; HORIZON];
        token.forecast(&mut forecast).unwrap();
        let published = client.forecast().await;
        assert_eq!(
            (published.topic.as_str(), published.mean),
            ("tsm2/a/forecast/temp", forecast),
            "row {row}"
        );
    }
    client.end().await;
    drop(daemon);
}
