//! Durations counted by how long they were: fixed buckets of atomic counters, so that many threads count without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in seconds, ascending; longer durations have a bucket of their own.
pub const BOUNDS_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS_S.len() + 1],
    /// Of all durations, in nanoseconds: it lasts for centuries.
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Durations {
    /// How many were at most as long as each of [`BOUNDS_S`]; the last one counts them all.
    pub cumulative: [u64; BOUNDS_S.len() + 1],
    /// Sum of all durations in seconds.
    pub sum_s: f64,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let bucket = BOUNDS_S.partition_point(|&bound| bound < took.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn durations(&self) -> Durations {
        let mut count = 0;
        Durations {
            cumulative: std::array::from_fn(|bucket| {
                count += self.buckets[bucket].load(Ordering::Relaxed);
                count
            }),
            sum_s: self.sum.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_S, Histogram};
    use std::time::Duration;

    #[test]
    fn a_duration_counts_in_every_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for took in [0.0, 0.0005, 0.0006, 10.0, 1000.0] {
            histogram.observe(Duration::from_secs_f64(took));
        }
        let durations = histogram.durations();
        assert_eq!(durations.cumulative[..2], [2, 3], "a bound belongs to its bucket");
        assert_eq!(
            durations.cumulative[BOUNDS_S.len() - 1..],
            [4, 5],
            "what is longer than all bounds counts too"
        );
        assert!((durations.sum_s - 1010.0011).abs() < 1e-6);
    }
}
