//! A cell read from its start: dates, times of day, zones.

use jiff::Span;
use jiff::civil::{Date, ISOWeekDate, Weekday};

use crate::time::date::{Order, Parsed, SECOND, Zone, date_of};
use crate::time::vocabulary::{abbreviation, month};

/// A place in a cell. What cannot be read leaves the place undefined.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub fn is_over(&self) -> bool {
        self.rest().iter().all(|&byte| byte == b' ')
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    pub fn next_is_digit(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_digit())
    }

    pub fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_skipped) {
            self.at += 1;
        }
    }

    /// Skips this text.
    pub fn skip_word(&mut self, word: &[u8]) {
        if self.rest().starts_with(word) {
            self.at += word.len();
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// A run of digits: their value and their number.
    pub fn digits(&mut self) -> Option<(u64, usize)> {
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
    pub fn whole<T>(&self, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let value = read(&mut ahead)?;
        ahead.is_over().then_some(value)
    }

    /// Skips the name of a weekday.
    pub fn weekday(&mut self) {
        let mut ahead = *self;
        let word = ahead.word();
        if word.len() >= 2 && month(word).is_none() {
            ahead.skip(|byte| matches!(byte, b'.' | b',' | b' '));
            if ahead.at > self.at + word.len() {
                *self = ahead;
            }
        }
    }

    pub fn date(&mut self, order: Order, parsed: &mut Parsed) -> Option<()> {
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
        if length == 4
            && let Some(date) = self.tried(|text| text.week_or_day_of(first))
        {
            parsed.date = Some(date);
            return Some(());
        }
        let separator = self.peek()?;
        let mut ahead = *self;
        ahead.skip(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/'));
        if ahead.peek().is_some_and(|byte| byte.is_ascii_alphabetic() || byte >= 0x80) {
            return self.day_and_name(first, length, parsed);
        }
        // `2024:03:04`, as cameras write it.
        if !(matches!(separator, b'-' | b'/' | b'.') || separator == b':' && length == 4) {
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

    /// Applies `read` and goes on where it succeeds.
    fn tried<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let value = read(&mut ahead)?;
        *self = ahead;
        Some(value)
    }

    /// The rest of `2024-W10`, `2024-W10-1`, `2024W101` (its Monday without a day) and of `2024-064`, the day of the year.
    fn week_or_day_of(&mut self, year: u64) -> Option<Date> {
        let is_parted = self.take(b'-').is_some();
        let year = i16::try_from(year).ok().filter(|year| (1800..=2200).contains(year))?;
        let is_end = |text: &Self| {
            !text
                .peek()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() && byte != b'T' || byte == b'-')
        };
        if self.take(b'W').is_some() {
            let (number, length) = self.digits()?;
            let (week, day) = match (length, is_parted) {
                (2, true) if self.take(b'-').is_some() => (number, self.digits()?.0),
                (2, _) => (number, 1),
                (3, false) => (number / 10, number % 10),
                _ => return None,
            };
            let day = Weekday::from_monday_one_offset(i8::try_from(day).ok()?).ok()?;
            return is_end(self).then_some(ISOWeekDate::new(year, i8::try_from(week).ok()?, day).ok()?.date());
        }
        let (day, length) = self.digits()?;
        (is_parted && length == 3 && day > 0 && is_end(self)).then_some(())?;
        let first = Date::new(year, 1, 1).ok()?;
        (day <= first.days_in_year() as u64).then(|| first.saturating_add(Span::new().days(day as i64 - 1)))
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
    pub fn time(&mut self, behind_date: bool) -> Option<i64> {
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
        if dotted {
            // `a. m.`
            let _ = ahead.take(b' ');
        }
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
                (0..=12).contains(&hour).then_some(())?;
                clock - hour * 3600 + (hour % 12 + if is_pm { 12 } else { 0 }) * 3600
            }
        };
        (clock < 86_400 || clock == 86_400 && fraction == 0).then_some(clock * SECOND + fraction)
    }

    /// `Z`, `UTC`, `+01:00`, `GMT+1`, `CEST`, and a name in brackets, which an offset before it makes needless.
    pub fn zone(&mut self, parsed: &mut Parsed) -> Option<()> {
        self.skip(|byte| byte == b' ');
        let mut ahead = *self;
        let word = ahead.word();
        if word.eq_ignore_ascii_case(b"Uhr") {
            *self = ahead;
        } else if !word.is_empty() {
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
        // The offset makes a name needless: `[Europe/Berlin]`, `(Central European Time)`, `CET`.
        let close = match self.peek() {
            Some(b'[') => b']',
            Some(b' ') if self.rest().starts_with(b" (") => b')',
            Some(b' ') if parsed.zone != Zone::None => {
                self.tried(|text| {
                    text.take(b' ')?;
                    abbreviation(text.word())
                });
                return Some(());
            }
            _ => return Some(()),
        };
        if parsed.zone != Zone::None {
            let end = self.rest().iter().position(|&byte| byte == close)?;
            self.at += end + 1;
        }
        Some(())
    }
}
