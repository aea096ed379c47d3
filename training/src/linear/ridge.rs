//! Linear maps in closed form, from second moments alone.
//!
//! [`Moments`] holds G = sum phi phi', c = sum phi y' and the sum of y^2 of all examples, in f64. These sums suffice to
//! solve a ridge regression of any strength on any subset of features, and to compute its mean squared error. One pass over
//! the training rows and one over the validation rows therefore decide between all linear models ([`fit_groups`]).

use std::ops::Range;

use super::cholesky::substitute;
use linfa_linalg::cholesky::CholeskyInplace;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// Rows of G computed at once. G is symmetric; only this much of its lower triangle is computed besides the upper one.
const PANEL: usize = 64;

/// Second moments of examples (phi, y): `features` numbers explain `targets` numbers.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Sum of the examples' weights.
    weight: f64,
    /// G `[features, features]`; valid on and above the diagonal only.
    gram: Array2<f64>,
    /// c `[features, targets]`
    cross: Array2<f64>,
    /// Sum of y^2 `[targets]`
    square: Array1<f64>,
}

/// Why a linear map cannot be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RidgeError {
    /// No examples, or only examples of weight zero.
    #[error("there is no example to fit a linear model of {features} features to")]
    NoExamples {
        /// Features of the model.
        features: usize,
    },
    /// The features are not finite or, even with a strong ridge, not independent enough.
    #[error("a linear model of {features} features cannot be solved, even with a ridge of {lambda}")]
    NotPositiveDefinite {
        /// Features of the model.
        features: usize,
        /// The largest ridge tried.
        lambda: f64,
    },
}

/// The ridge of one group of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFit {
    /// The targets of the group.
    pub targets: Range<usize>,
    /// Ridge, relative to the mean diagonal of G.
    pub lambda: f64,
    /// Mean squared error on validation, averaged over the targets of the group.
    pub mse: f64,
}

impl Moments {
    /// Moments of no examples yet.
    pub fn new(features: usize, targets: usize) -> Moments {
        Moments {
            weight: 0.0,
            gram: Array2::zeros((features, features)),
            cross: Array2::zeros((features, targets)),
            square: Array1::zeros(targets),
        }
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.gram.nrows()
    }

    /// Number of targets.
    pub fn targets(&self) -> usize {
        self.square.len()
    }

    /// Sum of the examples' weights; their number if they had none.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Adds examples: `x` `[examples, features]` and `y` `[examples, targets]`, row-major and finite, each example counted once or with its
    /// weight. Some hundreds to thousands at once is fastest.
    pub fn add(&mut self, x: &[f32], y: &[f32], weights: Option<&[f32]>) {
        let (features, targets) = (self.features(), self.targets());
        let examples = x.len() / features;
        let widen = |values: &[f32], width: usize| Array2::from_shape_fn((examples, width), |(i, j)| f64::from(values[i * width + j]));
        let (x, y) = (widen(x, features), widen(y, targets));
        let (mut wx, mut wy) = (x.clone(), y.clone());
        match weights {
            None => self.weight += examples as f64,
            Some(weights) => {
                let weights = Array1::from_iter(weights.iter().map(|&w| f64::from(w)));
                self.weight += weights.sum();
                let column = weights.insert_axis(Axis(1));
                wx *= &column;
                wy *= &column;
            }
        }
        for start in (0..features).step_by(PANEL) {
            let end = features.min(start + PANEL);
            let mut panel = self.gram.slice_mut(s![start..end, start..]);
            panel += &wx.slice(s![.., start..end]).t().dot(&x.slice(s![.., start..]));
        }
        self.cross += &wx.t().dot(&y);
        self.square += &(&wy * &y).sum_axis(Axis(0));
    }

    /// Adds the examples of another set of moments of the same shape.
    pub fn merge(&mut self, other: &Moments) {
        self.weight += other.weight;
        self.gram += &other.gram;
        self.cross += &other.cross;
        self.square += &other.square;
    }

    /// Moments over several threads: `work(job, moments)` adds the examples of one of `jobs` shares of the data.
    pub fn collect(features: usize, targets: usize, jobs: usize, work: impl Fn(usize, &mut Moments) + Sync) -> Moments {
        let one = |job| {
            let mut moments = Moments::new(features, targets);
            work(job, &mut moments);
            moments
        };
        let work = &one;
        std::thread::scope(|scope| {
            let shares: Vec<_> = (1..jobs).map(|job| scope.spawn(move || work(job))).collect();
            let mut sum = work(0);
            for share in shares {
                match share.join() {
                    Ok(moments) => sum.merge(&moments),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            sum
        })
    }

    /// Moments of one example per origin, over several threads: `example(origin, x, y)` appends its features and its targets and returns its weight, or
    /// returns 0 and appends nothing. No thread holds more than `block` examples at once.
    pub fn of_examples(
        [features, targets]: [usize; 2],
        origins: impl Iterator<Item = usize> + Clone + Sync,
        block: usize,
        example: impl Fn(usize, &mut Vec<f32>, &mut Vec<f32>) -> f32 + Sync,
    ) -> Moments {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        Moments::collect(features, targets, jobs, |job, moments| {
            let (mut x, mut y, mut weights) = (Vec::new(), Vec::new(), Vec::new());
            for origin in origins.clone().skip(job).step_by(jobs) {
                let weight = example(origin, &mut x, &mut y);
                if weight > 0.0 {
                    weights.push(weight);
                }
                if weights.len() == block {
                    moments.add(&x, &y, Some(&weights));
                    x.clear();
                    y.clear();
                    weights.clear();
                }
            }
            moments.add(&x, &y, Some(&weights));
        })
    }

    /// The moments of the same examples with these features only, in this order.
    pub fn sub(&self, features: &[usize]) -> Moments {
        let n = features.len();
        Moments {
            weight: self.weight,
            gram: Array2::from_shape_fn((n, n), |(i, j)| {
                let (a, b) = (features[i], features[j]);
                self.gram[[a.min(b), a.max(b)]]
            }),
            cross: self.cross.select(Axis(0), features),
            square: self.square.clone(),
        }
    }

    /// The moments of the examples (A phi, y - U phi), with A `[new features, features]` and U `[targets, features]`: features and targets
    /// relative to something linear in the features, such as the mean of a window.
    pub fn map(&self, a: ArrayView2<'_, f64>, u: ArrayView2<'_, f64>) -> Moments {
        let gram = self.gram();
        let gram_u = gram.dot(&u.t());
        Moments {
            weight: self.weight,
            gram: a.dot(&gram).dot(&a.t()),
            cross: a.dot(&(&self.cross - &gram_u)),
            square: &self.square + &(&u.t() * &(&gram_u - 2.0 * &self.cross)).sum_axis(Axis(0)),
        }
    }

    /// W `[targets, features]` that minimises the squared error plus `lambda` times the mean diagonal of G times |W|^2.
    ///
    /// Features that depend on each other are no error: the ridge is raised tenfold, up to 1e-2, until the system can be solved.
    ///
    /// # Errors
    /// `NoExamples`, `NotPositiveDefinite`.
    pub fn solve(&self, lambda: f64) -> Result<Array2<f64>, RidgeError> {
        let features = self.features();
        if self.weight <= 0.0 {
            return Err(RidgeError::NoExamples { features });
        }
        let gram = self.gram();
        let scale = (gram.diag().sum() / features as f64).max(f64::MIN_POSITIVE);
        let mut ridge = lambda;
        loop {
            let mut system = gram.clone();
            system.diag_mut().mapv_inplace(|d| d + ridge * scale);
            // NaN passes for positive definite there, hence the look at the result.
            match system.cholesky_into_dirty().map(|factor| substitute(&factor, &self.cross)) {
                Ok(weights) if weights.iter().all(|w| w.is_finite()) => return Ok(weights.reversed_axes()),
                _ if ridge < 1e-2 => ridge = (ridge * 10.0).max(1e-12),
                _ => return Err(RidgeError::NotPositiveDefinite { features, lambda: ridge }),
            }
        }
    }

    /// Mean squared error per target of the map W `[targets, features]` on these examples.
    pub fn mse(&self, w: &Array2<f64>) -> Array1<f64> {
        let gram_w = self.gram().dot(&w.t());
        let error = (&w.t() * &(gram_w - 2.0 * &self.cross)).sum_axis(Axis(0)) + &self.square;
        // Rounding may leave a perfect fit below zero.
        error.mapv(|e| (e / self.weight).max(0.0))
    }

    fn gram(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.gram.dim(), |(i, j)| self.gram[[i.min(j), i.max(j)]])
    }
}

/// The map W `[targets, features]` fitted on `train`; each group of targets has the ridge with the least error on `validation`.
///
/// # Errors
/// `NoExamples` of either, `NotPositiveDefinite`.
pub fn fit_groups(
    train: &Moments,
    validation: &Moments,
    lambdas: &[f64],
    groups: &[Range<usize>],
) -> Result<(Array2<f64>, Vec<GroupFit>), RidgeError> {
    let features = train.features();
    if validation.weight <= 0.0 {
        return Err(RidgeError::NoExamples { features });
    }
    let mut weights = Array2::zeros((train.targets(), features));
    let mut chosen: Vec<_> = groups
        .iter()
        .map(|targets| GroupFit {
            targets: targets.clone(),
            lambda: 0.0,
            mse: f64::INFINITY,
        })
        .collect();
    for &lambda in lambdas {
        let candidate = train.solve(lambda)?;
        let errors = validation.mse(&candidate);
        for group in &mut chosen {
            let rows = s![group.targets.clone(), ..];
            let mse = errors.slice(s![group.targets.clone()]).mean().unwrap_or(f64::INFINITY);
            if mse < group.mse {
                (group.lambda, group.mse) = (lambda, mse);
                weights.slice_mut(rows).assign(&candidate.slice(rows));
            }
        }
    }
    Ok((weights, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without pattern in [-1, 1), the same every time.
    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    const FEATURES: usize = 150;
    const TARGETS: usize = 3;

    /// y = W phi + noise, with W also returned.
    fn examples(count: usize, seed: u32, error: f32) -> (Vec<f32>, Vec<f32>) {
        let (mut weights, mut next) = (noise(7), noise(seed));
        let w: Vec<f32> = (0..TARGETS * FEATURES).map(|_| weights()).collect();
        let x: Vec<f32> = (0..count * FEATURES).map(|_| next()).collect();
        let y = x
            .chunks(FEATURES)
            .flat_map(|row| w.chunks(FEATURES).map(move |w| row.iter().zip(w).map(|(a, b)| a * b).sum::<f32>()));
        let y = y.collect::<Vec<_>>().into_iter().map(|y| y + error * next()).collect();
        (x, y)
    }

    fn direct_mse(w: &Array2<f64>, x: &[f32], y: &[f32], target: usize) -> f64 {
        let features = w.ncols();
        let error = |(x, y): (&[f32], &[f32])| {
            let forecast: f64 = x.iter().zip(w.row(target)).map(|(x, w)| f64::from(*x) * w).sum();
            (f64::from(y[target]) - forecast).powi(2)
        };
        x.chunks(features).zip(y.chunks(TARGETS)).map(error).sum::<f64>() / (x.len() / features) as f64
    }

    #[test]
    fn an_exact_map_is_found_and_blocks_add_up() {
        let (x, y) = examples(400, 1, 0.0);
        let mut moments = Moments::new(FEATURES, TARGETS);
        for (x, y) in x.chunks(90 * FEATURES).zip(y.chunks(90 * TARGETS)) {
            moments.add(x, y, None);
        }
        let w = moments.solve(0.0).unwrap();
        let mut weights = noise(7);
        for w in &w {
            assert!((w - f64::from(weights())).abs() < 1e-5);
        }
        let shared = Moments::collect(FEATURES, TARGETS, 2, |job, moments| {
            let half = x.len() / 2 * job..x.len() / 2 * (job + 1);
            moments.add(&x[half], &y[y.len() / 2 * job..y.len() / 2 * (job + 1)], None);
        });
        assert_eq!(shared.weight(), 400.0);
        assert!((&shared.solve(0.0).unwrap() - &w).iter().all(|d| d.abs() < 1e-9));
    }

    #[test]
    fn errors_from_moments_are_the_errors() {
        let (x, y) = examples(300, 2, 0.5);
        let (other_x, other_y) = examples(200, 3, 0.5);
        let mut train = Moments::new(FEATURES, TARGETS);
        train.add(&x, &y, None);
        let mut validation = Moments::new(FEATURES, TARGETS);
        validation.add(&other_x, &other_y, None);
        let mut before = 0.0;
        for lambda in [1e-6, 1e-2, 1.0] {
            let w = train.solve(lambda).unwrap();
            let fit = train.mse(&w);
            for target in 0..TARGETS {
                assert!((fit[target] - direct_mse(&w, &x, &y, target)).abs() < 1e-9);
                assert!((validation.mse(&w)[target] - direct_mse(&w, &other_x, &other_y, target)).abs() < 1e-9);
            }
            assert!(fit.sum() > before, "a stronger ridge fits the training data less");
            before = fit.sum();
        }
    }

    #[test]
    fn weights_count_as_repetitions_and_subsets_as_models_of_their_own() {
        let (x, y) = examples(200, 4, 0.5);
        let keep: Vec<usize> = vec![5, 1, 70, 100];
        let narrow = |x: &[f32]| x.chunks(FEATURES).flat_map(|row| keep.iter().map(|&c| row[c])).collect::<Vec<_>>();
        let mut all = Moments::new(FEATURES, TARGETS);
        all.add(&x, &y, Some(&[2.0; 200]));
        let mut few = Moments::new(keep.len(), TARGETS);
        few.add(&narrow(&x), &y, None);
        few.add(&narrow(&x), &y, None);
        let (sub, own) = (all.sub(&keep).solve(1e-3).unwrap(), few.solve(1e-3).unwrap());
        assert!((&sub - &own).iter().all(|d| d.abs() < 1e-9));
    }

    #[test]
    fn mapped_moments_are_those_of_mapped_examples() {
        let (x, y) = examples(200, 5, 0.5);
        // Relative to the mean of the features.
        let n = FEATURES as f64;
        let a = Array2::from_shape_fn((FEATURES, FEATURES), |(i, j)| f64::from(u8::from(i == j)) - 1.0 / n);
        let u = Array2::from_elem((TARGETS, FEATURES), 1.0 / n);
        let mean: Vec<f32> = x.chunks(FEATURES).map(|row| row.iter().sum::<f32>() / n as f32).collect();
        let mapped_x: Vec<f32> = x.iter().enumerate().map(|(i, x)| x - mean[i / FEATURES]).collect();
        let mapped_y: Vec<f32> = y.iter().enumerate().map(|(i, y)| y - mean[i / TARGETS]).collect();
        let mut moments = Moments::new(FEATURES, TARGETS);
        moments.add(&x, &y, None);
        let mapped = moments.map(a.view(), u.view());
        let w = mapped.solve(1e-3).unwrap();
        for target in 0..TARGETS {
            assert!((mapped.mse(&w)[target] - direct_mse(&w, &mapped_x, &mapped_y, target)).abs() < 1e-5);
        }
    }

    #[test]
    fn each_group_gets_its_own_ridge() {
        let ((x, mut y), (other_x, mut other_y)) = (examples(200, 8, 0.1), examples(200, 9, 0.1));
        // The last target is noise: there the strongest ridge must win, elsewhere the weakest.
        let mut next = noise(10);
        for y in y.chunks_mut(TARGETS).chain(other_y.chunks_mut(TARGETS)) {
            y[2] = next();
        }
        let (mut train, mut validation) = (Moments::new(FEATURES, TARGETS), Moments::new(FEATURES, TARGETS));
        train.add(&x, &y, None);
        validation.add(&other_x, &other_y, None);
        let (w, chosen) = fit_groups(&train, &validation, &[1e-6, 1e3], &[0..2, 2..3]).unwrap();
        assert_eq!(chosen.iter().map(|group| group.lambda).collect::<Vec<_>>(), [1e-6, 1e3]);
        assert!((chosen[1].mse - direct_mse(&w, &other_x, &other_y, 2)).abs() < 1e-9);
    }

    #[test]
    fn dependent_features_are_mended_and_nonsense_refused() {
        let x: Vec<f32> = (0..100).flat_map(|i| [i as f32 * 0.01, i as f32 * 0.01]).collect();
        let y: Vec<f32> = (0..100).map(|i| i as f32 * 0.02).collect();
        let mut moments = Moments::new(2, 1);
        assert!(matches!(moments.solve(0.0), Err(RidgeError::NoExamples { features: 2 })));
        moments.add(&x, &y, None);
        let w = moments.solve(0.0).unwrap();
        assert!((w.sum() - 2.0).abs() < 1e-3, "{w}");
        moments.add(&[f32::NAN, 1.0], &[1.0], None);
        assert!(matches!(moments.solve(0.0), Err(RidgeError::NotPositiveDefinite { .. })));
    }
}
