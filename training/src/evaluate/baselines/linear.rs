//! The closed-form linear model of one variate at a time.

use std::cell::Cell;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use super::Series;
use crate::data::runs::{Part, Pieces};
use crate::data::split::Split;
use crate::linear::ridge::{GroupFit, Moments, RidgeError, fit_groups};
use crate::linear::step_groups::step_groups;

/// Window lengths that the linear model is chosen from.
const WINDOW_LAGS: [usize; 5] = [1, 24, 96, 336, 512];
/// Those for which every variate may have a map of its own: there must be enough windows of one variate for each.
const OWN_WINDOW_LAGS: [usize; 3] = [1, 24, 96];
/// By how much maps of the variates' own must be better than a shared one, having so many more weights for validation to be misled by.
const OWN_GAIN: f64 = 0.95;
/// Ridges that it is chosen from, relative to the mean diagonal.
pub(super) const LAMBDAS: [f64; 6] = [1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/// The share of the variates' own maps in the time of a fit.
const OWN: f64 = 0.62;
/// At most about this many windows are fitted to, evenly chosen from all.
const WINDOWS: usize = 200_000;
/// Windows in one matrix product.
pub(super) const BLOCK: usize = 1024;

/// The linear model per variate: from the last `lags` readings of a variate to all its steps, in closed form.
///
/// Per group of leads the number of lags, the ridge, whether the window is taken relative to its own mean, and whether the variates share
/// one map or have each their own are chosen on validation. A map relative to the window's mean is itself a linear map of the window, so the
/// result is one matrix, or one a variate.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[lags + 1, horizon]`: the window, oldest first, then a constant; zero for steps at which the variates have their own.
    shared: Array2<f32>,
    /// Per variate, of the same form with fewer lags; zero for steps at which they share.
    own: Vec<Array2<f32>>,
    /// What was chosen per group.
    pub choices: Vec<GroupChoice>,
}

/// What the linear model uses for one step group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupChoice {
    /// Leads, from 0.
    pub steps: Range<usize>,
    /// The shared map, or `None` when each variate has its own.
    pub shared: Option<SharedMap>,
    /// Mean squared error on validation.
    pub mse: f64,
}

/// A shared map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedMap {
    /// Length of the window.
    pub lags: usize,
    /// Whether relative to the window's mean.
    pub centred: bool,
    /// Ridge relative to the mean diagonal.
    pub lambda: f64,
}

impl Linear {
    /// Fits steps `0..horizon` on the split's training rows; memory does not grow with their number. `done` gets the shares of the work:
    /// together 1.
    ///
    /// # Errors
    /// `NoExamples` when the training or the validation part holds no window with its steps.
    pub fn fit(series: &Series, split: &Split, horizon: usize, done: &(dyn Fn(f64) + Sync)) -> Result<Linear, RidgeError> {
        // Most of a short recording must remain to fit on.
        let [train_part, validation_part] = [Part::Train, Part::Validation].map(|part| series.runs.part(split, part));
        let fitting = |lags: &usize| *lags == 1 || *lags <= train_part.longest() / 4;
        let widest = |lags: &[usize]| lags.iter().copied().filter(fitting).max().unwrap_or(1);
        let (longest, own_longest) = (widest(&WINDOW_LAGS), widest(&OWN_WINDOW_LAGS));
        let groups = step_groups(horizon);

        let (mut train, mut validation) = (Moments::new(longest + 1, horizon), Moments::new(longest + 1, horizon));
        let (mut own, mut own_mse) = (Vec::new(), vec![0.0; groups.len()]);
        let share = OWN / series.variates().max(1) as f64;
        for m in 0..series.variates() {
            done(if m > 0 { share } else { 0.0 });
            let variate_train = window_moments(series, m, &train_part, longest, horizon);
            let variate_validation = window_moments(series, m, &validation_part, longest, horizon);
            train.merge(&variate_train);
            validation.merge(&variate_validation);
            if variate_train.weight() > 0.0 && variate_validation.weight() > 0.0 {
                let candidates = OWN_WINDOW_LAGS
                    .iter()
                    .filter(|lags| fitting(lags))
                    .map(|&lags| WindowFeatures { lags, centred: false });
                let (weights, found) = best(candidates, &variate_train, &variate_validation, own_longest, &groups)?;
                own.push(weights);
                for (sum, (_, group)) in own_mse.iter_mut().zip(found) {
                    *sum += group.mse * variate_validation.weight();
                }
            } else {
                own.push(Array2::zeros((horizon, own_longest + 1)));
            }
        }
        let window = |lags: usize| [false, true].map(|centred| WindowFeatures { lags, centred });
        let windows: Vec<_> = WINDOW_LAGS
            .iter()
            .filter(|lags| fitting(lags))
            .flat_map(|&lags| window(lags))
            .collect();
        let work = |window: &WindowFeatures| (window.lags.pow(2) * (window.lags / 3 + horizon)) as f64;
        let all: f64 = windows.iter().map(work).sum();
        // A candidate is done when the next one is asked for.
        let pending = Cell::new(share);
        let candidates = windows
            .into_iter()
            .inspect(|window| done(pending.replace((1.0 - OWN) * work(window) / all)));
        let (mut shared, found) = best(candidates, &train, &validation, longest, &groups)?;
        done(pending.get());

        let mut choices = Vec::new();
        for ((window, group), own_mse) in found.into_iter().zip(own_mse) {
            let own_mse = own_mse / validation.weight();
            let rows = s![group.targets.clone(), ..];
            if own_mse < OWN_GAIN * group.mse {
                shared.slice_mut(rows).fill(0.0);
                choices.push(GroupChoice {
                    steps: group.targets,
                    shared: None,
                    mse: own_mse,
                });
            } else {
                own.iter_mut().for_each(|own| own.slice_mut(rows).fill(0.0));
                let (lags, centred) = (window.lags, window.centred);
                choices.push(GroupChoice {
                    steps: group.targets,
                    shared: Some(SharedMap {
                        lags,
                        centred,
                        lambda: group.lambda,
                    }),
                    mse: group.mse,
                });
            }
        }
        let narrow = |weights: Array2<f64>| weights.t().mapv(|w| w as f32).as_standard_layout().into_owned();
        Ok(Linear {
            shared: narrow(shared),
            own: own.into_iter().map(narrow).collect(),
            choices,
        })
    }

    /// As [`Baseline::forecast`]; `out` asks for no more steps than were fitted.
    pub(super) fn forecast(&self, series: &Series, origin: usize, out: &mut [f32]) {
        let variates = series.variates();
        let horizon = out.len() / variates;
        let lags = self.shared.nrows() - 1;
        let mut windows = Array2::<f32>::ones((variates, lags + 1));
        let first = series.first_row(origin);
        for (values, mut window) in series.values.iter().zip(windows.rows_mut()) {
            for (lag, value) in (0..lags).zip(window.iter_mut()) {
                *value = values[(origin + lag).saturating_sub(lags).max(first)];
            }
        }
        let mut forecast = windows.dot(&self.shared.slice(s![.., ..horizon]));
        for ((mut forecast, own), window) in forecast.rows_mut().into_iter().zip(&self.own).zip(windows.rows()) {
            let own_lags = own.nrows() - 1;
            forecast += &window.slice(s![lags - own_lags..]).dot(&own.slice(s![.., ..horizon]));
        }
        for (value, out) in forecast.iter().zip(out) {
            *out = *value;
        }
    }
}

/// A map, and per step group the window and the ridge that were chosen.
pub(super) type Best = (Array2<f64>, Vec<(WindowFeatures, GroupFit)>);

/// Per group the best of the candidates on validation, as a map `[targets, width + 1]` of the newest `width` lags and the constant.
pub(super) fn best(
    candidates: impl Iterator<Item = WindowFeatures>,
    train: &Moments,
    validation: &Moments,
    width: usize,
    groups: &[Range<usize>],
) -> Result<Best, RidgeError> {
    let mut weights = Array2::<f64>::zeros((train.targets(), width + 1));
    let mut chosen: Vec<Option<(WindowFeatures, GroupFit)>> = vec![None; groups.len()];
    for window in candidates {
        let (fitted, found) = fit_groups(&window.moments(train), &window.moments(validation), &LAMBDAS, groups)?;
        for (chosen, group) in chosen.iter_mut().zip(found) {
            if chosen.as_ref().is_none_or(|(_, best)| group.mse < best.mse) {
                let rows = s![group.targets.clone(), ..];
                weights.slice_mut(rows).assign(&window.widen(fitted.slice(rows), width));
                *chosen = Some((window, group));
            }
        }
    }
    Ok((weights, chosen.into_iter().flatten().collect()))
}

/// One way to look at the widest window: its newest `lags` and a constant, or those lags relative to their mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowFeatures {
    pub(super) lags: usize,
    pub(super) centred: bool,
}

impl WindowFeatures {
    /// The features it takes of the newest `width` lags and, last, the constant.
    fn features(self, width: usize) -> Vec<usize> {
        (width - self.lags..width).chain((!self.centred).then_some(width)).collect()
    }

    /// A of [`Moments::map`]: each lag less the mean of all.
    fn centre(self) -> Array2<f64> {
        Array2::from_shape_fn((self.lags, self.lags), |(i, j)| {
            f64::from(u8::from(i == j)) - 1.0 / self.lags as f64
        })
    }

    /// U of [`Moments::map`]: the mean, for every target.
    fn mean(self, targets: usize) -> Array2<f64> {
        Array2::from_elem((targets, self.lags), 1.0 / self.lags as f64)
    }

    /// The moments of the widest window's examples, reduced to this window.
    fn moments(self, all: &Moments) -> Moments {
        let these = all.sub(&self.features(all.features() - 1));
        if self.centred {
            these.map(self.centre().view(), self.mean(all.targets()).view())
        } else {
            these
        }
    }

    /// The map found in this window as one of the newest `width` lags and the constant: y = W A x + U x.
    fn widen(self, fitted: ArrayView2<'_, f64>, width: usize) -> Array2<f64> {
        let narrow = if self.centred {
            fitted.dot(&self.centre()) + self.mean(fitted.nrows())
        } else {
            fitted.to_owned()
        };
        let mut wide = Array2::zeros((fitted.nrows(), width + 1));
        for (column, feature) in narrow.columns().into_iter().zip(self.features(width)) {
            wide.column_mut(feature).assign(&column);
        }
        wide
    }
}

/// Moments of the windows of one variate whose steps lie within `rows`, each counted by the share of its steps that were read; the window itself may
/// reach back before the rows.
fn window_moments(series: &Series, m: usize, part: &Pieces, lags: usize, horizon: usize) -> Moments {
    let values = &series.values[m];
    let origins = part.windows(lags, horizon);
    let stride = (origins.len() * series.variates()).div_ceil(WINDOWS).max(1);
    let origins = origins.into_iter().step_by(stride);
    Moments::of_examples([lags + 1, horizon], origins, BLOCK, |origin, x, y| {
        let known = series.known(m, origin..origin + horizon);
        if known > 0.0 {
            x.extend_from_slice(&values[origin - lags..origin]);
            x.push(1.0);
            y.extend_from_slice(&values[origin..origin + horizon]);
        }
        known
    })
}

#[cfg(test)]
mod tests {
    use tsm2_data::Meter;

    use super::super::Baseline;
    use super::*;

    /// Standardised rows of two variates: a wave of period 12 and, with a reading missing now and then, its negative.
    fn waves(rows: usize) -> Vec<f32> {
        let wave = |r: usize| (r as f32 * std::f32::consts::TAU / 12.0).sin();
        (0..rows)
            .flat_map(|r| [wave(r), if r % 50 == 17 { f32::NAN } else { -wave(r) }])
            .collect()
    }

    #[test]
    fn a_wave_is_linear() {
        let series = Series::new(&waves(600), 2);
        let split = Split {
            train: 400,
            validation: 100,
            test: 100,
        };
        assert_eq!(series.find_period(&split, &Meter::default()), Some(12));
        let linear = Baseline::Linear(Linear::fit(&series, &split, 20, &|_| ()).unwrap());
        let mut out = [0.0; 40];
        linear.forecast(&series, 530, &mut out);
        for (m, out) in out.chunks(20).enumerate() {
            for (step, out) in out.iter().enumerate() {
                let sign = if m == 0 { 1.0 } else { -1.0 };
                let truth = sign * ((530 + step) as f32 * std::f32::consts::TAU / 12.0).sin();
                assert!((out - truth).abs() < 0.1, "variate {m} step {step}: {out} for {truth}");
            }
        }
    }

    #[test]
    fn variates_that_differ_get_their_own_maps() {
        // One repeats, one alternates: no shared map of one lag can do both, and short recordings allow only one lag.
        let z: Vec<f32> = (0..60)
            .flat_map(|r| [1.0 + 0.01 * (r % 7) as f32, if r % 2 == 0 { 1.0 } else { -1.0 }])
            .collect();
        let series = Series::new(&z, 2);
        let linear = Linear::fit(
            &series,
            &Split {
                train: 40,
                validation: 20,
                test: 0,
            },
            1,
            &|_| (),
        )
        .unwrap();
        assert_eq!(linear.choices[0].shared, None);
        let mut out = [0.0; 2];
        linear.forecast(&series, 50, &mut out);
        assert!((out[0] - 1.03).abs() < 0.05 && (out[1] - 1.0).abs() < 0.05, "{out:?}");
    }

    #[test]
    fn too_little_data_is_said() {
        let series = Series::new(&waves(30), 2);
        let error = Linear::fit(
            &series,
            &Split {
                train: 5,
                validation: 20,
                test: 5,
            },
            20,
            &|_| (),
        )
        .unwrap_err();
        assert!(matches!(error, RidgeError::NoExamples { .. }), "{error}");
    }
}
