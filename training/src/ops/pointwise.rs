//! Operations of one number at a time: the gate, GELU, and the weighted sum of earlier features.

use super::lanes::{dot, vectorised};
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use tsm2_core::math;

/// y * SiLU(g) (TSM2.md section 3, last line). Both of one shape.
///
/// # Errors
/// Shapes that differ, or a type other than f32.
pub fn gate(y: &Tensor, g: &Tensor) -> Result<Tensor> {
    if !on_cpu(y) {
        return gate_reference(y, g);
    }
    same_shape("gate", y, g)?;
    y.contiguous()?.apply_op2(&g.contiguous()?, Gate)
}

/// [`gate`] of candle's operations.
///
/// # Errors
/// Shapes that differ.
pub fn gate_reference(y: &Tensor, g: &Tensor) -> Result<Tensor> {
    y * g.silu()?
}

/// GELU in its tanh form, as `tsm2_core::math::gelu`.
///
/// # Errors
/// A type other than f32.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if on_cpu(x) {
        x.contiguous()?.apply_op1(Gelu)
    } else {
        gelu_reference(x)
    }
}

/// [`gelu`] of candle's operations.
///
/// # Errors
/// None that are known.
pub fn gelu_reference(x: &Tensor) -> Result<Tensor> {
    x.gelu()
}

/// acc + coefficient * x, with a learned coefficient of shape `[1]` (TSM2.md section 4).
///
/// # Errors
/// Shapes that differ, or a type other than f32.
pub fn axpy(acc: &Tensor, x: &Tensor, coefficient: &Tensor) -> Result<Tensor> {
    if !on_cpu(acc) {
        return axpy_reference(acc, x, coefficient);
    }
    same_shape("axpy", acc, x)?;
    if coefficient.dims() != [1] {
        bail!("axpy: the coefficient must be one number, not {:?}", coefficient.dims());
    }
    acc.contiguous()?.apply_op3(&x.contiguous()?, &coefficient.contiguous()?, Axpy)
}

/// [`axpy`] of candle's operations.
///
/// # Errors
/// Shapes that differ.
pub fn axpy_reference(acc: &Tensor, x: &Tensor, coefficient: &Tensor) -> Result<Tensor> {
    acc + x.broadcast_mul(coefficient)?
}

fn same_shape(name: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() != b.dims() {
        bail!("{name}: shapes differ: {:?} and {:?}", a.dims(), b.dims());
    }
    Ok(())
}

struct Gate;

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, g) = (contiguous(s1, l1)?, contiguous(s2, l2)?);
        let out = vectorised(
            #[inline(always)]
            || y.iter().zip(g).map(|(y, g)| y * math::silu(*g)).collect(),
        );
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(&self, y: &Tensor, g: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (grad_y, grad_g) = with_slices([y, g, grad], |[y, g, grad]| {
            let mut grad_y = vec![0.0; y.len()];
            let mut grad_g = vec![0.0; y.len()];
            vectorised(
                #[inline(always)]
                || gate_backward(y, g, grad, &mut grad_y, &mut grad_g),
            );
            Ok((grad_y, grad_g))
        })?;
        Ok((
            Some(Tensor::from_vec(grad_y, y.shape(), y.device())?),
            Some(Tensor::from_vec(grad_g, y.shape(), y.device())?),
        ))
    }
}

#[inline(always)]
fn gate_backward(y: &[f32], g: &[f32], grad: &[f32], grad_y: &mut [f32], grad_g: &mut [f32]) {
    for ((((y, g), grad), grad_y), grad_g) in y.iter().zip(g).zip(grad).zip(grad_y).zip(grad_g) {
        let (value, slope) = silu_and_slope(*g);
        *grad_y = grad * value;
        *grad_g = grad * y * slope;
    }
}

/// SiLU and its derivative.
#[inline(always)]
pub(super) fn silu_and_slope(x: f32) -> (f32, f32) {
    let s = math::sigmoid(x);
    (x * s, s * (1.0 + x * (1.0 - s)))
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(s, l)?;
        let out = vectorised(
            #[inline(always)]
            || x.iter().map(|x| math::gelu(*x)).collect(),
        );
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad_x = with_slices([x, grad], |[x, grad]| {
            Ok(vectorised(
                #[inline(always)]
                || x.iter().zip(grad).map(|(x, grad)| grad * gelu_slope(*x)).collect::<Vec<f32>>(),
            ))
        })?;
        Tensor::from_vec(grad_x, x.shape(), x.device()).map(Some)
    }
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let cube = math::GELU_CUBIC * x * x;
    let s = math::sigmoid(math::GELU_SCALE * x * (1.0 + cube));
    s + x * s * (1.0 - s) * math::GELU_SCALE * (1.0 + 3.0 * cube)
}

struct Axpy;

impl CustomOp3 for Axpy {
    fn name(&self) -> &'static str {
        "axpy"
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
        let (acc, x, coefficient) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?[0]);
        let out = vectorised(
            #[inline(always)]
            || acc.iter().zip(x).map(|(acc, x)| acc + coefficient * x).collect(),
        );
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _acc: &Tensor,
        x: &Tensor,
        coefficient: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_x, grad_coefficient) = with_slices([x, coefficient, grad], |[x, coefficient, grad]| {
            let grad_x: Vec<f32> = vectorised(
                #[inline(always)]
                || grad.iter().map(|grad| coefficient[0] * grad).collect(),
            );
            Ok((
                grad_x,
                vectorised(
                    #[inline(always)]
                    || dot(grad, x),
                ),
            ))
        })?;
        Ok((
            Some(grad.clone()),
            Some(Tensor::from_vec(grad_x, x.shape(), x.device())?),
            Some(Tensor::from_vec(vec![grad_coefficient], 1, x.device())?),
        ))
    }
}

/// softplus of every number.
pub(super) fn softplus(x: &[f32]) -> Vec<f32> {
    vectorised(
        #[inline(always)]
        || x.iter().map(|x| math::softplus(*x)).collect(),
    )
}

/// Multiplies `grad` by the derivative of softplus at `x`.
pub(super) fn times_sigmoid(grad: &mut [f32], x: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (grad, x) in grad.iter_mut().zip(x) {
                *grad *= math::sigmoid(*x);
            }
        },
    );
}
