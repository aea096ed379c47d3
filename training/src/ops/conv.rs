//! The mixer's short convolution with its SiLU: depthwise, causal along the recurrence (TSM2.md section 3).

use super::lanes::{LANES, Lanes, blocks, load, store, transpose, untranspose, vectorised};
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
    if !on_cpu(v) {
        return conv_silu_reference(v, weight, bias, reverse, state);
    }
    let state = match state {
        Some(state) => state.flatten_all()?.to_vec1::<f32>()?,
        None => vec![0.0; shape.outer * (shape.taps - 1) * shape.row()],
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

fn shape(v: &Tensor, weight: &Tensor, bias: &Tensor, reverse: bool, state: Option<&Tensor>) -> Result<Conv> {
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

#[derive(Clone, Copy)]
struct Conv {
    outer: usize,
    length: usize,
    inner: usize,
    d_inner: usize,
    taps: usize,
    reverse: bool,
}

impl Conv {
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
        let weight = transpose(weight, self.shape.d_inner, self.shape.taps, 0.0);
        let mut out = vec![0.0; v.len()];
        let inputs = Inputs {
            v,
            state: &self.state,
            weight: &weight,
            bias,
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
        let (grad_v, grad_weight, grad_bias) = with_slices([v, weight, bias, grad], |[v, weight, bias, grad]| {
            let lanes = transpose(weight, shape.d_inner, shape.taps, 0.0);
            let inputs = Inputs {
                v,
                state: &self.state,
                weight: &lanes,
                bias,
            };
            let mut grad_v = vec![0.0; v.len()];
            let (grad_lanes, grad_bias) = vectorised(
                #[inline(always)]
                || backward(shape, &inputs, grad, &mut grad_v),
            );
            let mut grad_weight = vec![0.0; weight.len()];
            untranspose(&grad_lanes, &mut grad_weight, shape.taps);
            Ok((grad_v, grad_weight, grad_bias))
        })?;
        Ok((
            Some(Tensor::from_vec(grad_v, v.shape(), v.device())?),
            Some(Tensor::from_vec(grad_weight, weight.shape(), v.device())?),
            Some(Tensor::from_vec(grad_bias, bias.shape(), v.device())?),
        ))
    }
}

/// Where a block of features is: sequence, step and block.
#[derive(Clone, Copy)]
struct At {
    outer: usize,
    step: usize,
    inner: usize,
    block: usize,
}

/// What both passes read.
struct Inputs<'a> {
    v: &'a [f32],
    state: &'a [f32],
    /// `[block][tap]`.
    weight: &'a [Lanes],
    bias: &'a [f32],
}

impl Conv {
    /// Every block of every step, sequences first, then steps.
    #[inline(always)]
    fn for_each(&self, mut visit: impl FnMut(At)) {
        for outer in 0..self.outer {
            for step in 0..self.length {
                for inner in 0..self.inner {
                    for block in 0..blocks(self.d_inner) {
                        visit(At { outer, step, inner, block });
                    }
                }
            }
        }
    }

    /// The features at a step, as a range of v or of the output.
    #[inline(always)]
    fn features(&self, at: At) -> Range<usize> {
        let position = if self.reverse { self.length - 1 - at.step } else { at.step };
        let start = ((at.outer * self.length + position) * self.inner + at.inner) * self.d_inner;
        start..start + self.d_inner
    }

    /// What tap `tap` reads.
    #[inline(always)]
    fn tap(&self, inputs: &Inputs, at: At, tap: usize) -> Lanes {
        match self.source(at.step, tap) {
            Some(step) => load(&inputs.v[self.features(At { step, ..at })], at.block),
            None => {
                let start = (at.outer * (self.taps - 1) + at.step + tap) * self.row() + at.inner * self.d_inner;
                load(&inputs.state[start..start + self.d_inner], at.block)
            }
        }
    }

    /// The convolution with its bias, before the SiLU.
    #[inline(always)]
    fn convolve(&self, inputs: &Inputs, at: At) -> Lanes {
        let mut sum = load(inputs.bias, at.block);
        for tap in 0..self.taps {
            let x = self.tap(inputs, at, tap);
            let weight = &inputs.weight[at.block * self.taps + tap];
            for k in 0..LANES {
                sum[k] += weight[k] * x[k];
            }
        }
        sum
    }
}

#[inline(always)]
fn forward(shape: &Conv, inputs: &Inputs, out: &mut [f32]) {
    shape.for_each(
        #[inline(always)]
        |at| {
            let mut sum = shape.convolve(inputs, at);
            for k in 0..LANES {
                sum[k] = math::silu(sum[k]);
            }
            store(&mut out[shape.features(at)], at.block, &sum);
        },
    );
}

/// Fills `grad_v` and returns the gradients of the weight (`[block][tap]`) and of the bias.
#[inline(always)]
fn backward(shape: &Conv, inputs: &Inputs, grad: &[f32], grad_v: &mut [f32]) -> (Vec<Lanes>, Vec<f32>) {
    let mut grad_weight = vec![[0.0; LANES]; inputs.weight.len()];
    let mut grad_bias = vec![[0.0; LANES]; blocks(shape.d_inner)];
    shape.for_each(
        #[inline(always)]
        |at| {
            let sum = shape.convolve(inputs, at);
            let mut grad = load(&grad[shape.features(at)], at.block);
            for k in 0..LANES {
                grad[k] *= silu_and_slope(sum[k]).1;
                grad_bias[at.block][k] += grad[k];
            }
            for tap in 0..shape.taps {
                let x = shape.tap(inputs, at, tap);
                let weight = at.block * shape.taps + tap;
                for k in 0..LANES {
                    grad_weight[weight][k] += grad[k] * x[k];
                }
                if let Some(step) = shape.source(at.step, tap) {
                    let row = &mut grad_v[shape.features(At { step, ..at })];
                    let mut to_v = load(row, at.block);
                    for k in 0..LANES {
                        to_v[k] += grad[k] * inputs.weight[weight][k];
                    }
                    store(row, at.block, &to_v);
                }
            }
        },
    );
    let mut bias_row = vec![0.0; shape.d_inner];
    for (block, lanes) in grad_bias.iter().enumerate() {
        store(&mut bias_row, block, lanes);
    }
    (grad_weight, bias_row)
}
