//! Exponential averages of a variate's readings, of several half-lives.
//!
//! A missing reading changes nothing: an average is one over readings, not over time. The n-th reading has at least the
//! share 1 / n, so a young average is the plain mean of the readings so far, and not of anything before them. Before the
//! first reading the averages are 0, as the samples are.
//!
//! Each average is kept in double precision, as a high and a low `f32`: a slow average does not stand still, and saving
//! the state loses nothing.

use crate::config::{Averages, MAX_AVERAGES};
use crate::math::power;

/// Readings that are counted; the count is exact in an `f32`.
const MOST: f32 = (1 << 24) as f32;

/// The averages of one variate at a time; the numbers lie in the caller's state: the count, then the pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExponentialAverages {
    /// Share of the newest reading in each average.
    shares: [f64; MAX_AVERAGES],
    count: usize,
}

impl ExponentialAverages {
    pub fn new(averages: Option<Averages>) -> Self {
        let mut shares = [0.0; MAX_AVERAGES];
        let half_lives = averages.into_iter().flat_map(Averages::half_lives);
        for (share, half_life) in shares.iter_mut().zip(half_lives) {
            *share = 1.0 - power(2.0, -1.0 / half_life);
        }
        Self {
            shares,
            count: averages.map_or(0, |averages| averages.count),
        }
    }

    /// Numbers of state per variate.
    pub fn width(&self) -> usize {
        if self.count > 0 { 1 + 2 * self.count } else { 0 }
    }

    /// Counts one reading.
    pub fn push(&self, numbers: &mut [f32], z: f32) {
        let Some((readings, pairs)) = numbers.split_first_mut() else {
            return;
        };
        *readings = (*readings + 1.0).min(MOST);
        let least = 1.0 / f64::from(*readings);
        for (pair, share) in pairs.chunks_exact_mut(2).zip(self.shares) {
            let average = f64::from(pair[0]) + f64::from(pair[1]);
            let average = average + share.max(least) * (f64::from(z) - average);
            pair[0] = average as f32;
            pair[1] = (average - f64::from(pair[0])) as f32;
        }
    }

    /// Writes the averages, the shortest half-life first, normalized with `statistics`; nothing into an empty `out`.
    pub fn read(&self, numbers: &[f32], statistics: (f32, f32), out: &mut [f32]) {
        let (mean, deviation) = statistics;
        let pairs = numbers.get(1..).unwrap_or_default().chunks_exact(2);
        for (out, pair) in out.iter_mut().zip(pairs) {
            *out = (pair[0] - mean) / deviation;
        }
    }
}
