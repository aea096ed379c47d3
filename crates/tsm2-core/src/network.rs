//! The learned tensors: their names, their shapes, and the network as a view of one slice.
//!
//! [`Network::build`] walks every tensor once, in the canonical order. Enumerating the layout (for the model file and the
//! trainer) and cutting the weights out of a flat slice (for the step) are both that walk, so they cannot disagree.

use core::fmt;

use crate::config::{Config, Head, MAX_LAYERS, S6, SelectionFrom};
use crate::front::check_len;
use crate::mixer::S6Weights;
use crate::{Error, mixer::LayerNorm};

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
    Network::build(config, &mut |name, shape: &[usize]| {
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VariateMlp<'a> {
    pub reduce: &'a [f32],
    pub hidden: &'a [f32],
    pub hidden_bias: &'a [f32],
    pub out: &'a [f32],
}

/// Coefficients of the weighted averaging of one layer (paper, equations 8 and 9); empty when it is off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Averaging<'a> {
    pub alpha: &'a [f32],
    pub beta: &'a [f32],
    pub theta: &'a [f32],
    pub gamma: &'a [f32],
}

/// Weights of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layer<'a> {
    pub averaging: Averaging<'a>,
    pub time: TimeMixer<'a>,
    pub variate_norm: LayerNorm<'a>,
    pub scan: Option<VariateScan<'a>>,
    pub mlp: Option<VariateMlp<'a>>,
}

/// All learned tensors of a model, borrowed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network<'a> {
    pub embed: &'a [f32],
    pub embed_bias: &'a [f32],
    pub embed_variate: Option<&'a [f32]>,
    pub layers: [Layer<'a>; MAX_LAYERS],
    pub head: &'a [f32],
    pub head_bias: &'a [f32],
    pub readout: &'a [f32],
}

impl<'a> Network<'a> {
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
        let (m, d, h) = (config.variates, config.d_model, config.horizon);
        let mut top = |block, leaf, shape: &[usize]| take(TensorName { layer: None, block, leaf }, shape);
        let mut network = Self {
            embed: top("embed", "weight", &[d, config.patch_len()]),
            embed_bias: top("embed", "bias", &[d]),
            embed_variate: config.variate_embedding.then(|| top("embed", "variate", &[m, d])),
            ..Self::default()
        };
        for (l, layer) in network.layers[..config.layers].iter_mut().enumerate() {
            let mut take = |block, leaf, shape: &[usize]| {
                take(
                    TensorName {
                        layer: Some(l),
                        block,
                        leaf,
                    },
                    shape,
                )
            };
            if config.weighted_averaging {
                layer.averaging = Averaging {
                    alpha: take("average", "alpha", &[l + 1]),
                    beta: take("average", "beta", &[l + 1]),
                    theta: take("average", "theta", &[l + 2]),
                    gamma: take("average", "gamma", &[l + 1]),
                };
            }
            let e = config.time_mixer.d_inner;
            layer.time = TimeMixer {
                norm: LayerNorm {
                    weight: take("time", "norm.weight", &[d]),
                    bias: take("time", "norm.bias", &[d]),
                },
                in_proj: take("time", "in_proj.weight", &[2 * e, d]),
                gate_bias: take("time", "gate_bias", &[e]),
                s6: Self::s6(config, &config.time_mixer, "time", &mut take),
                out_proj: take("time", "out_proj.weight", &[d, e]),
            };
            let (s6, mlp) = (config.variate_mixer.s6(), config.variate_mixer.mlp());
            if s6.is_some() || mlp.is_some() {
                layer.variate_norm = LayerNorm {
                    weight: take("variate", "norm.weight", &[d]),
                    bias: take("variate", "norm.bias", &[d]),
                };
            }
            layer.scan = s6.map(|s6| VariateScan {
                in_proj: take("variate", "in_proj.weight", &[3 * s6.d_inner, d]),
                gate_bias: take("variate", "gate_bias", &[s6.d_inner]),
                forward: Self::s6(config, &s6, "variate.forward", &mut take),
                backward: Self::s6(config, &s6, "variate.backward", &mut take),
                out_proj: take("variate", "out_proj.weight", &[d, s6.d_inner]),
            });
            layer.mlp = mlp.map(|mlp| VariateMlp {
                reduce: take("variate", "mlp.reduce.weight", &[mlp.reduce, d]),
                hidden: take("variate", "mlp.hidden.weight", &[mlp.hidden, m * mlp.reduce]),
                hidden_bias: take("variate", "mlp.hidden.bias", &[mlp.hidden]),
                out: take("variate", "mlp.out.weight", &[m * d, mlp.hidden]),
            });
        }
        // An exogenous variate has features like any other, and nothing that reads a forecast from them.
        let f = config.endogenous();
        let mut top = |block, leaf, shape: &[usize]| take(TensorName { layer: None, block, leaf }, shape);
        (network.head, network.head_bias) = match config.head {
            Head::Shared => (top("head", "weight", &[h, d]), top("head", "bias", &[h])),
            Head::PerVariate => (top("head", "weight", &[f, h, d]), top("head", "bias", &[f, h])),
        };
        let features = config.readout_features();
        if features > 0 {
            let shape: &[usize] = if config.readout.per_variate {
                &[f, h, features]
            } else {
                &[h, features]
            };
            network.readout = top("readout", "weight", shape);
        }
        network
    }

    fn s6(
        config: &Config,
        sizes: &S6,
        block: &'static str,
        take: &mut impl FnMut(&'static str, &'static str, &[usize]) -> &'a [f32],
    ) -> S6Weights<'a> {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            d_conv: k,
        } = *sizes;
        let selection = match config.selection_from {
            SelectionFrom::Conv => e,
            SelectionFrom::Norm => config.d_model,
        };
        S6Weights {
            sizes: *sizes,
            discretisation: config.discretisation,
            conv: take(block, "conv.weight", &[e, k]),
            conv_bias: take(block, "conv.bias", &[e]),
            x_proj: take(block, "x_proj.weight", &[r + 2 * n, selection]),
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
    use crate::{Mlp, Readout, VariateMixer};

    #[test]
    fn the_layout_has_the_documented_names_and_shapes() {
        let s6 = S6 {
            d_inner: 6,
            d_state: 2,
            dt_rank: 3,
            d_conv: 4,
        };
        let config = Config {
            variates: 5,
            horizon: 7,
            patch: 8,
            d_model: 4,
            layers: 2,
            time_mixer: s6,
            variate_mixer: VariateMixer::Both {
                s6,
                mlp: Mlp { reduce: 2, hidden: 9 },
            },
            readout: Readout {
                lags: 3,
                per_variate: true,
                ..Readout::default()
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
        assert_eq!(shape("layers.0.variate.mlp.out.weight"), Some(vec![20, 9]));
        assert_eq!(shape("head.bias"), Some(vec![7]));
        assert_eq!(shape("readout.weight"), Some(vec![5, 7, 3]));
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
        assert!(Network::view(&config, &vec![0.0; count]).is_ok());
        let error = Network::view(&config, &vec![0.0; count + 1]).err();
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
