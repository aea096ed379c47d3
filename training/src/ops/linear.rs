//! Linear layers: a matrix product that starts from nothing, a bias, or a residual, and its gradients without transposed copies.
//!
//! Own rather than candle's `matmul` because that asks the operating system for the number of processors at every call (it reads
//! `/proc/cpuinfo`, longer than a small product takes) and spreads over all of them, where the trainer already runs one shard of
//! the batch per thread. The products themselves are the same `gemm` crate's, on the calling thread.

use super::lanes::{LANES, vectorised};
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

/// bias + W x over the last dimension of `x` `[..., in]`, with `weight` `[out, in]`.
///
/// The bias has the shape of the result's last dimensions: `[out]`, or `[variates, out]`, or all of them, when it is a residual.
/// A weight of three dimensions `[G, out, in]` is one matrix per entry of the dimension before the last of `x` `[..., G, in]`:
/// a head per variate.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (shape, out) = shape(x, weight)?;
    if !on_cpu(x) {
        return linear_reference(x, weight, bias);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) if !out.ends_with(bias.dims()) || bias.elem_count() == 0 => {
            bail!("linear: bias {:?} does not fit the result {out:?}", bias.dims())
        }
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Linear { shape, out }),
        None => x.apply_op2(&weight, Linear { shape, out }),
    }
}

/// residual + W x: the end of a mixer.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn linear_onto(residual: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    linear(x, weight, Some(residual))
}

/// [`linear`] of candle's operations.
///
/// # Errors
/// Shapes that do not fit.
pub fn linear_reference(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (Groups { rows, groups, input, .. }, out) = shape(x, weight)?;
    let weight = weight.reshape((groups, (), input))?;
    let by_group = x.reshape((rows, groups, input))?.transpose(0, 1)?.contiguous()?;
    let y = by_group
        .matmul(&weight.transpose(1, 2)?.contiguous()?)?
        .transpose(0, 1)?
        .contiguous()?
        .reshape(out)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// The product of `groups` pairs of matrices that lie side by side: x `[rows, groups, input]`, weight `[groups, output, input]`.
#[derive(Clone, Copy)]
struct Groups {
    rows: usize,
    groups: usize,
    input: usize,
    output: usize,
}

fn shape(x: &Tensor, weight: &Tensor) -> Result<(Groups, Vec<usize>)> {
    let (groups, output, input) = match *weight.dims() {
        [output, input] => (1, output, input),
        [groups, output, input] => (groups, output, input),
        _ => bail!("linear: weight {:?} is not a matrix", weight.dims()),
    };
    let grouped = weight.rank() == 2 || (x.rank() > 1 && x.dim(D::Minus2)? == groups);
    if x.rank() == 0 || x.dim(D::Minus1)? != input || !grouped || x.elem_count() * weight.elem_count() == 0 {
        bail!("linear: x {:?} does not fit weight {:?}", x.dims(), weight.dims());
    }
    let mut out = x.dims().to_vec();
    out[x.rank() - 1] = output;
    let rows = x.elem_count() / (groups * input);
    Ok((
        Groups {
            rows,
            groups,
            input,
            output,
        },
        out,
    ))
}

struct Linear {
    shape: Groups,
    /// The result's dimensions.
    out: Vec<usize>,
}

impl Linear {
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> CpuStorage {
        let Groups {
            rows,
            groups,
            input,
            output,
        } = self.shape;
        let len = rows * groups * output;
        let mut y = match bias {
            Some(bias) => bias.repeat(len / bias.len()),
            None => vec![0.0; len],
        };
        for g in 0..groups {
            let x = Matrix::rows(&x[g * input..], rows, input, groups * input);
            let weight = Matrix::rows(&weight[g * output * input..], output, input, input);
            let y = &mut y[g * output..];
            multiply(y, groups * output, x, weight.transposed(), bias.is_some());
        }
        CpuStorage::F32(y)
    }

    /// Gradients of x (unless nothing needs it) and of the weight.
    fn backward(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Tensor)> {
        let Groups {
            rows,
            groups,
            input,
            output,
        } = self.shape;
        let needed = x.track_op();
        let (grad_x, grad_weight) = with_slices([x, weight, grad], |[x, weight, grad]| {
            let mut grad_x = vec![0.0; if needed { x.len() } else { 0 }];
            let mut grad_weight = vec![0.0; weight.len()];
            for g in 0..groups {
                let grad = Matrix::rows(&grad[g * output..], rows, output, groups * output);
                if needed {
                    let weight = Matrix::rows(&weight[g * output * input..], output, input, input);
                    multiply(&mut grad_x[g * input..], groups * input, grad, weight, false);
                }
                let x = Matrix::rows(&x[g * input..], rows, input, groups * input);
                multiply(&mut grad_weight[g * output * input..], input, grad.transposed(), x, false);
            }
            Ok((grad_x, grad_weight))
        })?;
        let grad_x = needed.then(|| Tensor::from_vec(grad_x, x.shape(), x.device())).transpose()?;
        Ok((grad_x, Tensor::from_vec(grad_weight, weight.shape(), weight.device())?))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((
            self.forward(contiguous(s1, l1)?, contiguous(s2, l2)?, None),
            self.out.clone().into(),
        ))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (grad_x, grad_weight) = self.backward(x, weight, grad)?;
        Ok((grad_x, Some(grad_weight)))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = self.forward(contiguous(s1, l1)?, contiguous(s2, l2)?, Some(contiguous(s3, l3)?));
        Ok((y, self.out.clone().into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_x, grad_weight) = self.backward(x, weight, grad)?;
        let grad_bias = if bias.dims() == grad.dims() {
            grad.clone()
        } else {
            let sums = with_slices([grad], |[grad]| Ok(column_sums(grad, bias.elem_count())))?;
            Tensor::from_vec(sums, bias.shape(), bias.device())?
        };
        Ok((grad_x, Some(grad_weight), Some(grad_bias)))
    }
}

/// The sum of each column of rows of `width`, in order.
pub(super) fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    vectorised(
        #[inline(always)]
        || {
            // A run of rows is summed by itself first: the error then grows with the runs, not with the rows.
            let mut run = vec![0.0; width];
            for rows in values.chunks(width * LANES) {
                run.fill(0.0);
                for row in rows.chunks_exact(width) {
                    for (sum, value) in run.iter_mut().zip(row) {
                        *sum += value;
                    }
                }
                for (sum, run) in sums.iter_mut().zip(&run) {
                    *sum += run;
                }
            }
        },
    );
    sums
}

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn rows(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Index of the last element; none for an empty matrix.
    fn last(&self) -> Option<usize> {
        Some(self.rows.checked_sub(1)? * self.row_stride + self.columns.checked_sub(1)? * self.column_stride)
    }
}

/// y = lhs rhs, or y += lhs rhs with `add`. Row r of y starts at `r * row_stride`.
#[expect(unsafe_code, reason = "the gemm crate's SIMD kernels take pointers and strides")]
pub(super) fn multiply(y: &mut [f32], row_stride: usize, lhs: Matrix, rhs: Matrix, add: bool) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    let (Some(last_lhs), Some(last_rhs)) = (lhs.last(), rhs.last()) else {
        return;
    };
    let last_y = (m - 1) * row_stride + n - 1;
    assert!(rhs.rows == k && row_stride >= n, "the matrices do not fit each other");
    assert!(
        last_lhs < lhs.values.len() && last_rhs < rhs.values.len() && last_y < y.len(),
        "a matrix passes its slice's end"
    );
    // SAFETY: every element gemm reads or writes has an index between 0 and the matrix' last, which was just checked to lie in its
    // slice (strides are not negative, and far below isize::MAX as they are within a slice); y is borrowed mutably, so it overlaps
    // neither operand, and its rows do not overlap each other; with `read_dst` false y is only written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            row_stride as isize,
            add,
            lhs.values.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.values.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's scalar twin.
    fn multiply_by_hand(y: &mut [f32], row_stride: usize, lhs: Matrix, rhs: Matrix, add: bool) {
        for r in 0..lhs.rows {
            for c in 0..rhs.columns {
                let at = |m: &Matrix, r: usize, c: usize| f64::from(m.values[r * m.row_stride + c * m.column_stride]);
                let sum: f64 = (0..lhs.columns).map(|k| at(&lhs, r, k) * at(&rhs, k, c)).sum();
                let y = &mut y[r * row_stride + c];
                *y = if add { *y + sum as f32 } else { sum as f32 };
            }
        }
    }

    #[test]
    fn the_product_is_that_of_its_scalar_twin_and_touches_nothing_else() {
        let values: Vec<f32> = (0..4000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        for (m, k, n) in [(1, 1, 1), (5, 3, 7), (17, 33, 2), (40, 16, 31), (3, 64, 48)] {
            let (plain, turned) = (
                Matrix::rows(&values[7..], m, k, k + 2),
                Matrix::rows(&values[9..], k, m, m + 1).transposed(),
            );
            for lhs in [plain, turned] {
                for rhs in [
                    Matrix::rows(&values[3..], k, n, n),
                    Matrix::rows(&values[5..], n, k, k + 1).transposed(),
                ] {
                    for add in [false, true] {
                        let mut got = values.clone();
                        let mut want = values.clone();
                        multiply(&mut got, n + 3, lhs, rhs, add);
                        multiply_by_hand(&mut want, n + 3, lhs, rhs, add);
                        let worst = got.iter().zip(&want).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
                        assert!(worst < 1e-5, "{m} {k} {n} {add}: {worst:e}");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "passes its slice's end")]
    fn a_matrix_beyond_its_slice_is_not_read() {
        let values = [0.0; 11];
        let matrix = Matrix::rows(&values, 3, 4, 4);
        multiply(&mut [0.0; 9], 3, matrix, Matrix::rows(&values, 4, 2, 2), false);
    }
}
