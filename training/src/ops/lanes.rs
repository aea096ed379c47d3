//! Blocks of neighbouring features, the unit in which the kernels work, and the run-time choice of the instruction set.
//!
//! A kernel is an `#[inline(always)]` function over slices whose inner loops run over [`LANES`] neighbouring features with a
//! trip count known at compile time; the compiler turns such a loop into vector instructions. [`vectorised`] runs it compiled
//! for the widest set the processor has. No fused multiply-add is used and no sum depends on the width of a vector, so every
//! instruction set gives the same bits.

use std::ops::Index;

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

/// `f` of every row of numbers, one from each of `columns`, which are of one length. A closure must be marked
/// `#[inline(always)]` as for [`vectorised`].
pub fn map<const N: usize>(columns: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> Vec<f32> {
    // Computed in pieces on the stack and appended: the result is not first filled with zeros.
    const PIECE: usize = 4 * LANES;
    let len = columns.iter().map(|column| column.len()).min().unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    vectorised(
        #[inline(always)]
        || {
            let pieces = columns.map(|column| column[..len].as_chunks::<PIECE>().0);
            for i in 0..len / PIECE {
                let rows = each(&pieces, i);
                let mut piece = [0.0; PIECE];
                for k in 0..PIECE {
                    piece[k] = f(across(&rows, k));
                }
                out.extend_from_slice(&piece);
            }
            for i in out.len()..len {
                out.push(f(across(&columns, i)));
            }
        },
    );
    out
}

/// The sum of `f` over all rows of numbers, one from each of `columns`, which are of one length: one sum a lane, folded every so
/// often into f64, so that its error does not grow with length. A closure must be marked `#[inline(always)]`.
pub fn total<const N: usize>(columns: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    const RUN: usize = 64;
    let len = columns.iter().map(|column| column.len()).min().unwrap_or(0);
    let mut total = 0.0f64;
    vectorised(
        #[inline(always)]
        || {
            let blocks = columns.map(|column| column[..len].as_chunks::<LANES>().0);
            for start in (0..len / LANES).step_by(RUN) {
                let mut lanes = [0.0; LANES];
                for i in start..(start + RUN).min(len / LANES) {
                    let rows = each(&blocks, i);
                    for k in 0..LANES {
                        lanes[k] += f(across(&rows, k));
                    }
                }
                total += f64::from(sum(&lanes));
            }
            for i in len - len % LANES..len {
                total += f64::from(f(across(&columns, i)));
            }
        },
    );
    total as f32
}

/// Piece `i` of each column. (`array::map` need not be inlined, and what it calls would then be compiled for the baseline.)
#[inline(always)]
fn each<'a, const N: usize, const P: usize>(columns: &[&'a [[f32; P]]; N], i: usize) -> [&'a [f32; P]; N] {
    let mut rows = [&[0.0; P]; N];
    for n in 0..N {
        rows[n] = &columns[n][i];
    }
    rows
}

/// Number `k` of each column.
#[inline(always)]
fn across<const N: usize>(columns: &[&(impl Index<usize, Output = f32> + ?Sized); N], k: usize) -> [f32; N] {
    let mut row = [0.0; N];
    for n in 0..N {
        row[n] = columns[n][k];
    }
    row
}

/// Inner product of slices of one length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    total(
        [a, b],
        #[inline(always)]
        |[a, b]| a * b,
    )
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
    fn every_number_is_mapped_and_summed_once() {
        for len in [0, 1, 15, 64, 65, 1000, 2111] {
            let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let y = vec![2.0; len];
            let want: Vec<f32> = x.iter().map(|x| x + 2.0).collect();
            assert_eq!(map([&x, &y], |[x, y]| x + y), want);
            assert_eq!(total([&x, &y], |[x, y]| x + y), want.iter().sum::<f32>());
        }
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
