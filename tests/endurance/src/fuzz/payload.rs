//! Payloads of every layout and time format, and Sparkplug messages. The first two bytes choose those; the rest is the
//! payload.

use std::sync::OnceLock;
use std::time::Instant;

use jiff::tz::TimeZone;
use tsm2_mqtt::{
    Condition, Decoder, DecoderOptions, Field, Outcome, Path, Payload, PayloadFormat, PayloadShape, Sparkplug, TimeFormat, ValueRule, Words,
};

const MAX_PAYLOAD: usize = 2000;
const ARRIVAL_MS: i64 = 1_750_000_000_000;
/// The years 1 to 9999.
const RANGE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// Summer time begins in March and ends in October, as in central Europe; no file is read.
fn zone() -> TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let make = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    ZONE.get_or_init(make).clone()
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

fn fields(paths: &[&str]) -> Vec<Field> {
    let rule = ValueRule {
        factor: 0.5,
        offset: 1.0,
        valid: Some((-1e9, 1e9)),
        units: vec![("kW".to_owned(), 1e3), ("W".to_owned(), 1.0)],
        decimal_comma: true,
        words: std::sync::Arc::new([("on", 1.0), ("unavailable", f64::NAN)].into_iter().collect::<Words>()),
    };
    let ruled = |(index, &text): (usize, &&str)| Field {
        rule: if index % 2 == 1 { rule.clone() } else { ValueRule::default() },
        ..Field::at(path(text))
    };
    paths.iter().enumerate().map(ruled).collect()
}

/// The layouts, by number.
fn layout(number: u8) -> DecoderOptions {
    let (shape, fields) = match number % 8 {
        0 => (PayloadShape::Fields, fields(&["a", "b"])),
        1 => (PayloadShape::Fields, fields(&["room.temperature", "channels.0.value", "a"])),
        2 => (PayloadShape::Topic, fields(&["value"])),
        3 => (PayloadShape::Topic, fields(&["state.value"])),
        4 => (PayloadShape::Fields, fields(&["$..a", "$.a[?@.b == 1].c", "$.a[*]"])),
        5 => (PayloadShape::Named(path("id")), fields(&["v", "w"])),
        6 => (PayloadShape::Fields, fields(&["$", "a"])),
        _ => (PayloadShape::Fields, fields(&["a", "value"])),
    };
    let condition = || Condition {
        path: path("q"),
        any_of: vec![true.into(), 1.into()],
    };
    DecoderOptions {
        format: if number & 0x08 != 0 {
            PayloadFormat::Influx
        } else {
            PayloadFormat::Json
        },
        shape,
        fields,
        readings: (number & 0x10 != 0).then(|| path("a")),
        times_as_keys: number & 0x20 != 0,
        conditions: (number & 0x40 != 0).then(condition).into_iter().collect(),
        max_payload: MAX_PAYLOAD,
        max_depth: 32,
        ..DecoderOptions::default()
    }
}

/// Decodes a payload.
///
/// # Panics
/// When a value is infinite, a time is out of range, a field does not exist, what is said of a fault is long, or two decodings differ.
pub fn payload(data: &[u8]) {
    let [number, time, payload @ ..] = data else { return };
    if number & 0x80 != 0 {
        return sparkplug(time % 3, payload);
    }
    let time_format = match time % 6 {
        0 => TimeFormat::Auto,
        1 => TimeFormat::Rfc3339,
        2 => TimeFormat::UnixS,
        3 => TimeFormat::UnixMs,
        4 => TimeFormat::UnixUs,
        _ => TimeFormat::UnixNs,
    };
    let has_time = time & 0x10 == 0;
    let decoder = Decoder::new(DecoderOptions {
        time: has_time.then(|| path("time")),
        time_or_arrival: time & 0x80 != 0,
        time_format,
        time_zone: (time & 0x20 != 0).then(zone),
        ..layout(*number)
    });
    let payload = Payload {
        topic: "sensors/a",
        bytes: payload,
        arrival_ms: ARRIVAL_MS,
        retained: time & 0x08 != 0,
        newest_ms: (time & 0x40 != 0).then_some(ARRIVAL_MS),
        field: Some(0),
    };
    let decode = || {
        let mut told = Vec::new();
        let decoded = decoder.decode(&payload, |outcome| told.push(outcome));
        (decoded, told)
    };
    let ((decoded, told), (again, told_again)) = (decode(), decode());
    assert_eq!(
        format!("{decoded:?} {told:?}"),
        format!("{again:?} {told_again:?}"),
        "the same bytes give the same values"
    );
    let fields = decoder.options().fields.len();
    for outcome in &told {
        match outcome {
            Outcome::Value { time_ms, field, value } => {
                assert!(!value.is_infinite() && *field < fields);
                assert!(RANGE_MS.contains(time_ms) && (decoder.has_own_time() || *time_ms == ARRIVAL_MS));
                assert!(decoded.is_ok(), "a payload that is refused has no values");
            }
            Outcome::Absent { field } => assert!(*field < fields),
            Outcome::Fault(error) => assert!(error.to_string().len() < 2000, "what is said of a fault is short"),
        }
    }
    if let Err(error) = decoded {
        assert!(error.to_string().len() < 2000, "what is said of a fault is short");
    }
}

/// Sparkplug messages, a byte 0xff between them.
fn sparkplug(first: u8, messages: &[u8]) {
    let kinds = ["NBIRTH", "DDATA", "NDATA", "DBIRTH"];
    let (mut one, mut other, now) = (Sparkplug::new(), Sparkplug::new(), Instant::now());
    for (message, kind) in messages.split(|&byte| byte == 0xff).zip(kinds.iter().cycle().skip(first.into())) {
        let topic = match kind.starts_with('N') {
            true => format!("spBv1.0/g/{kind}/n"),
            false => format!("spBv1.0/g/{kind}/n/d"),
        };
        let translated = one.translate(&topic, message, now);
        assert_eq!(translated, other.translate(&topic, message, now));
        if let Some(json) = translated.ok().and_then(|translated| translated.json) {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&json).is_ok(),
                "what it becomes is JSON"
            );
        }
    }
}
