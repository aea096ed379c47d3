//! The learned tensors: names, shapes, and views into one flat slice.
//!
//! [`Weights::build`] walks every tensor once, in the canonical order. Two callers use this one walk: [`layout`] lists
//! the tensors (for the model file and the trainer), [`Weights::view`] cuts them out of a flat slice (for the step).
//! So the list and the cut cannot disagree.

use core::fmt;

use crate::config::{Config, Head, MAX_LAYERS, Mlp, NetworkConfig, S6};
use crate::error::{Error, check_len};

/// Name of a tensor in the model file, for example `layers.0.variate.forward.conv.weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorName {
    layer: Option<usize>,
    block: &'static str,
    leaf: &'static str,
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, "layers.{layer}.")?;
        }
        f.write_str(self.block)?;
        if !self.leaf.is_empty() {
            write!(f, ".{}", self.leaf)?;
        }
        Ok(())
    }
}

/// Calls `visit` with the name and shape (row-major) of every tensor of the model, in canonical order.
///
/// # Errors
/// A fault of the configuration.
pub fn layout(config: &Config, mut visit: impl FnMut(TensorName, &[usize])) -> Result<(), Error> {
    config.validate()?;
    Weights::build(config, &mut |name, shape: &[usize]| {
        visit(name, shape);
        &[]
    });
    Ok(())
}

/// Numbers in all tensors together.
///
/// # Errors
/// A fault of the configuration.
pub fn parameter_count(config: &Config) -> Result<usize, Error> {
    let mut count = 0;
    layout(config, |_, shape| count += shape.iter().product::<usize>())?;
    Ok(count)
}

/// Scale and shift of a LayerNorm, `[D]` each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerNorm<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
}

/// Weights of one direction of a selective mixer. The fields carry the names of the model file.
#[derive(Clone, Copy, Debug)]
pub struct S6Weights<'a> {
    /// E, N, R and the taps of the convolution.
    pub sizes: S6,
    /// `conv.weight[E,d_conv]`, newest tap last.
    pub conv: &'a [f32],
    /// `conv.bias[E]`.
    pub conv_bias: &'a [f32],
    /// `x_proj.weight[R+2N,E]`: rows d, B, C.
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

/// Weights of one layer's time mixer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimeMixer<'a> {
    pub norm: LayerNorm<'a>,
    pub in_proj: &'a [f32],
    pub gate_bias: &'a [f32],
    pub s6: S6Weights<'a>,
    pub out_proj: &'a [f32],
}

/// Weights of one layer's scan across variates: two directions under one gate and one output projection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VariateScan<'a> {
    pub in_proj: &'a [f32],
    pub gate_bias: &'a [f32],
    pub forward: S6Weights<'a>,
    pub backward: S6Weights<'a>,
    pub out_proj: &'a [f32],
}

/// Weights of one layer's MLP across variates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VariateMlp<'a> {
    pub sizes: Mlp,
    pub reduce: &'a [f32],
    pub hidden: &'a [f32],
    pub hidden_bias: &'a [f32],
    pub out: &'a [f32],
}

/// Coefficients of the weighted averaging of one layer (paper, equations 8 and 9).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Averaging<'a> {
    pub alpha: &'a [f32],
    pub beta: &'a [f32],
    pub theta: &'a [f32],
    pub gamma: &'a [f32],
}

/// Weights of one layer. The scan and the MLP across variates share the LayerNorm `variate_norm`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layer<'a> {
    pub averaging: Averaging<'a>,
    pub time: TimeMixer<'a>,
    pub variate_norm: LayerNorm<'a>,
    pub scan: Option<VariateScan<'a>>,
    pub mlp: Option<VariateMlp<'a>>,
}

/// Weights of the network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkWeights<'a> {
    pub embed: &'a [f32],
    pub embed_bias: &'a [f32],
    pub embed_variate: &'a [f32],
    pub layers: [Layer<'a>; MAX_LAYERS],
    pub head: &'a [f32],
    pub head_bias: &'a [f32],
}

/// All learned tensors of a model, borrowed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weights<'a> {
    pub network: Option<NetworkWeights<'a>>,
    pub linear_head: &'a [f32],
}

impl<'a> Weights<'a> {
    /// Cuts the tensors out of `weights`, one after the other.
    pub fn view(config: &Config, weights: &'a [f32]) -> Result<Self, Error> {
        check_len("weights", weights.len(), parameter_count(config)?)?;
        let mut rest = weights;
        Ok(Self::build(config, &mut |_, shape: &[usize]| {
            let (tensor, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            tensor
        }))
    }

    /// The walk over all tensors. `config` is valid.
    fn build(config: &Config, take: &mut impl FnMut(TensorName, &[usize]) -> &'a [f32]) -> Self {
        let network = config.network.map(|network| NetworkWeights::build(config, &network, take));
        let features = config.linear_head_features();
        let shape = [config.targets(), config.horizon, features];
        let shape = if config.linear_head.per_variate { &shape } else { &shape[1..] };
        let name = TensorName {
            layer: None,
            block: "linear_head",
            leaf: "weight",
        };
        let linear_head = if features > 0 { take(name, shape) } else { &[] };
        Self { network, linear_head }
    }
}

impl<'a> NetworkWeights<'a> {
    fn build(config: &Config, network: &NetworkConfig, take: &mut impl FnMut(TensorName, &[usize]) -> &'a [f32]) -> Self {
        let (m, d) = (config.variates, network.d_model);
        let mut top = |block, leaf, shape: &[usize]| take(TensorName { layer: None, block, leaf }, shape);
        let mut weights = Self {
            embed: top("embed", "weight", &[d, config.patch_len()]),
            embed_bias: top("embed", "bias", &[d]),
            embed_variate: top("embed", "variate", &[m, d]),
            ..Self::default()
        };
        for (l, layer) in weights.layers[..network.layers].iter_mut().enumerate() {
            *layer = Layer::build(l, m, network, &mut |block, leaf, shape: &[usize]| {
                let layer = Some(l);
                take(TensorName { layer, block, leaf }, shape)
            });
        }
        // Covariates have features like any variate; only targets have a head.
        let shape = [config.targets(), config.horizon, d];
        let first = if network.head == Head::PerVariate { 0 } else { 1 };
        let mut top = |block, leaf, shape: &[usize]| take(TensorName { layer: None, block, leaf }, shape);
        weights.head = top("head", "weight", &shape[first..]);
        weights.head_bias = top("head", "bias", &shape[first..2]);
        weights
    }
}

impl<'a> Layer<'a> {
    /// The walk over the tensors of layer `l` of a model of `m` variates.
    fn build(
        l: usize,
        m: usize,
        network: &NetworkConfig,
        take: &mut impl FnMut(&'static str, &'static str, &[usize]) -> &'a [f32],
    ) -> Self {
        let d = network.d_model;
        let mut layer = Self {
            averaging: Averaging {
                alpha: take("average", "alpha", &[l + 1]),
                beta: take("average", "beta", &[l + 1]),
                theta: take("average", "theta", &[l + 2]),
                gamma: take("average", "gamma", &[l + 1]),
            },
            ..Self::default()
        };
        let e = network.time_mixer.d_inner;
        layer.time = TimeMixer {
            norm: LayerNorm {
                weight: take("time", "norm.weight", &[d]),
                bias: take("time", "norm.bias", &[d]),
            },
            in_proj: take("time", "in_proj.weight", &[2 * e, d]),
            gate_bias: take("time", "gate_bias", &[e]),
            s6: S6Weights::build(&network.time_mixer, "time", take),
            out_proj: take("time", "out_proj.weight", &[d, e]),
        };
        let (s6, mlp) = (network.variate_mixer.s6(), network.variate_mixer.mlp());
        if s6.is_some() || mlp.is_some() {
            layer.variate_norm = LayerNorm {
                weight: take("variate", "norm.weight", &[d]),
                bias: take("variate", "norm.bias", &[d]),
            };
        }
        layer.scan = s6.map(|s6| VariateScan {
            in_proj: take("variate", "in_proj.weight", &[3 * s6.d_inner, d]),
            gate_bias: take("variate", "gate_bias", &[s6.d_inner]),
            forward: S6Weights::build(&s6, "variate.forward", take),
            backward: S6Weights::build(&s6, "variate.backward", take),
            out_proj: take("variate", "out_proj.weight", &[d, s6.d_inner]),
        });
        layer.mlp = mlp.map(|sizes| VariateMlp {
            sizes,
            reduce: take("variate", "mlp.reduce.weight", &[sizes.reduce, d]),
            hidden: take("variate", "mlp.hidden.weight", &[sizes.hidden, m * sizes.reduce]),
            hidden_bias: take("variate", "mlp.hidden.bias", &[sizes.hidden]),
            out: take("variate", "mlp.out.weight", &[m * d, sizes.hidden]),
        });
        layer
    }
}

impl<'a> S6Weights<'a> {
    /// The walk over the tensors of one direction of a selective mixer.
    fn build(sizes: &S6, block: &'static str, take: &mut impl FnMut(&'static str, &'static str, &[usize]) -> &'a [f32]) -> Self {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            d_conv: k,
        } = *sizes;
        Self {
            sizes: *sizes,
            conv: take(block, "conv.weight", &[e, k]),
            conv_bias: take(block, "conv.bias", &[e]),
            x_proj: take(block, "x_proj.weight", &[r + 2 * n, e]),
            b_bias: take(block, "b_bias", &[n]),
            c_bias: take(block, "c_bias", &[n]),
            dt_proj: take(block, "dt_proj.weight", &[e, r]),
            dt_bias: take(block, "dt_proj.bias", &[e]),
            a_log: take(block, "a_log", &[e, n]),
            d_skip: take(block, "d", &[e]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinearHead, VariateMixer};

    #[test]
    fn the_layout_has_the_documented_names_and_shapes() {
        let s6 = S6 {
            d_inner: 6,
            d_state: 2,
            dt_rank: 3,
            d_conv: 4,
        };
        let config = Config {
            variates: 6,
            past_covariates: 1,
            horizon: 7,
            network: Some(NetworkConfig {
                d_model: 4,
                time_mixer: s6,
                variate_mixer: VariateMixer::Both {
                    s6,
                    mlp: Mlp { reduce: 2, hidden: 9 },
                },
                ..NetworkConfig::default()
            }),
            linear_head: LinearHead {
                lags: 3,
                per_variate: true,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        let mut tensors = Vec::new();
        layout(&config, |name, shape| tensors.push((name.to_string(), shape.to_vec()))).expect("valid");
        let shape = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, s)| s.clone());
        assert_eq!(shape("embed.weight"), Some(vec![4, 8]));
        assert_eq!(shape("layers.1.average.theta"), Some(vec![3]));
        assert_eq!(shape("layers.0.time.x_proj.weight"), Some(vec![7, 6]));
        assert_eq!(shape("layers.1.variate.in_proj.weight"), Some(vec![18, 4]));
        assert_eq!(shape("layers.1.variate.backward.dt_proj.weight"), Some(vec![6, 3]));
        assert_eq!(shape("layers.0.variate.mlp.out.weight"), Some(vec![24, 9]));
        assert_eq!(shape("head.bias"), Some(vec![7]));
        assert_eq!(shape("linear_head.weight"), Some(vec![5, 7, 3]));
        let mut names: Vec<&str> = tensors.iter().map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), tensors.len(), "names are unique");
        assert_eq!(
            parameter_count(&config),
            Ok(tensors.iter().map(|(_, s)| s.iter().product::<usize>()).sum())
        );
    }

    #[test]
    fn weights_of_the_wrong_length_are_refused() {
        let config = Config::default();
        let count = parameter_count(&config).expect("valid");
        assert!(Weights::view(&config, &vec![0.0; count]).is_ok());
        let error = Weights::view(&config, &vec![0.0; count + 1]).err();
        assert_eq!(
            error,
            Some(Error::Length {
                buffer: "weights",
                expected: count,
                actual: count + 1
            })
        );
    }
}
