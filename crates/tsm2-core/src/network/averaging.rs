//! Weighted averaging: the input of a mixer is a learned sum of the outputs of all earlier layers (paper, equations 8
//! and 9).

use crate::slices::{rows, split};

/// out = sum_i t_i yT_i + v_i yV_i over the outputs `done` `[.., 2, M, D]` of earlier layers, with `out` `[M, D]`.
pub(crate) fn average(out: &mut [f32], done: &[f32], of_time: &[f32], of_variate: &[f32]) {
    out.fill(0.0);
    let weights = of_time.iter().zip(of_variate);
    for (pair, (t, v)) in rows(done, 2 * out.len()).zip(weights) {
        let (time, variate) = split(pair, out.len());
        add_scaled(out, *t, time);
        add_scaled(out, *v, variate);
    }
}

/// out += weight x.
pub(crate) fn add_scaled(out: &mut [f32], weight: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += weight * x;
    }
}
