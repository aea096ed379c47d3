//! `SparseTSF`: one map from the past seasons to the coming ones.

use std::ops::Range;

use ndarray::{Array1, Array2, s};

use super::Series;
use super::linear::BLOCK;
use crate::data::runs::{Part, Pieces};
use crate::data::split::Split;
use crate::linear::ridge::{Moments, RidgeError, fit_groups};

/// Longest window in rows, that of the paper.
const WINDOW: usize = 720;
/// Ridges that it is chosen from, relative to the mean diagonal.
const LAMBDAS: [f64; 6] = [1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/// At most about this many examples are fitted to, evenly chosen from all.
const EXAMPLES: usize = 200_000;

/// `SparseTSF` (Lin et al. 2024, arXiv 2405.00946): the window relative to its mean; of every place in the season, one map of its
/// readings in the last seasons to those in the coming ones, the same for all places and variates.
///
/// The paper learns the map and the filter before it by gradient descent. Here the map has the readings and their means over a season as
/// inputs and is found in closed form, its ridge on validation.
#[derive(Debug, Clone)]
pub struct SparseTsf {
    period: usize,
    /// `[2 * seasons in the window, seasons ahead]`: readings, oldest first, then means over a season.
    weights: Array2<f32>,
}

impl SparseTsf {
    /// Fits steps `0..horizon` on the split's training rows. None where the training rows are too few for two seasons a window, or a part
    /// holds no window with its steps. `done` gets the shares of the work: together 1.
    ///
    /// # Errors
    /// The matrix of the inputs cannot be inverted.
    pub fn fit(
        series: &Series,
        split: &Split,
        period: usize,
        horizon: usize,
        done: &(dyn Fn(f64) + Sync),
    ) -> Result<Option<SparseTsf>, RidgeError> {
        let [train, validation] = [Part::Train, Part::Validation].map(|part| series.runs.part(split, part));
        // Most of a short recording must remain to fit on.
        let seasons = WINDOW.min(train.longest() / 4) / period;
        if seasons < 2 {
            return Ok(None);
        }
        let ahead = horizon.div_ceil(period);
        let examples = |part: &Pieces| (part.rows() * series.variates()).min(EXAMPLES) as f64;
        let all = examples(&train) + examples(&validation);
        let moments = |part: &Pieces| {
            let share = examples(part) / all;
            moments(series, part, period, [seasons, ahead], horizon, &|of_part| done(share * of_part))
        };
        let (train, validation) = (moments(&train), moments(&validation));
        if train.weight() <= 0.0 || validation.weight() <= 0.0 {
            return Ok(None);
        }
        let groups: Vec<Range<usize>> = (0..ahead).map(|season| season..season + 1).collect();
        let (weights, _) = fit_groups(&train, &validation, &LAMBDAS, &groups)?;
        Ok(Some(SparseTsf {
            period,
            weights: weights.t().mapv(|w| w as f32).as_standard_layout().into_owned(),
        }))
    }

    /// As [`super::Baseline::forecast`]; `out` asks for no more steps than were fitted.
    pub(super) fn forecast(&self, series: &Series, origin: usize, out: &mut [f32]) {
        let horizon = out.len() / series.variates();
        let seasons = self.weights.nrows() / 2;
        let lags = seasons * self.period;
        let first = series.first_row(origin);
        let mut x = Vec::with_capacity(2 * seasons);
        for (values, out) in series.values.iter().zip(out.chunks_exact_mut(horizon)) {
            let rows = (0..lags).map(|lag| values[(origin + lag).saturating_sub(lags).max(first)]);
            let window = Window::new(rows, self.period);
            for place in 0..self.period.min(horizon) {
                x.clear();
                window.place(place, &mut x);
                let ahead = (horizon - place).div_ceil(self.period);
                let forecast = Array1::from_iter(x.iter().copied()).dot(&self.weights.slice(s![.., ..ahead]));
                for (season, forecast) in forecast.iter().enumerate() {
                    out[place + season * self.period] = forecast + window.mean;
                }
            }
        }
    }
}

/// A window of whole seasons.
struct Window {
    period: usize,
    mean: f32,
    /// Readings relative to the mean.
    readings: Vec<f32>,
    /// Sums of the readings before each row.
    sums: Vec<f32>,
}

impl Window {
    fn new(rows: impl ExactSizeIterator<Item = f32>, period: usize) -> Window {
        let count = rows.len() as f32;
        let mut readings: Vec<f32> = rows.collect();
        let mean = readings.iter().sum::<f32>() / count;
        readings.iter_mut().for_each(|reading| *reading -= mean);
        let mut sums = vec![0.0; readings.len() + 1];
        for (row, reading) in readings.iter().enumerate() {
            sums[row + 1] = sums[row] + reading;
        }
        Window {
            period,
            mean,
            readings,
            sums,
        }
    }

    /// Appends the readings of a place in the season, oldest first, and their means over the season around each; beyond the window the
    /// readings count as its mean.
    fn place(&self, place: usize, x: &mut Vec<f32>) {
        let rows = || (place..self.readings.len()).step_by(self.period);
        let mean = |row: usize| {
            let half = self.period / 2;
            let (from, to) = (row.saturating_sub(half), (row + half + 1).min(self.readings.len()));
            (self.sums[to] - self.sums[from]) / (2 * half + 1) as f32
        };
        x.extend(rows().map(|row| self.readings[row]));
        x.extend(rows().map(mean));
    }
}

/// Moments of the windows whose steps lie within the part, one place of the season each, in turn; counted by the share of their steps that were
/// read.
fn moments(
    series: &Series,
    part: &Pieces,
    period: usize,
    [seasons, ahead]: [usize; 2],
    horizon: usize,
    done: &(dyn Fn(f64) + Sync),
) -> Moments {
    let lags = seasons * period;
    // All seasons ahead are whole where there is room for that.
    let whole = part.windows(lags, ahead * period);
    let (origins, whole) = match whole.is_empty() {
        true => (part.windows(lags, horizon), false),
        false => (whole, true),
    };
    let stride = (origins.len() * series.variates()).div_ceil(EXAMPLES).max(1);
    let share = 1.0 / (origins.len().div_ceil(stride) * series.variates()).max(1) as f64;
    // Only these places have all their steps within the horizon.
    let places = if whole { period } else { horizon - (ahead - 1) * period };
    let shape = [2 * seasons, ahead];
    let mut sum = Moments::new(shape[0], shape[1]);
    for (m, values) in series.values[..series.variates()].iter().enumerate() {
        let chosen = origins.iter().copied().step_by(stride);
        sum.merge(&Moments::of_examples(shape, chosen, BLOCK, |origin, x, y| {
            done(share);
            let place = origin / stride % places;
            let known = series.known(m, origin..origin + (ahead - 1) * period + place + 1);
            if known > 0.0 {
                let window = Window::new(values[origin - lags..origin].iter().copied(), period);
                window.place(place, x);
                y.extend((0..ahead).map(|season| values[origin + place + season * period] - window.mean));
            }
            known
        }));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::Baseline;
    use super::*;

    /// Two variates of one shape a season, whose level drifts.
    fn seasonal(rows: usize) -> Vec<f32> {
        let value = |row: usize, m: usize| ((row * row + 3 * m) % 7) as f32 * [1.0, 2.0][m] + row as f32 * 1e-3;
        (0..rows)
            .flat_map(|row| [value(row % 7, 0), value(row % 7, 1)].map(|x| x + row as f32 * 1e-3))
            .collect()
    }

    const SPLIT: Split = Split {
        train: 700,
        validation: 150,
        test: 150,
    };

    #[test]
    fn a_season_over_a_drift_is_learned() {
        let series = Series::new(&seasonal(1000), 2);
        for horizon in [3, 7, 20] {
            let sparse = Baseline::SparseTsf(SparseTsf::fit(&series, &SPLIT, 7, horizon, &|_| ()).unwrap().unwrap());
            let mut out = vec![0.0; 2 * horizon];
            for origin in 850..1000 - horizon {
                sparse.forecast(&series, origin, &mut out);
                for (i, out) in out.iter().enumerate() {
                    let truth = series.values[i / horizon][origin + i % horizon];
                    assert!((out - truth).abs() < 0.05, "{horizon} {origin} {i}: {out} {truth}");
                }
            }
        }
    }

    #[test]
    fn a_window_needs_two_seasons() {
        let series = Series::new(&seasonal(1000), 2);
        assert!(SparseTsf::fit(&series, &SPLIT, 100, 4, &|_| ()).unwrap().is_none());
        assert!(
            SparseTsf::fit(&series, &SPLIT, 7, 200, &|_| ()).unwrap().is_none(),
            "no window with its steps"
        );
    }
}
