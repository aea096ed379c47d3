//! Layer normalisation (Ba, Kiros and Hinton 2016) over the last dimension.

use super::lanes::{LANES, Lanes, blocks, load, store, sum, vectorised};
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

/// Added to the variance (docs/reference/bundle.md, section 10).
const EPS: f32 = 1e-5;

/// (x - mean) / sqrt(var + 1e-5) * scale + shift over the last dimension D of `x` `[..., D]`; `scale` and `shift` are `[D]`.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if width == 0 || scale.dims() != [width] || shift.dims() != [width] {
        bail!(
            "layer_norm: shapes do not fit: x {:?}, scale {:?}, shift {:?}",
            x.dims(),
            scale.dims(),
            shift.dims()
        );
    }
    if !on_cpu(x) {
        return layer_norm_reference(x, scale, shift);
    }
    x.contiguous()?.apply_op3(&scale.contiguous()?, &shift.contiguous()?, LayerNorm)
}

/// [`layer_norm`] of candle's operations.
///
/// # Errors
/// Shapes that do not fit.
pub fn layer_norm_reference(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normal = centred.broadcast_div(&(var + f64::from(EPS))?.sqrt()?)?;
    normal.broadcast_mul(scale)?.broadcast_add(shift)
}

struct LayerNorm;

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
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
        let (x, scale, shift) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let mut out = vec![0.0; x.len()];
        vectorised(
            #[inline(always)]
            || forward(x, scale, shift, &mut out),
        );
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_x, grad_scale, grad_shift) = with_slices([x, scale, grad], |[x, scale, grad]| {
            let mut grad_x = vec![0.0; x.len()];
            let mut grad_scale = vec![0.0; scale.len()];
            let mut grad_shift = vec![0.0; scale.len()];
            vectorised(
                #[inline(always)]
                || backward(x, scale, grad, &mut grad_x, &mut grad_scale, &mut grad_shift),
            );
            Ok((grad_x, grad_scale, grad_shift))
        })?;
        Ok((
            Some(Tensor::from_vec(grad_x, x.shape(), x.device())?),
            Some(Tensor::from_vec(grad_scale, scale.shape(), x.device())?),
            Some(Tensor::from_vec(grad_shift, scale.shape(), x.device())?),
        ))
    }
}

/// Mean and 1 / sqrt(var + eps) of a row.
#[inline(always)]
fn statistics(row: &[f32]) -> (f32, f32) {
    let width = row.len() as f32;
    let (whole, tail) = row.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for x in whole {
        for k in 0..LANES {
            lanes[k] += x[k];
        }
    }
    let mean = (sum(&lanes) + tail.iter().sum::<f32>()) / width;
    let mut lanes = [0.0; LANES];
    for x in whole {
        for k in 0..LANES {
            lanes[k] += (x[k] - mean) * (x[k] - mean);
        }
    }
    let var = (sum(&lanes) + tail.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()) / width;
    (mean, 1.0 / (var + EPS).sqrt())
}

#[inline(always)]
fn forward(x: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    let width = scale.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, inverse) = statistics(x);
        for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
            *out = (x - mean) * inverse * scale + shift;
        }
    }
}

#[inline(always)]
fn backward(x: &[f32], scale: &[f32], grad: &[f32], grad_x: &mut [f32], grad_scale: &mut [f32], grad_shift: &mut [f32]) {
    let width = scale.len();
    let zero: Lanes = [0.0; LANES];
    let mut to_scale = vec![zero; blocks(width)];
    let mut to_shift = vec![zero; blocks(width)];
    for ((x, grad), grad_x) in x
        .chunks_exact(width)
        .zip(grad.chunks_exact(width))
        .zip(grad_x.chunks_exact_mut(width))
    {
        let (mean, inverse) = statistics(x);
        // Past the row's end the gradient is zero, so those lanes add nothing.
        let (mut lanes, mut lanes_normal) = (zero, zero);
        for block in 0..blocks(width) {
            let (x, grad, scale) = (load(x, block), load(grad, block), load(scale, block));
            for k in 0..LANES {
                let normal = (x[k] - mean) * inverse;
                to_scale[block][k] += grad[k] * normal;
                to_shift[block][k] += grad[k];
                lanes[k] += grad[k] * scale[k];
                lanes_normal[k] += grad[k] * scale[k] * normal;
            }
        }
        let mean_grad = sum(&lanes) / width as f32;
        let mean_grad_normal = sum(&lanes_normal) / width as f32;
        for (((grad_x, x), grad), scale) in grad_x.iter_mut().zip(x).zip(grad).zip(scale) {
            let normal = (x - mean) * inverse;
            *grad_x = inverse * (grad * scale - mean_grad - normal * mean_grad_normal);
        }
    }
    for block in 0..blocks(width) {
        store(grad_scale, block, &to_scale[block]);
        store(grad_shift, block, &to_shift[block]);
    }
}
