//! Local times: daylight saving in spring and autumn, and zones that need none.

use jiff::tz::TimeZone;
use tsm2_mqtt::{Decoder, DecoderOptions, Field, Outcome, Path, Payload, PayloadError, rfc3339};

/// Reads `time` in `zone` after a reading at `newest`, both as text; the time in UTC.
fn read(zone: Option<&str>, time: &str, newest: Option<&str>) -> Result<String, PayloadError> {
    let decoder = Decoder::new(DecoderOptions {
        fields: vec![Field::at(Path::parse("value").unwrap())],
        time: Some(Path::parse("time").unwrap()),
        time_zone: zone.map(|name| TimeZone::get(name).unwrap()),
        max_payload: 1000,
        max_depth: 4,
        ..DecoderOptions::default()
    });
    let text = format!(r#"{{"value": 1, "time": "{time}"}}"#);
    let payload = Payload {
        topic: "t",
        bytes: text.as_bytes(),
        arrival_ms: 0,
        retained: false,
        newest_ms: newest.map(|time| time.parse::<jiff::Timestamp>().unwrap().as_millisecond()),
        field: None,
    };
    let mut read = 0;
    decoder.decode(&payload, |outcome| {
        if let Outcome::Value { time_ms, .. } = outcome {
            read = time_ms;
        }
    })?;
    Ok(rfc3339(read))
}

fn berlin(time: &str, newest: Option<&str>) -> String {
    read(Some("Europe/Berlin"), time, newest).unwrap()
}

#[test]
fn text_without_an_offset_is_local_time_where_a_zone_is_named() {
    assert_eq!(berlin("2026-01-31T12:00:00", None), "2026-01-31T11:00:00Z");
    assert_eq!(berlin("2026-07-31 12:00:00.25", None), "2026-07-31T10:00:00.25Z");
    assert_eq!(berlin("2026-07-31T12:00", None), "2026-07-31T10:00:00Z");
    assert_eq!(
        read(Some("Asia/Kolkata"), "2026-07-31T12:00:00", None).unwrap(),
        "2026-07-31T06:30:00Z"
    );
    assert_eq!(berlin("2026-07-31T12:00:00Z", None), "2026-07-31T12:00:00Z", "an offset counts");
    assert_eq!(berlin("2026-07-31T12:00:00-05:00", None), "2026-07-31T17:00:00Z");
    assert_eq!(berlin("1769860800", None), "2026-01-31T12:00:00Z", "a number has no zone");
    for (zone, time) in [
        (None, "2026-01-31T12:00:00"),
        (Some("Europe/Berlin"), "2026-01-31"),
        (Some("Europe/Berlin"), "2026-01-31T25:00:00"),
        (Some("Europe/Berlin"), "2026-01-31T12:00:00[Asia/Tokyo]"),
        (Some("Europe/Berlin"), "12:00:00"),
        (Some("Europe/Berlin"), "noon"),
    ] {
        assert!(matches!(read(zone, time, None), Err(PayloadError::BadTime { .. })), "{time}");
    }
}

#[test]
fn a_time_that_the_clocks_leapt_over_in_spring_is_read_with_the_offset_before() {
    for (local, utc) in [
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29T02:00:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
    ] {
        assert_eq!(berlin(local, Some("2026-03-29T00:59:00Z")), utc);
    }
}

#[test]
fn both_passes_of_the_hour_repeated_in_autumn_follow_each_other() {
    // A reading a minute from 01:30 before the change to 03:30 after it, as the wall clock shows it.
    let local = |minute: i64| {
        let minute = if minute < 90 { 90 + minute } else { 30 + minute };
        format!("2026-10-25T{:02}:{:02}:00", minute / 60, minute % 60)
    };
    let start: jiff::Timestamp = "2026-10-24T23:30:00Z".parse().unwrap();
    let utc = |minute: i64| rfc3339(start.as_millisecond() + minute * 60_000);
    assert_eq!(
        (local(89).as_str(), local(90).as_str()),
        ("2026-10-25T02:59:00", "2026-10-25T02:00:00")
    );
    let mut newest = utc(-1);
    for minute in 0..180 {
        let read = berlin(&local(minute), Some(&newest));
        assert_eq!(read, utc(minute));
        // What comes again, up to half an hour old, is what it was.
        for again in (minute - 29).max(0)..=minute {
            assert_eq!(berlin(&local(again), Some(&read)), utc(again));
        }
        newest = read;
    }
}

#[test]
fn a_repeated_time_that_nothing_tells_is_the_earlier() {
    assert_eq!(berlin("2026-10-25T02:30:00", None), "2026-10-25T00:30:00Z");
    assert_eq!(
        berlin("2026-10-25T02:30:00", Some("2026-10-25T01:00:00Z")),
        "2026-10-25T00:30:00Z",
        "as near"
    );
    assert_eq!(berlin("2026-10-25T02:30:00", Some("2026-10-24T20:00:00Z")), "2026-10-25T00:30:00Z");
}

#[test]
fn the_program_has_the_zones_itself() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    assert!(bundled.get("Europe/Berlin").is_ok() && bundled.get("America/New_York").is_ok());
}
