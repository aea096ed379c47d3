//! The engine without a broker: streams, rows and forecasts of messages given by hand.

use std::path::Path;

use serde_json::json;
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_e2e::bundle;
use tsm2_edge::config::Config;
use tsm2_edge::engine::Engine;
use tsm2_edge::service::Service;

const HORIZON: usize = 3;
const MINUTE: i64 = 60_000;

/// A service over a random bundle of variates a and b, a row a minute; the time of arrival counts.
fn service(folder: &Path, change: impl FnOnce(&mut Config)) -> Service {
    let path = bundle::random(folder, "m", &["a", "b"], HORIZON, Some(MINUTE as u64));
    let mut config = Config::new(path, "s/{stream}");
    change(&mut config);
    Service::prepare(&config).unwrap()
}

/// Stream, row time and forecast of each row that a message closed.
fn take(engine: &mut Engine<'_>, topic: &str, payload: &str, arrival_ms: i64) -> Vec<(String, i64, Vec<f32>)> {
    let mut steps = Vec::new();
    engine.take(topic, payload.as_bytes(), false, arrival_ms, |step| {
        steps.push((step.stream.to_owned(), step.time_ms, step.forecast.expect("stride 1").to_vec()));
        2
    });
    steps
}

fn direct(folder: &Path, rows: &[[f32; 2]]) -> Vec<Vec<f32>> {
    let bundle = Bundle::open(&folder.join("m.safetensors")).unwrap();
    bundle::forecasts(
        &bundle,
        rows.iter().enumerate().map(|(index, row)| (index as i64 * MINUTE, row.as_slice())),
    )
}

#[test]
fn streams_do_not_touch_each_other() {
    let folder = tempdir().unwrap();
    let service = service(folder.path(), |_| ());
    let mut engine = Engine::new(&service);
    let (one, two) = ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[9.0, 8.0], [7.0, 6.0], [5.0, 4.0]]);
    let (expected_one, expected_two) = (direct(folder.path(), &one), direct(folder.path(), &two));
    for index in 0..3 {
        for (name, rows, expected) in [("one", &one, &expected_one), ("two", &two, &expected_two)] {
            let [a, b] = rows[index];
            let time = index as i64 * MINUTE;
            let steps = take(&mut engine, &format!("s/{name}"), &json!({ "a": a, "b": b }).to_string(), time);
            assert_eq!(steps, [(name.to_owned(), time, expected[index].clone())]);
        }
    }
    let summary = engine.summary();
    assert_eq!((summary.streams, summary.rows, summary.forecasts, summary.messages), (2, 6, 12, 6));
}

#[test]
fn a_gap_steps_the_model_with_missing_rows() {
    let folder = tempdir().unwrap();
    let service = service(folder.path(), |_| ());
    let mut engine = Engine::new(&service);
    let nan = f32::NAN;
    let expected = direct(folder.path(), &[[1.0, 2.0], [nan, nan], [nan, nan], [3.0, nan], [4.0, 4.0]]);
    take(&mut engine, "s/x", r#"{"a": 1, "b": 2}"#, 0);
    take(&mut engine, "s/x", r#"{"a": 3, "b": null}"#, 3 * MINUTE);
    let last = take(&mut engine, "s/x", r#"{"a": 4, "b": 4}"#, 4 * MINUTE);
    assert_eq!(last, [("x".to_owned(), 4 * MINUTE, expected[4].clone())]);
    assert_eq!(engine.summary().gap_rows, 2);
}

#[test]
fn after_a_long_silence_a_stream_is_as_new() {
    let folder = tempdir().unwrap();
    let service = service(folder.path(), |config| config.input.max_gap = 5);
    let mut engine = Engine::new(&service);
    let expected = direct(folder.path(), &[[3.0, 4.0], [5.0, 6.0]]);
    take(&mut engine, "s/x", r#"{"a": 1, "b": 2}"#, 0);
    assert_eq!(
        take(&mut engine, "s/x", r#"{"a": 3, "b": 4}"#, 100 * MINUTE),
        [],
        "a leap waits for its confirmation"
    );
    let steps = take(&mut engine, "s/x", r#"{"a": 5, "b": 6}"#, 101 * MINUTE);
    let forecasts: Vec<_> = steps.into_iter().map(|step| step.2).collect();
    assert_eq!(forecasts, expected);
    assert_eq!(engine.summary().restarts, 1);
}

#[test]
fn more_streams_than_allowed_are_refused_and_the_known_go_on() {
    let folder = tempdir().unwrap();
    let service = service(folder.path(), |config| config.input.max_streams = 2);
    let mut engine = Engine::new(&service);
    for (name, taken) in [("one", 1), ("two", 1), ("three", 0), ("four", 0)] {
        assert_eq!(
            take(&mut engine, &format!("s/{name}"), r#"{"a": 1, "b": 2}"#, 0).len(),
            taken,
            "{name}"
        );
    }
    assert_eq!(take(&mut engine, "s/one", r#"{"a": 1, "b": 2}"#, MINUTE).len(), 1);
    assert_eq!(engine.summary().refused["too_many_streams"], 2);
}

#[test]
fn a_topic_per_variate_fills_a_row() {
    let folder = tempdir().unwrap();
    let service = service(folder.path(), |config| {
        config.input.topic = "plant/{stream}/{variate}/state".into();
        config.input.fields.insert("b".into(), "power".into());
    });
    let mut engine = Engine::new(&service);
    let expected = direct(folder.path(), &[[1.5, 2.5]]);
    assert_eq!(take(&mut engine, "plant/x/a/state", "1.5", 0), []);
    assert_eq!(take(&mut engine, "plant/x/b/state", "9", 0), [], "b goes by the name power");
    let steps = take(&mut engine, "plant/x/power/state", r#"{"value": "2.5"}"#, 1000);
    assert_eq!(steps, [("x".to_owned(), 0, expected[0].clone())]);
    assert_eq!(engine.summary().refused["unknown_variate"], 1);
}

#[test]
fn a_stored_message_counts_only_with_its_own_time() {
    let folder = tempdir().unwrap();
    let payload = br#"{"a": 1, "b": 2, "t": 60}"#;
    for (time_field, rows) in [(None, 0), (Some("t".to_owned()), 1)] {
        let service = service(folder.path(), |config| config.input.time_field = time_field);
        let mut engine = Engine::new(&service);
        engine.take("s/x", payload, true, 0, |step| {
            assert_eq!(step.time_ms, MINUTE);
            2
        });
        assert_eq!(engine.summary().rows, rows);
        assert_eq!(engine.summary().refused.get("retained").copied(), (rows == 0).then_some(1));
    }
}
