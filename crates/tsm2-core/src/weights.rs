//! The learned tensors: names, shapes, and views into one flat slice.
//!
//! [`Weights::build`] walks every tensor once, in the canonical order. Two callers use this one walk: [`layout`] lists
//! the tensors (for the model file and the trainer), [`Weights::view`] cuts them out of flat slices (for the step).
//! So the list and the cut cannot disagree.

use core::fmt;
use core::num::NonZeroUsize;

use crate::config::{Config, Head, Mlp, NetworkConfig, Precision, S6};
use crate::error::{Error, check_len};
use crate::matrix::Matrix;
use crate::slices::split;

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

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    Single,
    /// 8-bit integers, with a scale in single precision for each row: for each number of all dimensions but the last.
    Int8,
}

/// Calls `visit` with the name and shape (row-major) of every tensor of the model, in canonical order.
///
/// # Errors
/// A fault of the configuration.
pub fn layout(config: &Config, mut visit: impl FnMut(TensorName, &[usize])) -> Result<(), Error> {
    stored_layout(config, |name, shape, _| visit(name, shape))
}

/// As [`layout`], and how each tensor is stored.
///
/// # Errors
/// A fault of the configuration.
pub fn stored_layout(config: &Config, mut visit: impl FnMut(TensorName, &[usize], Storage)) -> Result<(), Error> {
    config.validate()?;
    Weights::build(config, &mut |name, shape: &[usize], storage| {
        visit(name, shape, stored(config.precision, storage));
        Matrix::default()
    });
    Ok(())
}

/// How a tensor that may be stored as `most` at the smallest is stored in a model of this precision.
fn stored(precision: Precision, most: Storage) -> Storage {
    match precision {
        Precision::Single => Storage::Single,
        Precision::Int8 => most,
    }
}

/// Numbers in a row of a tensor of a valid configuration.
fn columns(shape: &[usize]) -> NonZeroUsize {
    shape.last().copied().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
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

/// Numbers in single precision (tensors and scales) and integers that [`crate::Model::with_int8`] takes.
///
/// # Errors
/// A fault of the configuration.
pub fn storage_lens(config: &Config) -> Result<(usize, usize), Error> {
    let (mut singles, mut integers) = (0, 0);
    stored_layout(config, |_, shape, storage| {
        let count: usize = shape.iter().product();
        match storage {
            Storage::Single => singles += count,
            Storage::Int8 => {
                integers += count;
                singles += count / columns(shape);
            }
        }
    })?;
    Ok((singles, integers))
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
    pub x_proj: Matrix<'a>,
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
            x_proj: Matrix::default(),
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
    pub in_proj: Matrix<'a>,
    pub gate_bias: &'a [f32],
    pub s6: S6Weights<'a>,
    pub out_proj: Matrix<'a>,
}

/// Weights of one layer's scan across variates: two directions under one gate and one output projection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VariateScan<'a> {
    pub in_proj: Matrix<'a>,
    pub gate_bias: &'a [f32],
    pub forward: S6Weights<'a>,
    pub backward: S6Weights<'a>,
    pub out_proj: Matrix<'a>,
}

/// Weights of one layer's MLP across variates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VariateMlp<'a> {
    pub sizes: Mlp,
    pub reduce: Matrix<'a>,
    pub hidden: Matrix<'a>,
    pub hidden_bias: &'a [f32],
    pub out: Matrix<'a>,
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
    pub embed: Matrix<'a>,
    pub embed_bias: &'a [f32],
    pub embed_variate: &'a [f32],
    /// Where the layers begin: a step views one layer at a time, since all of them would fill a microcontroller's stack.
    pub layers: Cursor<'a>,
    pub head: Matrix<'a>,
    pub head_bias: &'a [f32],
}

/// Weights of the linear head: whole matrices, or the three factors of a head of a rank. Empty without a linear head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinearHeadWeights<'a> {
    pub whole: Matrix<'a>,
    pub step: Matrix<'a>,
    pub core: Matrix<'a>,
    pub feature: Matrix<'a>,
    /// `[M, bounds]`; empty where the head is not bounded.
    pub bounds: &'a [f32],
}

/// A place in the stored weights, from which tensor after tensor is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor<'a> {
    singles: &'a [f32],
    integers: &'a [i8],
    precision: Precision,
}

impl<'a> Cursor<'a> {
    // Once in the program, not once for each tensor.
    #[inline(never)]
    fn take(&mut self, shape: &[usize], storage: Storage) -> Matrix<'a> {
        let (count, columns) = (shape.iter().product(), columns(shape));
        match stored(self.precision, storage) {
            Storage::Single => Matrix::single(self.singles(count), columns.get()),
            Storage::Int8 => {
                let (integers, rest) = split(self.integers, count);
                self.integers = rest;
                Matrix::int8(integers, self.singles(count / columns), columns.get())
            }
        }
    }

    fn singles(&mut self, count: usize) -> &'a [f32] {
        let (singles, rest) = split(self.singles, count);
        self.singles = rest;
        singles
    }

    /// Layer `l` of a model of `variates`; the layers are taken in order.
    pub fn layer(&mut self, l: usize, variates: usize, network: &NetworkConfig) -> Layer<'a> {
        Layer::build(l, variates, network, &mut |_, _, shape: &[usize], storage| {
            self.take(shape, storage)
        })
    }
}

/// All learned tensors of a model, borrowed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weights<'a> {
    pub network: Option<NetworkWeights<'a>>,
    pub linear_head: LinearHeadWeights<'a>,
}

impl<'a> Weights<'a> {
    /// Cuts the tensors out of `singles` and `integers`, one after the other.
    pub fn view(config: &Config, singles: &'a [f32], integers: &'a [i8]) -> Result<Self, Error> {
        let lens = storage_lens(config)?;
        check_len("weights", singles.len(), lens.0)?;
        check_len("int8 weights", integers.len(), lens.1)?;
        let start = Cursor {
            singles,
            integers,
            precision: config.precision,
        };
        let mut cursor = start;
        // What lies before the first layer: numbers and integers.
        let (mut before, mut in_layers) = ((0, 0), false);
        let mut weights = Self::build(config, &mut |name, shape: &[usize], storage| {
            in_layers |= name.layer.is_some();
            let taken = cursor.take(shape, storage);
            if !in_layers {
                before = (singles.len() - cursor.singles.len(), integers.len() - cursor.integers.len());
            }
            taken
        });
        if let Some(network) = &mut weights.network {
            network.layers = start;
            network.layers.singles = split(singles, before.0).1;
            network.layers.integers = split(integers, before.1).1;
        }
        Ok(weights)
    }

    /// The walk over all tensors. `config` is valid.
    fn build(config: &Config, take: &mut impl FnMut(TensorName, &[usize], Storage) -> Matrix<'a>) -> Self {
        let network = config.network.map(|network| NetworkWeights::build(config, &network, take));
        let linear_head = LinearHeadWeights::build(config, take);
        Self { network, linear_head }
    }
}

impl<'a> LinearHeadWeights<'a> {
    fn build(config: &Config, take: &mut impl FnMut(TensorName, &[usize], Storage) -> Matrix<'a>) -> Self {
        let mut take_stored = |leaf, shape: &[usize], storage| {
            let (layer, block) = (None, "linear_head");
            take(TensorName { layer, block, leaf }, shape, storage)
        };
        let mut take = |leaf, shape: &[usize]| take_stored(leaf, shape, Storage::Int8);
        let (features, targets) = (config.linear_head_features(), config.targets());
        let first = usize::from(!config.linear_head.per_variate);
        let mut weights = match (features, config.linear_head.rank) {
            (0, _) => Self::default(),
            (_, 0) => Self {
                whole: take("weight", &[targets, config.horizon, features][first..]),
                ..Self::default()
            },
            (_, r) => Self {
                step: take("step.weight", &[config.horizon, r]),
                core: take("core.weight", &[targets, r, r][first..]),
                feature: take("feature.weight", &[r, features]),
                ..Self::default()
            },
        };
        if config.linear_head.bounded {
            let shape = [config.variates, config.bounds_len()];
            weights.bounds = take_stored("bounds", &shape, Storage::Single).plain();
        }
        weights
    }
}

impl<'a> NetworkWeights<'a> {
    fn build(config: &Config, network: &NetworkConfig, take: &mut impl FnMut(TensorName, &[usize], Storage) -> Matrix<'a>) -> Self {
        let (m, d) = (config.variates, network.d_model);
        let mut top = |block, leaf, shape: &[usize], storage| take(TensorName { layer: None, block, leaf }, shape, storage);
        let mut weights = Self {
            embed: top("embed", "weight", &[d, config.patch_len()], Storage::Int8),
            embed_bias: top("embed", "bias", &[d], Storage::Single).plain(),
            embed_variate: top("embed", "variate", &[m, d], Storage::Single).plain(),
            ..Self::default()
        };
        for l in 0..network.layers {
            Layer::build(l, m, network, &mut |block, leaf, shape: &[usize], storage| {
                let layer = Some(l);
                take(TensorName { layer, block, leaf }, shape, storage)
            });
        }
        // Covariates have features like any variate; only targets have a head.
        let shape = [config.targets(), config.horizon, d];
        let first = if network.head == Head::PerVariate { 0 } else { 1 };
        let mut top = |block, leaf, shape: &[usize], storage| take(TensorName { layer: None, block, leaf }, shape, storage);
        weights.head = top("head", "weight", &shape[first..], Storage::Int8);
        weights.head_bias = top("head", "bias", &shape[first..2], Storage::Single).plain();
        weights
    }
}

impl<'a> Layer<'a> {
    /// The walk over the tensors of layer `l` of a model of `m` variates.
    fn build(
        l: usize,
        m: usize,
        network: &NetworkConfig,
        take: &mut impl FnMut(&'static str, &'static str, &[usize], Storage) -> Matrix<'a>,
    ) -> Self {
        let d = network.d_model;
        let mut layer = Self {
            averaging: Averaging {
                alpha: plain(take, "average", "alpha", &[l + 1]),
                beta: plain(take, "average", "beta", &[l + 1]),
                theta: plain(take, "average", "theta", &[l + 2]),
                gamma: plain(take, "average", "gamma", &[l + 1]),
            },
            ..Self::default()
        };
        let e = network.time_mixer.d_inner;
        layer.time = TimeMixer {
            norm: LayerNorm {
                weight: plain(take, "time", "norm.weight", &[d]),
                bias: plain(take, "time", "norm.bias", &[d]),
            },
            in_proj: matrix(take, "time", "in_proj.weight", &[2 * e, d]),
            gate_bias: plain(take, "time", "gate_bias", &[e]),
            s6: S6Weights::build(&network.time_mixer, "time", take),
            out_proj: matrix(take, "time", "out_proj.weight", &[d, e]),
        };
        let (s6, mlp) = (network.variate_mixer.s6(), network.variate_mixer.mlp());
        if s6.is_some() || mlp.is_some() {
            layer.variate_norm = LayerNorm {
                weight: plain(take, "variate", "norm.weight", &[d]),
                bias: plain(take, "variate", "norm.bias", &[d]),
            };
        }
        layer.scan = s6.map(|s6| VariateScan {
            in_proj: matrix(take, "variate", "in_proj.weight", &[3 * s6.d_inner, d]),
            gate_bias: plain(take, "variate", "gate_bias", &[s6.d_inner]),
            forward: S6Weights::build(&s6, "variate.forward", take),
            backward: S6Weights::build(&s6, "variate.backward", take),
            out_proj: matrix(take, "variate", "out_proj.weight", &[d, s6.d_inner]),
        });
        layer.mlp = mlp.map(|sizes| VariateMlp {
            sizes,
            reduce: matrix(take, "variate", "mlp.reduce.weight", &[sizes.reduce, d]),
            hidden: matrix(take, "variate", "mlp.hidden.weight", &[sizes.hidden, m * sizes.reduce]),
            hidden_bias: plain(take, "variate", "mlp.hidden.bias", &[sizes.hidden]),
            out: matrix(take, "variate", "mlp.out.weight", &[m * d, sizes.hidden]),
        });
        layer
    }
}

impl<'a> S6Weights<'a> {
    /// The walk over the tensors of one direction of a selective mixer.
    fn build(sizes: &S6, block: &'static str, take: &mut impl FnMut(&'static str, &'static str, &[usize], Storage) -> Matrix<'a>) -> Self {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            d_conv: k,
        } = *sizes;
        Self {
            sizes: *sizes,
            conv: plain(take, block, "conv.weight", &[e, k]),
            conv_bias: plain(take, block, "conv.bias", &[e]),
            x_proj: matrix(take, block, "x_proj.weight", &[r + 2 * n, e]),
            b_bias: plain(take, block, "b_bias", &[n]),
            c_bias: plain(take, block, "c_bias", &[n]),
            dt_proj: plain(take, block, "dt_proj.weight", &[e, r]),
            dt_bias: plain(take, block, "dt_proj.bias", &[e]),
            a_log: plain(take, block, "a_log", &[e, n]),
            d_skip: plain(take, block, "d", &[e]),
        }
    }
}

/// A tensor that may be stored as integers.
fn matrix<'a>(
    take: &mut impl FnMut(&'static str, &'static str, &[usize], Storage) -> Matrix<'a>,
    block: &'static str,
    leaf: &'static str,
    shape: &[usize],
) -> Matrix<'a> {
    take(block, leaf, shape, Storage::Int8)
}

/// A tensor that is kept in single precision.
fn plain<'a>(
    take: &mut impl FnMut(&'static str, &'static str, &[usize], Storage) -> Matrix<'a>,
    block: &'static str,
    leaf: &'static str,
    shape: &[usize],
) -> &'a [f32] {
    take(block, leaf, shape, Storage::Single).plain()
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
        assert!(Weights::view(&config, &vec![0.0; count], &[]).is_ok());
        let error = Weights::view(&config, &vec![0.0; count + 1], &[]).err();
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
