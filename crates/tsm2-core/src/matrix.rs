//! Matrices of weights, row-major: single precision, or 8-bit integers with a scale for each row.
//!
//! Integers are multiplied as they are and scaled once for each row, so a model of a quarter of the bytes takes about the
//! same time. A row's error is at most half its scale, which is 1/254 of its largest weight, in each number.

use core::ops::Range;

use crate::math::dot;
use crate::slices::{part, rows};

/// A borrowed matrix.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    numbers: Numbers<'a>,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
enum Numbers<'a> {
    Single(&'a [f32]),
    Int8 {
        numbers: &'a [i8],
        /// Of each row.
        scales: &'a [f32],
    },
}

impl Default for Matrix<'_> {
    /// A matrix without rows.
    fn default() -> Self {
        Self::single(&[], 1)
    }
}

impl<'a> Matrix<'a> {
    /// Single precision; `numbers` are whole rows of `columns`.
    #[must_use]
    pub fn single(numbers: &'a [f32], columns: usize) -> Self {
        Self {
            numbers: Numbers::Single(numbers),
            columns,
        }
    }

    /// 8-bit integers; `scales` has a number for each row.
    #[must_use]
    pub fn int8(numbers: &'a [i8], scales: &'a [f32], columns: usize) -> Self {
        Self {
            numbers: Numbers::Int8 { numbers, scales },
            columns,
        }
    }

    /// The numbers of a tensor that is kept in single precision in every model.
    pub(crate) fn plain(self) -> &'a [f32] {
        match self.numbers {
            Numbers::Single(numbers) => numbers,
            Numbers::Int8 { .. } => &[],
        }
    }

    /// Numbers in a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Some of the rows.
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        let (first, count) = (rows.start, rows.len());
        let (start, len) = (first * self.columns, count * self.columns);
        match self.numbers {
            Numbers::Single(numbers) => Self::single(part(numbers, start, len), self.columns),
            Numbers::Int8 { numbers, scales } => Self::int8(part(numbers, start, len), part(scales, first, count), self.columns),
        }
    }

    /// Calls `put(out, row x)` for each of `out`, row by row.
    pub(crate) fn each(&self, x: &[f32], out: &mut [f32], mut put: impl FnMut(&mut f32, f32)) {
        match self.numbers {
            Numbers::Single(numbers) => {
                for (out, row) in out.iter_mut().zip(rows(numbers, self.columns)) {
                    put(out, dot(row, x));
                }
            }
            Numbers::Int8 { numbers, scales } => {
                for ((out, row), scale) in out.iter_mut().zip(rows(numbers, self.columns)).zip(scales) {
                    put(out, scale * dot(row, x));
                }
            }
        }
    }

    /// out = W x.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32]) {
        self.each(x, out, |out, y| *out = y);
    }

    /// out += W x.
    pub(crate) fn add(&self, x: &[f32], out: &mut [f32]) {
        self.each(x, out, |out, y| *out += y);
    }
}

/// Rounds a row of weights to integers; returns their scale, which is 1 for a row of zeros.
pub fn quantize(row: &[f32], out: &mut [i8]) -> f32 {
    let largest = row.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
    let scale = largest / 127.0;
    // A row of tiny numbers has no scale that single precision can divide by.
    let scale = if scale >= f32::MIN_POSITIVE { scale } else { 1.0 };
    for (out, w) in out.iter_mut().zip(row) {
        *out = libm::roundf(w / scale) as i8;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_within_half_a_step_of_the_weights() {
        let row: [f32; 21] = core::array::from_fn(|i| (i as f32 - 7.3) * 0.017);
        let mut integers = [0; 21];
        let scale = quantize(&row, &mut integers);
        for (w, &integer) in row.iter().zip(&integers) {
            assert!((w - scale * f32::from(integer)).abs() <= 0.5001 * scale);
        }
        let mut zeros = [1; 3];
        assert_eq!((quantize(&[0.0, 1e-44, 0.0], &mut zeros), zeros), (1.0, [0; 3]));
        assert_eq!(quantize(&[-254.0], &mut zeros[..1]), 2.0);
        assert_eq!(zeros[0], -127);
    }

    #[test]
    fn both_kinds_multiply_alike() {
        let integers: [i8; 33] = core::array::from_fn(|i| (i * 29 % 255) as u8 as i8);
        let scales = [0.5, 0.25, 2.0];
        let single: [f32; 33] = core::array::from_fn(|i| f32::from(integers[i]) * scales[i / 11]);
        let x: [f32; 11] = core::array::from_fn(|i| i as f32 * 0.5 - 2.0);
        let (mut a, mut b) = ([1.0; 3], [1.0; 3]);
        Matrix::single(&single, 11).add(&x, &mut a);
        Matrix::int8(&integers, &scales, 11).add(&x, &mut b);
        assert_eq!(a, b);
        Matrix::single(&single, 11).rows(1..3).apply(&x, &mut a[..2]);
        Matrix::int8(&integers, &scales, 11).rows(1..3).apply(&x, &mut b[..2]);
        assert_eq!(a, b);
    }
}
