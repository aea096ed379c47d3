//! The calendar of the simulation: a count of minutes and what follows from it. UTC.

pub(super) const MINUTES_PER_DAY: i64 = 24 * 60;

/// A minute since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    minute: i64,
}

impl Clock {
    pub(super) fn at(time_ms: i64) -> Self {
        Self {
            minute: time_ms.div_euclid(60_000),
        }
    }

    pub(super) fn minutes_later(self, minutes: i64) -> Self {
        Self {
            minute: self.minute + minutes,
        }
    }

    pub(super) fn time_ms(self) -> i64 {
        self.minute * 60_000
    }

    /// Days since 1970-01-01.
    pub(super) fn day(self) -> i64 {
        self.minute.div_euclid(MINUTES_PER_DAY)
    }

    /// Hours since midnight, 0 to 24.
    pub(super) fn hour(self) -> f64 {
        self.minute.rem_euclid(MINUTES_PER_DAY) as f64 / 60.0
    }

    /// Saturday or Sunday; 1970-01-01 was a Thursday.
    pub(super) fn is_weekend(self) -> bool {
        (self.day() + 3).rem_euclid(7) >= 5
    }

    /// Days since the turn of the tropical year, which 1970-01-01 stands for.
    pub(super) fn day_of_year(self) -> f64 {
        (self.minute as f64 / MINUTES_PER_DAY as f64).rem_euclid(365.2422)
    }
}
