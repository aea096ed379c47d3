//! Sizes, tensors and initial values of a network in window mode.

use rand::{Rng, RngExt};
use tsm2_core::{NetworkConfig, S6, VariateMixer};

use super::error::PaperError;
use tsm2_train::network::mixer::Directions;
use tsm2_train::network::parameters;

/// What mixes the tokens of one variate. Weights are shared by variates; each reads its LayerNormed input and adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeMixer {
    /// The paper's: a selective scan, its state from zero.
    S6(S6),
    /// One matrix over the tokens, the same for every feature, as in the paper's ablation.
    Linear,
}

/// Every number that fixes a network in window mode before it is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowConfig {
    /// M: series in a window.
    pub variates: usize,
    /// L: samples of each in a window.
    pub lookback: usize,
    /// H: steps in a forecast.
    pub horizon: usize,
    /// P: samples in a token's patch.
    pub patch: usize,
    /// S: samples from one token to the next; the last token ends with the window.
    pub stride: usize,
    /// D: width of a token's features.
    pub d_model: usize,
    /// Layers, each a time mixer followed by a variate mixer.
    pub layers: usize,
    /// The mixer over the tokens of one variate.
    pub time: TimeMixer,
    /// The mixer over the variates of one token.
    pub variate: VariateMixer,
    /// The orders in which a selective variate mixer runs.
    pub directions: Directions,
    /// How many layers back the averaging of earlier features reaches: 0 is a plain residual stack, none is as far as there are layers.
    pub max_span: Option<usize>,
}

impl WindowConfig {
    /// Tokens of one variate in a window.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.lookback.saturating_sub(self.patch) / self.stride.max(1) + 1
    }

    /// How many outputs of earlier layers the averaging may reach; 0 is none.
    #[must_use]
    pub fn span(&self) -> usize {
        self.max_span.unwrap_or(self.layers).min(self.layers)
    }

    /// Checks every number.
    ///
    /// # Errors
    /// `Zero`, `Lookback`.
    pub fn validate(&self) -> Result<(), PaperError> {
        let sizes = [
            ("the number of variates", self.variates),
            ("the horizon", self.horizon),
            ("the patch", self.patch),
            ("the stride", self.stride),
            ("d_model", self.d_model),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(PaperError::Zero(name));
        }
        if self.lookback < self.patch {
            return Err(PaperError::Lookback {
                lookback: self.lookback,
                patch: self.patch,
            });
        }
        Ok(())
    }

    /// Names and shapes of the tensors, in order. The mixers' are the bundle's (docs/reference/bundle.md, section 3).
    #[must_use]
    pub fn layout(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.d_model;
        let mut layout = TensorList(Vec::new());
        layout.add("embed.weight", &[d, self.patch]);
        layout.add("embed.bias", &[d]);
        for l in 0..self.layers {
            self.time_layout(&mut layout, &format!("layers.{l}.time."));
            self.variate_layout(&mut layout, &format!("layers.{l}.variate."));
            if let span @ 1.. = self.span() {
                // Layer l has l + 1 earlier outputs of each kind, and its own time mixer's.
                for (name, count) in [("alpha", 0), ("beta", 0), ("theta", 1), ("gamma", 0)] {
                    layout.add(&format!("layers.{l}.average.{name}"), &[(l + 1).min(span) + count]);
                }
            }
        }
        layout.add("head.weight", &[self.horizon, self.tokens() * self.d_model]);
        layout.add("head.bias", &[self.horizon]);
        layout.0
    }

    fn time_layout(&self, layout: &mut TensorList, prefix: &str) {
        let (d, t) = (self.d_model, self.tokens());
        let mut add = |name: &str, shape: &[usize]| layout.add(&format!("{prefix}{name}"), shape);
        add("norm.weight", &[d]);
        add("norm.bias", &[d]);
        match self.time {
            TimeMixer::S6(sizes) => {
                let e = sizes.d_inner;
                add("in_proj.weight", &[2 * e, d]);
                add("gate_bias", &[e]);
                add("out_proj.weight", &[d, e]);
                layout.scan(prefix, &sizes);
            }
            TimeMixer::Linear => {
                add("mix.weight", &[t, t]);
                add("mix.bias", &[t]);
            }
        }
    }

    fn variate_layout(&self, layout: &mut TensorList, prefix: &str) {
        let (d, m) = (self.d_model, self.variates);
        if self.variate == VariateMixer::None {
            return;
        }
        layout.add(&format!("{prefix}norm.weight"), &[d]);
        layout.add(&format!("{prefix}norm.bias"), &[d]);
        if let Some(sizes) = self.variate.s6() {
            let (e, directions) = (sizes.d_inner, self.directions.each());
            layout.add(&format!("{prefix}in_proj.weight"), &[(directions.len() + 1) * e, d]);
            layout.add(&format!("{prefix}gate_bias"), &[e]);
            layout.add(&format!("{prefix}out_proj.weight"), &[d, e]);
            for (name, _) in directions {
                layout.scan(&format!("{prefix}{name}."), &sizes);
            }
        }
        if let Some(sizes) = self.variate.mlp() {
            layout.add(&format!("{prefix}mlp.reduce.weight"), &[sizes.reduce, d]);
            layout.add(&format!("{prefix}mlp.hidden.weight"), &[sizes.hidden, m * sizes.reduce]);
            layout.add(&format!("{prefix}mlp.hidden.bias"), &[sizes.hidden]);
            layout.add(&format!("{prefix}mlp.out.weight"), &[m * d, sizes.hidden]);
        }
    }

    /// Values of one tensor before training.
    pub(super) fn initial(&self, name: &str, shape: &[usize], rng: &mut impl Rng) -> Vec<f32> {
        let count = shape.iter().product();
        if name == "embed.bias" {
            // Without it a LayerNorm makes as much of a quiet patch as of a loud one.
            let bound = (self.patch as f32).sqrt().recip();
            return (0..count).map(|_| rng.random_range(-bound..=bound)).collect();
        }
        if name.ends_with("mlp.out.weight") {
            return vec![0.0; count];
        }
        let mut streaming = NetworkConfig {
            variate_mixer: self.variate,
            ..NetworkConfig::default()
        };
        if let TimeMixer::S6(sizes) = self.time {
            streaming.time_mixer = sizes;
        }
        let mamba = parameters::mamba(name, shape, rng);
        mamba.unwrap_or_else(|| parameters::initial(&streaming, name, shape, rng))
    }
}

/// Tensors as they are listed.
struct TensorList(Vec<(String, Vec<usize>)>);

impl TensorList {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.push((name.to_owned(), shape.to_vec()));
    }

    /// The tensors of one direction of a selective mixer.
    fn scan(&mut self, prefix: &str, sizes: &S6) {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            d_conv: k,
        } = *sizes;
        let tensors: [(&str, &[usize]); 9] = [
            ("conv.weight", &[e, k]),
            ("conv.bias", &[e]),
            ("x_proj.weight", &[r + 2 * n, e]),
            ("b_bias", &[n]),
            ("c_bias", &[n]),
            ("dt_proj.weight", &[e, r]),
            ("dt_proj.bias", &[e]),
            ("a_log", &[e, n]),
            ("d", &[e]),
        ];
        for (name, shape) in tensors {
            self.add(&format!("{prefix}{name}"), shape);
        }
    }
}
