//! Columns of numbers that are times: Unix time, days since an epoch, dates in digits.

use crate::census::Column;
use crate::names;
use crate::time::finder::ENOUGH;

/// Unix time of these years may be recognised, in seconds.
const UNIX: std::ops::Range<f64> = 473_385_600.0..4_102_444_800.0;
/// Days of 1950 to 2100 by Excel and by MATLAB, and their day of 1970-01-01.
pub(super) const DAYS: [(&str, std::ops::Range<f64>, f64); 2] =
    [("excel", 18_264.0..73_051.0, 25_569.0), ("matlab", 712_224.0..767_011.0, 719_529.0)];

/// How a column of numbers counts from 1970: milliseconds per unit.
pub(super) fn unix_scale(column: &Column) -> Option<(f64, &'static str)> {
    let within = |scale: f64| UNIX.contains(&(column.min * scale)) && UNIX.contains(&(column.max * scale));
    [
        (1.0, 1e3, "unix-s"),
        (1e-3, 1.0, "unix-ms"),
        (1e-6, 1e-3, "unix-us"),
        (1e-9, 1e-6, "unix-ns"),
    ]
    .into_iter()
    .find(|&(seconds, ..)| within(seconds))
    .map(|(_, scale, name)| (scale, name))
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
    let counts = column.is_whole && goes_one_way(column) && unix_scale(column).is_some();
    are_dates && !is_number || is_number && counts && names::is_time(name)
}
