//! A gated recurrent unit (Cho et al. 2014, in the form of cuDNN and PyTorch) over chunks of tokens, with a hand-written backward.
//!
//! Part of a baseline, not of TSM2. The input's products for all tokens are made before, in one matrix product; here each
//! step makes one product for all gates of all streams. The gradient of a carried state is not followed (truncated back-propagation).

use super::lanes::vectorised;
use super::linear::{Matrix, column_sums, multiply};
use super::{contiguous, linear_reference, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Tensor, bail};
use std::sync::{Arc, OnceLock};
use tsm2_core::math;

/// r = sigmoid(x_r + W_r h), z = sigmoid(x_z + W_z h), n = tanh(x_n + r (W_n h + b)), h' = (1 - z) n + z h.
///
/// Shapes: `x` `[S, T, 3D]`, the input's part of r, z and n in this order, with their biases; `weight` `[3D, D]`, rows r, z, n; `bias` `[D]`;
/// `state` `[S, D]`. Returns h at every token, `[S, T, D]`, and after the last, detached.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn gru(x: &Tensor, weight: &Tensor, bias: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = shape(x, weight, bias, state)?;
    if !on_cpu(x) {
        return gru_reference(x, weight, bias, state);
    }
    let op = Gru {
        shape,
        state: state.flatten_all()?.to_vec1()?,
        saved: Arc::new(OnceLock::new()),
    };
    let h = x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    let last = h.detach().narrow(1, shape.tokens - 1, 1)?.squeeze(1)?.contiguous()?;
    Ok((h, last))
}

/// [`gru`] as a loop of candle's operations.
///
/// # Errors
/// Shapes that do not fit.
pub fn gru_reference(x: &Tensor, weight: &Tensor, bias: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
    let Shape { tokens, width: d, .. } = shape(x, weight, bias, state)?;
    let sigmoid = |x: Tensor| (x.neg()?.exp()? + 1.0)?.recip();
    let mut h = state.detach();
    let mut rows = Vec::with_capacity(tokens);
    for t in 0..tokens {
        let x = x.narrow(1, t, 1)?.squeeze(1)?;
        let of_h = linear_reference(&h, weight, None)?;
        let part = |i: usize| Ok::<_, candle_core::Error>((x.narrow(1, i * d, d)?, of_h.narrow(1, i * d, d)?));
        let ((x_r, h_r), (x_z, h_z), (x_n, h_n)) = (part(0)?, part(1)?, part(2)?);
        let (r, z) = (sigmoid((x_r + h_r)?)?, sigmoid((x_z + h_z)?)?);
        let n = (x_n + (r * h_n.broadcast_add(bias)?)?)?.tanh()?;
        h = (&n + (z * (&h - &n)?)?)?;
        rows.push(h.clone());
    }
    Ok((Tensor::stack(&rows, 1)?, h.detach()))
}

#[derive(Clone, Copy)]
struct Shape {
    streams: usize,
    tokens: usize,
    /// D.
    width: usize,
}

fn shape(x: &Tensor, weight: &Tensor, bias: &Tensor, state: &Tensor) -> Result<Shape> {
    let (streams, tokens, gates) = x.dims3()?;
    let width = gates / 3;
    let fits = gates == 3 * width && weight.dims() == [gates, width] && bias.dims() == [width] && state.dims() == [streams, width];
    if !fits || x.elem_count() == 0 {
        bail!(
            "gru: shapes do not fit: x {:?}, weight {:?}, bias {:?}, state {:?}",
            x.dims(),
            weight.dims(),
            bias.dims(),
            state.dims()
        );
    }
    Ok(Shape { streams, tokens, width })
}

struct Gru {
    shape: Shape,
    state: Vec<f32>,
    saved: Arc<OnceLock<Saved>>,
}

/// What the forward pass leaves for the backward one.
struct Saved {
    /// r, z and n at every token, `[S, T, 3D]`.
    gates: Vec<f32>,
    /// W_n h + b, `[S, T, D]`.
    candidate: Vec<f32>,
}

/// tanh by the logistic function of [`math`].
#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 * math::sigmoid(2.0 * x) - 1.0
}

impl Gru {
    /// h before every token, `[S, T, D]`.
    fn before(&self, h: &[f32]) -> Vec<f32> {
        let Shape { tokens, width, .. } = self.shape;
        let of_stream = |(state, h): (&[f32], &[f32])| [state, &h[..(tokens - 1) * width]].concat();
        let streams = self.state.chunks_exact(width).zip(h.chunks_exact(tokens * width));
        streams.flat_map(of_stream).collect()
    }
}

/// One token of one stream: its gates and candidate, and its h from that before.
#[inline(always)]
fn step(x: &[f32], of_h: &[f32], bias: &[f32], before: &[f32], gates: &mut [f32], candidate: &mut [f32], h: &mut [f32]) {
    let d = bias.len();
    let ((x_r, x), (h_r, of_h), (r, gates)) = (x.split_at(d), of_h.split_at(d), gates.split_at_mut(d));
    let ((x_z, x_n), (h_z, h_n), (z, n)) = (x.split_at(d), of_h.split_at(d), gates.split_at_mut(d));
    for i in 0..d {
        r[i] = math::sigmoid(x_r[i] + h_r[i]);
        z[i] = math::sigmoid(x_z[i] + h_z[i]);
        candidate[i] = h_n[i] + bias[i];
        n[i] = tanh(x_n[i] + r[i] * candidate[i]);
        h[i] = n[i] + z[i] * (before[i] - n[i]);
    }
}

/// The gradients of one token of one stream from that of its h: of x, of W h + b, and of h before but for what goes through W.
#[inline(always)]
fn step_back(
    gates: &[f32],
    candidate: &[f32],
    before: &[f32],
    grad: &[f32],
    grad_x: &mut [f32],
    grad_of_h: &mut [f32],
    grad_before: &mut [f32],
) {
    let d = candidate.len();
    let ((r, gates), (of_r, grad_x)) = (gates.split_at(d), grad_x.split_at_mut(d));
    let ((z, n), (of_z, of_n)) = (gates.split_at(d), grad_x.split_at_mut(d));
    let (grad_gates, grad_candidate) = grad_of_h.split_at_mut(2 * d);
    for i in 0..d {
        of_n[i] = grad[i] * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
        of_z[i] = grad[i] * (before[i] - n[i]) * z[i] * (1.0 - z[i]);
        of_r[i] = of_n[i] * candidate[i] * r[i] * (1.0 - r[i]);
        grad_candidate[i] = of_n[i] * r[i];
        grad_before[i] = grad[i] * z[i];
    }
    grad_gates[..d].copy_from_slice(of_r);
    grad_gates[d..].copy_from_slice(of_z);
}

impl CustomOp3 for Gru {
    fn name(&self) -> &'static str {
        "gru"
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
        let (x, weight, bias) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let Shape { streams, tokens, width: d } = self.shape;
        let mut h = vec![0.0; streams * tokens * d];
        let (mut gates, mut candidate) = (vec![0.0; x.len()], vec![0.0; h.len()]);
        let mut of_h = vec![0.0; streams * 3 * d];
        let mut before = self.state.clone();
        for t in 0..tokens {
            let weight = Matrix::rows(weight, 3 * d, d, d).transposed();
            multiply(&mut of_h, 3 * d, Matrix::rows(&before, streams, d, d), weight, false);
            vectorised(
                #[inline(always)]
                || {
                    for (s, (of_h, before)) in of_h.chunks_exact(3 * d).zip(before.chunks_exact_mut(d)).enumerate() {
                        let at = s * tokens + t;
                        let (wide, narrow) = (3 * d * at..3 * d * (at + 1), d * at..d * (at + 1));
                        let h = &mut h[narrow.clone()];
                        step(&x[wide.clone()], of_h, bias, before, &mut gates[wide], &mut candidate[narrow], h);
                        before.copy_from_slice(h);
                    }
                },
            );
        }
        // A second forward pass of the same operation does not happen; its leavings would be the same numbers.
        let _ = self.saved.set(Saved { gates, candidate });
        Ok((CpuStorage::F32(h), (streams, tokens, d).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        h: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(Saved { gates, candidate }) = self.saved.get() else {
            bail!("the gru has no forward pass to go back through")
        };
        let Shape { streams, tokens, width: d } = self.shape;
        let (grad_x, grad_weight, grad_bias) = with_slices([weight, h, grad], |[weight, h, grad]| {
            let before = self.before(h);
            let (mut grad_x, mut grad_of_h) = (vec![0.0; gates.len()], vec![0.0; gates.len()]);
            // Of each stream's h: what comes back from the tokens after.
            let (mut back, mut total) = (vec![0.0; streams * d], vec![0.0; d]);
            for t in (0..tokens).rev() {
                vectorised(
                    #[inline(always)]
                    || {
                        for (s, back) in back.chunks_exact_mut(d).enumerate() {
                            let at = s * tokens + t;
                            let (wide, narrow) = (3 * d * at..3 * d * (at + 1), d * at..d * (at + 1));
                            for ((total, grad), back) in total.iter_mut().zip(&grad[narrow.clone()]).zip(&*back) {
                                *total = grad + back;
                            }
                            let (of_x, of_h) = (&mut grad_x[wide.clone()], &mut grad_of_h[wide.clone()]);
                            step_back(&gates[wide], &candidate[narrow.clone()], &before[narrow], &total, of_x, of_h, back);
                        }
                    },
                );
                let of_token = Matrix::rows(&grad_of_h[3 * d * t..], streams, 3 * d, 3 * d * tokens);
                multiply(&mut back, d, of_token, Matrix::rows(weight, 3 * d, d, d), true);
            }
            let mut grad_weight = vec![0.0; weight.len()];
            let of_h = Matrix::rows(&grad_of_h, streams * tokens, 3 * d, 3 * d);
            multiply(
                &mut grad_weight,
                d,
                of_h.transposed(),
                Matrix::rows(&before, streams * tokens, d, d),
                false,
            );
            let grad_bias = column_sums(&grad_of_h, 3 * d).split_off(2 * d);
            Ok((grad_x, grad_weight, grad_bias))
        })?;
        Ok((
            Some(Tensor::from_vec(grad_x, x.shape(), x.device())?),
            Some(Tensor::from_vec(grad_weight, weight.shape(), weight.device())?),
            Some(Tensor::from_vec(grad_bias, bias.shape(), bias.device())?),
        ))
    }
}
