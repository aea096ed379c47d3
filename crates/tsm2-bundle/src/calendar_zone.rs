//! The time zone of a model's calendar: from Unix time to the local time that [`tsm2_core::Model::step`] takes.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time zone whose time of day and day of the week a model reads. The default is UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalendarZone(Option<TimeZone>);

impl CalendarZone {
    /// The zone of this IANA name, such as `Europe/Berlin`; `None` where no such zone is known.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        Some(Self((zone != TimeZone::UTC).then_some(zone)))
    }

    /// Its IANA name; `None` for UTC.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().and_then(TimeZone::iana_name)
    }

    /// Milliseconds since the beginning of 1970 in this zone: Unix time plus the zone's offset at that moment. A time beyond the
    /// years that have a date stays as it is.
    ///
    /// ```
    /// let berlin = tsm2_bundle::CalendarZone::named("Europe/Berlin").expect("known");
    /// let hour = 3_600_000;
    /// assert_eq!(berlin.local_ms(0), hour); // 1 January 1970, 01:00
    /// assert_eq!(tsm2_bundle::CalendarZone::default().local_ms(0), 0);
    /// ```
    #[must_use]
    pub fn local_ms(&self, unix_ms: i64) -> i64 {
        match (&self.0, Timestamp::from_millisecond(unix_ms)) {
            (Some(zone), Ok(time)) => unix_ms.saturating_add(1000 * i64::from(zone.to_offset(time).seconds())),
            _ => unix_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_before_and_the_hour_after_the_autumn_change_have_the_same_local_time() {
        let berlin = CalendarZone::named("Europe/Berlin").expect("known");
        let unix = |text: &str| text.parse::<Timestamp>().expect("a time").as_millisecond();
        let (summer, winter) = (unix("2026-10-25T00:30:00Z"), unix("2026-10-25T01:30:00Z"));
        assert_eq!(berlin.local_ms(summer), unix("2026-10-25T02:30:00Z"));
        assert_eq!(berlin.local_ms(winter), unix("2026-10-25T02:30:00Z"));
        for edge in [i64::MIN, i64::MAX] {
            assert_eq!(berlin.local_ms(edge), edge);
        }
    }

    #[test]
    fn utc_has_no_name_and_an_unknown_zone_is_none() {
        assert_eq!(CalendarZone::named("UTC"), Some(CalendarZone::default()));
        assert_eq!(CalendarZone::named("Asia/Tokyo").expect("known").name(), Some("Asia/Tokyo"));
        assert_eq!(CalendarZone::named("Mars/Olympus"), None);
    }
}
