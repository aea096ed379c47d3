//! Range of times and bins within which calculations cannot overflow.

/// A time far from the ends of the range, so that calculations with it stay within: 146 million
/// years from 1970.
pub(crate) fn clamp_time(time_ms: i64) -> i64 {
    time_ms.clamp(i64::MIN / 2, i64::MAX / 2)
}

/// Whether a time or a bin can come from [`clamp_time`], give or take the allowed lateness.
pub(crate) fn is_clamped(number: i64) -> bool {
    (i64::MIN / 4 * 3..=i64::MAX / 4 * 3).contains(&number)
}
