//! The engine without a broker: streams, rows and forecasts of messages given by hand.

use std::path::Path;

use serde_json::json;
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_e2e::bundle;
use tsm2_e2e::engine::TestEngine;
use tsm2_edge::config::{Aggregate, Config};
use tsm2_edge::config::{Prepared, prepare};
use tsm2_mqtt::rfc3339;

const HORIZON: usize = 3;
const MINUTE: i64 = 60_000;

/// A prepared over a random bundle of variates a and b, a row a minute; the time of arrival counts.
fn prepared(folder: &Path, change: impl FnOnce(&mut Config)) -> Prepared {
    let path = bundle::random(folder, "m", &["a", "b"], HORIZON, Some(MINUTE as u64));
    let mut config = Config::new(path, "s/{stream}");
    change(&mut config);
    prepare(&config).unwrap()
}

/// Stream, row time and forecast of each row that a message closed.
fn take(engine: &mut TestEngine<'_>, topic: &str, payload: &str, arrival_ms: i64) -> Vec<(String, i64, Vec<f32>)> {
    let mut steps = Vec::new();
    engine.take(topic, payload.as_bytes(), false, arrival_ms, |step| {
        steps.push((step.stream.to_owned(), step.time_ms, step.mean.to_vec()));
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
    let prepared = prepared(folder.path(), |_| ());
    let mut engine = TestEngine::new(&prepared);
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
    assert_eq!(
        (summary.streams, summary.time_steps, summary.forecasts, summary.messages),
        (2, 6, 12, 6)
    );
}

#[test]
fn a_gap_steps_the_model_with_missing_rows() {
    let folder = tempdir().unwrap();
    let prepared = prepared(folder.path(), |_| ());
    let mut engine = TestEngine::new(&prepared);
    let nan = f32::NAN;
    let expected = direct(folder.path(), &[[1.0, 2.0], [nan, nan], [nan, nan], [3.0, nan], [4.0, 4.0]]);
    take(&mut engine, "s/x", r#"{"a": 1, "b": 2}"#, 0);
    take(&mut engine, "s/x", r#"{"a": 3, "b": null}"#, 3 * MINUTE);
    let last = take(&mut engine, "s/x", r#"{"a": 4, "b": 4}"#, 4 * MINUTE);
    assert_eq!(last, [("x".to_owned(), 4 * MINUTE, expected[4].clone())]);
    assert_eq!(engine.summary().bridged_time_steps, 2);
}

#[test]
fn after_a_long_silence_a_stream_is_as_new() {
    let folder = tempdir().unwrap();
    let prepared = prepared(folder.path(), |config| config.input.max_gap = 5);
    let mut engine = TestEngine::new(&prepared);
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
    let prepared = prepared(folder.path(), |config| config.input.max_streams = 2);
    let mut engine = TestEngine::new(&prepared);
    for (name, taken) in [("one", 1), ("two", 1), ("three", 0), ("four", 0)] {
        assert_eq!(
            take(&mut engine, &format!("s/{name}"), r#"{"a": 1, "b": 2}"#, 0).len(),
            taken,
            "{name}"
        );
    }
    assert_eq!(take(&mut engine, "s/one", r#"{"a": 1, "b": 2}"#, MINUTE).len(), 1);
    assert_eq!(engine.summary().rejected["too_many_streams"], 2);
}

#[test]
fn a_topic_per_variate_fills_a_row() {
    let folder = tempdir().unwrap();
    let prepared = prepared(folder.path(), |config| {
        config.input.topic = "bed/{stream}/{variate}/state".into();
        config.input.fields.insert("b".into(), "power".into());
    });
    let mut engine = TestEngine::new(&prepared);
    let expected = direct(folder.path(), &[[1.5, 2.5]]);
    assert_eq!(take(&mut engine, "bed/x/a/state", "1.5", 0), []);
    assert_eq!(take(&mut engine, "bed/x/b/state", "9", 0), [], "b goes by the name power");
    let steps = take(&mut engine, "bed/x/power/state", r#"{"value": "2.5"}"#, 1000);
    assert_eq!(steps, [("x".to_owned(), 0, expected[0].clone())]);
    assert_eq!(engine.summary().rejected["unknown_variate"], 1);
}

#[test]
fn a_stored_message_only_goes_on_with_a_stream_and_only_with_its_own_time() {
    let folder = tempdir().unwrap();
    // Minutes, whether stored, and whether it makes a row: first, next, long after, once more, long before.
    let messages = [
        (50, true, false),
        (60, false, true),
        (61, true, true),
        (9_000, true, false),
        (62, false, true),
        (3, true, false),
    ];
    for time_field in [None, Some("t".to_owned())] {
        let has_time = time_field.is_some();
        let prepared = prepared(folder.path(), |config| config.input.time_field = time_field);
        let mut engine = TestEngine::new(&prepared);
        for (minute, stored, counts) in messages {
            let payload = json!({ "a": 1, "b": 2, "t": minute * 60 }).to_string();
            let mut rows = 0;
            engine.take("s/x", payload.as_bytes(), stored, minute * MINUTE, |_| {
                rows += 1;
                2
            });
            assert_eq!(rows > 0, counts && (has_time || !stored), "{minute}");
        }
        assert_eq!(engine.summary().rejected["retained"], if has_time { 3 } else { 4 });
    }
}

#[test]
fn readings_of_a_slot_are_aggregated_late_ones_included_and_local_times_are_read() {
    let folder = tempdir().unwrap();
    let prepared = prepared(folder.path(), |config| {
        config.input.topic = "s/{stream}/{variate}".into();
        config.input.time_field = Some("t".into());
        config.input.time_zone = Some("Europe/Berlin".into());
        config.input.allowed_lateness_s = 90.0;
        config.input.aggregate = Aggregate::Mean;
        config.input.aggregates.insert("b".into(), Aggregate::Max);
    });
    let mut engine = TestEngine::new(&prepared);
    let mut rows = Vec::new();
    // The hour that is repeated: from the last minute of its first pass to the second of its second pass.
    for (variate, value, time) in [
        ("a", 1.0, "02:59:00"),
        ("b", 9.0, "02:59:10"),
        ("b", 5.0, "02:59:20"),
        ("a", 7.0, "02:00:05"),
        ("a", 3.0, "02:59:05"),
        ("a", 3.0, "02:59:05"),
        ("a", 1.0, "02:01:00"),
    ] {
        assert_eq!(rows, [], "{time}");
        let payload = json!({ "value": value, "t": format!("2026-10-25T{time}") }).to_string();
        engine.take(&format!("s/x/{variate}"), payload.as_bytes(), false, 0, |step| {
            rows.push((rfc3339(step.time_ms), step.values.to_vec()));
            2
        });
    }
    assert_eq!(rows, [("2026-10-25T00:59:00Z".to_owned(), vec![2.0, 9.0])]);
    let summary = engine.summary();
    assert_eq!((summary.readings, summary.merged_readings, summary.rejected["late"]), (6, 2, 1));
}

#[test]
fn readings_without_a_time_that_arrive_together_all_count_beside_a_source_with_times() {
    let folder = tempdir().unwrap();
    bundle::random(folder.path(), "m", &["a", "b"], HORIZON, Some(MINUTE as u64));
    let text = "model.bundle = 'm.safetensors'\ninput.stream = 's'\ninput.aggregates = { b = 'sum' }\n\
                [[source]]\ntopic = 'timed'\ntime_field = 'time'\nvalues = ['a']\n\
                [[source]]\ntopic = 'pulses'\nvalues = ['b']\n";
    std::fs::write(folder.path().join("edge.toml"), text).unwrap();
    let prepared = prepare(&Config::load(&folder.path().join("edge.toml")).unwrap()).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let start = 29_000_000 * MINUTE;
    let mut rows = Vec::new();
    // A broker that was away delivers what has waited within a millisecond; the second minute follows an hour later.
    for (minute, pulses) in [(0, [1.0, 2.0, 4.0]), (60, [8.0, 16.0, 32.0]), (61, [0.0; 3])] {
        let arrival = start + minute * MINUTE;
        let timed = json!({ "time": rfc3339(arrival), "a": minute });
        let messages = [("timed", timed)].into_iter().chain(pulses.map(|b| ("pulses", json!({ "b": b }))));
        for (topic, payload) in messages {
            engine.take(topic, payload.to_string().as_bytes(), false, arrival, |step| {
                if step.last_reading_ms.is_some() {
                    rows.push(step.values.to_vec());
                }
                0
            });
        }
    }
    assert_eq!(rows, [[0.0, 7.0], [60.0, 56.0]]);
    assert!(engine.summary().rejected.is_empty(), "{:?}", engine.summary());
}
