//! The selective mixer, one token at a time: LayerNorm, causal convolution, selective scan (S6), gate.
//!
//! Equations: Mamba (arXiv 2312.00752), algorithm 2 and equation 2; TSM2 (arXiv 2403.19888), section 3.

use crate::config::S6;
use crate::math::{exp, layer_norm, linear, silu, softplus};
use crate::slices::{at, copy, row_mut, rows, rows_mut, shift_rows, split, split_mut};
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
        let (a, rest) = split_mut(buffer, e * n);
        let (c, rest) = split_mut(rest, e);
        let (dt, rest) = split_mut(rest, e);
        let (dbc, _) = split_mut(rest, r + 2 * n);
        for (i, a) in rows_mut(a, e).enumerate() {
            for (a, logs) in a.iter_mut().zip(rows(weights.a_log, n)) {
                *a = -exp(at(logs, i));
            }
        }
        Self { a, c, dbc, dt }
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
        let (past, h) = split_mut(state, (k - 1) * e);
        let c = &mut *scratch.c;
        for (i, ((c, taps), (bias, v))) in c.iter_mut().zip(rows(self.conv, k)).zip(self.conv_bias.iter().zip(v)).enumerate() {
            let (earlier, newest) = split(taps, k - 1);
            let mut sum = *bias;
            for (j, tap) in earlier.iter().enumerate() {
                sum += tap * at(past, j * e + i);
            }
            *c = silu(sum + at(newest, 0) * v);
        }
        if k > 1 {
            shift_rows(past, e);
            copy(v, row_mut(past, k - 2, e));
        }
        self.x_proj.apply(c, scratch.dbc);
        let (d, bc) = split_mut(scratch.dbc, r);
        let (b, c_out) = split_mut(bc, n);
        add(b, self.b_bias);
        add(c_out, self.c_bias);
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
    y.fill(0.0);
    let of_state = rows(a, e).zip(rows_mut(h, e));
    for ((b, c_out), (a, h)) in b.iter().zip(c_out).zip(of_state) {
        let of_channel = dt.iter().zip(a).zip(c);
        for ((h, y), ((dt, a), c)) in h.iter_mut().zip(y.iter_mut()).zip(of_channel) {
            *h = exp(dt * a) * *h + dt * b * c;
            *y += c_out * *h;
        }
    }
    for ((y, d_skip), c) in y.iter_mut().zip(d_skip).zip(c) {
        *y += d_skip * c;
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
    let (xn, rest) = split_mut(scratch, d);
    let (v, rest) = split_mut(rest, e);
    let (g, rest) = split_mut(rest, e);
    let (y, rest) = split_mut(rest, e);
    let mut s6_scratch = S6Scratch::new(&w.s6, rest);
    for (x, state) in rows_mut(x, d).zip(rows_mut(state, w.s6.state_len())) {
        layer_norm(x, w.norm.weight, w.norm.bias, xn);
        w.in_proj.rows(0..e).apply(x, v);
        limit(v);
        w.in_proj.rows(e..2 * e).apply(xn, g);
        w.s6.step(state, v, &mut s6_scratch, y);
        gate(y, g, w.gate_bias);
        w.out_proj.add(y, x);
    }
}

/// x += bias.
fn add(x: &mut [f32], bias: &[f32]) {
    for (x, bias) in x.iter_mut().zip(bias) {
        *x += bias;
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
