//! Columns of numbers that are times: Unix time, days since an epoch, dates in digits.

use crate::census::Column;
use crate::names;
use crate::time::finder::ENOUGH;
use crate::time::moment::How;

/// Unix time of these years may be recognised, in seconds.
const UNIX: std::ops::Range<f64> = 473_385_600.0..4_102_444_800.0;
/// Days of 1950 to 2100 by Excel and by MATLAB, and their day of 1970-01-01.
pub(super) const DAYS: [(&str, std::ops::Range<f64>, f64); 2] =
    [("excel", 18_264.0..73_051.0, 25_569.0), ("matlab", 712_224.0..767_011.0, 719_529.0)];

/// Counts that do not start in 1970: their numbers in our years, milliseconds per unit, and their start in ms since 1970.
pub(super) const EPOCHS: [(&str, std::ops::Range<f64>, f64, i64); 3] = [
    // Seconds since 1904; as Unix time they would be later than 2066.
    ("labview", 3.05e9..4.1e9, 1e3, -2_082_844_800_000),
    // Tenths of microseconds since 1601 and since the year 1; the latter would be nanoseconds of 1990.
    ("filetime", 1.26e17..1.47e17, 1e-4, -11_644_473_600_000),
    ("dotnet", 6.3e17..6.53e17, 1e-4, -62_135_596_800_000),
];

/// How a column of numbers counts from 1970 or the epoch of a program.
pub(super) fn epoch(column: &Column) -> Option<(How, &'static str)> {
    let other = EPOCHS
        .iter()
        .find(|(_, range, ..)| range.contains(&column.min) && range.contains(&column.max));
    if let Some(&(name, _, scale, start_ms)) = other {
        return Some((How::Count(scale, start_ms), name));
    }
    let within = |scale: f64| UNIX.contains(&(column.min * scale)) && UNIX.contains(&(column.max * scale));
    [
        (1.0, 1e3, "unix-s"),
        (1e-3, 1.0, "unix-ms"),
        (1e-6, 1e-3, "unix-us"),
        (1e-9, 1e-6, "unix-ns"),
    ]
    .into_iter()
    .find(|&(seconds, ..)| within(seconds))
    .map(|(_, scale, name)| (How::Count(scale, 0), name))
}

/// Whether the numbers are dates in digits, year first.
pub(super) fn is_compact(column: &Column) -> bool {
    column.is_whole
        && column.times.orders[0].good > 0
        && column.times.orders[0].good == column.filled
        && column.times.fixed == column.filled
}

/// The program whose count of days the numbers are, and its day of 1970-01-01.
pub(super) fn days_of(column: &Column) -> Option<(&'static str, f64)> {
    let counts = column.rise.rises + column.rise.falls > 0 && (!column.is_whole || column.rise.uneven == 0);
    let found = DAYS
        .iter()
        .find(|(_, days, _)| days.contains(&column.min) && days.contains(&column.max));
    found.filter(|_| counts).map(|&(name, _, epoch)| (name, epoch))
}

/// Whether the cells are months or quarters.
pub(super) fn are_months(column: &Column) -> bool {
    column.times.months > 2 && column.times.months == column.filled && column.times.dates == 0
}

/// Whether the numbers go one way, throughout.
pub(super) fn goes_one_way(column: &Column) -> bool {
    column.rise.rises > 2 && column.rise.falls == 0 || column.rise.falls > 2 && column.rise.rises == 0
}

/// Whether a column beside the time holds times too.
pub(crate) fn is_second_time(column: &Column, name: &str) -> bool {
    let is_number = column.are_numbers();
    let are_dates = column.times.dates > 0 && column.times.dates * 100 >= column.filled * ENOUGH;
    let counts = column.is_whole && goes_one_way(column) && epoch(column).is_some();
    are_dates && !is_number || is_number && counts && names::is_time(name)
}
