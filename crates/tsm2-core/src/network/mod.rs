//! The network: embedding of patches, layers of time and variate mixers with weighted averaging, head.

mod averaging;
pub(crate) mod selective_mixer;
mod variate_mixer;

use crate::config::{Config, Head, NetworkConfig};
use crate::math::layer_norm;
use crate::slices::{at, copy, part_mut, row, rows, rows_mut, split, split_mut};
use crate::weights::NetworkWeights;
use averaging::{add_scaled, average};
use selective_mixer::{state_len, time_mixer, time_scratch_len};
use variate_mixer::{mlp_scratch_len, scan_scratch_len, variate_mlp, variate_scan};

/// The network of a model: sizes and borrowed weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    config: NetworkConfig,
    /// M.
    variates: usize,
    /// H.
    horizon: usize,
    patch_len: usize,
    weights: NetworkWeights<'a>,
}

impl<'a> Network<'a> {
    /// The network of a validated configuration.
    pub fn new(config: &Config, network: NetworkConfig, weights: NetworkWeights<'a>) -> Self {
        Self {
            config: network,
            variates: config.variates,
            horizon: config.horizon,
            patch_len: config.patch_len(),
            weights,
        }
    }

    /// Numbers of recurrent state: `[L, M, S6 state]`.
    pub fn state_len(&self) -> usize {
        self.config.layers * self.variates * state_len(&self.config.time_mixer)
    }

    /// Numbers of working memory that [`Network::step`] needs.
    pub fn scratch_len(&self) -> usize {
        let c = &self.config;
        let time = time_scratch_len(&c.time_mixer, c.d_model);
        let scan = c.variate_mixer.s6().map_or(0, |s6| scan_scratch_len(&s6, self.variates));
        let mlp = c.variate_mixer.mlp().map_or(0, |mlp| mlp_scratch_len(&mlp, self.variates));
        self.outputs_len() + self.width() + self.patch_len.max(time).max(scan).max(mlp)
    }

    /// M D: numbers in the features of all variates.
    fn width(&self) -> usize {
        self.variates * self.config.d_model
    }

    /// The outputs of the embedding and of every layer's two mixers, `[L + 1, 2, M, D]`.
    fn outputs_len(&self) -> usize {
        2 * (self.config.layers + 1) * self.width()
    }

    /// One token of every variate through the network; returns the last layer's features `[M, D]` inside `scratch`.
    /// `patch` writes the patch vector of a variate.
    pub fn step<'s>(&self, state: &mut [f32], scratch: &'s mut [f32], patch: impl FnMut(usize, &mut [f32])) -> &'s mut [f32] {
        let (outputs, rest) = split_mut(scratch, self.outputs_len());
        let (xn, work) = split_mut(rest, self.width());
        self.embed(outputs, work, patch);
        self.mix(state, outputs, xn, work);
        split_mut(outputs, self.outputs_len() - self.width()).1
    }

    /// u = W_e patch + b_e + the variate's vector, written as the two outputs of layer 0.
    fn embed(&self, outputs: &mut [f32], work: &mut [f32], mut patch: impl FnMut(usize, &mut [f32])) {
        let (w, d, md) = (&self.weights, self.config.d_model, self.width());
        let (numbers, _) = split_mut(work, self.patch_len);
        let (u, rest) = split_mut(outputs, md);
        for ((m, u), own) in rows_mut(u, d).enumerate().zip(rows(w.embed_variate, d)) {
            patch(m, numbers);
            w.embed.apply(numbers, u);
            for (u, bias) in u.iter_mut().zip(w.embed_bias) {
                *u += bias;
            }
            for (u, e) in u.iter_mut().zip(own) {
                *u += e;
            }
        }
        copy(u, part_mut(rest, 0, md));
    }

    /// The layers. `outputs` is `[L + 1, 2, M, D]`: afterwards the last block is the last variate mixer's output.
    fn mix(&self, state: &mut [f32], outputs: &mut [f32], xn: &mut [f32], work: &mut [f32]) {
        let (c, d, md) = (&self.config, self.config.d_model, self.width());
        let states = rows_mut(state, self.variates * state_len(&c.time_mixer));
        let mut layers = self.weights.layers;
        for (l, state) in states.enumerate() {
            let layer = layers.layer(l, self.variates, c);
            let (done, rest) = split_mut(outputs, 2 * (l + 1) * md);
            let (time, rest) = split_mut(rest, md);
            let (variate, _) = split_mut(rest, md);
            average(time, done, layer.averaging.alpha, layer.averaging.beta);
            time_mixer(&layer.time, state, time, work);
            let (of_earlier, of_time) = split(layer.averaging.theta, l + 1);
            average(variate, done, of_earlier, layer.averaging.gamma);
            add_scaled(variate, at(of_time, 0), time);
            if layer.scan.is_none() && layer.mlp.is_none() {
                continue;
            }
            for (x, xn) in rows(variate, d).zip(rows_mut(xn, d)) {
                layer_norm(x, layer.variate_norm.weight, layer.variate_norm.bias, xn);
            }
            if let Some(scan) = &layer.scan {
                variate_scan(scan, variate, xn, work);
            }
            if let Some(mlp) = &layer.mlp {
                variate_mlp(mlp, xn, variate, work);
            }
        }
    }

    /// The head of target `m`: out = W_h y + b_h, with `features` `[M, D]` and `out` `[H]`.
    pub fn head(&self, m: usize, features: &[f32], out: &mut [f32]) {
        let (d, h) = (self.config.d_model, self.horizon);
        let own = if self.config.head == Head::PerVariate { m } else { 0 };
        self.weights.head.rows(own * h..(own + 1) * h).apply(row(features, m, d), out);
        for (out, bias) in out.iter_mut().zip(row(self.weights.head_bias, own, h)) {
            *out += bias;
        }
    }
}
