//! Local times to UTC, and midnights written at the end of their day.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::Error;

const DAY_MS: i64 = 86_400_000;

/// The zone of this name: an IANA name, or an offset such as `+01:00`.
pub(crate) fn by_name(name: &str) -> Result<TimeZone, Error> {
    let text = name.trim();
    let unsigned = text.strip_prefix("UTC").or(text.strip_prefix("GMT")).unwrap_or(text);
    if unsigned.is_empty() || unsigned == "Z" {
        return Ok(TimeZone::UTC);
    }
    fixed(unsigned).or_else(|| TimeZone::get(text).ok()).ok_or_else(|| Error::Option {
        option: "--time-zone",
        value: name.into(),
        problem: "unknown: give an IANA name such as Europe/Berlin, or an offset such as +01:00".into(),
    })
}

/// The zone of a place in a text, such as `Europe/Amsterdam (+01:00)`.
pub(crate) fn of_place(text: &str) -> Option<TimeZone> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    let mut places = text.split(|c| !is_part(c)).filter(|word| word.contains('/'));
    places.find_map(|word| TimeZone::get(word).ok())
}

fn fixed(text: &str) -> Option<TimeZone> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text[1..].replace(':', "");
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse::<i32>().ok()?),
        _ => return None,
    };
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some(offset.to_time_zone())
}

/// One local time, the earlier of two that an autumn hour means.
pub(crate) fn to_utc(civil_ms: i64, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_ambiguous_timestamp(civil(civil_ms)?).compatible().ok()?.as_millisecond())
}

/// The local date and time of a moment.
pub(crate) fn local(time_ms: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_millisecond(time_ms).ok()?))
}

fn civil(civil_ms: i64) -> Option<DateTime> {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(SignedDuration::from_millis(civil_ms))
        .ok()
}

/// Local times that the zone had twice or never.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Irregular {
    /// Times of an autumn hour.
    pub twice: u64,
    /// Times of a spring hour.
    pub never: u64,
}

/// Turns local times, in the order of the file, into UTC.
///
/// Of an autumn hour the first pass comes first: a time is of the second pass when the first pass of its own series has gone by. `series`
/// names the series of each row. A spring time that never was is read with the offset before.
pub(crate) fn all_to_utc(times_ms: &mut [i64], zone: &TimeZone, series: impl Fn(usize) -> usize) -> Irregular {
    let mut irregular = Irregular::default();
    let is_newest_first = times_ms.first() > times_ms.last();
    let mut neighbour: Vec<Option<i64>> = Vec::new();
    for step in 0..times_ms.len() {
        let at = if is_newest_first { times_ms.len() - 1 - step } else { step };
        let series = series(at);
        if neighbour.len() <= series {
            neighbour.resize(series + 1, None);
        }
        let Some(time) = civil(times_ms[at]) else { continue };
        let ambiguous = zone.to_ambiguous_timestamp(time);
        let Ok(earlier) = ambiguous.compatible() else { continue };
        let chosen = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => earlier,
            AmbiguousOffset::Gap { .. } => {
                irregular.never += 1;
                earlier
            }
            AmbiguousOffset::Fold { .. } => {
                irregular.twice += 1;
                let is_past = neighbour[series].is_some_and(|before| earlier.as_millisecond() <= before);
                if is_past { ambiguous.later().unwrap_or(earlier) } else { earlier }
            }
        };
        times_ms[at] = chosen.as_millisecond();
        neighbour[series] = Some(times_ms[at]);
    }
    irregular
}

/// Moves midnights that stand at the end of their day to the day after; returns how many.
///
/// A midnight is one of these when the row before is later on the same date and the row after does not lie before that row. It is moved
/// only when nearly all midnights of the file stand so.
pub(crate) fn move_midnights(times_ms: &mut [i64]) -> u64 {
    let falls = times_ms.windows(2).filter(|pair| pair[1] < pair[0]).count();
    if falls * 2 > times_ms.len() {
        // Newest first.
        times_ms.reverse();
        let moved = move_midnights_of_rising(times_ms);
        times_ms.reverse();
        return moved;
    }
    move_midnights_of_rising(times_ms)
}

fn move_midnights_of_rising(times_ms: &mut [i64]) -> u64 {
    let is_midnight = |time: i64| time.rem_euclid(DAY_MS) == 0;
    let mut moved = Vec::new();
    let mut others = 0;
    for at in 0..times_ms.len() {
        if !is_midnight(times_ms[at]) {
            continue;
        }
        let before = at.checked_sub(1).map(|before| times_ms[before]);
        let after = times_ms.get(at + 1);
        let ends_its_day = before.is_some_and(|before| before > times_ms[at] && before - times_ms[at] < DAY_MS)
            && after.is_none_or(|&after| before.is_some_and(|before| after > before));
        match ends_its_day {
            true => moved.push(at),
            false => others += 1,
        }
    }
    if moved.len() <= others * 10 {
        return 0;
    }
    for &at in &moved {
        times_ms[at] += DAY_MS;
    }
    moved.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn civil_of(text: &str) -> i64 {
        Offset::UTC
            .to_timestamp(text.parse::<DateTime>().unwrap())
            .unwrap()
            .as_millisecond()
    }

    #[test]
    fn both_passes_of_the_autumn_hour_are_told_apart() {
        let zone = by_name("Europe/Berlin").unwrap();
        let texts = [
            "2024-10-27T01:30",
            "2024-10-27T02:00",
            "2024-10-27T02:30",
            "2024-10-27T02:00",
            "2024-10-27T02:30",
            "2024-10-27T03:00",
        ];
        for newest_first in [false, true] {
            let mut times: Vec<i64> = texts.iter().map(|text| civil_of(text)).collect();
            if newest_first {
                times.reverse();
            }
            assert_eq!(all_to_utc(&mut times, &zone, |_| 0).twice, 4);
            if newest_first {
                times.reverse();
            }
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1_800_000), "{times:?}");
        }
        // Hourly: the hour comes twice.
        let mut times = ["2024-10-27T01:00", "2024-10-27T02:00", "2024-10-27T02:00", "2024-10-27T03:00"].map(civil_of);
        all_to_utc(&mut times, &zone, |_| 0);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3_600_000), "{times:?}");
    }

    #[test]
    fn a_midnight_at_the_end_of_its_day_is_moved() {
        let mut times: Vec<i64> = (1..=8).map(|step| civil_of("2024-03-04T00:00") + step * DAY_MS / 4).collect();
        let right = times.clone();
        times[3] -= DAY_MS;
        times[7] -= DAY_MS;
        assert_eq!(move_midnights(&mut times), 2);
        assert_eq!(times, right);
        assert_eq!(move_midnights(&mut times), 0);
    }

    #[test]
    fn zones_have_names_and_offsets() {
        for (name, seconds) in [
            ("UTC", 0),
            ("+01:00", 3600),
            ("-0330", -12_600),
            ("UTC+2", 7200),
            ("Asia/Tokyo", 32_400),
        ] {
            assert_eq!(to_utc(0, &by_name(name).unwrap()), Some(-seconds * 1000), "{name}");
        }
        assert!(by_name("Mars/Olympus").is_err());
    }
}
