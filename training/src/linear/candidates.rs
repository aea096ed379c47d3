//! Candidate maps, and their weights in the linear part.
//!
//! Every map counts from the newest sample. A candidate is shrunk towards an anchor: the newest sample itself, or an exponential
//! average of middle or of long half-life. One map for all targets comes first; a target's own map is then shrunk towards it.
//! The candidates' errors are those of rolling origins: of each part of the recording, forecast by maps fitted to all parts before.
//! The features of all variates are read at a step only where they are better than the target's own by more than chance.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis, array, s};
use tsm2_core::Config;

use super::LinearError;
use super::gather::{PARTS, before};
use super::judged_steps::{judged_steps, places};
use super::moments::Moments;

/// Penalties that are tried, relative to each feature's own second moment.
const PENALTIES: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2];

/// Strength by which the weights of the candidates are drawn to equal ones, in units of the best candidate's error.
const EQUALITY: f64 = 0.1;

/// Steps of the search for the weights.
const WEIGHT_STEPS: usize = 200;

/// What was chosen, to be fitted to any rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// The features that are read.
    features: Vec<usize>,
    /// Features that are anchors; `None`: the newest sample.
    anchors: Vec<Option<usize>>,
    /// Penalty of the map for all targets.
    pub(super) shared: f64,
    /// Penalty of a target's deviation from it; `None`: there is one target.
    pub(super) own: Option<f64>,
    /// Weight of each candidate at each step, `[candidates][H]`. The first candidate repeats the newest sample.
    weights: Vec<Array1<f64>>,
}

/// Products of the candidates' errors at each judged step, `[candidates][candidates]`.
type Products = Vec<Vec<Array1<f64>>>;

/// The maps of all targets, `[targets]`, each `[F, H]`.
pub(super) type Maps = Vec<Array2<f64>>;

/// The moments before each part that is judged, and those of the part, `[targets]` each.
pub(super) struct Fold {
    pub(super) train: Vec<Moments>,
    part: Vec<Moments>,
}

/// Rolling origins: errors of each part of the recording, by maps fitted to what lies before it.
pub(super) struct Rolling {
    pub(super) folds: Vec<Fold>,
    /// The steps of the horizon that are judged; all moments and errors are theirs.
    pub(super) steps: Vec<usize>,
    /// The errors of repetition, the unit of all errors: every step counts alike.
    unit: Array1<f64>,
}

impl Rolling {
    /// Of the moments `[targets][sets]`.
    pub(super) fn new(config: &Config, moments: &[Vec<Moments>]) -> Self {
        let steps = judged_steps(config.horizon);
        let fold = |part: usize| Fold {
            train: training(moments, part).iter().map(|own| own.at(&steps)).collect(),
            part: moments.iter().map(|sets| sets[part].at(&steps)).collect(),
        };
        let folds: Vec<Fold> = (1..PARTS).map(fold).collect();
        let repetition = Array2::zeros((config.linear_head_features(), steps.len()));
        let sums = folds
            .iter()
            .flat_map(|fold| &fold.part)
            .map(|part| part.errors(&repetition, &repetition));
        let unit = sums.fold(Array1::<f64>::zeros(steps.len()), |a, b| a + b);
        Self {
            unit: unit.mapv(|error| error.max(f64::MIN_POSITIVE)),
            steps,
            folds,
        }
    }

    /// The same with some of the features.
    fn with(&self, features: &[usize]) -> Self {
        let fold = |fold: &Fold| Fold {
            train: fold.train.iter().map(|own| own.with(features)).collect(),
            part: fold.part.iter().map(|own| own.with(features)).collect(),
        };
        Self {
            folds: self.folds.iter().map(fold).collect(),
            steps: self.steps.clone(),
            unit: self.unit.clone(),
        }
    }

    /// The error of maps at each judged step in units of repetition's; `maps` are those of each fold, for each target.
    pub(super) fn errors(&self, maps: &[Maps]) -> Array1<f64> {
        let mut errors = Array1::<f64>::zeros(self.unit.len());
        for (fold, maps) in self.folds.iter().zip(maps) {
            for (map, part) in maps.iter().zip(&fold.part) {
                errors += &part.errors(map, map);
            }
        }
        errors / &self.unit
    }

    /// The mean error of the maps that `fit` makes of each fold.
    fn score(&self, fit: impl Fn(&Fold) -> Result<Maps, LinearError>) -> Result<f64, LinearError> {
        let maps = self.folds.iter().map(fit).collect::<Result<Vec<Maps>, _>>()?;
        Ok(self.errors(&maps).mean().unwrap_or(f64::INFINITY))
    }
}

/// Features of the anchors: none, and the averages of middle and of longest half-life.
fn anchors(config: &Config) -> Vec<Option<usize>> {
    let (first, count) = (config.linear_head.lags, config.averages_len(config.linear_head.averages));
    let averages = [count / 2, count.saturating_sub(1)].map(|i| Some(first + i));
    std::iter::once(None).chain(averages.into_iter().take(count)).collect()
}

/// The moments before `part` of every target.
pub(super) fn training(moments: &[Vec<Moments>], part: usize) -> Vec<Moments> {
    let of_target = |sets: &Vec<Moments>| Moments::sum(before(part).map(|set| &sets[set]));
    moments.iter().filter_map(of_target).collect()
}

/// Chooses features, penalties and weights by rolling origins: the choices whose maps, added, are the linear part. `done` gets the
/// shares of the work: together 1.
pub(super) fn choose(config: &Config, rolling: &Rolling, done: &dyn Fn(f64)) -> Result<Vec<Choice>, LinearError> {
    let all: Vec<usize> = (0..config.linear_head_features()).collect();
    let common = config.variates * config.common_len();
    if common == 0 {
        return Ok(vec![choose_of(config, rolling, all, done)?.0]);
    }
    let head = &config.linear_head;
    let future = if head.future_covariates { config.future_len() } else { 0 };
    let after = all.len() - config.calendar_len(head.calendar) - future;
    let mut own = all.clone();
    own.drain(after - common..after);
    let (mut full, errors_of_full) = choose_of(config, rolling, all, &|share| done(0.6 * share))?;
    let (mut own, errors_of_own) = choose_of(config, rolling, own, &|share| done(0.4 * share))?;
    let better: Vec<bool> = (0..rolling.steps.len())
        .map(|place| {
            let sum = |errors: &Array1<f64>| errors.slice(s![around(&rolling.steps, place)]).sum();
            let pairs = errors_of_own.iter().zip(&errors_of_full);
            let folds: Vec<Array2<f64>> = pairs.map(|(own, full)| array![[sum(own), 0.0], [0.0, sum(full)]]).collect();
            is_better(&folds, &array![0.0, 1.0])
        })
        .collect();
    let better: Vec<bool> = places(&rolling.steps, config.horizon).map(|place| better[place]).collect();
    full.keep(|step| better[step]);
    own.keep(|step| !better[step]);
    Ok([full, own].into_iter().filter(Choice::is_used).collect())
}

/// Shares of the pieces of a choice in its time, by multiply-adds.
struct Work {
    /// A penalty of the shared map.
    shared: f64,
    /// A penalty of the targets' own maps.
    own: f64,
    /// The candidates of a fold.
    candidates: f64,
}

impl Work {
    fn of(config: &Config, features: usize, steps: usize) -> Self {
        let (folds, targets) = ((PARTS - 1) as f64, config.targets() as f64);
        let own = if config.targets() > 1 { targets } else { 0.0 };
        // In units of a product `[F, F] x [F, steps]`: a fit has a Cholesky factorisation.
        let fit = features as f64 / steps.max(1) as f64 + 2.0;
        let shared = folds * (fit + targets);
        let of_own = folds * own * (fit + 1.0);
        let candidates = anchors(config).len() as f64 * fit * (1.0 + own) + 7.0 * targets;
        let all = PENALTIES.len() as f64 * (shared + of_own) + folds * candidates;
        Self {
            shared: shared / all,
            own: of_own / all,
            candidates: candidates / all,
        }
    }
}

/// The choice with these features, and its errors at each judged step in each fold.
fn choose_of(
    config: &Config,
    rolling: &Rolling,
    features: Vec<usize>,
    done: &dyn Fn(f64),
) -> Result<(Choice, Vec<Array1<f64>>), LinearError> {
    let rolling = &rolling.with(&features);
    let used = features;
    let (features, horizon) = (used.len(), rolling.steps.len());
    let repetition = || Array2::<f64>::zeros((features, horizon));
    let targets = config.targets();
    let work = Work::of(config, features, horizon);
    let shared = best_penalty(|penalty| {
        let score = rolling.score(|fold| {
            let map = shared_map(&fold.train, penalty, repetition())?;
            Ok(vec![map; targets])
        });
        done(work.shared);
        score
    })?;
    let own = match targets {
        1 => None,
        _ => {
            let fit = |fold: &Fold| shared_map(&fold.train, shared, repetition());
            let maps = rolling.folds.iter().map(fit).collect::<Result<Vec<_>, _>>()?;
            Some(best_penalty(|penalty| {
                let own = |(fold, map): (&Fold, &Array2<f64>)| own_maps(&fold.train, penalty, map);
                let maps = rolling.folds.iter().zip(&maps).map(own).collect::<Result<Vec<Maps>, _>>()?;
                done(work.own);
                Ok(rolling.errors(&maps).mean().unwrap_or(f64::INFINITY))
            })?)
        }
    };
    let mut choice = Choice {
        features: used,
        anchors: anchors(config),
        shared,
        own,
        weights: Vec::new(),
    };
    // Products of the candidates' errors in each fold, `[candidates][candidates]`, in units of repetition's.
    let mut products: Vec<Products> = Vec::new();
    for fold in &rolling.folds {
        let candidates = choice.candidates(&fold.train, horizon)?;
        let mut of_fold = vec![vec![Array1::zeros(horizon); candidates.len()]; candidates.len()];
        for (target, part) in fold.part.iter().enumerate() {
            let maps: Vec<&Array2<f64>> = candidates.iter().map(|maps| &maps[target]).collect();
            for (sums, of_part) in of_fold.iter_mut().zip(part.error_products(&maps)) {
                for (sum, errors) in sums.iter_mut().zip(of_part) {
                    *sum += &(errors / &rolling.unit);
                }
            }
        }
        products.push(of_fold);
        done(work.candidates);
    }
    let weights = weights_by_step(&products, &rolling.steps);
    let pairs = || (0..weights.len()).flat_map(|a| (0..weights.len()).map(move |b| (a, b)));
    let error = |products: &Products| {
        pairs().fold(Array1::zeros(horizon), |sum, (a, b)| {
            sum + &weights[a] * &weights[b] * &products[a][b]
        })
    };
    let errors = products.iter().map(error).collect();
    let spread = |of_steps: &Array1<f64>| places(&rolling.steps, config.horizon).map(|place| of_steps[place]).collect();
    choice.weights = weights.iter().map(spread).collect();
    Ok((choice, errors))
}

/// The penalty with the least score.
fn best_penalty(score: impl Fn(f64) -> Result<f64, LinearError>) -> Result<f64, LinearError> {
    let mut best = (f64::INFINITY, PENALTIES[PENALTIES.len() - 1]);
    for penalty in PENALTIES {
        let score = score(penalty)?;
        if score < best.0 {
            best = (score, penalty);
        }
    }
    Ok(best.1)
}

impl Choice {
    /// The same choice at some steps of its horizon.
    pub(super) fn at(&self, steps: &[usize]) -> Self {
        let weights = self.weights.iter().map(|weights| weights.select(Axis(0), steps)).collect();
        Self { weights, ..self.clone() }
    }

    /// Keeps the weights at some steps and sets the others to zero.
    fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        for weights in &mut self.weights {
            let dropped = weights.iter_mut().enumerate().filter(|(step, _)| !is_kept(*step));
            dropped.for_each(|(_, weight)| *weight = 0.0);
        }
    }

    fn is_used(&self) -> bool {
        self.weights.iter().any(|weights| weights.iter().any(|&weight| weight > 0.0))
    }

    /// Adds the maps fitted to these moments, `[targets]`, which hold all features, to the linear part.
    fn add(&self, train: &[Moments], horizon: usize, maps: &mut Maps) -> Result<(), LinearError> {
        let train: Vec<Moments> = train.iter().map(|own| own.with(&self.features)).collect();
        for (candidate, weights) in self.candidates(&train, horizon)?.iter().zip(&self.weights) {
            for (map, candidate) in maps.iter_mut().zip(candidate) {
                let weighted = candidate * weights;
                for (row, &feature) in weighted.rows().into_iter().zip(&self.features) {
                    let mut own = map.row_mut(feature);
                    own += &row;
                }
            }
        }
        Ok(())
    }

    /// All candidates: repetition; then of each anchor the map for all targets and, of several targets, the targets' own maps.
    fn candidates(&self, train: &[Moments], horizon: usize) -> Result<Vec<Maps>, LinearError> {
        let repetition = Array2::<f64>::zeros((self.features.len(), horizon));
        let mut candidates = vec![vec![repetition.clone(); train.len()]];
        for anchor in &self.anchors {
            let mut toward = repetition.clone();
            if let Some(feature) = *anchor {
                toward.row_mut(feature).fill(1.0);
            }
            let shared = shared_map(train, self.shared, toward)?;
            let own = self.own.map(|penalty| own_maps(train, penalty, &shared));
            candidates.push(vec![shared; train.len()]);
            candidates.extend(own.transpose()?);
        }
        Ok(candidates)
    }

    /// Mean weight of each candidate over the steps, in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let anchors = ["newest sample", "middle average", "longest average"];
        let kinds = if self.own.is_some() { &["shared", "own"][..] } else { &["shared"] };
        let of_anchor = |anchor| kinds.iter().map(move |kind| format!("{kind} from the {anchor}"));
        let names = std::iter::once("repetition".to_owned()).chain(anchors.into_iter().flat_map(of_anchor));
        let weights = names
            .zip(&self.weights)
            .map(|(name, weights)| format!("{name} {:.2}", weights.mean().unwrap_or(0.0)));
        let own = self.own.map_or(String::new(), |own| format!(", of a target's own map {own:e}"));
        let steps = self
            .weights
            .iter()
            .fold(Array1::<f64>::zeros(self.weights[0].len()), |sum, weights| sum + weights);
        let steps = steps.iter().filter(|&&sum| sum > 0.0).count();
        vec![
            format!(
                "linear part: {} features at {steps} of {} steps: penalty of the shared map {:e}{own}",
                self.features.len(),
                self.weights[0].len(),
                self.shared
            ),
            format!("linear part: weights of {}", weights.collect::<Vec<_>>().join(", ")),
        ]
    }
}

/// The linear part of these choices, fitted to these moments, `[targets]`.
pub(super) fn fit(choices: &[Choice], train: &[Moments], features: usize, horizon: usize) -> Result<Maps, LinearError> {
    let mut maps = vec![Array2::zeros((features, horizon)); train.len()];
    for choice in choices {
        choice.add(train, horizon, &mut maps)?;
    }
    Ok(maps)
}

/// The map for all targets nearest to `toward`.
fn shared_map(train: &[Moments], penalty: f64, toward: Array2<f64>) -> Result<Array2<f64>, LinearError> {
    match Moments::sum(train.iter()) {
        Some(all) => all.solve(penalty, toward.view()),
        None => Ok(toward),
    }
}

/// The targets' own maps nearest to the map for all.
fn own_maps(train: &[Moments], penalty: f64, shared: &Array2<f64>) -> Result<Maps, LinearError> {
    train.iter().map(|own| own.solve(penalty, shared.view())).collect()
}

/// Weights of the candidates at each step, from the products of their errors in each fold. Neighbouring steps, from half the distance to
/// twice, decide together. Where the gain over repetition may be chance, repetition has all the weight.
fn weights_by_step(products: &[Products], steps: &[usize]) -> Vec<Array1<f64>> {
    let count = products.first().map_or(0, Vec::len);
    let mut weights = vec![Array1::zeros(steps.len()); count];
    for place in 0..steps.len() {
        let sum = |products: &Array1<f64>| products.slice(s![around(steps, place)]).sum();
        let of_fold = |products: &Products| Array2::from_shape_fn((count, count), |(a, b)| sum(&products[a][b]));
        let folds: Vec<Array2<f64>> = products.iter().map(of_fold).collect();
        let all = folds.iter().fold(Array2::zeros((count, count)), |all, fold| all + fold);
        let mut combined = combination(all);
        if !is_better(&folds, &combined) {
            combined.fill(0.0);
            combined[0] = 1.0;
        }
        for (weights, weight) in weights.iter_mut().zip(combined) {
            weights[place] = weight;
        }
    }
    weights
}

/// The judged steps that decide together with the one at this place: from half the distance to twice.
fn around(steps: &[usize], place: usize) -> Range<usize> {
    let [from, to] = [steps[place] / 2, 2 * steps[place] + 2].map(|end| steps.partition_point(|&other| other < end));
    from..to
}

/// Whether these weights are better than the first candidate: the error relative to its, averaged over the folds, is below 1 by more than
/// its standard error.
fn is_better(folds: &[Array2<f64>], weights: &Array1<f64>) -> bool {
    let judged = folds.iter().filter(|products| products[[0, 0]] > 0.0);
    let ratios: Vec<f64> = judged
        .map(|products| weights.dot(&products.dot(weights)) / products[[0, 0]])
        .collect();
    let count = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    let spread = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>();
    mean + (spread / count / (count - 1.0).max(1.0)).sqrt() < 1.0
}

/// The weights w of sum 1, none negative, with the least w P w + [`EQUALITY`] |w - equal|^2, P in units of its least diagonal
/// element (Frank and Wolfe 1956).
fn combination(mut products: Array2<f64>) -> Array1<f64> {
    let count = products.nrows();
    let equal = 1.0 / count as f64;
    let least = products.diag().iter().copied().fold(f64::INFINITY, f64::min);
    let mut weights = Array1::from_elem(count, equal);
    if least <= 0.0 || !least.is_finite() {
        return weights;
    }
    products /= least;
    products.diag_mut().mapv_inplace(|p| p + EQUALITY);
    for _ in 0..WEIGHT_STEPS {
        let gradient = products.dot(&weights) - EQUALITY * equal;
        let steepest = (0..count).min_by(|&a, &b| gradient[a].total_cmp(&gradient[b])).unwrap_or(0);
        let mut direction = -&weights;
        direction[steepest] += 1.0;
        let curvature = direction.dot(&products.dot(&direction));
        if curvature <= 1e-12 {
            break;
        }
        weights.scaled_add((-gradient.dot(&direction) / curvature).clamp(0.0, 1.0), &direction);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_that_are_equally_good_get_equal_weights_and_a_bad_one_hardly_any() {
        let weights = combination(array![[1.0, 0.9, 0.9], [0.9, 1.0, 0.9], [0.9, 0.9, 4.0]]);
        assert!((weights[0] - weights[1]).abs() < 0.01 && weights[2] < 0.04, "{weights}");
        let weights = combination(array![[1.0, 1.0], [1.0, 1.02]]);
        assert!(weights[0] > weights[1] && weights[1] > 0.3, "{weights}");
        assert_eq!(combination(array![[0.0, 0.0], [0.0, 1.0]]), array![0.5, 0.5]);
    }

    #[test]
    fn a_gain_that_may_be_chance_is_none() {
        let fold = |ratio: f64| array![[1.0, ratio], [ratio, ratio]];
        let weights = array![0.0, 1.0];
        assert!(is_better(&[fold(0.9), fold(0.8), fold(0.85)], &weights));
        assert!(!is_better(&[fold(0.7), fold(1.2), fold(1.0)], &weights));
        assert!(is_better(&[fold(0.9)], &weights) && !is_better(&[fold(1.0)], &weights) && !is_better(&[], &weights));
    }
}
