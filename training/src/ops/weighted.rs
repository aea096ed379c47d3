//! Weighted sums: of earlier layers' features (docs/reference/bundle.md, section 10), and of squared errors.

use super::lanes::{dot, map, total};
use super::pointwise::same_shape;
use super::{contiguous, on_cpu, with_slices};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// sum_i weights_i * terms_i, with learned `weights` `[n]` and n terms of one shape (docs/reference/bundle.md, section 10).
///
/// # Errors
/// No term, shapes that do not fit, or a type other than f32.
pub fn weighted_sum(terms: &[&Tensor], weights: &Tensor) -> Result<Tensor> {
    if terms.is_empty() || weights.dims() != [terms.len()] {
        bail!("weighted_sum: {} terms do not fit weights {:?}", terms.len(), weights.dims());
    }
    for term in terms {
        same_shape("weighted_sum", terms[0], term)?;
    }
    if !on_cpu(weights) || terms.len() == 1 {
        return weighted_sum_reference(terms, weights);
    }
    let weights = weights.contiguous()?;
    let mut sum = terms[0].contiguous()?;
    for (i, term) in terms.iter().enumerate().skip(1) {
        let first = (i == 1).then_some(0);
        sum = sum.apply_op3(&term.contiguous()?, &weights, Join { first, second: i })?;
    }
    Ok(sum)
}

/// [`weighted_sum`] of candle's operations.
///
/// # Errors
/// No term, or shapes that do not fit.
pub fn weighted_sum_reference(terms: &[&Tensor], weights: &Tensor) -> Result<Tensor> {
    let weighted = |(i, term): (usize, &&Tensor)| term.broadcast_mul(&weights.narrow(0, i, 1)?);
    let mut weighted = terms.iter().enumerate().map(weighted);
    let Some(first) = weighted.next() else {
        bail!("weighted_sum: no terms")
    };
    weighted.try_fold(first?, |sum, term| sum + term?)
}

/// sum weights * (x - target)^2 over all elements, a scalar. All of one shape; no gradient flows to `target` and `weights`.
///
/// # Errors
/// Shapes that differ, or a type other than f32.
pub fn squared_error(x: &Tensor, target: &Tensor, weights: &Tensor) -> Result<Tensor> {
    same_shape("squared_error", x, target)?;
    same_shape("squared_error", x, weights)?;
    if !on_cpu(x) {
        return squared_error_reference(x, target, weights);
    }
    x.contiguous()?
        .apply_op3(&target.contiguous()?, &weights.contiguous()?, SquaredError)
}

/// [`squared_error`] of candle's operations.
///
/// # Errors
/// Shapes that differ.
pub fn squared_error_reference(x: &Tensor, target: &Tensor, weights: &Tensor) -> Result<Tensor> {
    ((x - target.detach())?.sqr()? * weights.detach())?.sum_all()
}

/// a * x + b * y with a and b out of one vector of weights; without `first`, x is a sum so far and a is one.
struct Join {
    first: Option<usize>,
    second: usize,
}

impl CustomOp3 for Join {
    fn name(&self) -> &'static str {
        "weighted_sum"
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
        let (x, y, weights) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let (a, b) = (self.first.map_or(1.0, |first| weights[first]), weights[self.second]);
        let out = map(
            [x, y],
            #[inline(always)]
            |[x, y]| a * x + b * y,
        );
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        weights: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_x, grad_y, grad_weights) = with_slices([x, y, weights, grad], |[x, y, weights, grad]| {
            let scaled = |weight: f32| {
                map(
                    [grad],
                    #[inline(always)]
                    |[grad]| weight * grad,
                )
            };
            let mut grad_weights = vec![0.0; weights.len()];
            grad_weights[self.second] = dot(grad, y);
            if let Some(first) = self.first {
                grad_weights[first] = dot(grad, x);
            }
            Ok((
                self.first.map(|first| scaled(weights[first])),
                scaled(weights[self.second]),
                grad_weights,
            ))
        })?;
        let grad_x = match grad_x {
            Some(grad_x) => Tensor::from_vec(grad_x, x.shape(), x.device())?,
            None => grad.clone(),
        };
        Ok((
            Some(grad_x),
            Some(Tensor::from_vec(grad_y, y.shape(), y.device())?),
            Some(Tensor::from_vec(grad_weights, weights.shape(), weights.device())?),
        ))
    }
}

struct SquaredError;

impl CustomOp3 for SquaredError {
    fn name(&self) -> &'static str {
        "squared_error"
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
        let sum = total(
            [contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?],
            #[inline(always)]
            |[x, target, weight]| weight * (x - target) * (x - target),
        );
        Ok((CpuStorage::F32(vec![sum]), ().into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        target: &Tensor,
        weights: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad_x = with_slices([x, target, weights, grad], |[x, target, weights, grad]| {
            let twice = 2.0 * grad[0];
            Ok(map(
                [x, target, weights],
                #[inline(always)]
                |[x, target, weight]| twice * weight * (x - target),
            ))
        })?;
        Ok((Some(Tensor::from_vec(grad_x, x.shape(), x.device())?), None, None))
    }
}
