//! Text as a date, a time of day, or both.
//!
//! One reader for all forms: what differs between columns is only the order of day, month and year, which the caller decides over the
//! whole column.

use jiff::civil::Date;

/// Order of the parts of a date in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    Ymd,
    Dmy,
    Mdy,
}

/// All orders, in the order in which they are tried.
pub(crate) const ORDERS: [Order; 3] = [Order::Ymd, Order::Dmy, Order::Mdy];

/// What a cell says about its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Nothing.
    None,
    /// Seconds east of UTC.
    Offset(i32),
}

/// A cell read as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub date: Option<Date>,
    /// Nanoseconds since midnight, up to a whole day for 24:00.
    pub nanoseconds: Option<i64>,
    pub zone: Zone,
    /// Whether the date reads the same in every order.
    pub is_fixed: bool,
    /// Whether the date is written with dots, as where the day stands first.
    pub dots: bool,
}

const SECOND: i64 = 1_000_000_000;
/// Nanoseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// Reads a trimmed cell; `None` when it is no date, no time of day and not both.
pub(crate) fn parse(cell: &[u8], order: Order) -> Option<Parsed> {
    if cell.len() < 3 || cell.len() > 48 {
        return None;
    }
    if let Some(at) = cell.windows(3).position(|bytes| bytes == b" - ") {
        // From one time to another: the first counts.
        parse(&cell[at + 3..], order)?;
        return parse(&cell[..at], order);
    }
    let mut text = Cursor { bytes: cell, at: 0 };
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

#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn is_over(&self) -> bool {
        self.rest().iter().all(|&byte| byte == b' ')
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn next_is_digit(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_digit())
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_skipped) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// A run of digits: their value and their number.
    fn digits(&mut self) -> Option<(u64, usize)> {
        let length = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || length > 18 {
            return None;
        }
        let value = self.rest()[..length]
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        self.at += length;
        Some((value, length))
    }

    fn word(&mut self) -> &'a [u8] {
        let length = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80)
            .count();
        let word = &self.rest()[..length];
        self.at += length;
        word
    }

    /// Applies `read` and goes on only when nothing is left behind it.
    fn whole<T>(&self, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let value = read(&mut ahead)?;
        ahead.is_over().then_some(value)
    }

    /// Skips the name of a weekday.
    fn weekday(&mut self) {
        let mut ahead = *self;
        let word = ahead.word();
        if word.len() >= 2 && month(word).is_none() {
            ahead.skip(|byte| matches!(byte, b'.' | b',' | b' '));
            if ahead.at > self.at + word.len() {
                *self = ahead;
            }
        }
    }

    fn date(&mut self, order: Order, parsed: &mut Parsed) -> Option<()> {
        if !self.next_is_digit() {
            return self.date_by_name(parsed);
        }
        let start = *self;
        let (first, length) = self.digits()?;
        if matches!(length, 8 | 10 | 12 | 14) {
            return self.compact(start, parsed);
        }
        if length > 4 {
            return None;
        }
        let separator = self.peek()?;
        let mut ahead = *self;
        ahead.skip(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/'));
        if ahead.peek().is_some_and(|byte| byte.is_ascii_alphabetic() || byte >= 0x80) {
            return self.day_and_name(first, length, parsed);
        }
        if !matches!(separator, b'-' | b'/' | b'.') {
            return None;
        }
        self.at += 1;
        if separator == b'.' {
            self.skip(|byte| byte == b' ');
        }
        let (second, second_length) = self.digits()?;
        self.take(separator)?;
        if separator == b'.' {
            self.skip(|byte| byte == b' ');
        }
        let (third, third_length) = self.digits()?;
        parsed.dots = separator == b'.';
        let date = if length == 4 {
            (second_length <= 2 && third_length <= 2).then_some(())?;
            (first, 4, second, third)
        } else {
            (length <= 2 && second_length <= 2 && (third_length == 4 || third_length <= 2)).then_some(())?;
            parsed.is_fixed = false;
            match order {
                Order::Ymd if third_length <= 2 && length == 2 => (first, length, second, third),
                Order::Ymd => return None,
                Order::Dmy => (third, third_length, second, first),
                Order::Mdy => (third, third_length, first, second),
            }
        };
        parsed.date = Some(date_of(date.0, date.1, date.2, date.3)?);
        Some(())
    }

    /// `20240304`, and `20240304001000` or `202403040010`, whose time of day is left for [`Cursor::time`].
    fn compact(&mut self, start: Cursor<'a>, parsed: &mut Parsed) -> Option<()> {
        let digits = start.rest();
        let number = |range: std::ops::Range<usize>| digits[range].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        parsed.date = Some(date_of(number(0..4), 4, number(4..6), number(6..8))?);
        self.at = start.at + 8;
        Some(())
    }

    /// `4-Mar-2024`, `4. März 2024`, `4 March 24`.
    fn day_and_name(&mut self, day: u64, length: usize, parsed: &mut Parsed) -> Option<()> {
        let between = |byte| matches!(byte, b'-' | b'.' | b'/' | b' ' | b',');
        self.skip(between);
        let month = month(self.word())?;
        self.skip(between);
        let (year, digits) = self.digits()?;
        parsed.date = Some(match length {
            4 => date_of(day, 4, month as u64, year)?,
            _ => date_of(year, digits, month as u64, day)?,
        });
        Some(())
    }

    /// `March 4, 2024`; of `Mar  4 00:00:00 2024` the month and day only.
    fn date_by_name(&mut self, parsed: &mut Parsed) -> Option<()> {
        let month = month(self.word())?;
        let between = |byte| matches!(byte, b'-' | b'.' | b'/' | b' ' | b',');
        self.skip(between);
        let (day, length) = self.digits()?;
        (length <= 2).then_some(())?;
        let mut ahead = *self;
        ahead.skip(between);
        let (year, digits) = ahead.digits()?;
        if digits == 4 && ahead.peek() != Some(b':') {
            *self = ahead;
            parsed.date = Some(date_of(year, 4, month as u64, day)?);
        }
        Some(())
    }

    /// A time of day; behind a date it may be compact, and its parts may be parted by dots.
    fn time(&mut self, behind_date: bool) -> Option<i64> {
        let (hour, length) = self.digits()?;
        let part = |value: u64, most: u64| (value <= most).then_some(value as i64);
        if matches!(length, 4 | 6) && behind_date {
            let (seconds, rest) = if length == 6 { (hour % 100, hour / 100) } else { (0, hour) };
            let clock = (part(rest / 100, 24)? * 60 + part(rest % 100, 59)?) * 60 + part(seconds, 59)?;
            let fraction = self.fraction()?;
            return (clock <= 86_400).then_some(clock * SECOND + fraction);
        }
        (length <= 2).then_some(())?;
        let separator = self.peek();
        let mut clock = part(hour, 24)? * 3600;
        let mut fraction = 0;
        match separator {
            Some(b':') => {}
            Some(b'.') if behind_date || self.rest().iter().filter(|&&byte| byte == b'.').count() == 2 => {}
            Some(b'h' | b'H') => {}
            // `3 PM`; behind a date an hour may stand alone.
            _ if behind_date || self.meridiem().is_some() => {
                return self.with_meridiem(clock, 0);
            }
            _ => return None,
        }
        self.at += 1;
        let (minute, length) = self.digits()?;
        (length <= 2).then_some(())?;
        clock += part(minute, 59)? * 60;
        if separator != Some(b'h') && separator != Some(b'H') && self.peek() == separator {
            self.at += 1;
            let (second, length) = self.digits()?;
            (length <= 2).then_some(())?;
            // A leap second is the last second of its minute.
            clock += part(second, 60)?.min(59);
            fraction = self.fraction()?;
        }
        self.with_meridiem(clock, fraction)
    }

    /// Digits behind the seconds, in nanoseconds.
    fn fraction(&mut self) -> Option<i64> {
        if !matches!(self.peek(), Some(b'.' | b',' | b':')) || !self.rest().get(1).is_some_and(u8::is_ascii_digit) {
            return Some(0);
        }
        self.at += 1;
        let (value, length) = self.digits()?;
        let scale = 10i64.pow(9u32.saturating_sub(length as u32));
        Some(if length <= 9 {
            value as i64 * scale
        } else {
            (value / 10u64.pow(length as u32 - 9)) as i64
        })
    }

    /// Whether AM or PM follows: true for PM.
    fn meridiem(&self) -> Option<(bool, usize)> {
        let mut ahead = *self;
        ahead.skip(|byte| byte == b' ');
        let is_pm = match ahead.peek()? {
            b'a' | b'A' => false,
            b'p' | b'P' => true,
            _ => return None,
        };
        ahead.at += 1;
        // `7:05p`
        if ahead.is_over() && self.bytes.contains(&b':') {
            return Some((is_pm, ahead.at));
        }
        let dotted = ahead.take(b'.').is_some();
        (matches!(ahead.peek()?, b'm' | b'M')).then_some(())?;
        ahead.at += 1;
        if dotted {
            let _ = ahead.take(b'.');
        }
        ahead
            .peek()
            .is_none_or(|byte| !byte.is_ascii_alphabetic())
            .then_some((is_pm, ahead.at))
    }

    fn with_meridiem(&mut self, clock: i64, fraction: i64) -> Option<i64> {
        let clock = match self.meridiem() {
            None => clock,
            Some((is_pm, at)) => {
                self.at = at;
                let hour = clock / 3600;
                (1..=12).contains(&hour).then_some(())?;
                clock - hour * 3600 + (hour % 12 + if is_pm { 12 } else { 0 }) * 3600
            }
        };
        (clock < 86_400 || clock == 86_400 && fraction == 0).then_some(clock * SECOND + fraction)
    }

    /// `Z`, `UTC`, `+01:00`, `GMT+1`, `CEST`, and a name in brackets, which an offset before it makes needless.
    fn zone(&mut self, parsed: &mut Parsed) -> Option<()> {
        self.skip(|byte| byte == b' ');
        let mut ahead = *self;
        let word = ahead.word();
        if !word.is_empty() {
            let hours = abbreviation(word)?;
            *self = ahead;
            parsed.zone = Zone::Offset(hours * 1800);
        }
        if let Some(sign @ (b'+' | b'-')) = self.peek() {
            self.at += 1;
            let (hours, length) = self.digits()?;
            let (hours, minutes) = match length {
                1 | 2 => {
                    let minutes = if self.take(b':').is_some() { self.digits()?.0 } else { 0 };
                    (hours, minutes)
                }
                4 => (hours / 100, hours % 100),
                _ => return None,
            };
            (hours <= 18 && minutes < 60).then_some(())?;
            let seconds = (hours * 3600 + minutes * 60) as i32;
            parsed.zone = Zone::Offset(if sign == b'-' { -seconds } else { seconds });
        }
        if self.peek() == Some(b'[') && parsed.zone != Zone::None {
            let end = self.rest().iter().position(|&byte| byte == b']')?;
            self.at += end + 1;
        }
        Some(())
    }
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

/// A date whose year may have two digits.
fn date_of(year: u64, digits: usize, month: u64, day: u64) -> Option<Date> {
    let year = match digits {
        4 if (1800..=2200).contains(&year) => year,
        2 if year < 70 => 2000 + year,
        2 => 1900 + year,
        _ => return None,
    };
    Date::new(year as i16, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Half hours east of UTC.
fn abbreviation(word: &[u8]) -> Option<i32> {
    Some(match word.to_ascii_uppercase().as_slice() {
        b"Z" | b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"MEZ" | b"WEST" => 2,
        b"CEST" | b"MESZ" | b"EET" => 4,
        b"EEST" | b"MSK" => 6,
        b"EST" => -10,
        b"EDT" => -8,
        b"CST" => -12,
        b"CDT" => -10,
        b"MST" => -14,
        b"MDT" => -12,
        b"PST" => -16,
        b"PDT" => -14,
        b"JST" | b"KST" => 18,
        b"AEST" => 20,
        b"AEDT" => 22,
        _ => return None,
    })
}

/// The month that a word names, in the common languages; three letters suffice.
fn month(word: &[u8]) -> Option<i8> {
    let text = std::str::from_utf8(word).ok()?.to_lowercase();
    const NAMES: [&[&str]; 12] = [
        &["jan", "ene", "gen", "janv", "jän"],
        &["feb", "fev", "fév", "févr"],
        &["mar", "mär", "mrz", "mrt", "mars", "maart"],
        &["apr", "abr", "avr", "avril"],
        &["may", "mai", "mag", "mei", "maj", "mayo", "maio"],
        &["jun", "giu", "juin"],
        &["jul", "lug", "juil"],
        &["aug", "ago", "aou", "aoû", "août"],
        &["sep", "set", "sept"],
        &["oct", "okt", "ott", "out"],
        &["nov"],
        &["dec", "dez", "dic", "déc"],
    ];
    if text.chars().count() < 3 {
        return None;
    }
    // Whole names begin with the short form; juin and juillet differ in the fourth letter only.
    let matches = |short: &&str| text == **short || text.starts_with(*short) && text.chars().count() >= 3;
    if text.starts_with("juil") {
        return Some(7);
    }
    NAMES.iter().position(|short| short.iter().any(&matches)).map(|at| at as i8 + 1)
}

/// The parts as a civil time in nanoseconds since 1970, the zone left out; a date alone is its midnight.
pub(crate) fn civil_ms(date: Date, nanoseconds: i64) -> i64 {
    days(date) * 86_400_000 + nanoseconds.div_euclid(1_000_000)
}

/// Days since 1970-01-01 in the Gregorian calendar.
pub(crate) fn days(date: Date) -> i64 {
    // Years begin in March here, so that a leap day is the last of its year.
    let (year, month) = (i64::from(date.year()), i64::from(date.month()));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day()) - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

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
