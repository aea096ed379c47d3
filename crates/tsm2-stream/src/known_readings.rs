//! Known readings: those of the latest time bins. They separate readings that come again from those
//! of a clock that was set to another time.
//!
//! A bin's readings are kept as a Bloom filter (Bloom, "Space/time trade-offs in hash coding with
//! allowable errors", 1970): a reading that was taken is always known; one that was not may be taken
//! for known now and then. A bin with so many readings that its filter is nearly full counts as
//! forgotten.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::time_range::is_clamped;

/// How many time bins are remembered.
const BINS: usize = 64;
/// Bits that are set for a reading.
const BITS: u32 = 3;
/// A filter with more bits takes one in eight readings for known, or more.
const MOST_BITS: u32 = 64;
/// Largest number of ranges of forgotten bins, and how far apart they are at least.
const RANGES: usize = 8;
const APART: i64 = 4096;

/// Bloom filter of the readings of a time bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Filter(u128);

impl Filter {
    /// Of one reading.
    pub(crate) fn of(variate: usize, value: f32, time_ms: i64) -> Self {
        let bits = if value.is_finite() { value.to_bits() } else { f32::NAN.to_bits() };
        // The finalizer of SplitMix64.
        let mix = |mut hash: u64| {
            hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            hash ^ (hash >> 31)
        };
        let hash = mix(time_ms.cast_unsigned() ^ mix(u64::from(bits) << 32 | variate as u64));
        Filter((0..BITS).fold(0, |filter, bit| filter | 1 << (hash >> (7 * bit) & 127)))
    }

    pub(crate) fn add(&mut self, other: Filter) {
        self.0 |= other.0;
    }

    fn has(self, other: Filter) -> bool {
        self.0 & other.0 == other.0
    }

    fn is_full(self) -> bool {
        self.0.count_ones() > MOST_BITS
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct KnownBin {
    bin: i64,
    readings: Filter,
    /// Whether its time step was emitted; otherwise its readings were dropped.
    is_emitted: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct KnownReadings {
    /// A ring of at most [`BINS`].
    bins: Vec<KnownBin>,
    /// Where the ring goes on.
    next: u8,
    /// First and last of the emitted bins that are forgotten, at most [`RANGES`] ranges.
    forgotten: Vec<(i64, i64)>,
}

impl KnownReadings {
    pub(crate) fn new() -> Self {
        KnownReadings {
            bins: Vec::with_capacity(BINS),
            next: 0,
            forgotten: Vec::with_capacity(RANGES),
        }
    }

    /// Of a stream whose readings of these bins, first and last, are not known.
    pub(crate) fn forgotten(bins: Option<(i64, i64)>) -> Self {
        let mut known = KnownReadings::new();
        known.forgotten.extend(bins);
        known
    }

    /// A bin with readings has been emitted or dropped.
    pub(crate) fn remember(&mut self, bin: i64, readings: Filter, is_emitted: bool) {
        let known = KnownBin { bin, readings, is_emitted };
        match self.bins.get_mut(usize::from(self.next)) {
            None => self.bins.push(known),
            Some(place) => {
                let oldest = core::mem::replace(place, known);
                if oldest.is_emitted {
                    self.forget(oldest.bin);
                }
            }
        }
        self.next = (self.next + 1) % BINS as u8;
    }

    fn forget(&mut self, bin: i64) {
        let distance = |&(first, last): &(i64, i64)| first.saturating_sub(bin).max(bin.saturating_sub(last)).max(0);
        let is_full = self.forgotten.len() == RANGES;
        match self.forgotten.iter_mut().min_by_key(|range| distance(range)) {
            Some(nearest) if is_full || distance(nearest) <= APART => *nearest = (nearest.0.min(bin), nearest.1.max(bin)),
            _ => self.forgotten.push((bin, bin)),
        }
    }

    /// A reading of an emitted bin was surplus.
    pub(crate) fn add(&mut self, bin: i64, reading: Filter) {
        if let Some(known) = self.bins.iter_mut().find(|known| known.bin == bin) {
            known.readings.add(reading);
        }
    }

    pub(crate) fn has(&self, bin: i64, reading: Filter) -> bool {
        let is_known = |known: &KnownBin| known.bin == bin && known.readings.has(reading) && !known.readings.is_full();
        self.bins.iter().any(is_known)
    }

    /// Whether a time step had the reading.
    pub(crate) fn has_emitted(&self, bin: i64, reading: Filter) -> bool {
        let mut bins = self.bins.iter().filter(|known| known.is_emitted && known.bin == bin);
        bins.any(|known| known.readings.has(reading) && !known.readings.is_full())
    }

    /// Whether all readings of a bin that were ever taken are known.
    pub(crate) fn covers(&self, bin: i64) -> bool {
        let is_forgotten = self.forgotten.iter().any(|&(first, last)| (first..=last).contains(&bin));
        !is_forgotten && !self.bins.iter().any(|known| known.bin == bin && known.readings.is_full())
    }

    /// What was saved, with room for what comes; `None` where it breaks an invariant.
    pub(crate) fn restored(saved: &KnownReadings) -> Option<Self> {
        let is_valid = saved.bins.len() <= BINS
            && saved.forgotten.len() <= RANGES
            && usize::from(saved.next) <= saved.bins.len().min(BINS - 1)
            && (saved.bins.len() == BINS || usize::from(saved.next) == saved.bins.len())
            && saved.bins.iter().all(|known| is_clamped(known.bin));
        let mut restored = KnownReadings::new();
        restored.bins.extend(saved.bins.iter().take(BINS));
        restored.next = saved.next;
        restored.forgotten.extend(saved.forgotten.iter().take(RANGES));
        is_valid.then_some(restored)
    }
}

#[cfg(test)]
mod tests {
    use super::{BINS, Filter, KnownReadings};

    #[test]
    fn readings_that_were_taken_are_known_until_their_bin_is_forgotten() {
        let mut known = KnownReadings::new();
        for bin in 0..3 * BINS as i64 {
            known.remember(bin, Filter::of(0, 20.5, bin * 1_000), true);
            assert!(known.has(bin, Filter::of(0, 20.5, bin * 1_000)));
            assert_eq!(known.covers(0), bin < BINS as i64);
            assert!(known.covers(bin) && known.covers(-1) && known.covers(bin + 1));
        }
        // Another time, far away: what lies between was never taken.
        for bin in 0..2 * BINS as i64 {
            known.remember(1_000_000 + bin, Filter::default(), true);
        }
        assert!(known.covers(500_000) && !known.covers(1_000_001) && !known.covers(10));
    }

    #[test]
    fn most_other_readings_are_new() {
        let mut filter = Filter::default();
        (0..11).for_each(|variate| filter.add(Filter::of(variate, variate as f32, 60_000)));
        let taken_for_known = |time_ms| {
            (0..11)
                .filter(move |&variate| filter.has(Filter::of(variate, 0.5, time_ms)))
                .count()
        };
        let wrong: usize = (0..100).map(|index| taken_for_known(index * 1_000)).sum();
        assert!(wrong < 55, "{wrong} of 1100");
    }
}
