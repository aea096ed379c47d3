//! Past covariates: they step the model like any other variate, and nothing is published or measured of them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_core::{Config, LinearHead};
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::site::{HORIZON, MINUTE, Site, payload, summary};
use tsm2_e2e::{bundle, process};
use tsm2_edge::config::Config as EdgeConfig;
use tsm2_edge::config::Input;
use tsm2_edge::config::prepare;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::numbers;

/// Writes a bundle of these variates, the last `past_covariates` of which are only read.
fn model(folder: &Path, name: &str, variates: &[&str], past_covariates: usize, horizon: usize) -> PathBuf {
    let config = Config {
        past_covariates,
        linear_head: LinearHead {
            lags: 2,
            cross_lags: 2,
            per_variate: true,
            ..LinearHead::default()
        },
        ..bundle::small(variates.len(), horizon)
    };
    bundle::write(folder, name, variates, Some(MINUTE as u64), config)
}

#[test]
fn a_missing_past_covariate_stands_at_its_last_and_the_row_has_a_forecast_of_the_others() {
    let folder = tempdir().unwrap();
    let path = model(folder.path(), "m", &["a", "b", "valve"], 1, HORIZON);
    let prepared = prepare(&EdgeConfig::new(&path, "s/{stream}")).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let nan = f32::NAN;
    let rows = [[1.0, 2.0, 9.0], [2.0, 3.0, nan], [nan, 4.0, nan], [4.0, 5.0, 1.0]];
    let times = (0..).map(|row| row * MINUTE);
    let expected = bundle::forecasts(&Bundle::open(&path).unwrap(), times.zip(rows.iter().map(|row| row.as_slice())));
    let stood = [[1.0, 2.0, 9.0], [2.0, 3.0, 9.0], [2.0, 4.0, 9.0], [4.0, 5.0, 1.0]];
    let times = (0..).map(|row| row * MINUTE);
    assert_eq!(
        bundle::forecasts(&Bundle::open(&path).unwrap(), times.zip(stood.iter().map(|row| row.as_slice()))),
        expected
    );
    let mut steps = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let [a, b, valve] = row.map(|value| if value.is_nan() { Value::Null } else { json!(value) });
        let payload = json!({ "a": a, "b": b, "valve": valve }).to_string();
        engine.take("s/x", payload.as_bytes(), false, index as i64 * MINUTE, |step| {
            let (lo, hi) = (step.lower, step.upper);
            let forecast = step.mean;
            assert_eq!((step.values.len(), lo.len(), hi.len()), (3, 2 * HORIZON, 2 * HORIZON));
            assert!(forecast.iter().zip(lo).all(|(mean, lo)| lo < mean) && forecast.iter().zip(hi).all(|(mean, hi)| mean < hi));
            steps.push(forecast.to_vec());
            2
        });
    }
    // A row that lacks a reading, whichever, leaves when the next begins.
    assert_eq!(steps, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_publishes_and_judges_what_is_forecast_and_nothing_else() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    model(site.path(), "site", &["temp", "power"], 1, HORIZON);
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let rows = 2 * HORIZON as i64;
    for index in 0..rows {
        client.publish("sensors/a", payload(index)).await;
    }
    let expected = site.expected(0..rows);
    let (mut forecasts, mut judged) = (0, 0);
    while judged < 2 {
        let (topic, payload) = client.next().await;
        match topic.as_str() {
            "tsm2/a/forecast/temp" => {
                let payload: Value = serde_json::from_slice(&payload).unwrap();
                let [lo, mean, hi] = ["lower", "mean", "upper"].map(|key| numbers(&payload[key]));
                assert_eq!(mean, expected[forecasts]);
                assert!((0..HORIZON).all(|lead| lo[lead] < mean[lead] && mean[lead] < hi[lead]), "{payload}");
                forecasts += 1;
            }
            "tsm2/a/metrics/temp" => judged += 1,
            topic => assert_eq!(topic, "tsm2/status"),
        }
    }
    assert_eq!(forecasts, expected.len());
    client.end().await;
    let summary = summary(daemon);
    assert_eq!((&summary["time_steps"], &summary["forecasts"]), (&json!(rows), &json!(rows)));
}

#[test]
fn validate_says_which_are_only_read() {
    let folder = tempdir().unwrap();
    model(folder.path(), "m", &["a", "valve", "sun"], 2, 4);
    let file = folder.path().join("edge.toml");
    std::fs::write(
        &file,
        "model.bundle = 'm.safetensors'\nbroker.host = 'localhost'\ninput.topic = 'sensors/{stream}'\n",
    )
    .unwrap();
    let validate = |more: &[&str]| {
        let output = process::run(&[&["validate", file.to_str().unwrap()], more].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let found: Value = serde_json::from_str(&validate(&["--json"])).unwrap();
    assert_eq!(
        (&found["targets"], &found["past_covariates"]),
        (&json!(["a"]), &json!(["valve", "sun"]))
    );
    let text = validate(&[]);
    assert!(
        text.contains("past covariates    valve, sun") && text.contains("forecast/a") && !text.contains("forecast/valve"),
        "{text}"
    );
}

#[test]
fn a_backtest_judges_the_variates_that_are_forecast() {
    let folder = tempdir().unwrap();
    let bundle = Bundle::open(&model(folder.path(), "m", &["a", "valve"], 1, 5)).unwrap();
    let rows = (0..40).map(|minute| (minute * MINUTE, vec![(minute % 5) as f32, (minute % 7) as f32]));
    let recording = tsm2_e2e::recording::recording(&["valve", "a"], rows);
    let outcome = tsm2_e2e::recording::evaluated(&bundle, &recording, 0..usize::MAX, &Input::default());
    assert_eq!(
        (outcome.variates.as_slice(), outcome.drifting.len()),
        (["a".to_owned()].as_slice(), 1)
    );
    let rows: Vec<[f32; 2]> = (0..40).map(|minute| [(minute % 7) as f32, (minute % 5) as f32]).collect();
    let times = (0..).map(|minute| minute * MINUTE);
    let forecasts = bundle::forecasts(&bundle, times.zip(rows.iter().map(|row| row.as_slice())));
    let errors = (0..39).map(|origin| f64::from((rows[origin + 1][0] - forecasts[origin][0]).abs()));
    let line = outcome.of(0, 1).unwrap();
    assert!((line.model.mae - errors.sum::<f64>() / 39.0).abs() < 1e-5, "{line:?}");
    assert_eq!((line.n, outcome.all(1).unwrap().n, outcome.of(1, 1)), (39, 39, None));
}
