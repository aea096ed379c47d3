//! Candidate maps of the linear head, fitted from moments.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use ndarray::{Array2, s};
use tsm2_core::{Config, LinearHead, Normalizer, SEASON_RATES};

use super::features::{candidates, positions};
use super::gather::{Gathered, PARTS};
use crate::linear::ridge::{Moments, RidgeError, fit_groups};

/// Ridges tried, relative to the mean diagonal of the features' second moments.
const LAMBDAS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Largest number of multiply-adds to solve one candidate for all variates.
const SOLVING_COST: f64 = 1e10;

/// The forecast towards which the ridge shrinks a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anchor {
    /// The normalizer's mean.
    Level,
    /// The mean of the lags. Lags and seasonal averages are relative to it, other variates to their newest samples.
    Mean,
    /// The newest sample, likewise.
    Last,
}

/// How complex a map is, from simple to complex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MapKind {
    /// The last sample or the last season, repeated.
    Repetition,
    /// One map for all variates.
    Shared,
    /// A map per variate.
    PerVariate,
    /// A map per variate of all variates' samples.
    Multivariate,
}

impl MapKind {
    pub(super) const ALL: [MapKind; 4] = [MapKind::Repetition, MapKind::Shared, MapKind::PerVariate, MapKind::Multivariate];

    /// Minimum relative improvement over the simpler kinds, where the validation part is long.
    pub(super) fn margin(self) -> f64 {
        match self {
            MapKind::Repetition => 0.0,
            MapKind::Shared | MapKind::PerVariate => 0.01,
            MapKind::Multivariate => 0.05,
        }
    }
}

/// Candidates of which only the best is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CandidateGroup {
    /// The map uses the training mean.
    pub(super) uses_level: bool,
    /// The map uses the calendar.
    pub(super) uses_calendar: bool,
    pub(super) kind: MapKind,
    pub(super) anchor: Anchor,
    /// The map uses seasonal averages.
    pub(super) seasonal: bool,
}

/// A map for one step group, and its errors on validation in units of z.
pub(super) struct FittedMap {
    pub(super) group: CandidateGroup,
    pub(super) linear_head: LinearHead,
    /// `[steps of the group, features]` per variate, or one for all.
    pub(super) weights: Vec<Array2<f64>>,
    /// Sums of squared errors over the step group, by part of the validation rows.
    pub(super) errors: [f64; PARTS],
}

impl FittedMap {
    pub(super) fn total(&self) -> f64 {
        self.errors.iter().sum()
    }

    /// Whether the total error is lower by at least `margin` and no part's error is higher.
    pub(super) fn beats(&self, other: &FittedMap, margin: f64) -> bool {
        let everywhere = self.errors.iter().zip(&other.errors).all(|(own, other)| own <= other);
        everywhere && self.total() < (1.0 - margin) * other.total()
    }
}

impl fmt::Display for FittedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.kind == MapKind::Repetition {
            let last = if self.linear_head.lags == 1 { "sample" } else { "season" };
            return write!(f, "the last {last} repeated");
        }
        let LinearHead {
            lags,
            season,
            cross_lags,
            calendar,
            future_covariates,
            per_variate,
            ..
        } = self.linear_head;
        let mut features = Vec::new();
        features.extend((lags > 0).then(|| format!("{lags} lags")));
        features.extend(season.map(|s| format!("averages of a season of {}", s.period)));
        features.extend((cross_lags > 0).then(|| format!("{cross_lags} lags of every other variate")));
        features.extend(calendar.then(|| "the calendar".to_owned()));
        features.extend(future_covariates.then(|| "the future covariates".to_owned()));
        let weights = if per_variate { "per variate" } else { "shared" };
        let anchor = match self.group.anchor {
            Anchor::Level => "the training mean",
            Anchor::Mean => "the mean of the lags",
            Anchor::Last => "the newest sample",
        };
        write!(f, "{} {weights}, anchored to {anchor}", features.join(" + "))
    }
}

/// The best map of each candidate group, for one step group.
pub(super) type BestMaps = BTreeMap<CandidateGroup, FittedMap>;

/// Fits every candidate on the training rows; per step group, the ridge with the least validation error. Keeps the best of each candidate group.
pub(super) fn fit_all(
    gathered: &Gathered,
    normalizer: Normalizer,
    config: &Config,
    steps: &[Range<usize>],
) -> Result<Vec<BestMaps>, RidgeError> {
    let shared = (
        [sum(gathered.train.iter())],
        [std::array::from_fn(|part| {
            sum(gathered.validation.iter().map(|parts| &parts[part]))
        })],
    );
    let mut bests: Vec<BestMaps> = steps.iter().map(|_| BestMaps::new()).collect();
    for linear_head in candidates(&gathered.widest) {
        let positions = positions(config, &gathered.widest, &linear_head);
        let (train, validation) = match linear_head.per_variate {
            true => (gathered.train.as_slice(), gathered.validation.as_slice()),
            false => (shared.0.as_slice(), shared.1.as_slice()),
        };
        let features = positions.len() as f64;
        let once = features * features * (features / 3.0 + 2.0 * config.horizon as f64);
        let differs = linear_head.cross_lags > 0 || gathered.train.len() > 1;
        if linear_head.per_variate && (!differs || (LAMBDAS.len() * train.len()) as f64 * once > SOLVING_COST) {
            continue;
        }
        let kind = match (linear_head.cross_lags, linear_head.per_variate) {
            (1.., _) => MapKind::Multivariate,
            (0, true) => MapKind::PerVariate,
            (0, false) => MapKind::Shared,
        };
        let examples: Vec<_> = train
            .iter()
            .zip(validation)
            .map(|(train, validation)| (train.sub(&positions), validation.each_ref().map(|part| part.sub(&positions))))
            .collect();
        for anchor in anchors(&linear_head, normalizer) {
            let fitted = examples
                .iter()
                .map(|(train, validation)| fit(train, validation, anchor, config, &linear_head, steps));
            let weights = fitted.collect::<Result<Vec<_>, _>>()?;
            let errors = errors(examples.iter().map(|(_, validation)| validation).zip(&weights), config.horizon);
            // Under an exponential normalizer only the other variates have a level.
            let uses_level = anchor == Anchor::Level && (normalizer == Normalizer::Global || kind == MapKind::Multivariate);
            let group = CandidateGroup {
                uses_level,
                uses_calendar: linear_head.calendar,
                kind,
                anchor,
                seasonal: linear_head.season.is_some(),
            };
            keep(&mut bests, steps, group, linear_head, &weights, &errors);
        }
    }
    for lags in [Some(1), gathered.widest.season.map(|season| season.period)].into_iter().flatten() {
        if let Some(unseen) = gathered.widest.lags.checked_sub(lags) {
            let linear_head = LinearHead {
                lags,
                ..LinearHead::default()
            };
            let samples: Vec<usize> = (unseen..gathered.widest.lags).collect();
            let validation: Vec<_> = gathered
                .validation
                .iter()
                .map(|parts| parts.each_ref().map(|part| part.sub(&samples)))
                .collect();
            let weights = Array2::from_shape_fn((config.horizon, lags), |(step, lag)| f64::from(u8::from(step % lags == lag)));
            let errors = errors(validation.iter().zip(std::iter::repeat(&weights)), config.horizon);
            let group = CandidateGroup {
                uses_level: false,
                uses_calendar: false,
                kind: MapKind::Repetition,
                anchor: Anchor::Last,
                seasonal: false,
            };
            keep(&mut bests, steps, group, linear_head, &[weights], &errors);
        }
    }
    Ok(bests)
}

/// Keeps a candidate in the step groups in which it is the best of its candidate group.
fn keep(
    bests: &mut [BestMaps],
    steps: &[Range<usize>],
    group: CandidateGroup,
    linear_head: LinearHead,
    weights: &[Array2<f64>],
    errors: &[Vec<f64>; PARTS],
) {
    for (bests, band) in bests.iter_mut().zip(steps) {
        let errors = errors.each_ref().map(|part| part[band.clone()].iter().sum());
        if bests.get(&group).is_none_or(|best| errors.iter().sum::<f64>() < best.total()) {
            let of_band = |weights: &Array2<f64>| weights.slice(s![band.clone(), ..]).to_owned();
            let weights = weights.iter().map(of_band).collect();
            let fitted = FittedMap {
                group,
                linear_head,
                weights,
                errors,
            };
            bests.insert(group, fitted);
        }
    }
}

/// Sums of squared errors per step, by part of the validation rows, over variates with the weights of each.
pub(super) fn errors<'a>(of_variates: impl Iterator<Item = (&'a [Moments; PARTS], &'a Array2<f64>)>, horizon: usize) -> [Vec<f64>; PARTS] {
    let mut errors = std::array::from_fn(|_| vec![0.0; horizon]);
    for (validation, weights) in of_variates {
        for (errors, part) in errors.iter_mut().zip(validation).filter(|(_, part)| part.weight() > 0.0) {
            for (sum, mse) in errors.iter_mut().zip(part.mse(weights)) {
                *sum += mse * part.weight();
            }
        }
    }
    errors
}

/// All examples together; there is at least one variate.
fn sum<'a>(mut moments: impl Iterator<Item = &'a Moments>) -> Moments {
    let first = moments.next().cloned().unwrap_or_else(|| Moments::new(0, 0));
    moments.fold(first, |mut sum, part| {
        sum.merge(part);
        sum
    })
}

/// The anchors with which a feature set is fitted.
fn anchors(linear_head: &LinearHead, normalizer: Normalizer) -> impl Iterator<Item = Anchor> {
    let lags = linear_head.lags;
    [Anchor::Level, Anchor::Mean, Anchor::Last]
        .into_iter()
        .filter(move |anchor| match anchor {
            Anchor::Level => true,
            // With one lag the mean is the newest sample. An exponential normalizer subtracts a mean already.
            Anchor::Mean => lags > 1 && normalizer == Normalizer::Global,
            Anchor::Last => lags > 0,
        })
}

/// The weights `[H, features]` for the plain features.
///
/// A variate without readings in the training rows gets the anchor alone; one without readings in the validation rows the strongest ridge.
fn fit(
    train: &Moments,
    validation: &[Moments; PARTS],
    anchor: Anchor,
    config: &Config,
    linear_head: &LinearHead,
    steps: &[Range<usize>],
) -> Result<Array2<f64>, RidgeError> {
    let (features, targets) = (train.features(), train.targets());
    // y - u phi = W A phi, so y = (W A + u) phi.
    let mut u = Array2::<f64>::zeros((1, features));
    match anchor {
        Anchor::Level => {}
        Anchor::Mean => u.slice_mut(s![.., ..linear_head.lags]).fill(1.0 / linear_head.lags as f64),
        Anchor::Last => u[[0, linear_head.lags - 1]] = 1.0,
    }
    let mut a = Array2::<f64>::eye(features);
    if anchor != Anchor::Level {
        let own = linear_head.lags + linear_head.season.map_or(0, |season| season.period * SEASON_RATES.len());
        let mut relative = a.slice_mut(s![..own, ..]);
        relative -= &u;
        let cross = own..own + (config.variates - 1) * linear_head.cross_lags;
        for other in cross.step_by(linear_head.cross_lags.max(1)) {
            let newest = other + linear_head.cross_lags - 1;
            let mut relative = a.slice_mut(s![other..=newest, newest]);
            relative -= 1.0;
        }
    }
    let anchor_only = u.broadcast((targets, features)).map(|u| u.to_owned()).unwrap_or_default();
    let relative_to_anchor = |moments: &Moments| match anchor {
        Anchor::Level => moments.clone(),
        _ => moments.map(a.view(), anchor_only.view()),
    };
    let whole = sum(validation.iter());
    let weights = if train.weight() <= 0.0 {
        return Ok(anchor_only);
    } else if whole.weight() <= 0.0 {
        relative_to_anchor(train).solve(LAMBDAS[LAMBDAS.len() - 1])?
    } else {
        fit_groups(&relative_to_anchor(train), &relative_to_anchor(&whole), &LAMBDAS, steps)?.0
    };
    Ok(match anchor {
        Anchor::Level => weights,
        _ => weights.dot(&a) + anchor_only,
    })
}
