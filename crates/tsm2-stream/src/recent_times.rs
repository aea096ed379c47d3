//! Which times of one variate a row has had, so that a reading that comes again, in any order, is known.
//!
//! Invariants: a bounded number of times is remembered, none is allocated after the start; what is older than all that are remembered, once
//! some were forgotten, is taken for known.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};

/// Times that are remembered: by so many readings of its variate and row may a reading be overtaken and still be told from its duplicate.
pub(crate) const REMEMBERED: usize = 32;

#[derive(Debug, Clone)]
pub(crate) struct RecentTimes {
    /// Times up to here are known.
    floor: Option<i64>,
    /// Increasing, above the floor, at most [`REMEMBERED`].
    newest: Vec<i64>,
}

impl RecentTimes {
    pub(crate) fn new() -> Self {
        RecentTimes {
            floor: None,
            newest: Vec::with_capacity(REMEMBERED),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.floor = None;
        self.newest.clear();
    }

    /// False: this time is known.
    pub(crate) fn insert(&mut self, time_ms: i64) -> bool {
        if self.floor.is_some_and(|floor| time_ms <= floor) {
            return false;
        }
        let Err(mut place) = self.newest.binary_search(&time_ms) else {
            return false;
        };
        if self.newest.len() == REMEMBERED {
            if place == 0 {
                return false;
            }
            self.floor = Some(self.newest.remove(0));
            place -= 1;
        }
        self.newest.insert(place, time_ms);
        true
    }

    /// All times up to `floor` known.
    pub(crate) fn known_to(floor: i64) -> Self {
        RecentTimes {
            floor: Some(floor),
            ..RecentTimes::new()
        }
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put(out, [u8::from(self.floor.is_some()), self.newest.len() as u8]);
        put(out, self.floor.unwrap_or_default().to_le_bytes());
        self.newest.iter().for_each(|time_ms| put(out, time_ms.to_le_bytes()));
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let mut times = RecentTimes::new();
        let has_floor = from.flag()?;
        let [length] = from.take()?;
        let floor = i64::from_le_bytes(from.take()?);
        times.floor = has_floor.then_some(floor);
        for _ in 0..length {
            let time_ms = i64::from_le_bytes(from.take()?);
            // They come in order, so each is above all before it.
            let is_above = times.newest.last().copied().or(times.floor).is_none_or(|below| time_ms > below);
            if !is_above || times.newest.len() == REMEMBERED {
                return None;
            }
            times.newest.push(time_ms);
        }
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, RecentTimes};
    use proptest::prelude::*;

    #[test]
    fn a_time_overtaken_by_too_many_is_taken_for_known() {
        let mut times = RecentTimes::new();
        for time_ms in 10..10 + REMEMBERED as i64 {
            assert!(times.insert(time_ms));
        }
        assert!(!times.insert(9), "overtaken by all that are remembered");
        assert!(times.insert(1000) && !times.insert(10), "forgotten and still known");
    }

    proptest! {
        /// No time is taken twice, whatever the order; and all that are fewer than are remembered are taken once.
        #[test]
        fn a_time_is_taken_once(all in prop::collection::vec(0i64..200, 0..200)) {
            let mut times = RecentTimes::new();
            let mut taken = std::collections::HashSet::new();
            for &time_ms in &all {
                let is_new = times.insert(time_ms);
                prop_assert!(!is_new || taken.insert(time_ms));
            }
            if all.iter().collect::<std::collections::HashSet<_>>().len() <= REMEMBERED {
                prop_assert!(all.iter().all(|time_ms| taken.contains(time_ms)));
            }
        }
    }
}
