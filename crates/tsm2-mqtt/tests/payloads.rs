//! Payloads: what sensors send, and what nobody should.

use proptest::prelude::*;
use tsm2_mqtt::{
    Decoder, DecoderOptions, Field, Outcome, Path, Payload, PayloadError, PayloadError as FieldError, PayloadShape, TimeFormat, rfc3339,
};

const ARRIVAL: i64 = 1_700_000_000_000;

/// The layout of the values: a field at each path, or one value.
enum Layout {
    Fields(Vec<String>),
    Single(String),
}

fn decoder(layout: Layout, time: Option<&str>, time_format: TimeFormat) -> Decoder {
    let field = |path: &String| Field::at(Path::parse(path).unwrap());
    let (shape, fields) = match &layout {
        Layout::Fields(paths) => (PayloadShape::Fields, paths.iter().map(field).collect()),
        Layout::Single(path) => (PayloadShape::Topic, vec![field(path)]),
    };
    Decoder::new(DecoderOptions {
        shape,
        fields,
        time: time.map(|path| Path::parse(path).unwrap()),
        time_format,
        max_payload: 65_536,
        max_depth: 16,
        ..DecoderOptions::default()
    })
}

fn fields(names: &[&str]) -> Decoder {
    let names = names.iter().map(|n| (*n).to_string()).collect();
    decoder(Layout::Fields(names), None, TimeFormat::Auto)
}

fn single() -> Decoder {
    decoder(Layout::Single("value".into()), None, TimeFormat::Auto)
}

fn payload(bytes: &[u8]) -> Payload<'_> {
    Payload {
        topic: "t/1",
        bytes,
        arrival_ms: ARRIVAL,
        retained: false,
        newest_ms: None,
        field: Some(0),
    }
}

type Values = Vec<Result<Option<f32>, FieldError>>;

/// Time and values, with NaN as None, so that they compare.
fn decode(decoder: &Decoder, bytes: &[u8]) -> Result<(i64, Values), PayloadError> {
    let (mut values, mut time) = (Values::new(), ARRIVAL);
    decoder.decode(&payload(bytes), |outcome| {
        values.push(match outcome {
            Outcome::Value { time_ms, field, value } => {
                assert_eq!(field, values.len());
                time = time_ms;
                Ok((!value.is_nan()).then_some(value))
            }
            Outcome::Absent { field } => Err(FieldError::Missing {
                topic: "t/1".into(),
                field: decoder.options().fields[field].path.as_str().to_owned(),
            }),
            Outcome::Fault(error) => Err(error),
        });
    })?;
    Ok((time, values))
}

fn one(decoder: &Decoder, payload: &str) -> Result<Option<f32>, FieldError> {
    decode(decoder, payload.as_bytes()).unwrap().1.remove(0)
}

#[test]
fn fields_are_found_by_name_path_and_position() {
    let decoder = fields(&["temp", "room.co2", "a.b", "list.1.v"]);
    let payload = br#"{"temp": 21.5, "room": {"co2": 400}, "a.b": 7, "a": {"b": 8}, "list": [{"v": 1}, {"v": 2}]}"#;
    assert_eq!(
        decode(&decoder, payload).unwrap(),
        (ARRIVAL, vec![Ok(Some(21.5)), Ok(Some(400.0)), Ok(Some(7.0)), Ok(Some(2.0))])
    );
}

#[test]
fn a_missing_or_wrong_field_costs_only_itself_and_is_named() {
    let (_, values) = decode(&fields(&["a", "b", "c", "d"]), br#"{"a": true, "c": 3, "d": {"x": 1}}"#).unwrap();
    assert_eq!(
        values[0],
        Err(FieldError::NotANumber {
            topic: "t/1".into(),
            field: "a".into(),
            value: "true".into()
        })
    );
    assert_eq!(
        values[1],
        Err(FieldError::Missing {
            topic: "t/1".into(),
            field: "b".into()
        })
    );
    assert_eq!(values[2], Ok(Some(3.0)));
    let message = values[3].as_ref().unwrap_err().to_string();
    assert!(
        message.contains("t/1") && message.contains("\"d\"") && message.contains("an object"),
        "{message}"
    );
}

#[test]
fn text_is_a_number_only_if_all_of_it_is_one() {
    let decoder = fields(&["v"]);
    assert_eq!(one(&decoder, r#"{"v": "21.5"}"#), Ok(Some(21.5)));
    assert_eq!(one(&decoder, r#"{"v": " -3e2 "}"#), Ok(Some(-300.0)));
    for text in ["", " ", "21,5", "21.5 C", "0x10", "unavailable", "on", "1 2"] {
        assert!(
            matches!(one(&decoder, &format!(r#"{{"v": "{text}"}}"#)), Err(FieldError::NotANumber { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn text_that_is_no_number_is_answered_with_what_to_set() {
    for (text, key) in [("21.5 C", "set unit"), ("-5,3", "decimal"), ("heating", "set words"), ("", "")] {
        let error = one(&fields(&["v"]), &format!(r#"{{"v": "{text}"}}"#)).unwrap_err().to_string();
        assert!(error.contains(key) && (!key.is_empty() || error.ends_with("\"\"")), "{error}");
    }
}

#[test]
fn missing_is_written_in_many_ways() {
    let decoder = fields(&["v"]);
    for value in [
        "null",
        "NaN",
        "nan",
        "-Infinity",
        "\"nan\"",
        "\"NaN\"",
        "\"inf\"",
        "None",
        "1e300",
        "-1e39",
    ] {
        assert_eq!(
            one(&decoder, &format!(r#"{{"v": {value}, "nan": "say \"NaN\" \\"}}"#)),
            Ok(None),
            "{value}"
        );
    }
    for payload in ["nan", "NaN", "null", "\"nan\"", "inf", "{\"value\": NaN}"] {
        assert_eq!(one(&single(), payload), Ok(None), "{payload}");
    }
}

#[test]
fn a_number_beyond_f64_loses_its_field_only() {
    let decoder = fields(&["a", "b", "c"]);
    let long = "9".repeat(400);
    for huge in ["1e999", "-1e999", "1E+999", "12.5e400", &long, &format!("-{long}.5")] {
        let payload = format!(r#"{{"a": {huge}, "b": 21.5, "c": -3e2}}"#);
        let (_, values) = decode(&decoder, payload.as_bytes()).unwrap();
        assert_eq!(values, [Ok(None), Ok(Some(21.5)), Ok(Some(-300.0))], "{huge}");
    }
    assert_eq!(one(&single(), "1e999"), Ok(None));
    let text = fields(&["v"]);
    assert_eq!(one(&text, r#"{"v": 1, "1e999": "1e999", "x": 1e999}"#), Ok(Some(1.0)));
}

#[test]
fn a_single_value_is_bare_or_in_an_object() {
    for payload in [
        "21.5",
        " 21.5\n",
        "+21.5",
        "\"21.5\"",
        r#"{"value": 21.5}"#,
        r#"{"value": "21.5", "unit": "C"}"#,
    ] {
        assert_eq!(one(&single(), payload), Ok(Some(21.5)), "{payload}");
    }
    assert!(matches!(one(&single(), "true"), Err(FieldError::NotANumber { .. })));
    assert!(matches!(one(&single(), "[1]"), Err(FieldError::NotANumber { .. })));
    assert!(matches!(one(&single(), r#"{"state": 1}"#), Err(FieldError::Missing { .. })));
}

#[test]
fn what_is_no_payload_is_refused_with_its_topic() {
    let decoder = fields(&["v"]);
    let refused = |payload: &[u8]| decode(&decoder, payload).unwrap_err();
    for payload in [
        &b""[..],
        b"hello",
        b"{",
        b"{\"v\": 1",
        b"{\"v\": }",
        b"{'v': 1}",
        b"\xff\xfe",
        b"{\"v\": 1} x",
    ] {
        let error = refused(payload);
        assert!(matches!(error, PayloadError::NotJson { .. }), "{error}");
        assert!(error.to_string().contains("t/1"), "{error}");
    }
    for payload in [&b"1"[..], b"null", b"[1]", b"\"x\"", b"true"] {
        assert!(matches!(refused(payload), PayloadError::NotAnObject { .. }));
    }
    let large = vec![b'1'; 1 << 20];
    assert_eq!(
        refused(&large),
        PayloadError::TooLarge {
            topic: "t/1".into(),
            max_payload: 65_536
        }
    );
    let deep = format!("{{\"v\": {}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(
        refused(deep.as_bytes()),
        PayloadError::TooDeep {
            topic: "t/1".into(),
            max_depth: 16
        }
    );
    let brackets_in_text = format!("{{\"x\": \"{}\", \"v\": 1}}", "[".repeat(1_000));
    assert_eq!(one(&decoder, &brackets_in_text), Ok(Some(1.0)));
}

#[test]
fn times_are_read_in_each_format() {
    let shape = || Layout::Fields(vec!["v".into()]);
    let at = |format: TimeFormat, time: &str| {
        decode(
            &decoder(shape(), Some("meta.time"), format),
            format!(r#"{{"v": 1, "meta": {{"time": {time}}}}}"#).as_bytes(),
        )
        .map(|d| d.0)
    };
    let noon = 1_769_860_800_000; // 2026-01-31T12:00:00Z
    for (format, time) in [
        (TimeFormat::Auto, "\"2026-01-31T12:00:00Z\""),
        (TimeFormat::Auto, "\"2026-01-31T13:00:00.000+01:00\""),
        (TimeFormat::Auto, "\"2026-01-31 13:00:00+0100\""),
        (TimeFormat::Auto, "\"2026-01-31 13:00:00 +0100\""),
        (TimeFormat::Auto, "\"2026-01-31 12:00:00 UTC\""),
        (TimeFormat::Auto, "1769860800"),
        (TimeFormat::Auto, "1769860800.0"),
        (TimeFormat::Auto, "1769860800000"),
        (TimeFormat::Auto, "\"1769860800\""),
        (TimeFormat::Rfc3339, "\"2026-01-31T12:00:00Z\""),
        (TimeFormat::UnixS, "1769860800"),
        (TimeFormat::UnixMs, "1769860800000"),
    ] {
        assert_eq!(at(format, time), Ok(noon), "{format:?} {time}");
    }
    assert_eq!(at(TimeFormat::UnixS, "1769860800.25"), Ok(noon + 250));
    assert_eq!(at(TimeFormat::UnixMs, "1500"), Ok(1_500));
    for (format, time) in [
        (TimeFormat::Rfc3339, "1769860800"),
        (TimeFormat::UnixS, "\"2026-01-31T12:00:00Z\""),
        (TimeFormat::Auto, "\"2026-01-31 noon\""),
        (TimeFormat::Auto, "1e300"),
        (TimeFormat::Auto, "true"),
        (TimeFormat::UnixMs, "\"nan\""),
    ] {
        assert!(matches!(at(format, time), Err(PayloadError::BadTime { .. })), "{format:?} {time}");
    }
    assert!(matches!(at(TimeFormat::Auto, "null"), Err(PayloadError::NoTime { .. })));
    let bare = decode(&decoder(Layout::Single("value".into()), Some("time"), TimeFormat::Auto), b"21.5").unwrap_err();
    assert_eq!(
        bare,
        PayloadError::NoTime {
            topic: "t/1".into(),
            field: "time".into()
        }
    );
    assert_eq!(rfc3339(noon), "2026-01-31T12:00:00Z");
    assert_eq!(rfc3339(noon + 250), "2026-01-31T12:00:00.25Z");
    assert!(!rfc3339(i64::MAX).is_empty() && !rfc3339(i64::MIN).is_empty());
}

proptest! {
    /// Any bytes: an answer, never a panic.
    #[test]
    fn any_bytes_give_an_answer(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&fields(&["v"]), &payload);
        let _ = decode(&single(), &payload);
    }

    /// Anything that looks like JSON with the odd words in it: an answer, never a panic.
    #[test]
    fn near_json_gives_an_answer(payload in r#"[\[\]{}",:\\ 0-9a-zé.+-]{0,60}(NaN|null|Infinity|"v")?[\[\]{}",:\\ é]{0,30}"#) {
        let _ = decode(&fields(&["v"]), payload.as_bytes());
        let _ = decode(&single(), payload.as_bytes());
    }

    /// What was a finite f32 arrives to the bit, as number and as text.
    #[test]
    fn numbers_arrive_to_the_bit(value in any::<f32>().prop_filter("finite", |v| v.is_finite())) {
        for payload in [format!(r#"{{"v": {value}}}"#), format!(r#"{{"v": "{value}"}}"#)] {
            prop_assert_eq!(one(&fields(&["v"]), &payload), Ok(Some(value)));
        }
        prop_assert_eq!(one(&single(), &format!("{value}")), Ok(Some(value)));
    }
}

#[test]
fn points_in_time_are_read_whole_or_not_at_all() {
    let decoder = decoder(Layout::Single("people".into()), Some("at"), TimeFormat::Auto);
    let points = |text: &str| decoder.points(&payload(text.as_bytes()));
    let read = points(r#"[{"at": "2026-03-02T08:00:00Z", "people": 7}, {"at": 1772442000, "people": "12.5"}]"#).unwrap();
    assert_eq!(read, [(1_772_438_400_000, 7.0), (1_772_442_000_000, 12.5)]);
    assert!(points(r#"[{"at": 5, "people": null}]"#).unwrap()[0].1.is_nan());
    assert_eq!(points("[]").unwrap(), []);
    for (payload, said) in [
        ("7", "the payload is a number, where a JSON array"),
        (r#"{"at": 5, "people": 1}"#, "the payload is an object, where a JSON array"),
        ("[7]", "no time at \"at\""),
        (r#"[{"at": 5, "people": 1}, {"people": 1}]"#, "no time at \"at\""),
        (r#"[{"at": "soon", "people": 1}]"#, "\"at\" is not a time"),
        (r#"[{"at": 5}]"#, "\"people\" is missing"),
        (r#"[{"at": 5, "people": true}]"#, "\"people\" is not a number"),
        ("[", "not JSON"),
    ] {
        let error = points(payload).unwrap_err();
        assert!(error.to_string().contains(said), "{payload}: {error}");
    }
}
