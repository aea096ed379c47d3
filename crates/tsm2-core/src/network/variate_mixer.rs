//! The mixers across the variates of one token: a bidirectional selective scan, and an MLP. Neither has a state in time.

use crate::config::{Mlp, S6};
use crate::math::gelu;
use crate::network::selective_mixer::{S6Scratch, gate, limit, state_len};
use crate::slices::{copy, row, row_mut, rows, rows_mut, split_mut};
use crate::weights::{VariateMlp, VariateScan};

/// Numbers of working memory for [`variate_scan`] with these sizes.
pub(crate) fn scan_scratch_len(sizes: &S6, variates: usize) -> usize {
    sizes.d_inner * (2 * variates + 1) + state_len(sizes) + S6Scratch::len(sizes)
}

/// Adds the bidirectional scan: `x += W_out ((y_forward + y_backward) * SiLU(g))`, with `x` and its LayerNorm `xn`
/// `[M, D]`.
pub(crate) fn variate_scan(w: &VariateScan<'_>, x: &mut [f32], xn: &[f32], scratch: &mut [f32]) {
    let e = w.forward.sizes.d_inner;
    let d = w.in_proj.columns();
    let variates = rows(x, d).len();
    let (y, rest) = split_mut(scratch, variates * e);
    let (y_direction, rest) = split_mut(rest, variates * e);
    let (v, rest) = split_mut(rest, e);
    let (state, rest) = split_mut(rest, w.forward.state_len());
    for (direction, rows) in [(&w.forward, 0..e), (&w.backward, e..2 * e)] {
        let backward = rows.start > 0;
        let mut s6_scratch = S6Scratch::new(direction, rest);
        state.fill(0.0);
        for i in 0..variates {
            let m = if backward { variates - 1 - i } else { i };
            w.in_proj.rows(rows.clone()).apply(row(x, m, d), v);
            limit(v);
            direction.step(state, v, &mut s6_scratch, row_mut(y_direction, m, e));
        }
        if backward {
            for (y, b) in y.iter_mut().zip(&*y_direction) {
                *y += b;
            }
        } else {
            copy(y_direction, y);
        }
    }
    for m in 0..variates {
        let y = row_mut(y, m, e);
        w.in_proj.rows(2 * e..3 * e).apply(row(xn, m, d), v);
        gate(y, v, w.gate_bias);
        w.out_proj.add(y, row_mut(x, m, d));
    }
}

/// Numbers of working memory for [`variate_mlp`] with these sizes.
pub(crate) fn mlp_scratch_len(sizes: &Mlp, variates: usize) -> usize {
    variates * sizes.reduce + sizes.hidden
}

/// Adds the MLP: each variate's `xn_m` is reduced to r numbers, and one hidden layer over all M r numbers adds to
/// `out`. `xn` and `out` are `[M, D]`.
pub(crate) fn variate_mlp(w: &VariateMlp<'_>, xn: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let d = w.reduce.columns();
    let variates = rows(xn, d).len();
    let (reduced, rest) = split_mut(scratch, variates * w.sizes.reduce);
    let (hidden, _) = split_mut(rest, w.sizes.hidden);
    for (xn, reduced) in rows(xn, d).zip(rows_mut(reduced, w.sizes.reduce)) {
        w.reduce.apply(xn, reduced);
    }
    w.hidden.apply(reduced, hidden);
    for (h, bias) in hidden.iter_mut().zip(w.hidden_bias) {
        *h = gelu(*h + bias);
    }
    w.out.add(hidden, out);
}
