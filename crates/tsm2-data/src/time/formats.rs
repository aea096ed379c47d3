//! Text as a date, a time of day, or both.
//!
//! One reader for all forms: what differs between columns is only the order of day, month and year, which the caller decides over the
//! whole column.

use jiff::civil::Date;

use crate::time::cursor::Cursor;
use crate::time::date::{Order, Parsed, SECOND, Zone, date_of};
use crate::time::vocabulary::{month, plain};

/// Reads a trimmed cell; `None` when it is no date, no time of day and not both.
pub(crate) fn parse(cell: &[u8], order: Order) -> Option<Parsed> {
    if cell.len() < 3 || cell.len() > 96 || !cell.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let cell = &*plain(cell);
    let cell = cell.strip_prefix(b"[").and_then(|cell| cell.strip_suffix(b"]")).unwrap_or(cell);
    // Spreadsheets mark text so.
    let cell = cell.strip_prefix(b"'").map_or(cell, |cell| cell.strip_suffix(b"'").unwrap_or(cell));
    if let Some(at) = cell.windows(3).position(|bytes| bytes == b" - ") {
        // From one time to another: the first counts.
        parse(&cell[at + 3..], order)?;
        return parse(&cell[..at], order);
    }
    if let Some(at) = cell.iter().position(|&byte| byte == b' ')
        && cell[..at].contains(&b':')
        && let Some(clock) = parse(&cell[..at], order).filter(|clock| clock.date.is_none())
        && let Some(date) = parse(cell[at..].trim_ascii(), order).filter(|date| date.date.is_some() && date.nanoseconds.is_none())
    {
        // The time of day stands first.
        return Some(Parsed {
            nanoseconds: clock.nanoseconds,
            ..date
        });
    }
    let mut text = Cursor::new(cell);
    if let Some(parsed) = of_meter(cell) {
        return Some(parsed);
    }
    let mut parsed = Parsed {
        date: None,
        nanoseconds: None,
        zone: Zone::None,
        is_fixed: true,
        dots: false,
    };
    let is_short_date = is_short_date(cell) && order != Order::Ymd;
    if let Some(nanoseconds) = text.whole(|text| text.time(false)).filter(|_| !is_short_date) {
        parsed.nanoseconds = Some(nanoseconds);
        return Some(parsed);
    }
    text.weekday();
    text.date(order, &mut parsed)?;
    if text.is_over() {
        return Some(parsed);
    }
    if text.rest().starts_with(b". ") {
        text.skip(|byte| byte == b'.');
    }
    text.skip_word(b" at ");
    text.skip(|byte| matches!(byte, b'T' | b't' | b' ' | b'_' | b',' | b':' | b'-'));
    if !text.next_is_digit() {
        // A zone may follow a date alone.
        text.zone(&mut parsed)?;
        return text.is_over().then_some(parsed);
    }
    parsed.nanoseconds = Some(text.time(true)?);
    text.zone(&mut parsed)?;
    if parsed.date.is_none() {
        // `Mon Mar  4 00:00:00 2024`: the year stands at the end.
        text.skip(|byte| byte == b' ');
        let (year, digits) = text.digits()?;
        parsed.date = Date::new((digits == 4).then_some(year as i16)?, text_month(cell)?, text_day(cell)?).ok();
        parsed.date?;
    }
    text.is_over().then_some(parsed)
}

/// `240304001000W`, as electricity meters write it: W in winter, S in summer, in central Europe.
fn of_meter(cell: &[u8]) -> Option<Parsed> {
    let (digits, season) = cell.split_at_checked(12)?;
    let hours = match season {
        b"W" => 1,
        b"S" => 2,
        _ => return None,
    };
    let pair = |at: usize| {
        digits[at..at + 2]
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    };
    digits.iter().all(u8::is_ascii_digit).then_some(())?;
    let clock = (pair(6) * 60 + pair(8)) * 60 + pair(10);
    (pair(6) < 24 && pair(8) < 60 && pair(10) < 60).then_some(Parsed {
        date: Some(date_of(pair(0), 2, pair(2), pair(4))?),
        nanoseconds: Some(clock as i64 * SECOND),
        zone: Zone::Offset(hours * 3600),
        is_fixed: true,
        dots: false,
    })
}

/// Whether a text such as `04.03.24`, which could be a time of day, is rather a date of our years.
pub(crate) fn is_short_date(cell: &[u8]) -> bool {
    let pair = |at: usize| {
        cell[at..at + 2]
            .iter()
            .try_fold(0u8, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + byte - b'0'))
    };
    cell.len() == 8
        && cell[2] == b'.'
        && cell[5] == b'.'
        && pair(0).is_some_and(|day| (1..=31).contains(&day))
        && pair(3).is_some_and(|month| (1..=12).contains(&month))
        && pair(6).is_some_and(|year| (15..=40).contains(&year))
}

/// Month of a text in the form of C's `ctime`.
fn text_month(cell: &[u8]) -> Option<i8> {
    cell.split(|&byte| byte == b' ').find_map(month)
}

fn text_day(cell: &[u8]) -> Option<i8> {
    let mut words = cell.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    words
        .find(|word| word.iter().all(u8::is_ascii_digit))
        .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

/// The first day of a month or a quarter: `2024-03`, `03/2024`, `Mar-24`, `March 2024`, `2024Q1`, `Q1 2024`.
pub(crate) fn month_of_year(cell: &[u8]) -> Option<Date> {
    let text = std::str::from_utf8(cell).ok()?;
    let parts: Vec<&str> = text.split(['-', '/', '.', ' ', '_']).filter(|part| !part.is_empty()).collect();
    let parts = match parts[..] {
        [only] => [only.get(..4)?, only.get(4..)?],
        [first, second] => [first, second],
        _ => return None,
    };
    let quarter = |part: &str| {
        let number = part.strip_prefix(['Q', 'q', 'T'])?.parse::<i8>().ok()?;
        (1..=4).contains(&number).then_some(number * 3 - 2)
    };
    let is_number = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let of = |year: &str, of_year: &str| {
        let month = match () {
            () if is_number(of_year, 2) && is_number(year, 4) && text.len() == 7 => of_year.parse().ok()?,
            () if of_year.bytes().all(|byte| byte.is_ascii_alphabetic() || byte >= 0x80) => month(of_year.as_bytes())?,
            () => quarter(of_year)?,
        };
        let digits = year.len();
        (is_number(year, 4) || is_number(year, 2)).then_some(())?;
        date_of(year.parse().ok()?, digits, month as u64, 1)
    };
    of(parts[0], parts[1]).or_else(|| of(parts[1], parts[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::date::{ORDERS, civil_ms};

    fn ms(cell: &str, order: Order) -> Option<i64> {
        let parsed = parse(cell.as_bytes(), order)?;
        let zone = if let Zone::Offset(seconds) = parsed.zone { seconds } else { 0 };
        Some(civil_ms(parsed.date?, parsed.nanoseconds.unwrap_or(0)) - i64::from(zone) * 1000)
    }

    #[test]
    fn forms_people_write_are_read() {
        let midnight = 1_709_510_400_000; // 2024-03-04
        for (cell, order, offset_s) in [
            ("2024-03-04", Order::Ymd, 0),
            ("2024-03-04 00:10", Order::Mdy, 600),
            ("2024/3/4 0:10", Order::Dmy, 600),
            ("2024-03-04T00:10:00Z", Order::Ymd, 600),
            ("2024-03-04T01:10:00.000+01:00", Order::Ymd, 600),
            ("2024-03-04 00:10:00 UTC", Order::Ymd, 600),
            ("2024-03-04 01:10:00 CET", Order::Ymd, 600),
            ("2024-03-04T01:10:00+01:00[Europe/Berlin]", Order::Ymd, 600),
            ("20240304T001000Z", Order::Ymd, 600),
            ("20240304 0010", Order::Ymd, 600),
            ("20240304001000", Order::Ymd, 600),
            ("202403040010", Order::Ymd, 600),
            ("04.03.2024 00:10", Order::Dmy, 600),
            ("4.3.24, 0:10", Order::Dmy, 600),
            ("3/4/2024 12:10:00 AM", Order::Mdy, 600),
            ("3/4/24 1 PM", Order::Mdy, 46_800),
            ("04/03/2024 24:00", Order::Dmy, 86_400),
            ("04-Mar-2024 00:10:00", Order::Dmy, 600),
            ("4. März 2024 00:10", Order::Dmy, 600),
            ("Mar 4, 2024 12:10 AM", Order::Ymd, 600),
            ("Mon Mar  4 00:10:00 2024", Order::Ymd, 600),
            ("Mon, 04 Mar 2024 00:10:00 GMT", Order::Ymd, 600),
            ("2024-03-04 00.10.00", Order::Ymd, 600),
            ("2024-03-04_00:10:00", Order::Ymd, 600),
            ("04/Mar/2024:00:10:00 +0000", Order::Ymd, 600),
            ("2024-03-04 00:10:00,000", Order::Ymd, 600),
            ("04/03/2024 12:10:00 a. m.", Order::Dmy, 600),
            ("04/03/2024 12:10\u{202f}p.m.", Order::Dmy, 43_800),
            ("2024年3月4日 0時10分", Order::Ymd, 600),
            ("2024年03月04日 下午1:10", Order::Ymd, 47_400),
            ("2024. 3. 4. 오후 1:10:00", Order::Ymd, 47_400),
            ("2024/3/4(月) 0:10", Order::Ymd, 600),
            ("March 4, 2024 at 12:10AM", Order::Dmy, 600),
            ("04.03.2024 00:10 Uhr", Order::Dmy, 600),
            ("[2024-03-04 00:10:00]", Order::Ymd, 600),
            ("'2024-03-04 00:10", Order::Ymd, 600),
            ("2024:03:04 00:10:00", Order::Ymd, 600),
            (
                "Mon Mar 04 2024 01:10:00 GMT+0100 (Central European Standard Time)",
                Order::Ymd,
                600,
            ),
            ("2024-03-04 01:10:00 +0100 CET", Order::Ymd, 600),
            ("2024-W10", Order::Dmy, 0),
            ("2024-W10-1T00:10", Order::Ymd, 600),
            ("2024W101", Order::Mdy, 0),
            ("2024-064", Order::Ymd, 0),
            ("240304011000W", Order::Ymd, 600),
            ("240304021000S", Order::Dmy, 600),
        ] {
            assert_eq!(ms(cell, order), Some(midnight + offset_s * 1000), "{cell}");
        }
    }

    #[test]
    fn numbers_and_words_are_no_times() {
        for cell in [
            "12.5",
            "1.2.3.4",
            "2024-13-01",
            "1709510400",
            "x",
            "24:01:00x",
            "192.168.1.1",
            "12",
            "-5",
            "AUTO",
            "March",
            "2024-03",
            "99999999",
            "2024-W60",
            "2024-400",
            "240304251000W",
        ] {
            for order in ORDERS {
                assert_eq!(parse(cell.as_bytes(), order).filter(|p| p.date.is_some()), None, "{cell}");
            }
        }
    }

    #[test]
    fn a_time_of_day_stands_alone() {
        for (cell, seconds) in [
            ("00:05:00", 300),
            ("18.00.00", 64_800),
            ("6:05 PM", 65_100),
            ("24:00", 86_400),
            ("7:05", 25_500),
        ] {
            let parsed = parse(cell.as_bytes(), Order::Dmy).unwrap();
            assert_eq!((parsed.date, parsed.nanoseconds), (None, Some(seconds * SECOND)), "{cell}");
        }
    }
}
