//! Linear maps of a low rank: `step basis x core x feature basis`, the nearest to given maps.
//!
//! The bases are common to all targets, the core is a target's own. Nearest is meant in the forecasts' errors: by the features'
//! second moments. The step basis spans the principal directions of all forecasts, the feature basis those of what the maps read
//! (a higher-order SVD; De Lathauwer et al. 2000).

use linfa_linalg::cholesky::CholeskyInplace;
use ndarray::{Array2, ArrayView2, Axis, s};

use super::LinearError;

/// Rounds of the subspace iteration.
const ROUNDS: usize = 12;

/// Maps of a low rank.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    /// `[H, r]`.
    pub(super) step: Array2<f64>,
    /// `[targets]`, each `[r, r]`.
    pub(super) core: Vec<Array2<f64>>,
    /// `[r, F]`.
    pub(super) feature: Array2<f64>,
}

impl Factors {
    /// The maps `[F, H]`.
    pub(super) fn maps(&self) -> Vec<Array2<f64>> {
        let map = |core: &Array2<f64>| self.step.dot(core).dot(&self.feature).reversed_axes();
        self.core.iter().map(map).collect()
    }
}

/// The factors of rank `rank` of maps `[F, H]` whose features have the second moments `gram`; `rank` is at most F and at most H.
pub(super) fn factors(maps: &[Array2<f64>], gram: &Array2<f64>, rank: usize) -> Result<Factors, LinearError> {
    let (features, horizon) = gram.dim();
    let horizon = maps.first().map_or(horizon, |map| map.ncols());
    let mut system = gram.clone();
    let least = 1e-9 * (gram.diag().sum() / features as f64).max(f64::MIN_POSITIVE);
    system.diag_mut().mapv_inplace(|d| d + least);
    let mut lower = system.cholesky_into_dirty().map_err(|_| LinearError::NotSolved { features })?;
    for i in 0..features {
        lower.slice_mut(s![i, i + 1..]).fill(0.0);
    }
    // L' W: maps of features that are independent of each other and of equal size.
    let white: Vec<Array2<f64>> = maps.iter().map(|map| lower.t().dot(map)).collect();
    let mut by_step = Array2::<f64>::zeros((horizon, horizon));
    for map in &white {
        by_step += &map.t().dot(map);
    }
    let step = principal(by_step.view(), rank);
    let mut by_feature = Array2::<f64>::zeros((features, features));
    for map in &white {
        let seen = map.dot(&step);
        by_feature += &seen.dot(&seen.t());
    }
    let basis = principal(by_feature.view(), rank);
    let core = white.iter().map(|map| step.t().dot(&map.t()).dot(&basis)).collect();
    // The basis reads white features L^-1 phi: B' L^-1.
    let feature = solve_transposed(&lower, &basis).reversed_axes();
    Ok(Factors { step, core, feature })
}

/// X with L' X = B, L lower triangular.
fn solve_transposed(lower: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let mut x = b.clone();
    for i in (0..lower.nrows()).rev() {
        let (mut row, below) = x.slice_mut(s![i.., ..]).split_at(Axis(0), 1);
        row -= &lower.slice(s![i + 1.., i..=i]).t().dot(&below);
        row /= lower[[i, i]];
    }
    x
}

/// The `count` principal directions of a symmetric matrix without negative eigenvalues, `[n, count]`, by subspace iteration.
fn principal(matrix: ArrayView2<'_, f64>, count: usize) -> Array2<f64> {
    let n = matrix.nrows();
    // Any start that is not orthogonal to what is sought; the same every time.
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut basis = Array2::from_shape_fn((n, count), |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    });
    orthonormalise(&mut basis);
    for _ in 0..ROUNDS {
        basis = matrix.dot(&basis);
        orthonormalise(&mut basis);
    }
    basis
}

/// Makes the columns orthonormal (Gram and Schmidt, twice); a column that depends on those before becomes zero.
fn orthonormalise(basis: &mut Array2<f64>) {
    for j in 0..basis.ncols() {
        let (before, mut rest) = basis.view_mut().split_at(Axis(1), j);
        let mut column = rest.column_mut(0);
        let size = column.dot(&column).sqrt();
        for _ in 0..2 {
            let shares = before.t().dot(&column);
            column -= &before.dot(&shares);
        }
        let left = column.dot(&column).sqrt();
        let scale = if left > 1e-10 * size { 1.0 / left } else { 0.0 };
        column.mapv_inplace(|x| x * scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(rows: usize, columns: usize, seed: u32) -> Array2<f64> {
        let mut state = seed;
        Array2::from_shape_fn((rows, columns), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 23) - 1.0
        })
    }

    #[test]
    fn maps_of_a_low_rank_are_found_exactly_and_others_nearly() {
        let (step, feature) = (noise(20, 3, 1), noise(3, 12, 2));
        let core = |seed| noise(3, 3, seed);
        let map = |seed| step.dot(&core(seed)).dot(&feature).reversed_axes();
        let maps = [map(3), map(4)];
        let mixed = noise(12, 40, 5);
        let gram = mixed.dot(&mixed.t());
        let found = factors(&maps, &gram, 3).unwrap().maps();
        for (map, found) in maps.iter().zip(&found) {
            assert!((map - found).iter().all(|d| d.abs() < 1e-6));
        }
        let error = |rank: usize| {
            let found = factors(&maps, &gram, rank).unwrap().maps();
            let of_map = |(map, found): (&Array2<f64>, &Array2<f64>)| {
                let d = map - found;
                (&d * &gram.dot(&d)).sum()
            };
            maps.iter().zip(&found).map(of_map).sum::<f64>()
        };
        assert!(error(1) > error(2) && error(2) > 100.0 * error(3));
        // More directions than there are: the rest is zero.
        assert!(error(6) < 1e-6);
    }
}
