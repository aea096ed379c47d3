//! Dates, times of day, and what a cell says of them.

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

/// Nanoseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000_000;
/// Nanoseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// A date whose year may have two digits.
pub(crate) fn date_of(year: u64, digits: usize, month: u64, day: u64) -> Option<Date> {
    let year = match digits {
        4 if (1800..=2200).contains(&year) => year,
        2 if year < 70 => 2000 + year,
        2 => 1900 + year,
        _ => return None,
    };
    Date::new(year as i16, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
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
