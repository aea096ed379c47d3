//! Blocks of neighbouring features, the unit in which the kernels work, and the run-time choice of the instruction set.
//!
//! A kernel is an `#[inline(always)]` function over slices whose inner loops run over [`LANES`] neighbouring features with a
//! trip count known at compile time; the compiler turns such a loop into vector instructions. [`vectorised`] runs it compiled
//! for the widest set the processor has. No fused multiply-add is used and no sum depends on the width of a vector, so every
//! instruction set gives the same bits.

use pulp::{Arch, NullaryFnOnce};

/// Features in a block: one AVX-512 register, two of AVX2, four of SSE2 or NEON.
pub const LANES: usize = 16;

/// One block of features.
pub type Lanes = [f32; LANES];

/// Calls `kernel` compiled for the best instruction set of this processor. The closure must be marked `#[inline(always)]`, and
/// so must what it calls; otherwise it is compiled for the baseline only.
#[inline(always)]
pub fn vectorised<R>(kernel: impl FnOnce() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnOnce() -> R> NullaryFnOnce for Call<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Call(kernel))
}

/// `f` of every number; a closure must be marked `#[inline(always)]` as for [`vectorised`].
pub fn map(x: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    vectorised(
        #[inline(always)]
        || {
            for (out, x) in out.iter_mut().zip(x) {
                *out = f(*x);
            }
        },
    );
    out
}

/// `f` of every pair; a closure must be marked `#[inline(always)]` as for [`vectorised`].
pub fn map2(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    vectorised(
        #[inline(always)]
        || {
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = f(*x, *y);
            }
        },
    );
    out
}

/// Number of blocks that hold `features`.
#[inline(always)]
pub const fn blocks(features: usize) -> usize {
    features.div_ceil(LANES)
}

/// Block `block` of a row of features; lanes past its end are zero.
#[inline(always)]
pub fn load(row: &[f32], block: usize) -> Lanes {
    let start = block * LANES;
    let mut lanes = [0.0; LANES];
    if let Some(whole) = row.get(start..start + LANES) {
        lanes.copy_from_slice(whole);
    } else {
        let tail = &row[start..];
        lanes[..tail.len()].copy_from_slice(tail);
    }
    lanes
}

/// Writes block `block` of a row of features; lanes past its end are dropped.
#[inline(always)]
pub fn store(row: &mut [f32], block: usize, lanes: &Lanes) {
    let start = block * LANES;
    if let Some(whole) = row.get_mut(start..start + LANES) {
        whole.copy_from_slice(lanes);
    } else {
        let tail = &mut row[start..];
        let len = tail.len();
        tail.copy_from_slice(&lanes[..len]);
    }
}

/// Sum of a block: halves are added until one number is left.
#[inline(always)]
pub fn sum(lanes: &Lanes) -> f32 {
    let mut lanes = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            lanes[k] += lanes[k + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Inner product of long slices: one sum a lane, folded every so often into f64, so that its error does not grow with length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    vectorised(
        #[inline(always)]
        || dot_kernel(a, b),
    )
}

#[inline(always)]
fn dot_kernel(a: &[f32], b: &[f32]) -> f32 {
    const RUN: usize = 64 * LANES;
    let mut total = 0.0f64;
    for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
        let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut lanes = [0.0; LANES];
        for (a, b) in a.iter().zip(b) {
            for k in 0..LANES {
                lanes[k] += a[k] * b[k];
            }
        }
        total += f64::from(sum(&lanes));
        total += a_tail.iter().zip(b_tail).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    }
    total as f32
}

/// Rows of `[features, columns]` as blocks `[block][column]`, so that a column's neighbouring features are one vector.
/// Lanes past the last feature hold `padding`.
pub fn transpose(matrix: &[f32], features: usize, columns: usize, padding: f32) -> Vec<Lanes> {
    let mut out = vec![[padding; LANES]; blocks(features) * columns];
    for feature in 0..features {
        for column in 0..columns {
            out[(feature / LANES) * columns + column][feature % LANES] = matrix[feature * columns + column];
        }
    }
    out
}

/// The inverse of [`transpose`].
pub fn untranspose(lanes: &[Lanes], matrix: &mut [f32], columns: usize) {
    for (feature, row) in matrix.chunks_exact_mut(columns).enumerate() {
        for (column, value) in row.iter_mut().enumerate() {
            *value = lanes[(feature / LANES) * columns + column][feature % LANES];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_blocks() {
        let row: Vec<f32> = (0..37).map(|i| i as f32).collect();
        let mut back = vec![0.0; 37];
        for block in 0..blocks(37) {
            store(&mut back, block, &load(&row, block));
        }
        assert_eq!(row, back);
        assert_eq!(sum(&load(&row, 0)), 120.0);
        assert_eq!(sum(&load(&row, 2)), (32..37).sum::<i32>() as f32);
    }

    #[test]
    fn a_matrix_survives_its_transposition() {
        let matrix: Vec<f32> = (0..19 * 3).map(|i| i as f32).collect();
        let lanes = transpose(&matrix, 19, 3, -1.0);
        assert_eq!(lanes[3][4], -1.0);
        let mut back = vec![0.0; matrix.len()];
        untranspose(&lanes, &mut back, 3);
        assert_eq!(matrix, back);
    }
}
