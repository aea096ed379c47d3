//! Linear systems by a Cholesky factor.

use ndarray::{Array2, Axis, s};

/// Rows solved at once.
const PANEL: usize = 64;

/// The solution X of L L' X = C, with L on and below the diagonal of `factor`; panels at a time, so that the work is in matrix products.
pub(super) fn substitute(factor: &Array2<f64>, c: &Array2<f64>) -> Array2<f64> {
    let n = factor.nrows();
    let mut x = c.clone();
    for start in (0..n).step_by(PANEL) {
        let end = n.min(start + PANEL);
        let (above, mut panel) = x.slice_mut(s![..end, ..]).split_at(Axis(0), start);
        panel -= &factor.slice(s![start..end, ..start]).dot(&above);
        for i in start..end {
            let (above, mut row) = panel.slice_mut(s![..=i - start, ..]).split_at(Axis(0), i - start);
            row -= &factor.slice(s![i..=i, start..i]).dot(&above);
            row /= factor[[i, i]];
        }
    }
    for start in (0..n).step_by(PANEL).rev() {
        let end = n.min(start + PANEL);
        let (mut panel, below) = x.slice_mut(s![start.., ..]).split_at(Axis(0), end - start);
        panel -= &factor.slice(s![end.., start..end]).t().dot(&below);
        for i in (start..end).rev() {
            let (mut row, below) = panel.slice_mut(s![i - start.., ..]).split_at(Axis(0), 1);
            row -= &factor.slice(s![i + 1..end, i..=i]).t().dot(&below);
            row /= factor[[i, i]];
        }
    }
    x
}
