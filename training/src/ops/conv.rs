//! The mixer's short convolution with its SiLU: depthwise, causal along the recurrence (docs/reference/bundle.md, section 10).

use super::lanes::vectorised;
use super::pointwise::silu_and_slope;
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Tensor, bail};
use std::ops::Range;
use tsm2_core::math;

/// SiLU(depthwise causal convolution + bias).
///
/// Shapes: `v` `[O, L, I, E]`, `weight` `[E, K]` with the newest tap last, `bias` `[E]`, `state` `[O, K-1, I, E]` (the values
/// before the first step, oldest first) or none for zeros. With `reverse` the first step is the last position. Returns
/// `[O, L, I, E]`. No gradient flows to the state; the next state is the last K-1 of state and `v`.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn conv_silu(v: &Tensor, weight: &Tensor, bias: &Tensor, reverse: bool, state: Option<&Tensor>) -> Result<Tensor> {
    let shape = shape(v, weight, bias, reverse, state)?;
    #[cfg(feature = "cuda")]
    if v.device().is_cuda() {
        return super::cuda::conv_silu(shape, v, weight, bias, state);
    }
    if !on_cpu(v) {
        return conv_silu_reference(v, weight, bias, reverse, state);
    }
    let state = match state {
        Some(state) => state.flatten_all()?.to_vec1::<f32>()?,
        None => vec![0.0; shape.before()],
    };
    v.contiguous()?
        .apply_op3(&weight.contiguous()?, &bias.contiguous()?, ConvSilu { shape, state })
}

/// [`conv_silu`] as a sum of shifted products of candle's operations.
///
/// # Errors
/// Shapes that do not fit.
pub fn conv_silu_reference(v: &Tensor, weight: &Tensor, bias: &Tensor, reverse: bool, state: Option<&Tensor>) -> Result<Tensor> {
    let Conv {
        outer,
        length,
        inner,
        d_inner,
        taps,
        ..
    } = shape(v, weight, bias, reverse, state)?;
    let before = match state {
        Some(state) => state.detach(),
        None => Tensor::zeros((outer, taps - 1, inner, d_inner), v.dtype(), v.device())?,
    };
    // In the order of the steps: the values before, then v (turned round when in reverse).
    let v = if reverse { turn(v)? } else { v.clone() };
    let v = if taps > 1 { Tensor::cat(&[&before, &v], 1)? } else { v };
    let mut sum = Tensor::zeros((outer, length, inner, d_inner), v.dtype(), v.device())?;
    for tap in 0..taps {
        sum = (sum + v.narrow(1, tap, length)?.broadcast_mul(&weight.narrow(1, tap, 1)?.flatten_all()?)?)?;
    }
    let out = sum.broadcast_add(bias)?.silu()?;
    if reverse { turn(&out) } else { Ok(out) }
}

/// The second dimension back to front.
fn turn(x: &Tensor) -> Result<Tensor> {
    let rows = (0..x.dim(1)?).rev().map(|at| x.narrow(1, at, 1)).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&rows, 1)
}

pub(super) fn shape(v: &Tensor, weight: &Tensor, bias: &Tensor, reverse: bool, state: Option<&Tensor>) -> Result<Conv> {
    let (outer, length, inner, d_inner) = v.dims4()?;
    let (rows, taps) = weight.dims2()?;
    let fits = rows == d_inner
        && taps > 0
        && bias.dims() == [d_inner]
        && state.is_none_or(|state| state.dims() == [outer, taps - 1, inner, d_inner]);
    if !fits {
        bail!(
            "conv_silu: shapes do not fit: v {:?}, weight {:?}, bias {:?}, state {:?}",
            v.dims(),
            weight.dims(),
            bias.dims(),
            state.map(|state| state.dims())
        );
    }
    Ok(Conv {
        outer,
        length,
        inner,
        d_inner,
        taps,
        reverse,
    })
}

/// The shape of a convolution: that of the sequences, and K.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub(super) outer: usize,
    pub(super) length: usize,
    pub(super) inner: usize,
    pub(super) d_inner: usize,
    pub(super) taps: usize,
    pub(super) reverse: bool,
}

impl Conv {
    /// Numbers in the state: the values before the first step.
    pub(super) fn before(&self) -> usize {
        self.outer * (self.taps - 1) * self.row()
    }

    /// Numbers of one position of one outer sequence.
    #[inline(always)]
    fn row(&self) -> usize {
        self.inner * self.d_inner
    }

    /// The step whose value tap `tap` reads at `step`, or none where it reads the state.
    #[inline(always)]
    fn source(&self, step: usize, tap: usize) -> Option<usize> {
        (step + tap).checked_sub(self.taps - 1)
    }

    /// All features of all inner sequences at a step, as a range of v or of the output.
    #[inline(always)]
    fn at(&self, outer: usize, step: usize) -> Range<usize> {
        let position = if self.reverse { self.length - 1 - step } else { step };
        let start = (outer * self.length + position) * self.row();
        start..start + self.row()
    }

    /// The values tap `tap` reads at a step.
    #[inline(always)]
    fn values<'a>(&self, inputs: &Inputs<'a>, outer: usize, step: usize, tap: usize) -> &'a [f32] {
        match self.source(step, tap) {
            Some(step) => &inputs.v[self.at(outer, step)],
            None => &inputs.state[(outer * (self.taps - 1) + step + tap) * self.row()..][..self.row()],
        }
    }

    /// `[E, K]` as a row `[I, E]` for each tap, so that one step is one run of products over all inner sequences.
    fn spread(&self, weight: &[f32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.taps * self.row());
        for tap in 0..self.taps {
            for _ in 0..self.inner {
                rows.extend(weight.iter().skip(tap).step_by(self.taps));
            }
        }
        rows
    }

    /// The sum over inner sequences of rows `[K, I, E]`, as `[E, K]`: the inverse of [`Conv::spread`] for gradients.
    fn gather(&self, rows: &[f32], taps: usize) -> Vec<f32> {
        let mut weight = vec![0.0; self.d_inner * taps];
        for (tap, rows) in rows.chunks_exact(self.row()).enumerate() {
            for row in rows.chunks_exact(self.d_inner) {
                for (feature, value) in row.iter().enumerate() {
                    weight[feature * taps + tap] += value;
                }
            }
        }
        weight
    }
}

/// What both passes read.
struct Inputs<'a> {
    v: &'a [f32],
    state: &'a [f32],
    /// `[K, I, E]`.
    weight: &'a [f32],
    /// `[I, E]`.
    bias: &'a [f32],
}

struct ConvSilu {
    shape: Conv,
    state: Vec<f32>,
}

impl CustomOp3 for ConvSilu {
    fn name(&self) -> &'static str {
        "conv_silu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        let (v, weight, bias) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let (weight, bias) = (self.shape.spread(weight), bias.repeat(self.shape.inner));
        let mut out = vec![0.0; v.len()];
        let inputs = Inputs {
            v,
            state: &self.state,
            weight: &weight,
            bias: &bias,
        };
        vectorised(
            #[inline(always)]
            || forward(&self.shape, &inputs, &mut out),
        );
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        v: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let shape = &self.shape;
        let (grad_v, grad_weight, grad_bias) = with_slices([v, weight, bias, grad], |[v, weight, bias, grad_out]| {
            let (rows, bias) = (shape.spread(weight), bias.repeat(shape.inner));
            let inputs = Inputs {
                v,
                state: &self.state,
                weight: &rows,
                bias: &bias,
            };
            let mut grad = Gradients {
                v: vec![0.0; v.len()],
                weight: vec![0.0; rows.len()],
                bias: vec![0.0; bias.len()],
            };
            vectorised(
                #[inline(always)]
                || backward(shape, &inputs, grad_out, &mut grad),
            );
            Ok((grad.v, shape.gather(&grad.weight, shape.taps), shape.gather(&grad.bias, 1)))
        })?;
        Ok((
            Some(Tensor::from_vec(grad_v, v.shape(), v.device())?),
            Some(Tensor::from_vec(grad_weight, weight.shape(), v.device())?),
            Some(Tensor::from_vec(grad_bias, bias.shape(), v.device())?),
        ))
    }
}

/// The convolution with its bias at a step, before the SiLU.
#[inline(always)]
fn convolve(shape: &Conv, inputs: &Inputs, outer: usize, step: usize, sum: &mut [f32]) {
    sum.copy_from_slice(inputs.bias);
    for (tap, weight) in inputs.weight.chunks_exact(shape.row()).enumerate() {
        let values = shape.values(inputs, outer, step, tap);
        for ((sum, weight), value) in sum.iter_mut().zip(weight).zip(values) {
            *sum += weight * value;
        }
    }
}

#[inline(always)]
fn forward(shape: &Conv, inputs: &Inputs, out: &mut [f32]) {
    for outer in 0..shape.outer {
        for step in 0..shape.length {
            let out = &mut out[shape.at(outer, step)];
            convolve(shape, inputs, outer, step, out);
            for out in out {
                *out = math::silu(*out);
            }
        }
    }
}

/// What the backward pass fills.
struct Gradients {
    /// As v.
    v: Vec<f32>,
    /// `[K, I, E]`.
    weight: Vec<f32>,
    /// `[I, E]`.
    bias: Vec<f32>,
}

#[inline(always)]
fn backward(shape: &Conv, inputs: &Inputs, grad_out: &[f32], grad: &mut Gradients) {
    // The convolution's result at one step, then its gradient.
    let mut sum = vec![0.0; shape.row()];
    for outer in 0..shape.outer {
        for step in 0..shape.length {
            convolve(shape, inputs, outer, step, &mut sum);
            for ((sum, grad_out), bias) in sum.iter_mut().zip(&grad_out[shape.at(outer, step)]).zip(&mut grad.bias) {
                *sum = grad_out * silu_and_slope(*sum).1;
                *bias += *sum;
            }
            let weights = inputs.weight.chunks_exact(shape.row());
            for (tap, (weight, grad_weight)) in weights.zip(grad.weight.chunks_exact_mut(shape.row())).enumerate() {
                let values = shape.values(inputs, outer, step, tap);
                for ((grad_weight, sum), value) in grad_weight.iter_mut().zip(&sum).zip(values) {
                    *grad_weight += sum * value;
                }
                if let Some(step) = shape.source(step, tap) {
                    for ((grad_v, sum), weight) in grad.v[shape.at(outer, step)].iter_mut().zip(&sum).zip(weight) {
                        *grad_v += sum * weight;
                    }
                }
            }
        }
    }
}
