//! Open forecasts: a few origins whose forecasts wait for their readings, spread so that in time
//! every step of the horizon meets every time of day.
//!
//! Only every `spacing`-th origin is kept, so a step of the horizon is scored once per `spacing`
//! time steps, and a time step scores at most `slots` steps of each variate. `spacing` has no
//! divisor in common with 2, 3, 5 and 7, hence none with a season of 24, 60, 168 or 1440 time
//! steps.
//!
//! Invariant: `ages[k]` is the number of time steps since origin k, at most H; H marks a free slot.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::intervals::PredictionInterval;

/// The most origins that wait at a time.
const MOST: usize = 10;

#[derive(Debug, Clone)]
pub(crate) struct OpenForecasts {
    variates: usize,
    horizon: usize,
    spacing: usize,
    /// Time steps since an origin was last due; the time step that comes first makes the first one
    /// due.
    since: usize,
    ages: Vec<usize>,
    /// Shape `[slots][M][H]`.
    forecasts: Vec<PredictionInterval>,
    /// The last readings at each origin. Shape `[slots][M]`.
    lasts: Vec<f32>,
}

/// What waits, without the steps that are over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    since: usize,
    origins: Vec<Origin>,
}

/// One origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Origin {
    slot: usize,
    age: usize,
    /// Shape `[M]`.
    lasts: Vec<f32>,
    /// Shape `[M][H - age]`.
    forecasts: Vec<PredictionInterval>,
}

/// Time steps from one kept origin to the next.
pub(crate) fn spacing(horizon: usize) -> usize {
    let mut spacing = horizon.div_ceil(MOST);
    while [2, 3, 5, 7].iter().any(|divisor| spacing.is_multiple_of(*divisor)) {
        spacing += 1;
    }
    spacing
}

/// Origins that wait at a time.
pub(crate) fn slots(horizon: usize) -> usize {
    horizon.div_ceil(spacing(horizon))
}

impl OpenForecasts {
    pub(crate) fn new(variates: usize, horizon: usize) -> Self {
        let (spacing, slots) = (spacing(horizon), slots(horizon));
        OpenForecasts {
            variates,
            horizon,
            spacing,
            since: spacing - 1,
            ages: vec![horizon; slots],
            forecasts: vec![PredictionInterval::default(); slots * variates * horizon],
            lasts: vec![0.0; slots * variates],
        }
    }

    /// Keeps a forecast `[M][H]`, made after the readings `lasts`, when one is due.
    pub(crate) fn issue(&mut self, forecast: impl Iterator<Item = PredictionInterval>, lasts: &[f32]) {
        let free = self.ages.iter().position(|&age| age == self.horizon);
        let Some(slot) = free.filter(|_| self.since >= self.spacing) else {
            return;
        };
        // Where forecasts come less often than origins are due, the rest is carried over, so that the origins do not fall
        // in step with the forecasts.
        self.since %= self.spacing;
        self.ages[slot] = 0;
        let (cells, variates) = (self.variates * self.horizon, self.variates);
        for (place, cell) in self.forecasts[slot * cells..][..cells].iter_mut().zip(forecast) {
            *place = cell;
        }
        self.lasts[slot * variates..][..variates].copy_from_slice(lasts);
    }

    /// A time step has come. `due` receives, for each waiting origin and variate: the variate, the
    /// step of the horizon (from 0), its forecast, and the variate's last reading at the origin.
    pub(crate) fn advance(&mut self, mut due: impl FnMut(usize, usize, &PredictionInterval, f32)) {
        self.since = self.since.saturating_add(1);
        for (slot, age) in self.ages.iter_mut().enumerate().filter(|(_, age)| **age < self.horizon) {
            for variate in 0..self.variates {
                let place = slot * self.variates + variate;
                let forecast = self.forecasts.get(place * self.horizon + *age);
                if let (Some(forecast), Some(last)) = (forecast, self.lasts.get(place)) {
                    due(variate, *age, forecast, *last);
                }
            }
            *age += 1;
        }
    }

    /// Forgets all that waits.
    pub(crate) fn clear(&mut self) {
        self.ages.fill(self.horizon);
        self.since = self.spacing - 1;
    }

    /// All that waits.
    pub(crate) fn waiting(&self) -> Waiting {
        let waits = self.ages.iter().enumerate().filter(|(_, age)| **age < self.horizon);
        let origin = |(slot, &age): (usize, &usize)| Origin {
            slot,
            age,
            lasts: self.lasts[slot * self.variates..][..self.variates].to_vec(),
            forecasts: self.of_slot(slot).flat_map(|variate| variate.iter().skip(age).copied()).collect(),
        };
        Waiting {
            since: self.since,
            origins: waits.map(origin).collect(),
        }
    }

    /// The forecasts of an origin, by variate.
    fn of_slot(&self, slot: usize) -> impl Iterator<Item = &[PredictionInterval]> {
        let cells = self.variates * self.horizon;
        let forecasts = self.forecasts.chunks_exact(cells.max(1)).nth(slot).unwrap_or_default();
        forecasts.chunks_exact(self.horizon.max(1))
    }

    /// Takes over what waited; `None` where it breaks an invariant.
    pub(crate) fn resume(&mut self, waiting: &Waiting) -> Option<()> {
        let (variates, horizon) = (self.variates, self.horizon);
        self.clear();
        self.since = waiting.since;
        for Origin {
            slot,
            age,
            lasts,
            forecasts,
        } in &waiting.origins
        {
            let free = self.ages.get_mut(*slot).filter(|slot| **slot == horizon)?;
            let left = horizon.checked_sub(*age).filter(|&left| left > 0)?;
            *free = *age;
            if lasts.len() != variates || forecasts.len() != variates * left || !forecasts.iter().all(PredictionInterval::is_valid) {
                return None;
            }
            self.lasts[slot * variates..][..variates].copy_from_slice(lasts);
            let cells = self.forecasts[slot * variates * horizon..][..variates * horizon].chunks_exact_mut(horizon);
            for (place, saved) in cells.zip(forecasts.chunks_exact(left)) {
                for (place, saved) in place.iter_mut().skip(*age).zip(saved) {
                    *place = *saved;
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervals::IntervalState;

    #[test]
    fn the_spacing_meets_every_time_of_day_and_the_slots_suffice() {
        for horizon in 1..=2000 {
            let spacing = spacing(horizon);
            assert!(
                ![2, 3, 5, 7].iter().any(|divisor| spacing.is_multiple_of(*divisor)),
                "{horizon}: {spacing}"
            );
            assert!(
                slots(horizon) <= MOST && slots(horizon) * spacing >= horizon,
                "{horizon}: {spacing}"
            );
        }
        assert_eq!([1, 10, 11, 60, 96].map(spacing), [1, 1, 11, 11, 11]);
    }

    #[test]
    fn each_step_falls_due_once_per_spacing_with_its_own_forecast() {
        const HORIZON: usize = 60;
        let mut pending = OpenForecasts::new(1, HORIZON);
        let mut due_at = vec![Vec::new(); HORIZON];
        for row in 0..600 {
            pending.advance(|_, step, forecast, last| {
                assert_eq!((forecast.mean, last), (row as f32, (row - step - 1) as f32));
                due_at[step].push(row);
            });
            let mean = |step: usize| IntervalState::new(1.0).around((row + step) as f32);
            pending.issue((1..=HORIZON).map(mean), &[row as f32]);
        }
        for (step, rows) in due_at.iter().enumerate() {
            assert_eq!(rows[0], step + 1);
            assert!(rows.windows(2).all(|pair| pair[1] - pair[0] == 11), "step {step}: {rows:?}");
        }
    }

    #[test]
    fn forecasts_at_every_fourth_time_step_are_kept_at_their_average_spacing() {
        let mut pending = OpenForecasts::new(1, 60);
        let mut scored = 0;
        for row in 0..11_000 {
            pending.advance(|_, step, _, _| scored += usize::from(step == 0));
            if row % 4 == 0 {
                pending.issue([PredictionInterval::default(); 60].into_iter(), &[0.0]);
            }
        }
        assert!((900..=1000).contains(&scored), "{scored}");
    }
}
