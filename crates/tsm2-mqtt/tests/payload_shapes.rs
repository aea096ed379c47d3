//! Payloads of devices and gateways: wrappers, batches, conditions, words, line protocol.

use tsm2_mqtt::{
    Condition, Decoder, DecoderOptions, Field, Outcome, Path, Payload, PayloadFormat, PayloadShape, TimeFormat, ValueRule, Words,
};

const ARRIVAL: i64 = 1_700_000_000_000;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn options(paths: &[&str]) -> DecoderOptions {
    DecoderOptions {
        fields: paths.iter().map(|&text| Field::at(path(text))).collect(),
        max_payload: 65_536,
        max_depth: 16,
        ..DecoderOptions::default()
    }
}

/// Field, seconds since arrival, and value (NaN as None).
type Decoded = (usize, i64, Option<f32>);

/// The values of a payload, and the reasons of faults.
fn decode(options: DecoderOptions, bytes: &[u8]) -> (Vec<Decoded>, Vec<&'static str>) {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    let payload = Payload {
        topic: "t",
        bytes,
        arrival_ms: ARRIVAL,
        retained: false,
        newest_ms: None,
        field: Some(0),
    };
    let read = Decoder::new(options).decode(&payload, |outcome| match outcome {
        Outcome::Value { time_ms, field, value } => values.push((field, (time_ms - ARRIVAL) / 1000, (!value.is_nan()).then_some(value))),
        Outcome::Absent { .. } => {}
        Outcome::Fault(error) => faults.push(error.reason()),
    });
    faults.extend(read.err().map(|error| error.reason()));
    (values, faults)
}

#[test]
fn an_array_of_readings_is_a_batch_and_a_bad_one_costs_only_itself() {
    let options = || DecoderOptions {
        time: Some(path("t")),
        ..options(&["v"])
    };
    let payload = br#"[{"t": 1700000000, "v": 1}, {"t": "soon", "v": 2}, {"v": 3}, {"t": 1700000060, "v": 4}]"#;
    assert_eq!(
        decode(options(), payload),
        (vec![(0, 0, Some(1.0)), (0, 60, Some(4.0))], vec!["no_time", "bad_time"])
    );
    assert_eq!(decode(options(), b"[]"), (vec![], vec![]));
    assert_eq!(decode(options(), br#"[{"v": 1}]"#), (vec![], vec!["no_time"]));
    let values = br#"{"t": 1700000000, "v": [20.0, 20.1]}"#;
    assert_eq!(
        decode(options(), values),
        (vec![], vec!["not_a_number"]),
        "values without times of their own"
    );
}

#[test]
fn what_no_reading_of_a_large_batch_has_is_looked_up_around_them_once() {
    let batch = format!("[{}]", vec!["{}"; 20_000].join(","));
    let begun = std::time::Instant::now();
    for options in [
        DecoderOptions {
            time: Some(path("$..t")),
            ..options(&["v"])
        },
        DecoderOptions {
            conditions: vec![Condition {
                path: path("$..q"),
                any_of: vec![true.into()],
            }],
            ..options(&["v"])
        },
    ] {
        let (values, faults) = decode(options, batch.as_bytes());
        assert!(values.is_empty() && faults.iter().all(|reason| *reason == "no_time"));
    }
    // Once for each reading it takes minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn times_may_be_keys() {
    let options = || DecoderOptions {
        times_as_keys: true,
        ..options(&["v"])
    };
    let payload = br#"{"1700000000": {"v": 1}, "1700000060": {"v": 2}, "station": {"v": 3}}"#;
    assert_eq!(
        decode(options(), payload),
        (vec![(0, 0, Some(1.0)), (0, 60, Some(2.0))], vec!["bad_time"])
    );
    assert_eq!(decode(options(), br#"{"1700000060": 2.5}"#).0, [(0, 60, Some(2.5))]);
}

#[test]
fn readings_may_lie_in_a_wrapper_name_their_variate_and_have_a_quality() {
    let payload = br#"{"timestamp": 1700000000000, "values": [
        {"id": "Inlet", "v": 55, "q": true, "t": 1700000060000},
        {"id": "Outlet", "v": 0, "q": false, "t": 1700000060000},
        {"id": "Flow", "v": 6, "q": true}]}"#;
    let named = |name: &str| Field {
        name: name.to_owned(),
        ..Field::at(path("v"))
    };
    let by_name = DecoderOptions {
        shape: PayloadShape::Named(path("id")),
        fields: vec![named("Flow"), named("Outlet"), named("Inlet")],
        readings: Some(path("values")),
        conditions: vec![Condition {
            path: path("q"),
            any_of: vec![true.into()],
        }],
        time: Some(path("t")),
        ..options(&[])
    };
    let missing_time = DecoderOptions {
        time: Some(path("timestamp")),
        ..by_name.clone()
    };
    let (values, faults) = decode(by_name, payload);
    assert_eq!((values, faults), (vec![(2, 60, Some(55.0))], vec!["no_time"]));
    assert_eq!(
        decode(missing_time, payload).0,
        [(2, 0, Some(55.0)), (0, 0, Some(6.0))],
        "the time of the wrapper"
    );
    let by_path = DecoderOptions {
        time: Some(path("timestamp")),
        ..options(&[
            "$.values[?@.id == 'Inlet' && @.q == true].v",
            "$.values[?@.id == 'Outlet' && @.q == true].v",
            "$.values[*].v",
        ])
    };
    assert_eq!(decode(by_path, payload), (vec![(0, 0, Some(55.0))], vec!["ambiguous"]));
}

#[test]
fn json_in_a_json_string_is_read() {
    assert_eq!(decode(options(&["v"]), br#""{\"v\": 2}""#).0, [(0, 0, Some(2.0))]);
    let wrapped = DecoderOptions {
        readings: Some(path("data")),
        ..options(&["v"])
    };
    assert_eq!(decode(wrapped.clone(), br#"{"data": "{\"v\": 2}"}"#).0, [(0, 0, Some(2.0))]);
    assert_eq!(decode(wrapped.clone(), br#"{"data": "{"}"#), (vec![], vec!["not_json"]));
    assert_eq!(decode(wrapped, br#"{"other": 1}"#), (vec![], vec![]), "absence is no fault");
}

#[test]
fn an_array_with_something_else_among_its_readings_loses_only_that() {
    let timed = DecoderOptions {
        time: Some(path("t")),
        ..options(&["v"])
    };
    let batch = br#"[{"t": 1700000060, "v": 1}, null, 3, {"t": 1700000120, "v": 2}]"#;
    let expected = vec![(0, 60, Some(1.0)), (0, 120, Some(2.0))];
    assert_eq!(decode(timed, batch), (expected, vec!["not_an_object", "not_an_object"]));
}

#[test]
fn a_reading_without_its_time_has_the_time_of_arrival_where_that_is_allowed() {
    for (time_or_arrival, values, faults) in [(true, vec![(0, 0, Some(1.0))], vec![]), (false, vec![], vec!["no_time"])] {
        for payload in [&br#"{"ts": null, "v": 1}"#[..], br#"{"v": 1}"#] {
            let options = DecoderOptions {
                time: Some(path("ts")),
                time_or_arrival,
                ..options(&["v"])
            };
            assert_eq!(decode(options, payload), (values.clone(), faults.clone()));
        }
    }
}

#[test]
fn booleans_of_templates_are_booleans() {
    let rule = ValueRule {
        words: std::sync::Arc::new([("true", 1.0), ("false", 0.0)].into_iter().collect::<Words>()),
        ..ValueRule::default()
    };
    for (text, value) in [("True", 1.0), ("TRUE", 1.0), ("False", 0.0), ("FALSE", 0.0)] {
        let options = DecoderOptions {
            fields: vec![Field {
                rule: rule.clone(),
                ..Field::at(path("door"))
            }],
            ..options(&[])
        };
        let payload = format!(r#"{{"name": "True", "door": {text}, "since": None}}"#);
        assert_eq!(decode(options, payload.as_bytes()), (vec![(0, 0, Some(value))], vec![]), "{text}");
    }
}

#[test]
fn only_readings_that_meet_the_conditions_count() {
    let own = |any_of: Vec<serde_json::Value>| DecoderOptions {
        conditions: vec![Condition { path: path("id"), any_of }],
        ..options(&["v"])
    };
    for (payload, counts) in [
        (&br#"{"id": 42, "v": 1}"#[..], true),
        (br#"{"id": 42.0, "v": 1}"#, true),
        (br#"{"id": "42", "v": 1}"#, true),
        (br#"{"id": "f0a1", "v": 1}"#, false),
        (br#"{"id": null, "v": 1}"#, false),
        (br#"{"v": 1}"#, false),
    ] {
        let (values, faults) = decode(own(vec![7.into(), 42.into()]), payload);
        assert_eq!(
            (!values.is_empty(), faults),
            (counts, vec![]),
            "{}",
            String::from_utf8_lossy(payload)
        );
    }
}

#[test]
fn a_bare_payload_may_be_a_word_or_have_a_unit() {
    let rule = ValueRule {
        words: std::sync::Arc::new(
            [("on", 1.0), ("true", 1.0), ("unavailable", f64::NAN)]
                .into_iter()
                .collect::<Words>(),
        ),
        units: vec![("\u{b0}C".into(), 1.0)],
        valid: Some((-40.0, 60.0)),
        ..ValueRule::default()
    };
    for (text, value, faults) in [
        ("on", Some(Some(1.0)), vec![]),
        ("TRUE", Some(Some(1.0)), vec![]),
        ("true", Some(Some(1.0)), vec![]),
        ("unavailable", Some(None), vec![]),
        ("21.5 \u{b0}C", Some(Some(21.5)), vec![]),
        ("85", Some(None), vec!["out_of_range"]),
        ("21.5 F", None, vec!["not_a_number"]),
        ("", None, vec!["not_json"]),
    ] {
        let options = DecoderOptions {
            fields: vec![Field {
                rule: rule.clone(),
                ..Field::at(Path::whole())
            }],
            ..options(&[])
        };
        let expected: Vec<_> = value.into_iter().map(|value| (0, 0, value)).collect();
        assert_eq!(decode(options, text.as_bytes()), (expected, faults), "{text}");
    }
}

#[test]
fn a_trailing_nul_or_a_byte_order_mark_costs_nothing() {
    for payload in [
        &b"\xef\xbb\xbf{\"v\": 1}"[..],
        b"{\"v\": 1}\0",
        b" {\"v\": 1}\r\n\0\0",
        b"{\"v\": 1}\0\r\n\0",
    ] {
        assert_eq!(decode(options(&["v"]), payload).0, [(0, 0, Some(1.0))]);
    }
    assert_eq!(decode(options(&["$"]), b"21.5\0").0, [(0, 0, Some(21.5))]);
}

#[test]
fn line_protocol_is_read_line_by_line() {
    let options = DecoderOptions {
        format: PayloadFormat::Influx,
        conditions: vec![Condition {
            path: path("site"),
            any_of: vec!["roof".into()],
        }],
        time: Some(path("time")),
        time_or_arrival: true,
        time_format: TimeFormat::UnixNs,
        ..options(&["temperature", "humidity"])
    };
    let text = b"weather,site=roof temperature=21.5,humidity=40i 1700000060000000000\nweather,site=cellar temperature=9 1700000060000000000\nweather,site=roof temperature=22\n";
    assert_eq!(
        decode(options.clone(), text),
        (vec![(0, 60, Some(21.5)), (1, 60, Some(40.0)), (0, 0, Some(22.0))], vec![])
    );
    assert_eq!(decode(options.clone(), b"{\"v\": 1}"), (vec![], vec!["not_line_protocol"]));
    let cut = b"weather,site=roof temperature=21.5 1700000060000000000\nweather,site=roof temperature=\nweather,site=roof temperature=22\n";
    assert_eq!(
        decode(options, cut),
        (vec![(0, 60, Some(21.5)), (0, 0, Some(22.0))], vec!["not_line_protocol"]),
        "a bad line costs only itself"
    );
}

#[test]
fn numbers_of_any_unit_of_time_are_read() {
    for (format, time) in [
        (TimeFormat::Auto, "1700000060"),
        (TimeFormat::Auto, "1700000060000"),
        (TimeFormat::Auto, "1700000060000000"),
        (TimeFormat::Auto, "1700000060000000000"),
        (TimeFormat::UnixUs, "1700000060000000"),
        (TimeFormat::UnixNs, "\"1700000060000000000\""),
    ] {
        let options = DecoderOptions {
            time: Some(path("t")),
            time_format: format,
            ..options(&["v"])
        };
        let payload = format!(r#"{{"t": {time}, "v": 1}}"#);
        assert_eq!(decode(options, payload.as_bytes()).0, [(0, 60, Some(1.0))], "{time}");
    }
}
