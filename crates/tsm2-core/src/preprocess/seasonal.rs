//! Seasonal averages: for each place in the season and each rate an average over the season's cycles.
//!
//! A place stands for one sample of a period or, with fewer bins, for several neighbours. A sample is normalized with the
//! statistics of its own time, and not again at the origin. The first sample of a place is stored; each later one makes
//! E <- g E + (1 - g) z, where g is the rate of the cycles to the power of 1 / samples of a place. A place that was never
//! visited holds 0.

use crate::config::{SEASON_RATES, Season};
use crate::math::power;
use crate::slices::{copy, rows, rows_mut, split, split_mut};

/// The averages `[rates, places]` of one variate at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seasonal {
    /// T; 0: no seasonal averages.
    period: usize,
    places: usize,
    /// The rate of each sample; the first `count` are used.
    rates: [f32; SEASON_RATES.len()],
    count: usize,
}

impl Seasonal {
    pub fn new(season: Option<Season>) -> Self {
        let (period, places) = season.map_or((0, 0), |season| (season.period, season.places()));
        let rate = |rate: f32| match period == places {
            true => rate,
            false => power(f64::from(rate), places as f64 / period as f64) as f32,
        };
        let own = season.and_then(|season| season.rate);
        Self {
            period,
            places,
            rates: own.map_or(SEASON_RATES, |own| [own; SEASON_RATES.len()]).map(rate),
            count: season.map_or(0, |season| season.rates()),
        }
    }

    /// Numbers per variate, both of state and of features.
    pub fn width(&self) -> usize {
        self.count * self.places
    }

    /// Counts sample `t` of a variate; with `first` the sample stands for all samples so far.
    pub fn push(&self, averages: &mut [f32], t: u64, normalized: f32, first: bool) {
        if self.period == 0 {
            return;
        }
        let place = self.place(t);
        let visited = self.visited(t);
        for (averages, rate) in rows_mut(averages, self.places).zip(self.rates) {
            if first {
                split_mut(averages, visited).0.fill(normalized);
            }
            if let Some(average) = averages.get_mut(place) {
                *average = if place >= visited {
                    normalized
                } else {
                    rate * *average + (1.0 - rate) * normalized
                };
            }
        }
    }

    /// Writes the averages of a variate after `t` samples: rate by rate, the place visited longest ago first; `unvisited`
    /// for a place that was never visited.
    pub fn read(&self, averages: &[f32], t: u64, unvisited: f32, out: &mut [f32]) {
        if self.period == 0 {
            return;
        }
        let oldest = match t.checked_sub(1).map(|newest| self.place(newest) + 1) {
            Some(next) if next < self.places => next,
            _ => 0,
        };
        let missing = self.places - self.visited(t);
        for (out, averages) in rows_mut(out, self.places).zip(rows(averages, self.places)) {
            let (head, tail) = split(averages, oldest);
            let (first, second) = split_mut(out, tail.len());
            copy(tail, first);
            copy(head, second);
            split_mut(out, missing).0.fill(unvisited);
        }
    }

    /// Places, from the first on, that `t` samples have visited.
    fn visited(&self, t: u64) -> usize {
        match t {
            0 => 0,
            _ if t < self.period as u64 => self.place(t - 1) + 1,
            _ => self.places,
        }
    }

    /// The place of sample `t`. A period and its places are at most 2^16.
    fn place(&self, t: u64) -> usize {
        ((t % self.period as u64) * self.places as u64 / self.period as u64) as usize
    }
}
