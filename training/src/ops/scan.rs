//! The selective scan (S6) as a candle operation with a hand-written backward.
//!
//! candle's operations take at most three tensors, so B, C, a_log and D travel as one flat tensor. The last state is not a
//! second result but is handed out at the side, detached: the gradient of a carried state is not followed (truncated
//! back-propagation, docs/explanation/training.md, Training).

use super::lanes::{Lanes, transpose, vectorised};
use super::scan_kernel::{Inputs, ScanShape, backward, forward};
use super::{contiguous, on_cpu, pointwise, with_slices};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Tensor, bail};
use std::sync::{Arc, OnceLock};
use tsm2_core::math;

/// The form of the recurrence.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// From the last position to the first: the backward half of the variate mixer.
    pub reverse: bool,
}

/// h = exp(dt A) h + dt B c; y = sum_n C h + D c, with dt = softplus(dt_raw) and A = -exp(a_log) (docs/reference/bundle.md, section 10).
///
/// Shapes: `c` and `dt_raw` (bias included) `[O, L, I, E]`, `bc` (B, then C) `[O, L, I, 2N]`, `a_log` `[E, N]`, `d` `[E]`,
/// `state` `[O, I, E, N]` or none for zero. Returns y `[O, L, I, E]` and the state after the last step, detached.
///
/// # Errors
/// Shapes that do not fit, or a type other than f32.
pub fn selective_scan(
    c: &Tensor,
    dt_raw: &Tensor,
    bc: &Tensor,
    a_log: &Tensor,
    d: &Tensor,
    state: Option<&Tensor>,
    options: ScanOptions,
) -> Result<(Tensor, Tensor)> {
    let shape = shape(c, dt_raw, bc, a_log, d, state, options)?;
    #[cfg(feature = "cuda")]
    if c.device().is_cuda() {
        return super::cuda::selective_scan(shape, c, dt_raw, bc, a_log, d, state);
    }
    if !on_cpu(c) {
        return selective_scan_reference(c, dt_raw, bc, a_log, d, state, options);
    }
    let state = state.map(|state| state.flatten_all()?.to_vec1::<f32>()).transpose()?;
    let saved = Arc::new(OnceLock::new());
    let op = Scan {
        shape,
        state,
        saved: saved.clone(),
    };
    let y = c.contiguous()?.apply_op3(&dt_raw.contiguous()?, &pack(bc, a_log, d)?, op)?;
    let Some(Saved { last_state, .. }) = saved.get() else {
        bail!("the selective scan kept nothing")
    };
    let last_state = Tensor::from_slice(last_state, (shape.outer, shape.inner, shape.d_inner, shape.d_state), c.device())?;
    Ok((y, last_state))
}

/// B, C, a_log and D as the operation's third tensor.
pub(super) fn pack(bc: &Tensor, a_log: &Tensor, d: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[bc.flatten_all()?, a_log.flatten_all()?, d.flatten_all()?], 0)
}

pub(super) fn shape(
    c: &Tensor,
    dt_raw: &Tensor,
    bc: &Tensor,
    a_log: &Tensor,
    d: &Tensor,
    state: Option<&Tensor>,
    options: ScanOptions,
) -> Result<ScanShape> {
    let (outer, length, inner, d_inner) = c.dims4()?;
    let (rows, d_state) = a_log.dims2()?;
    let fits = dt_raw.dims() == c.dims()
        && bc.dims() == [outer, length, inner, 2 * d_state]
        && rows == d_inner
        && d.dims() == [d_inner]
        && state.is_none_or(|state| state.dims() == [outer, inner, d_inner, d_state]);
    if !fits || d_state == 0 {
        bail!(
            "selective_scan: shapes do not fit: c {:?}, dt {:?}, bc {:?}, a_log {:?}, d {:?}, state {:?}",
            c.dims(),
            dt_raw.dims(),
            bc.dims(),
            a_log.dims(),
            d.dims(),
            state.map(|state| state.dims())
        );
    }
    Ok(ScanShape {
        outer,
        length,
        inner,
        d_inner,
        d_state,
        reverse: options.reverse,
    })
}

struct Scan {
    shape: ScanShape,
    state: Option<Vec<f32>>,
    saved: Arc<OnceLock<Saved>>,
}

/// What the forward pass leaves for the backward one and for the caller.
struct Saved {
    dt: Vec<f32>,
    a: Vec<Lanes>,
    kept: Vec<Lanes>,
    last_state: Vec<f32>,
}

impl Scan {
    /// The flat third argument as (B and C, a_log, D).
    fn unpack<'a>(&self, packed: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (selection, rest) = packed.split_at(self.shape.selections());
        let (a_log, skip) = rest.split_at(self.shape.d_inner * self.shape.d_state);
        (selection, a_log, skip)
    }
}

impl CustomOp3 for Scan {
    fn name(&self) -> &'static str {
        "selective_scan"
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
        let (c, dt_raw, packed) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let (selection, a_log, skip) = self.unpack(packed);
        let dt = pointwise::softplus(dt_raw);
        let a_rows: Vec<f32> = a_log.iter().map(|a_log| -math::exp(*a_log)).collect();
        let a = transpose(&a_rows, self.shape.d_inner, self.shape.d_state, -1.0);
        let (shape, state) = (&self.shape, self.state.as_deref());
        let inputs = Inputs {
            c,
            dt: &dt,
            selection,
            a: &a,
            skip,
        };
        let out = vectorised(
            #[inline(always)]
            || forward(shape, inputs, state),
        );
        // A second forward pass of the same operation does not happen; its leavings would be the same numbers.
        let _ = self.saved.set(Saved {
            dt,
            a,
            kept: out.kept,
            last_state: out.last_state,
        });
        Ok((CpuStorage::F32(out.y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        c: &Tensor,
        dt_raw: &Tensor,
        packed: &Tensor,
        _y: &Tensor,
        grad_y: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else {
            bail!("the selective scan has no forward pass to go back through")
        };
        let shape = &self.shape;
        let (grad_c, grad_dt, grad_packed) = with_slices([c, dt_raw, packed, grad_y], |[c, dt_raw, packed, grad_y]| {
            let (selection, _, skip) = self.unpack(packed);
            let inputs = Inputs {
                c,
                dt: &saved.dt,
                selection,
                a: &saved.a,
                skip,
            };
            let mut grad = vectorised(
                #[inline(always)]
                || backward(shape, inputs, &saved.kept, grad_y),
            );
            pointwise::times_sigmoid(&mut grad.dt, dt_raw);
            // A = -exp(a_log) is its own derivative.
            for (grad, a) in grad.a.iter_mut().zip(&saved.a) {
                for (grad, a) in grad.iter_mut().zip(a) {
                    *grad *= a;
                }
            }
            let mut grad_packed = grad.selection;
            let start = grad_packed.len();
            grad_packed.resize(packed.len() - skip.len(), 0.0);
            super::lanes::untranspose(&grad.a, &mut grad_packed[start..], shape.d_state);
            grad_packed.extend_from_slice(&grad.skip);
            Ok((grad.c, grad.dt, grad_packed))
        })?;
        let features = c.shape();
        Ok((
            Some(Tensor::from_vec(grad_c, features, c.device())?),
            Some(Tensor::from_vec(grad_dt, features, c.device())?),
            Some(Tensor::from_vec(grad_packed, packed.shape(), c.device())?),
        ))
    }
}

/// [`selective_scan`] as a loop of candle's operations.
///
/// # Errors
/// Shapes that do not fit.
pub fn selective_scan_reference(
    c: &Tensor,
    dt_raw: &Tensor,
    bc: &Tensor,
    a_log: &Tensor,
    d: &Tensor,
    state: Option<&Tensor>,
    options: ScanOptions,
) -> Result<(Tensor, Tensor)> {
    let shape = shape(c, dt_raw, bc, a_log, d, state, options)?;
    let ScanShape {
        outer,
        length,
        inner,
        d_inner,
        d_state,
        ..
    } = shape;
    // softplus(x) = max(x, 0) + ln(1 + exp(-|x|))
    let dt = (dt_raw.relu()? + (dt_raw.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    let a = a_log.exp()?.neg()?;
    let mut h = match state {
        Some(state) => state.detach(),
        None => Tensor::zeros((outer, inner, d_inner, d_state), c.dtype(), c.device())?,
    };
    let mut rows = Vec::with_capacity(length);
    for step in 0..length {
        let position = if options.reverse { length - 1 - step } else { step };
        let at = |x: &Tensor| x.narrow(1, position, 1)?.squeeze(1);
        let (c, dt, bc) = (at(c)?.unsqueeze(D::Minus1)?, at(&dt)?.unsqueeze(D::Minus1)?, at(bc)?.unsqueeze(2)?);
        let (b, c_out) = (bc.narrow(3, 0, d_state)?, bc.narrow(3, d_state, d_state)?);
        let decay = dt.broadcast_mul(&a)?.exp()?;
        h = ((decay * h)? + dt.broadcast_mul(&b)?.broadcast_mul(&c)?)?;
        let y = h.broadcast_mul(&c_out)?.sum(D::Minus1)?;
        rows.push((y + c.squeeze(D::Minus1)?.broadcast_mul(d)?)?);
    }
    if options.reverse {
        rows.reverse();
    }
    Ok((Tensor::stack(&rows, 1)?, h.detach()))
}
