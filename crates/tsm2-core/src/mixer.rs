//! The selective mixer, one token at a time: LayerNorm, causal convolution, selective scan (S6), gate, and the MLP across
//! variates. Equations: TSM2 stream mode section 3; Mamba (arXiv 2312.00752) algorithm 2 and equation 2; S6Weights' fields carry
//! the names of the model file.

use crate::config::{Discretisation, Mlp, S6};
use crate::math::{dot, exp, gelu, silu, softplus};
use crate::network::{TimeMixer, VariateMlp, VariateScan};

/// Added to the variance inside LayerNorm.
pub const LAYER_NORM_EPS: f32 = 1e-5;

/// Values v are limited to this before the convolution. dt, B, C and the scan's input all grow with v, so the state grows with its fourth
/// power; the limit bounds the state of any model, whatever it reads, and lies far outside what a trained one meets.
pub const VALUE_LIMIT: f32 = 30.0;

/// Scale and shift of a LayerNorm, `[D]` each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerNorm<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
}

/// LayerNorm of one vector: (x - mean) / sqrt(variance + eps) * weight + bias. All slices have the length of `x`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    let inverse = 1.0 / x.len() as f32;
    let mean = x.iter().sum::<f32>() * inverse;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() * inverse;
    let scale = 1.0 / libm::sqrtf(variance + LAYER_NORM_EPS);
    for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
        *out = (x - mean) * scale * weight + bias;
    }
}

/// out = W x with W `[rows, x.len()]`, row-major.
fn linear(weight: &[f32], x: &[f32], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(weight.chunks_exact(x.len())) {
        *out = dot(row, x);
    }
}

/// Weights of one direction of a selective mixer, and how it steps.
#[derive(Clone, Copy, Debug)]
pub struct S6Weights<'a> {
    /// E, N, R, K.
    pub sizes: S6,
    /// How dt enters the input matrix.
    pub discretisation: Discretisation,
    /// `conv.weight[E,K]`, newest tap last.
    pub conv: &'a [f32],
    /// `conv.bias[E]`.
    pub conv_bias: &'a [f32],
    /// `x_proj.weight[R+2N, E or D]`: rows d, B, C.
    pub x_proj: &'a [f32],
    /// `b_bias[N]`.
    pub b_bias: &'a [f32],
    /// `c_bias[N]`.
    pub c_bias: &'a [f32],
    /// `dt_proj.weight[E,R]`.
    pub dt_proj: &'a [f32],
    /// `dt_proj.bias[E]`.
    pub dt_bias: &'a [f32],
    /// `a_log[E,N]`: A = -exp(a_log).
    pub a_log: &'a [f32],
    /// `d[E]`: the skip from c to y.
    pub d_skip: &'a [f32],
}

impl Default for S6Weights<'_> {
    fn default() -> Self {
        Self {
            sizes: S6 {
                d_inner: 0,
                d_state: 0,
                dt_rank: 0,
                d_conv: 1,
            },
            discretisation: Discretisation::Euler,
            conv: &[],
            conv_bias: &[],
            x_proj: &[],
            b_bias: &[],
            c_bias: &[],
            dt_proj: &[],
            dt_bias: &[],
            a_log: &[],
            d_skip: &[],
        }
    }
}

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

impl S6Weights<'_> {
    /// Numbers of recurrent state: the last K-1 values `[K-1, E]`, oldest first, then h `[N, E]`.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.sizes.d_inner * (self.sizes.d_conv - 1 + self.sizes.d_state)
    }

    /// One token: convolution with SiLU, selection, scan. `v` is the value path `[E]`; `selection` overrides the source of d, B and C
    /// (`None`: the convolved values); `y[E]` receives the scan's output before the gate.
    pub fn step(&self, state: &mut [f32], v: &[f32], selection: Option<&[f32]>, scratch: &mut S6Scratch<'_>, y: &mut [f32]) {
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
        linear(self.x_proj, selection.unwrap_or(c), scratch.dbc);
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
        scan_step(self.discretisation, scratch.dt, scratch.a, b, c_out, c, self.d_skip, h, y);
    }
}

/// One step of the selective scan: h <- exp(dt A) h + dt B c (or its zero-order hold), y = sum_n C_n h_n + D c.
///
/// Shapes: `dt`, `c`, `d_skip`, `y` `[E]`; `a` and `h` `[N, E]`; `b`, `c_out` (the C of the equation) `[N]`.
#[expect(clippy::too_many_arguments, reason = "the equation has that many terms")]
pub fn scan_step(
    discretisation: Discretisation,
    dt: &[f32],
    a: &[f32],
    b: &[f32],
    c_out: &[f32],
    c: &[f32],
    d_skip: &[f32],
    h: &mut [f32],
    y: &mut [f32],
) {
    let e = y.len();
    let (dt, c, d_skip) = (&dt[..e], &c[..e], &d_skip[..e]);
    y.fill(0.0);
    for (i, (b, c_out)) in b.iter().zip(c_out).enumerate() {
        let a = &a[i * e..(i + 1) * e];
        let h = &mut h[i * e..(i + 1) * e];
        for j in 0..e {
            let decay = exp(dt[j] * a[j]);
            let input = match discretisation {
                Discretisation::Euler => dt[j],
                Discretisation::Zoh => (decay - 1.0) / a[j],
            };
            h[j] = decay * h[j] + input * b * c[j];
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
pub(crate) fn time_mixer(w: &TimeMixer<'_>, raw_value_path: bool, from_norm: bool, state: &mut [f32], x: &mut [f32], scratch: &mut [f32]) {
    let (e, d) = (w.s6.sizes.d_inner, w.norm.weight.len());
    let (xn, rest) = scratch.split_at_mut(d);
    let (v, rest) = rest.split_at_mut(e);
    let (g, rest) = rest.split_at_mut(e);
    let (y, rest) = rest.split_at_mut(e);
    let mut s6_scratch = S6Scratch::new(&w.s6, rest);
    for (x, state) in x.chunks_exact_mut(d).zip(state.chunks_exact_mut(w.s6.state_len())) {
        layer_norm(x, w.norm.weight, w.norm.bias, xn);
        linear(&w.in_proj[..e * d], if raw_value_path { x } else { xn }, v);
        limit(v);
        linear(&w.in_proj[e * d..], xn, g);
        w.s6.step(state, v, from_norm.then_some(&*xn), &mut s6_scratch, y);
        gate(y, g, w.gate_bias);
        for (x, row) in x.iter_mut().zip(w.out_proj.chunks_exact(e)) {
            *x += dot(row, y);
        }
    }
}

fn limit(v: &mut [f32]) {
    for v in v {
        *v = v.clamp(-VALUE_LIMIT, VALUE_LIMIT);
    }
}

fn gate(y: &mut [f32], g: &[f32], bias: &[f32]) {
    for ((y, g), bias) in y.iter_mut().zip(g).zip(bias) {
        *y *= silu(g + bias);
    }
}

/// Numbers of working memory for [`variate_scan`] with these sizes.
pub(crate) fn scan_scratch_len(sizes: &S6, variates: usize) -> usize {
    let state = sizes.d_inner * (sizes.d_conv - 1 + sizes.d_state);
    sizes.d_inner * (2 * variates + 1) + state + S6Scratch::len(sizes)
}

/// Adds the bidirectional scan across variates: `x += W_out ((y_forward + y_backward) * SiLU(g))`, with `x` and its LayerNorm `xn`
/// `[M, D]`.
pub(crate) fn variate_scan(w: &VariateScan<'_>, raw_value_path: bool, from_norm: bool, x: &mut [f32], xn: &[f32], scratch: &mut [f32]) {
    let e = w.forward.sizes.d_inner;
    let d = w.out_proj.len() / e;
    let variates = x.len() / d;
    let (y, rest) = scratch.split_at_mut(variates * e);
    let (y_direction, rest) = rest.split_at_mut(variates * e);
    let (v, rest) = rest.split_at_mut(e);
    let (state, rest) = rest.split_at_mut(w.forward.state_len());
    let row = |m: usize| m * d..(m + 1) * d;
    for (direction, rows) in [(&w.forward, 0..e * d), (&w.backward, e * d..2 * e * d)] {
        let backward = rows.start > 0;
        let mut s6_scratch = S6Scratch::new(direction, rest);
        state.fill(0.0);
        for i in 0..variates {
            let m = if backward { variates - 1 - i } else { i };
            let (x, xn) = (&x[row(m)], &xn[row(m)]);
            linear(&w.in_proj[rows.clone()], if raw_value_path { x } else { xn }, v);
            limit(v);
            direction.step(
                state,
                v,
                from_norm.then_some(xn),
                &mut s6_scratch,
                &mut y_direction[m * e..(m + 1) * e],
            );
        }
        if backward {
            for (y, b) in y.iter_mut().zip(&*y_direction) {
                *y += b;
            }
        } else {
            y.copy_from_slice(y_direction);
        }
    }
    for m in 0..variates {
        let y = &mut y[m * e..(m + 1) * e];
        linear(&w.in_proj[2 * e * d..], &xn[row(m)], v);
        gate(y, v, w.gate_bias);
        for (out, weights) in x[row(m)].iter_mut().zip(w.out_proj.chunks_exact(e)) {
            *out += dot(weights, y);
        }
    }
}

/// Numbers of working memory for [`variate_mlp`] with these sizes.
pub(crate) fn mlp_scratch_len(sizes: &Mlp, variates: usize) -> usize {
    variates * sizes.reduce + sizes.hidden
}

/// Adds the MLP across variates: each `xn_m` is reduced to r numbers, one hidden layer over all of them adds to `out`, both `[M, D]`.
pub(crate) fn variate_mlp(w: &VariateMlp<'_>, sizes: &Mlp, xn: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let d = w.reduce.len() / sizes.reduce;
    let variates = xn.len() / d;
    let (reduced, rest) = scratch.split_at_mut(variates * sizes.reduce);
    let hidden = &mut rest[..sizes.hidden];
    for (xn, reduced) in xn.chunks_exact(d).zip(reduced.chunks_exact_mut(sizes.reduce)) {
        linear(w.reduce, xn, reduced);
    }
    linear(w.hidden, reduced, hidden);
    for (h, bias) in hidden.iter_mut().zip(w.hidden_bias) {
        *h = gelu(*h + bias);
    }
    for (out, row) in out.iter_mut().zip(w.out.chunks_exact(sizes.hidden)) {
        *out += dot(row, hidden);
    }
}
