//! Duplicate detection: the times of one variate's readings in one time bin.
//!
//! Invariants: a bounded number of times is remembered and nothing is allocated after the start.
//! Once times were forgotten, a time older than all that are remembered counts as known.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// How many readings of its variate and bin may overtake a reading whose duplicate is still to be
/// recognised.
pub(crate) const REMEMBERED: usize = 32;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecentTimes {
    /// Times up to this one are known.
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

    /// Every time up to `time_ms` is known.
    pub(crate) fn known_to(time_ms: i64) -> Self {
        RecentTimes {
            floor: Some(time_ms),
            ..RecentTimes::new()
        }
    }

    pub(crate) fn clear(&mut self) {
        self.floor = None;
        self.newest.clear();
    }

    /// Returns false where the time is known.
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
        self.newest.insert(place.min(self.newest.len()), time_ms);
        true
    }

    /// What was saved, with room for what comes; `None` where it breaks an invariant.
    pub(crate) fn restored(saved: &RecentTimes) -> Option<Self> {
        let is_valid = saved.newest.len() <= REMEMBERED
            && saved.newest.windows(2).all(|pair| pair[0] < pair[1])
            && saved
                .newest
                .first()
                .is_none_or(|&first| saved.floor.is_none_or(|floor| floor < first));
        let mut times = RecentTimes::new();
        times.floor = saved.floor;
        times.newest.extend(saved.newest.iter().take(REMEMBERED));
        is_valid.then_some(times)
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
        /// No time is taken twice, whatever the order; and all that are fewer than are remembered
        /// are taken once.
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
