//! Payloads of every shape and time format. The first two bytes choose those; the rest is the payload.

use std::sync::OnceLock;

use jiff::tz::TimeZone;
use tsm2_mqtt::{Decoder, DecoderOptions, PayloadShape, TimeFormat};

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

/// Decodes a payload.
///
/// # Panics
/// When a value is infinite, a field is told twice or not in order, a time is out of range, or two decodings differ.
pub fn payload(data: &[u8]) {
    let [shape, time, payload @ ..] = data else { return };
    let fields = |names: &[&str]| PayloadShape::Fields(names.iter().map(|&name| name.to_owned()).collect());
    let (shape, count) = match shape % 4 {
        0 => (fields(&["a", "b"]), 2),
        1 => (fields(&["room.temperature", "channels.0.value", "a"]), 3),
        2 => (PayloadShape::Single("value".to_owned()), 1),
        _ => (PayloadShape::Single("state.value".to_owned()), 1),
    };
    let time_format = match time % 4 {
        0 => TimeFormat::Auto,
        1 => TimeFormat::Rfc3339,
        2 => TimeFormat::UnixS,
        _ => TimeFormat::UnixMs,
    };
    let has_time = time & 0x10 == 0;
    let decoder = Decoder::new(DecoderOptions {
        shape,
        time: has_time.then(|| "time".to_owned()),
        time_format,
        time_zone: (time & 0x20 != 0).then(zone),
        max_payload: MAX_PAYLOAD,
        max_depth: 32,
    });
    let newest_ms = (time & 0x40 != 0).then_some(ARRIVAL_MS);
    let decode = || {
        let mut told = Vec::new();
        let time = decoder.decode("sensors/a", payload, ARRIVAL_MS, newest_ms, |time_ms, index, value| {
            assert_eq!(index, told.len(), "fields come in order, each once");
            if let Ok(value) = value {
                assert!(!value.is_infinite());
            }
            told.push((time_ms, value.map(f32::to_bits)));
        });
        (time, told)
    };
    let (time, told) = decode();
    assert_eq!((&time, &told), (&decode().0, &decode().1), "the same bytes give the same values");
    match time {
        Ok(time_ms) => {
            assert_eq!(told.len(), count);
            assert!(told.iter().all(|&(told_ms, _)| told_ms == time_ms));
            assert!(if has_time {
                RANGE_MS.contains(&time_ms)
            } else {
                time_ms == ARRIVAL_MS
            });
            assert!(payload.len() <= MAX_PAYLOAD);
        }
        Err(error) => {
            assert!(told.is_empty(), "without a time there are no values");
            assert!(error.to_string().len() < 2000, "what is said of a fault is short");
        }
    }
}
