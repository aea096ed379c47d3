//! Second moments of examples (phi, y), the only thing that a linear map is fitted to and judged by.
//!
//! - Examples are added in blocks; what is held does not grow with their number.
//! - A missing target has no weight: each step's products count the examples whose reading at that step is there. An example
//!   counts in the features' own moments by the share of its steps that are there.

use linfa_linalg::cholesky::CholeskyInplace;
use ndarray::{ArcArray2, Array1, Array2, ArrayView2, Axis, s};

use super::LinearError;
use super::cholesky::substitute;

/// Rows of G computed at once: G is symmetric, and only this much of its lower triangle is computed besides the upper one.
const PANEL: usize = 64;

/// Sums over examples of F features and H steps.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Sum of the examples' shares.
    weight: f64,
    /// Sum of phi phi', `[F, F]`; on and above the diagonal only.
    gram: ArcArray2<f64>,
    /// Sum of phi y', `[F, H]`.
    cross: Array2<f64>,
    /// Sum of y^2, `[H]`.
    square: Array1<f64>,
    /// Readings that are there, `[H]`.
    count: Array1<f64>,
}

impl Moments {
    /// Of no examples yet.
    pub fn new(features: usize, horizon: usize) -> Self {
        Self {
            weight: 0.0,
            gram: Array2::zeros((features, features)).into_shared(),
            cross: Array2::zeros((features, horizon)),
            square: Array1::zeros(horizon),
            count: Array1::zeros(horizon),
        }
    }

    /// The same examples at some of the steps.
    pub fn at(&self, steps: &[usize]) -> Self {
        Self {
            weight: self.weight,
            gram: self.gram.clone(),
            cross: self.cross.select(Axis(1), steps),
            square: self.square.select(Axis(0), steps),
            count: self.count.select(Axis(0), steps),
        }
    }

    /// The same examples with some of the features.
    pub fn with(&self, features: &[usize]) -> Self {
        let of = |(i, j): (usize, usize)| {
            let (a, b) = (features[i], features[j]);
            self.gram[[a.min(b), a.max(b)]]
        };
        Self {
            gram: ArcArray2::from_shape_fn((features.len(), features.len()), of),
            cross: self.cross.select(Axis(0), features),
            ..self.clone()
        }
    }

    /// Readings that are there, `[H]`.
    pub fn count(&self) -> &Array1<f64> {
        &self.count
    }

    /// Adds examples: `x` `[examples, F]` and `y` `[examples, H]`, row-major; a target that is missing is NaN.
    pub fn add(&mut self, x: &[f32], y: &[f32]) {
        let (features, horizon) = (self.gram.nrows(), self.square.len());
        let examples = x.len() / features;
        let x = Array2::from_shape_fn((examples, features), |(i, j)| f64::from(x[i * features + j]));
        let mut y = Array2::from_shape_fn((examples, horizon), |(i, j)| f64::from(y[i * horizon + j]));
        let mut weighted = x.clone();
        for (mut x, mut y) in weighted.rows_mut().into_iter().zip(y.rows_mut()) {
            let mut there = 0;
            for (y, count) in y.iter_mut().zip(&mut self.count) {
                if y.is_nan() {
                    *y = 0.0;
                } else {
                    *count += 1.0;
                    there += 1;
                }
            }
            let share = f64::from(there) / horizon as f64;
            self.weight += share;
            x *= share;
        }
        for start in (0..features).step_by(PANEL) {
            let end = features.min(start + PANEL);
            let mut panel = self.gram.slice_mut(s![start..end, start..]);
            panel += &weighted.slice(s![.., start..end]).t().dot(&x.slice(s![.., start..]));
        }
        self.cross += &x.t().dot(&y);
        self.square += &(&y * &y).sum_axis(Axis(0));
    }

    /// Adds the examples of another set.
    pub fn merge(&mut self, other: &Moments) {
        self.weight += other.weight;
        self.gram += &other.gram;
        self.cross += &other.cross;
        self.square += &other.square;
        self.count += &other.count;
    }

    /// All examples of several sets; `None` of no set.
    pub fn sum<'a>(mut sets: impl Iterator<Item = &'a Moments>) -> Option<Moments> {
        let first = sets.next()?.clone();
        Some(sets.fold(first, |mut sum, set| {
            sum.merge(set);
            sum
        }))
    }

    /// G, the mean of phi phi', `[F, F]`.
    pub fn gram(&self) -> Array2<f64> {
        let weight = self.weight.max(f64::MIN_POSITIVE);
        Array2::from_shape_fn(self.gram.dim(), |(i, j)| self.gram[[i.min(j), i.max(j)]] / weight)
    }

    /// The mean of phi y', `[F, H]`; 0 at a step without readings.
    fn cross(&self) -> Array2<f64> {
        &self.cross / &self.count.mapv(|count| count.max(1.0))
    }

    /// The map `[F, H]` nearest to `toward` in the metric of the penalty that fits the examples:
    /// `toward` + (G + penalty diag G)^-1 (c - G `toward`).
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub fn solve(&self, penalty: f64, toward: ArrayView2<'_, f64>) -> Result<Array2<f64>, LinearError> {
        let gram = self.gram();
        let left = self.cross() - gram.dot(&toward);
        let features = gram.nrows();
        let least = 1e-9 * (gram.diag().sum() / features as f64).max(f64::MIN_POSITIVE);
        let mut system = gram;
        system.diag_mut().mapv_inplace(|d| d * (1.0 + penalty) + least);
        let solved = system.cholesky_into_dirty().map(|factor| substitute(&factor, &left));
        match solved {
            Ok(map) if map.iter().all(|w| w.is_finite()) => Ok(map + toward),
            _ => Err(LinearError::NotSolved { features }),
        }
    }

    /// For each step the sum over its readings of the product of the errors of maps A and B, both `[F, H]`.
    pub fn errors(&self, a: &Array2<f64>, b: &Array2<f64>) -> Array1<f64> {
        self.errors_of(a, b, &self.gram().dot(b))
    }

    /// The same for all pairs of maps, `[maps][maps]`.
    pub fn error_products(&self, maps: &[&Array2<f64>]) -> Vec<Vec<Array1<f64>>> {
        let gram = self.gram();
        let products: Vec<_> = maps.iter().map(|map| gram.dot(*map)).collect();
        let row = |a: &&Array2<f64>| maps.iter().zip(&products).map(|(b, gram_b)| self.errors_of(a, b, gram_b)).collect();
        maps.iter().map(row).collect()
    }

    fn errors_of(&self, a: &Array2<f64>, b: &Array2<f64>, gram_b: &Array2<f64>) -> Array1<f64> {
        let explained = (&(a + b) * &self.cross()).sum_axis(Axis(0));
        let spread = (a * gram_b).sum_axis(Axis(0));
        &self.square + &((spread - explained) * &self.count)
    }
}
