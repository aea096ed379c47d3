//! Forecasts that wait for their readings: a few origins, spread so that in time every lead meets every time of day.
//!
//! Of H rows of forecasts only every `spacing`-th is kept, so a lead is scored once per `spacing` rows and a row scores at most `slots`
//! leads of each variate. `spacing` has no divisor in common with 2, 3, 5 and 7, hence none with a season of 24, 60, 168 or 1440 rows.
//! Invariants: `ages[k]` is the rows since origin k was issued, and at most H; H says that the slot is free.

use alloc::{vec, vec::Vec};

use crate::bytes::{Bytes, put, put_all};
use crate::intervals::PredictionInterval;

/// The most origins that wait at a time.
const MOST: usize = 10;

#[derive(Debug, Clone)]
pub(crate) struct OpenForecasts {
    variates: usize,
    horizon: usize,
    spacing: usize,
    /// Rows since an origin was last due; the row that comes first makes the first one due.
    since: usize,
    ages: Vec<usize>,
    /// `[slots][M][H]`.
    forecasts: Vec<PredictionInterval>,
    /// The last readings when the forecast was issued. `[slots][M]`.
    lasts: Vec<f32>,
}

/// Rows from one kept origin to the next.
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

    /// Takes a forecast `[M][H]`, made after the readings `lasts`, when one is due.
    pub(crate) fn issue(&mut self, forecast: impl Iterator<Item = PredictionInterval>, lasts: &[f32]) {
        let free = self.ages.iter().position(|&age| age == self.horizon);
        let Some(slot) = free.filter(|_| self.since >= self.spacing) else {
            return;
        };
        // Where forecasts come at fewer rows than origins are due, the rest is carried over, so that the origins do not fall in step with them.
        self.since %= self.spacing;
        self.ages[slot] = 0;
        let (cells, variates) = (self.variates * self.horizon, self.variates);
        for (place, cell) in self.forecasts[slot * cells..][..cells].iter_mut().zip(forecast) {
            *place = cell;
        }
        self.lasts[slot * variates..][..variates].copy_from_slice(lasts);
    }

    /// A row has come: `due` hears, for each waiting origin and variate, of the variate, the lead (from 0), its forecast, and the variate's
    /// last reading at the origin.
    pub(crate) fn advance(&mut self, mut due: impl FnMut(usize, usize, &PredictionInterval, f32)) {
        self.since = self.since.saturating_add(1);
        for (slot, age) in self.ages.iter_mut().enumerate().filter(|(_, age)| **age < self.horizon) {
            for variate in 0..self.variates {
                let place = slot * self.variates + variate;
                due(variate, *age, &self.forecasts[place * self.horizon + *age], self.lasts[place]);
            }
            *age += 1;
        }
    }

    /// Forgets all that waits.
    pub(crate) fn clear(&mut self) {
        self.ages.fill(self.horizon);
        self.since = self.spacing - 1;
    }

    /// Appends what waits; leads that are over are left out.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put(out, (self.since as u64).to_le_bytes());
        for (slot, &age) in self.ages.iter().enumerate() {
            put(out, (age as u64).to_le_bytes());
            if age < self.horizon {
                let places = slot * self.variates..(slot + 1) * self.variates;
                put_all(out, &self.lasts[places.clone()]);
                for place in places {
                    for cell in &self.forecasts[place * self.horizon..][age..self.horizon] {
                        put_all(out, &[cell.mean, cell.down, cell.up]);
                    }
                }
            }
        }
    }

    /// Takes over what [`Pending::save`] wrote; `None` for anything else.
    pub(crate) fn restore(&mut self, from: &mut Bytes<'_>) -> Option<()> {
        self.since = usize::try_from(from.count()?).ok()?;
        for slot in 0..self.ages.len() {
            let age = usize::try_from(from.count()?).ok().filter(|&age| age <= self.horizon)?;
            self.ages[slot] = age;
            if age < self.horizon {
                let places = slot * self.variates..(slot + 1) * self.variates;
                from.fill(&mut self.lasts[places.clone()])?;
                for place in places {
                    for cell in &mut self.forecasts[place * self.horizon..][age..self.horizon] {
                        cell.mean = f32::from_le_bytes(from.take()?);
                        cell.down = from.amount(f32::MAX)?;
                        cell.up = from.amount(f32::MAX)?;
                    }
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn each_lead_falls_due_once_per_spacing_with_its_own_forecast() {
        const HORIZON: usize = 60;
        let mut pending = OpenForecasts::new(1, HORIZON);
        let mut due_at = vec![Vec::new(); HORIZON];
        for row in 0..600 {
            pending.advance(|_, step, forecast, last| {
                assert_eq!((forecast.mean, last), (row as f32, (row - step - 1) as f32));
                due_at[step].push(row);
            });
            let mean = |step: usize| PredictionInterval {
                mean: (row + step) as f32,
                ..PredictionInterval::default()
            };
            pending.issue((1..=HORIZON).map(mean), &[row as f32]);
        }
        for (step, rows) in due_at.iter().enumerate() {
            assert_eq!(rows[0], step + 1);
            assert!(rows.windows(2).all(|pair| pair[1] - pair[0] == 11), "step {step}: {rows:?}");
        }
    }

    #[test]
    fn forecasts_at_every_fourth_row_are_kept_at_their_average_spacing() {
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
