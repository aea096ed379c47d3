//! Seasonal averages: for each place in the season and each of the [`SEASON_RATES`] an average over the season's cycles.
//!
//! A sample is normalized with the statistics of its own time, and not again at the origin. The first visit of a place
//! stores the value; each later visit makes E <- g E + (1 - g) z. A place that was never visited holds 0.

use crate::config::SEASON_RATES;

/// The averages `[rates, T]` of one variate at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seasonal {
    /// T; 0: no seasonal averages.
    period: usize,
}

impl Seasonal {
    pub fn new(period: Option<usize>) -> Self {
        Self {
            period: period.unwrap_or(0),
        }
    }

    /// Numbers per variate, both of state and of features.
    pub fn width(&self) -> usize {
        SEASON_RATES.len() * self.period
    }

    /// Counts sample `t` of a variate; with `first` the sample stands for all samples so far.
    pub fn push(&self, averages: &mut [f32], t: u64, normalized: f32, first: bool) {
        if self.period == 0 {
            return;
        }
        let place = (t % self.period as u64) as usize;
        let visited = t.min(self.period as u64) as usize;
        for (averages, rate) in averages.chunks_exact_mut(self.period).zip(SEASON_RATES) {
            if first {
                averages[..visited].fill(normalized);
            }
            averages[place] = if t < self.period as u64 {
                normalized
            } else {
                rate * averages[place] + (1.0 - rate) * normalized
            };
        }
    }

    /// Writes the averages of a variate after `t` samples: rate by rate, the place visited longest ago first.
    pub fn read(&self, averages: &[f32], t: u64, out: &mut [f32]) {
        if self.period == 0 {
            return;
        }
        let oldest = (t % self.period as u64) as usize;
        for (out, averages) in out.chunks_exact_mut(self.period).zip(averages.chunks_exact(self.period)) {
            let (head, tail) = averages.split_at(oldest);
            out[..tail.len()].copy_from_slice(tail);
            out[tail.len()..].copy_from_slice(head);
        }
    }
}
