//! The selective mixer, one token at a time: LayerNorm, causal convolution, selective scan (S6), gate.
//!
//! Equations: Mamba (arXiv 2312.00752), algorithm 2 and equation 2; TSM2 (arXiv 2403.19888), section 3.

use crate::config::S6;
use crate::math::{exp, layer_norm, linear, silu, softplus};
use crate::weights::{S6Weights, TimeMixer};

/// Limit of the values v before the convolution, on both sides.
///
/// dt, B, C and the scan's input all grow with v, so the state grows with the fourth power of v. The limit bounds the
/// state of any model on any readings; a trained model stays far below it.
pub const VALUE_LIMIT: f32 = 30.0;

/// Working memory of one mixer's steps.
#[derive(Debug)]
pub struct S6Scratch<'s> {
    a: &'s mut [f32],
    c: &'s mut [f32],
    dbc: &'s mut [f32],
    dt: &'s mut [f32],
}

impl<'s> S6Scratch<'s> {
    /// Numbers needed for a mixer of these sizes.
    #[must_use]
    pub fn len(sizes: &S6) -> usize {
        sizes.d_inner * (sizes.d_state + 2) + sizes.dt_rank + 2 * sizes.d_state
    }

    /// Cuts the working memory out of `buffer`, which has at least [`S6Scratch::len`] numbers, and prepares A for `weights`.
    pub fn new(weights: &S6Weights<'_>, buffer: &'s mut [f32]) -> Self {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            ..
        } = weights.sizes;
        let (a, rest) = buffer.split_at_mut(e * n);
        let (c, rest) = rest.split_at_mut(e);
        let (dt, rest) = rest.split_at_mut(e);
        for i in 0..n {
            for j in 0..e {
                a[i * e + j] = -exp(weights.a_log[j * n + i]);
            }
        }
        Self {
            a,
            c,
            dbc: &mut rest[..r + 2 * n],
            dt,
        }
    }
}

/// Numbers of recurrent state of a mixer of these sizes; see [`S6Weights::state_len`].
pub(crate) fn state_len(sizes: &S6) -> usize {
    sizes.d_inner * (sizes.d_conv - 1 + sizes.d_state)
}

impl S6Weights<'_> {
    /// Numbers of recurrent state: the last K-1 values `[K-1, E]`, oldest first, then h `[N, E]`.
    #[must_use]
    pub fn state_len(&self) -> usize {
        state_len(&self.sizes)
    }

    /// One token: convolution with SiLU, selection, scan. `v` is the value path `[E]`; `y[E]` receives the scan's
    /// output before the gate.
    pub fn step(&self, state: &mut [f32], v: &[f32], scratch: &mut S6Scratch<'_>, y: &mut [f32]) {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            d_conv: k,
        } = self.sizes;
        let (past, h) = state.split_at_mut((k - 1) * e);
        let c = &mut *scratch.c;
        for i in 0..e {
            let taps = &self.conv[i * k..(i + 1) * k];
            let mut sum = self.conv_bias[i];
            for (j, tap) in taps[..k - 1].iter().enumerate() {
                sum += tap * past[j * e + i];
            }
            c[i] = silu(sum + taps[k - 1] * v[i]);
        }
        if k > 1 {
            past.copy_within(e.., 0);
            past[(k - 2) * e..].copy_from_slice(v);
        }
        self.x_proj.apply(c, scratch.dbc);
        let (d, bc) = scratch.dbc.split_at_mut(r);
        let (b, c_out) = bc.split_at_mut(n);
        for i in 0..n {
            b[i] += self.b_bias[i];
            c_out[i] += self.c_bias[i];
        }
        linear(self.dt_proj, d, scratch.dt);
        for (dt, bias) in scratch.dt.iter_mut().zip(self.dt_bias) {
            *dt = softplus(*dt + bias);
        }
        scan_step(scratch.dt, scratch.a, b, c_out, c, self.d_skip, h, y);
    }
}

/// One step of the selective scan: h <- exp(dt A) h + dt B c, y = sum_n C_n h_n + D c.
///
/// Shapes: `dt`, `c`, `d_skip`, `y` `[E]`; `a` and `h` `[N, E]`; `b`, `c_out` (the C of the equation) `[N]`.
#[expect(clippy::too_many_arguments, reason = "the equation has that many terms")]
pub fn scan_step(dt: &[f32], a: &[f32], b: &[f32], c_out: &[f32], c: &[f32], d_skip: &[f32], h: &mut [f32], y: &mut [f32]) {
    let e = y.len();
    let (dt, c, d_skip) = (&dt[..e], &c[..e], &d_skip[..e]);
    y.fill(0.0);
    for (i, (b, c_out)) in b.iter().zip(c_out).enumerate() {
        let a = &a[i * e..(i + 1) * e];
        let h = &mut h[i * e..(i + 1) * e];
        for j in 0..e {
            h[j] = exp(dt[j] * a[j]) * h[j] + dt[j] * b * c[j];
            y[j] += c_out * h[j];
        }
    }
    for j in 0..e {
        y[j] += d_skip[j] * c[j];
    }
}

/// Numbers of working memory for [`time_mixer`] with these sizes.
pub(crate) fn time_scratch_len(sizes: &S6, d_model: usize) -> usize {
    d_model + 3 * sizes.d_inner + S6Scratch::len(sizes)
}

/// Adds the time mixer's output to every variate: x_m += W_out (y * SiLU(g)). `x` is `[M, D]`, `state` `[M, S6 state]`.
///
/// The values come from x itself, the gate from LayerNorm(x).
pub(crate) fn time_mixer(w: &TimeMixer<'_>, state: &mut [f32], x: &mut [f32], scratch: &mut [f32]) {
    let (e, d) = (w.s6.sizes.d_inner, w.norm.weight.len());
    let (xn, rest) = scratch.split_at_mut(d);
    let (v, rest) = rest.split_at_mut(e);
    let (g, rest) = rest.split_at_mut(e);
    let (y, rest) = rest.split_at_mut(e);
    let mut s6_scratch = S6Scratch::new(&w.s6, rest);
    for (x, state) in x.chunks_exact_mut(d).zip(state.chunks_exact_mut(w.s6.state_len())) {
        layer_norm(x, w.norm.weight, w.norm.bias, xn);
        w.in_proj.rows(0..e).apply(x, v);
        limit(v);
        w.in_proj.rows(e..2 * e).apply(xn, g);
        w.s6.step(state, v, &mut s6_scratch, y);
        gate(y, g, w.gate_bias);
        w.out_proj.add(y, x);
    }
}

/// Limits the values to [`VALUE_LIMIT`].
pub(crate) fn limit(v: &mut [f32]) {
    for v in v {
        *v = v.clamp(-VALUE_LIMIT, VALUE_LIMIT);
    }
}

/// y * SiLU(g + bias).
pub(crate) fn gate(y: &mut [f32], g: &[f32], bias: &[f32]) {
    for ((y, g), bias) in y.iter_mut().zip(g).zip(bias) {
        *y *= silu(g + bias);
    }
}
