//! Readings of past seasons, for the seasonal naive forecast: each variate's reading at the same
//! time of the last season before the origin.
//!
//! Invariant: `readings` holds the last `seasons * period` time steps, NaN where there was none
//! yet.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seasons {
    variates: usize,
    period: usize,
    /// A ring. Shape `[time steps][M]`.
    readings: Vec<f32>,
    /// The time step of the ring that is overwritten next.
    next: usize,
}

/// Time steps that a season of `period` needs under a horizon.
pub(crate) fn time_steps(period: usize, horizon: usize) -> usize {
    period * horizon.div_ceil(period)
}

impl Seasons {
    pub(crate) fn new(variates: usize, period: usize, horizon: usize) -> Self {
        Seasons {
            variates,
            period,
            readings: vec![f32::NAN; time_steps(period, horizon) * variates],
            next: 0,
        }
    }

    /// The seasonal naive forecast at step `step` (from 0) of the time step that comes next; NaN
    /// where that season was not seen.
    pub(crate) fn seasonal(&self, variate: usize, step: usize) -> f32 {
        let len = self.readings.len() / self.variates;
        let back = self.period * (step / self.period + 1);
        self.readings[(self.next + len - back) % len * self.variates + variate]
    }

    /// The seasonal naive forecast of the newest time step at step `step` (from 0); NaN where that
    /// season was not seen.
    pub(crate) fn forecast(&self, variate: usize, step: usize) -> f32 {
        let len = self.readings.len() / self.variates;
        let back = self.period - step % self.period;
        self.readings[(self.next + len - back) % len * self.variates + variate]
    }

    /// Takes the readings of a time step.
    pub(crate) fn push(&mut self, values: &[f32]) {
        self.readings[self.next * self.variates..][..self.variates].copy_from_slice(values);
        self.next = (self.next + 1) % (self.readings.len() / self.variates);
    }

    /// Forgets all readings.
    pub(crate) fn clear(&mut self) {
        self.readings.fill(f32::NAN);
    }

    /// Whether these have the shape of `self`, and a place to go on from.
    pub(crate) fn fits(&self, saved: &Seasons) -> bool {
        (saved.variates, saved.period, saved.readings.len()) == (self.variates, self.period, self.readings.len())
            && saved.next < self.readings.len() / self.variates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_season_known_at_the_origin_is_repeated() {
        let (period, horizon) = (3, 7);
        let mut seasons = Seasons::new(1, period, horizon);
        for now in 0..40_usize {
            for step in 0..horizon {
                // The origin lies `step + 1` time steps before this one.
                let newest = (1..).map(|season| now as isize - (season * period) as isize);
                let known = newest.into_iter().find(|&seen| seen < now as isize - step as isize).unwrap();
                let seasonal = seasons.seasonal(0, step);
                assert!(if known < 0 { seasonal.is_nan() } else { seasonal == known as f32 });
            }
            seasons.push(&[now as f32]);
            for step in 0..horizon {
                // The newest reading that is whole seasons before the step.
                let due = now + 1 + step;
                let seen = (1..).map(|season| due as isize - (season * period) as isize);
                let known = seen.into_iter().find(|&seen| seen <= now as isize).unwrap();
                let forecast = seasons.forecast(0, step);
                assert!(if known < 0 { forecast.is_nan() } else { forecast == known as f32 });
            }
        }
    }
}
