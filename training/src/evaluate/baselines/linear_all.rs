//! The closed-form linear model of all variates at once: a vector autoregression, with a map per step.

use std::cell::Cell;
use std::ops::Range;

use ndarray::{Array1, Array2, s};

use super::Series;
use super::linear::{BLOCK, LAMBDAS, WindowFeatures, best};
use crate::data::runs::{Part, Pieces};
use crate::data::split::Split;
use crate::linear::ridge::{Moments, RidgeError};
use crate::linear::step_groups::step_groups;

/// Readings of every variate that the model is chosen from.
const ALL_LAGS: [usize; 4] = [2, 4, 8, 24];
/// No more features than this.
const WIDEST: usize = 600;
/// Numbers that the moments of one thread may hold: beyond it not even the fewest lags are tried.
const MEMORY: usize = 5_000_000;
/// Multiply-adds that gathering the moments may cost: beyond it the examples are fewer, evenly chosen from all.
const BUDGET: usize = 30_000_000_000;

/// The linear model over all variates: from the last `lags` readings of every variate, and a constant, to all steps of all variates, in
/// closed form. Per group of leads the number of lags and the ridge are chosen on validation.
#[derive(Debug, Clone)]
pub struct LinearAll {
    /// `[lags * all variates + 1, horizon * variates that are forecast]`: row by row of the window, oldest first, then the constant, to step by step.
    weights: Array2<f32>,
    /// Lags per group, as chosen.
    pub lags: Vec<(Range<usize>, usize)>,
}

impl LinearAll {
    /// Fits steps `0..horizon` on the split's training rows. None where it would be too large: memory and time are bounded. `done` gets the shares of
    /// the work: together 1.
    ///
    /// # Errors
    /// `NoExamples` when the training or the validation part holds no window with its steps.
    pub fn fit(series: &Series, split: &Split, horizon: usize, done: &(dyn Fn(f64) + Sync)) -> Result<Option<LinearAll>, RidgeError> {
        let (variates, inputs) = (series.variates(), series.values.len());
        let tried = Self::tried(series, split, horizon);
        let Some(&longest) = tried.last() else { return Ok(None) };
        let [train, validation] = [Part::Train, Part::Validation].map(|part| series.runs.part(split, part));
        // Multiply-adds, about: of gathering, and of solving once for each ridge.
        let (targets, width) = ((variates * horizon) as f64, longest * inputs + 1);
        let gathering = |part: &Pieces| (part.rows() * width * (width / 2 + variates * horizon)).min(BUDGET) as f64;
        let solving = |lags: &usize| {
            let features = (lags * inputs + 1) as f64;
            LAMBDAS.len() as f64 * features * features * (features / 3.0 + 2.0 * targets)
        };
        let of_best = tried.iter().map(solving).sum::<f64>();
        let all = gathering(&train) + gathering(&validation) + of_best;
        let moments = |part: &Pieces| {
            let share = gathering(part) / all;
            moments(series, part, longest, horizon, &|of_part| done(share * of_part))
        };
        let (train, validation) = (moments(&train), moments(&validation));
        // Steps follow each other with all variates each, so a step group is a range of targets.
        let groups: Vec<_> = step_groups(horizon).iter().map(|b| b.start * variates..b.end * variates).collect();
        // A candidate is done when the next one is asked for.
        let pending = Cell::new(0.0);
        let candidates = tried.iter().map(|lags| {
            done(pending.replace(solving(lags) / all));
            WindowFeatures {
                lags: lags * inputs,
                centred: false,
            }
        });
        let (weights, found) = best(candidates, &train, &validation, longest * inputs, &groups)?;
        done(pending.get());
        let chosen = found.iter().map(|(window, group)| {
            let steps = group.targets.start / variates..group.targets.end / variates;
            (steps, window.lags / inputs)
        });
        Ok(Some(LinearAll {
            weights: weights.t().mapv(|w| w as f32).as_standard_layout().into_owned(),
            lags: chosen.collect(),
        }))
    }

    /// The numbers of readings that are tried, ascending.
    fn tried(series: &Series, split: &Split, horizon: usize) -> Vec<usize> {
        let (inputs, targets) = (series.values.len(), series.variates() * horizon);
        let fits = |lags: &usize| {
            let features = inputs * lags + 1;
            features <= WIDEST + 1 && features * (features + targets) <= MEMORY
        };
        // Most of a short recording must remain to fit on.
        let train = series.runs.part(split, Part::Train);
        let possible = |lags: &usize| fits(lags) && (*lags == ALL_LAGS[0] || *lags <= train.longest() / 4);
        ALL_LAGS.into_iter().filter(possible).collect()
    }

    /// As [`super::Baseline::forecast`]; `out` asks for no more steps than were fitted.
    pub(super) fn forecast(&self, series: &Series, origin: usize, out: &mut [f32]) {
        let variates = series.variates();
        let horizon = out.len() / variates;
        let lags = (self.weights.nrows() - 1) / series.values.len();
        let first = series.first_row(origin);
        let mut window = Vec::with_capacity(self.weights.nrows());
        for lag in 0..lags {
            let row = (origin + lag).saturating_sub(lags).max(first);
            window.extend(series.values.iter().map(|values| values[row]));
        }
        window.push(1.0);
        let said = Array1::from_vec(window).dot(&self.weights.slice(s![.., ..horizon * variates]));
        for (i, said) in said.iter().enumerate() {
            out[i % variates * horizon + i / variates] = *said;
        }
    }
}

/// Moments of the windows whose steps lie within `rows`, each counted by the share of its steps that were read; the window itself may reach back
/// before the rows.
fn moments(series: &Series, part: &Pieces, lags: usize, horizon: usize, done: &(dyn Fn(f64) + Sync)) -> Moments {
    let variates = series.variates();
    let (features, targets) = (lags * series.values.len() + 1, horizon * variates);
    let origins = part.windows(lags, horizon);
    let stride = (origins.len() * features * (features / 2 + targets)).div_ceil(BUDGET).max(1);
    // A block's numbers are widened several times over.
    let block = (MEMORY / (features + targets)).clamp(1, BLOCK);
    let share = 1.0 / origins.len().div_ceil(stride).max(1) as f64;
    let origins = origins.into_iter().step_by(stride);
    Moments::of_examples([features, targets], origins, block, |origin, x, y| {
        done(share);
        let known = (0..variates).map(|m| series.known(m, origin..origin + horizon)).sum::<f32>() / variates as f32;
        if known > 0.0 {
            x.extend((origin - lags..origin).flat_map(|row| series.values.iter().map(move |values| values[row])));
            x.push(1.0);
            y.extend((origin..origin + horizon).flat_map(|row| series.values[..variates].iter().map(move |values| values[row])));
        }
        known
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Baseline, Linear};
    use super::*;

    /// Three variates, each of which is driven by another, and a little of what cannot be foreseen.
    fn coupled(rows: usize) -> Vec<f32> {
        let mut noise = 1u32;
        let mut next = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut x = [0.0f32; 3];
        (0..rows)
            .flat_map(|_| {
                // The first is noise, so that no variate's own past tells what comes to it.
                x = [next(), 0.9 * x[0] - 0.3 * x[2] + 0.1, 0.8 * x[1] + 0.02 * next()];
                x
            })
            .collect()
    }

    const SPLIT: Split = Split {
        train: 700,
        validation: 150,
        test: 150,
    };

    fn mse(baseline: &Baseline, series: &Series, horizon: usize) -> Vec<f64> {
        let mut sums = vec![0.0; 3];
        let mut out = vec![0.0; 3 * horizon];
        let origins = 850..1000 - horizon;
        for origin in origins.clone() {
            baseline.forecast(series, origin, &mut out);
            for (m, sum) in sums.iter_mut().enumerate() {
                *sum += f64::from(out[m * horizon] - series.values[m][origin]).powi(2) / origins.len() as f64;
            }
        }
        sums
    }

    #[test]
    fn what_is_only_read_is_looked_at() {
        // The second, which is driven by the others, alone is forecast.
        let z: Vec<f32> = coupled(1000).chunks_exact(3).flat_map(|x| [x[1], x[0], x[2]]).collect();
        let split = Split {
            train: 600,
            validation: 200,
            test: 200,
        };
        let error = |series: &Series| {
            let linear = Baseline::LinearAll(LinearAll::fit(series, &split, 1, &|_| ()).unwrap().unwrap());
            let mut out = vec![0.0; series.variates()];
            let of_origin = |origin: usize| {
                linear.forecast(series, origin, &mut out);
                (out[0] - series.values[0][origin]).powi(2)
            };
            (800..1000).map(of_origin).sum::<f32>()
        };
        let first: Vec<f32> = z.iter().step_by(3).copied().collect();
        let (with, without) = (error(&Series::new(&z, 3).with_covariates(2)), error(&Series::new(&first, 1)));
        assert!(with < 0.01 * without, "{with} {without}");
    }

    #[test]
    fn what_drives_a_variate_is_found_among_the_others() {
        let series = Series::new(&coupled(1000), 3);
        let all = Baseline::LinearAll(LinearAll::fit(&series, &SPLIT, 4, &|_| ()).unwrap().unwrap());
        let own = Baseline::Linear(Linear::fit(&series, &SPLIT, 4, &|_| ()).unwrap());
        for horizon in [1, 4] {
            let (all, own) = (mse(&all, &series, horizon), mse(&own, &series, horizon));
            assert!(all[1] < 1e-4 && all[2] < 1e-3, "{all:?}");
            assert!(own[1] > 0.1 && own[2] > 0.05, "{own:?}");
        }
    }

    #[test]
    fn a_few_missing_readings_do_little_harm() {
        let mut z = coupled(1000);
        for z in z.chunks_exact_mut(3).take(850).skip(7).step_by(40) {
            z[2] = f32::NAN;
        }
        let series = Series::new(&z, 3);
        let all = Baseline::LinearAll(LinearAll::fit(&series, &SPLIT, 1, &|_| ()).unwrap().unwrap());
        let mse = mse(&all, &series, 1);
        assert!(mse[1] < 0.02 && mse[2] < 0.02, "{mse:?}");
    }

    #[test]
    fn what_would_be_too_large_is_not_tried() {
        let series = |variates: usize| Series::new(&vec![0.5; 60 * variates], variates);
        let split = Split {
            train: 40,
            validation: 20,
            test: 0,
        };
        assert!(
            LinearAll::fit(&series(301), &split, 4, &|_| ()).unwrap().is_none(),
            "too many features"
        );
        assert!(
            LinearAll::fit(&series(290), &split, 30, &|_| ()).unwrap().is_none(),
            "too many targets"
        );
        let few = LinearAll::fit(&series(4), &split, 3, &|_| ()).unwrap().unwrap();
        assert!(few.lags.iter().all(|(_, lags)| *lags <= 10), "{:?}", few.lags);
    }
}
