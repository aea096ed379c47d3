//! Operations of one number at a time: the gate, GELU and a limit.

use super::lanes::{map, vectorised};
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use tsm2_core::math;

/// y * SiLU(g) (docs/reference/bundle.md, section 10). Both of one shape.
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
/// None.
pub fn gelu_reference(x: &Tensor) -> Result<Tensor> {
    x.gelu()
}

/// x limited to [-bound, bound]; no gradient flows where it was.
///
/// # Errors
/// A type other than f32.
pub fn limit(x: &Tensor, bound: f32) -> Result<Tensor> {
    if on_cpu(x) {
        x.contiguous()?.apply_op1(Limit(bound))
    } else {
        limit_reference(x, bound)
    }
}

/// [`limit`] of candle's operations.
///
/// # Errors
/// A type other than f32.
pub fn limit_reference(x: &Tensor, bound: f32) -> Result<Tensor> {
    x.clamp(-bound, bound)
}

pub(super) fn same_shape(name: &str, a: &Tensor, b: &Tensor) -> Result<()> {
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
        let out = map(
            [y, g],
            #[inline(always)]
            |[y, g]| y * math::silu(g),
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

struct Limit(f32);

impl CustomOp1 for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let bound = self.0;
        let out = map(
            [contiguous(s, l)?],
            #[inline(always)]
            |[x]| x.clamp(-bound, bound),
        );
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let bound = self.0;
        let grad_x = with_slices([x, grad], |[x, grad]| {
            Ok(map(
                [x, grad],
                #[inline(always)]
                |[x, grad]| if x.abs() <= bound { grad } else { 0.0 },
            ))
        })?;
        Tensor::from_vec(grad_x, x.shape(), x.device()).map(Some)
    }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((
            CpuStorage::F32(map(
                [contiguous(s, l)?],
                #[inline(always)]
                |[x]| math::gelu(x),
            )),
            l.shape().clone(),
        ))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad_x = with_slices([x, grad], |[x, grad]| {
            Ok(map(
                [x, grad],
                #[inline(always)]
                |[x, grad]| grad * gelu_slope(x),
            ))
        })?;
        Tensor::from_vec(grad_x, x.shape(), x.device()).map(Some)
    }
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let cube = math::GELU_CUBIC * x * x;
    let s = math::sigmoid(math::GELU_SCALE * x * (1.0 + cube));
    let slope = s + x * s * (1.0 - s) * math::GELU_SCALE * (1.0 + 3.0 * cube);
    if x < math::GELU_FLAT { 0.0 } else { slope }
}

/// softplus of every number: ln(1 + e^x).
pub(super) fn softplus(x: &[f32]) -> Vec<f32> {
    map(
        [x],
        #[inline(always)]
        |[x]| math::softplus(x),
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
