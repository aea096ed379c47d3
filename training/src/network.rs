//! The network in parallel form: whole stretches of tokens at once, differentiable, the same function as the device's step.
//!
//! Features are `[streams, tokens, variates, D]`. The recurrent state enters and leaves detached, so that training can carry it
//! from one stretch to the next (truncated back-propagation, TSM2.md section 6).

use candle_core::{Device, Result, Tensor};
use tsm2_core::{Config, S6, SelectionFrom, VALUE_LIMIT};

use crate::ops::{ScanOptions, conv_silu, gate, gelu, layer_norm, limit, linear, linear_onto, selective_scan, weighted_sum};
use crate::parameters::Parameters;

/// Recurrent state of all layers for a number of streams.
#[derive(Clone, Debug)]
pub struct State {
    layers: Vec<LayerState>,
}

#[derive(Clone, Debug)]
struct LayerState {
    /// The last K-1 values, `[streams, K-1, variates, E]`.
    conv: Tensor,
    /// h, `[streams, variates, E, N]`.
    scan: Tensor,
}

impl State {
    /// The state of streams that have seen nothing.
    ///
    /// # Errors
    /// The device's.
    pub fn zero(config: &Config, streams: usize, device: &Device) -> Result<Self> {
        let S6 {
            d_inner: e,
            d_state: n,
            d_conv: k,
            ..
        } = config.time_mixer;
        let dtype = candle_core::DType::F32;
        let layer = || {
            Ok(LayerState {
                conv: Tensor::zeros((streams, k - 1, config.variates, e), dtype, device)?,
                scan: Tensor::zeros((streams, config.variates, e, n), dtype, device)?,
            })
        };
        Ok(Self {
            layers: (0..config.layers).map(|_| layer()).collect::<Result<_>>()?,
        })
    }

    /// Its tensors, by name.
    pub fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.layers
            .iter()
            .enumerate()
            .flat_map(|(l, layer)| [(format!("{l}.conv"), &layer.conv), (format!("{l}.scan"), &layer.scan)])
    }

    /// Its tensors, by name, to be replaced.
    pub fn named_mut(&mut self) -> impl Iterator<Item = (String, &mut Tensor)> {
        self.layers
            .iter_mut()
            .enumerate()
            .flat_map(|(l, LayerState { conv, scan })| [(format!("{l}.conv"), conv), (format!("{l}.scan"), scan)])
    }

    /// The state with each stream's part multiplied by its entry of `keep` `[streams]` (0 restarts a stream).
    ///
    /// # Errors
    /// The device's.
    pub fn masked(&self, keep: &Tensor) -> Result<Self> {
        let keep = keep.reshape(((), 1, 1, 1))?;
        let mask = |l: &LayerState| {
            Ok(LayerState {
                conv: l.conv.broadcast_mul(&keep)?,
                scan: l.scan.broadcast_mul(&keep)?,
            })
        };
        Ok(Self {
            layers: self.layers.iter().map(mask).collect::<Result<_>>()?,
        })
    }
}

/// A network over the current values of its parameters.
pub struct Network<'a> {
    config: &'a Config,
    parameters: &'a Parameters,
}

impl<'a> Network<'a> {
    /// A network of this configuration.
    #[must_use]
    pub fn new(config: &'a Config, parameters: &'a Parameters) -> Self {
        Self { config, parameters }
    }

    /// Patches `[streams, tokens, variates, patch]` to the last layer's features `[streams, tokens, variates, D]`, and the state after them.
    ///
    /// # Errors
    /// Shapes that do not fit; the device's.
    pub fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let p = self.parameters;
        let mut bias = p.get("embed.bias")?;
        if self.config.variate_embedding {
            bias = p.get("embed.variate")?.broadcast_add(&bias)?;
        }
        let u = linear(patches, &p.get("embed.weight")?, Some(&bias))?;
        let (mut of_time, mut of_variate) = (vec![u.clone()], vec![u]);
        let mut layers = Vec::with_capacity(self.config.layers);
        for (l, state) in state.layers.iter().enumerate() {
            let prefix = format!("layers.{l}.");
            let x = match self.config.weighted_averaging {
                true => self.average(&prefix, ("alpha", &of_time), ("beta", &of_variate))?,
                false => of_variate[l].clone(),
            };
            let (y, state) = self.time_mixer(&prefix, &x, state)?;
            of_time.push(y);
            layers.push(state);
            let x = match self.config.weighted_averaging {
                true => self.average(&prefix, ("theta", &of_time), ("gamma", &of_variate))?,
                false => of_time[l + 1].clone(),
            };
            of_variate.push(self.variate_mixer(&prefix, &x)?);
        }
        Ok((of_variate.swap_remove(self.config.layers), State { layers }))
    }

    /// Features `[streams, tokens, variates, D]` to what the network adds to the forecast, normalised: `[streams, tokens, variates, H]`.
    ///
    /// # Errors
    /// Shapes that do not fit; the device's.
    pub fn head(&self, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.parameters.get("head.weight")?, self.parameters.get("head.bias")?);
        linear(features, &weight, Some(&bias))
    }

    /// sum_i a_i yT_i + b_i yC_i over the outputs so far (paper, equations 8 and 9); the lists may differ in length by one.
    fn average(&self, prefix: &str, time: (&str, &[Tensor]), variate: (&str, &[Tensor])) -> Result<Tensor> {
        let weights = |name: &str| self.parameters.get(&format!("{prefix}average.{name}"));
        let terms: Vec<&Tensor> = time.1.iter().chain(variate.1).collect();
        weighted_sum(&terms, &Tensor::cat(&[weights(time.0)?, weights(variate.0)?], 0)?)
    }

    /// One direction of a selective mixer: convolution, selection, scan. `v` is `[O, L, I, E]`; `xn` is the LayerNormed input.
    fn s6(&self, prefix: &str, sizes: &S6, v: &Tensor, xn: &Tensor, reverse: bool, state: Option<&LayerState>) -> Result<(Tensor, Tensor)> {
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let c = conv_silu(v, &get("conv.weight")?, &get("conv.bias")?, reverse, state.map(|s| &s.conv))?;
        let source = if self.config.selection_from == SelectionFrom::Conv {
            &c
        } else {
            xn
        };
        let x_proj = get("x_proj.weight")?;
        let (r, n) = (sizes.dt_rank, sizes.d_state);
        let dt = linear(
            &linear(source, &x_proj.narrow(0, 0, r)?, None)?,
            &get("dt_proj.weight")?,
            Some(&get("dt_proj.bias")?),
        )?;
        let selection_bias = Tensor::cat(&[get("b_bias")?, get("c_bias")?], 0)?;
        let bc = linear(source, &x_proj.narrow(0, r, 2 * n)?, Some(&selection_bias))?;
        let options = ScanOptions {
            reverse,
            discretisation: self.config.discretisation,
        };
        selective_scan(&c, &dt, &bc, &get("a_log")?, &get("d")?, state.map(|s| &s.scan), options)
    }

    fn time_mixer(&self, prefix: &str, x: &Tensor, state: &LayerState) -> Result<(Tensor, LayerState)> {
        let prefix = format!("{prefix}time.");
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let sizes = &self.config.time_mixer;
        let e = sizes.d_inner;
        let xn = layer_norm(x, &get("norm.weight")?, &get("norm.bias")?)?;
        let in_proj = get("in_proj.weight")?;
        let v = limit(
            &linear(if self.config.raw_value_path { x } else { &xn }, &in_proj.narrow(0, 0, e)?, None)?,
            VALUE_LIMIT,
        )?;
        let g = linear(&xn, &in_proj.narrow(0, e, e)?, Some(&get("gate_bias")?))?;
        let (y, scan) = self.s6(&prefix, sizes, &v, &xn, false, Some(state))?;
        let out = linear_onto(x, &gate(&y, &g)?, &get("out_proj.weight")?)?;
        let past = sizes.d_conv - 1;
        let conv = Tensor::cat(&[&state.conv, &v.detach()], 1)?;
        let conv = conv.narrow(1, conv.dim(1)? - past, past)?.contiguous()?;
        Ok((out, LayerState { conv, scan }))
    }

    fn variate_mixer(&self, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let prefix = format!("{prefix}variate.");
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let (s6, mlp) = (self.config.variate_mixer.s6(), self.config.variate_mixer.mlp());
        if s6.is_none() && mlp.is_none() {
            return Ok(x.clone());
        }
        let (s, t, m, d) = x.dims4()?;
        // One token is one sequence over the variates.
        let tokens = x.reshape((s * t, m, 1, d))?;
        let xn = layer_norm(&tokens, &get("norm.weight")?, &get("norm.bias")?)?;
        let mut sum = tokens.clone();
        if let Some(sizes) = s6 {
            let e = sizes.d_inner;
            let in_proj = get("in_proj.weight")?;
            let value = if self.config.raw_value_path { &tokens } else { &xn };
            let forward = limit(&linear(value, &in_proj.narrow(0, 0, e)?, None)?, VALUE_LIMIT)?;
            let backward = limit(&linear(value, &in_proj.narrow(0, e, e)?, None)?, VALUE_LIMIT)?;
            let g = linear(&xn, &in_proj.narrow(0, 2 * e, e)?, Some(&get("gate_bias")?))?;
            let (y_forward, _) = self.s6(&format!("{prefix}forward."), &sizes, &forward, &xn, false, None)?;
            let (y_backward, _) = self.s6(&format!("{prefix}backward."), &sizes, &backward, &xn, true, None)?;
            sum = linear_onto(&sum, &gate(&(y_forward + y_backward)?, &g)?, &get("out_proj.weight")?)?;
        }
        if let Some(sizes) = mlp {
            let reduced = linear(&xn, &get("mlp.reduce.weight")?, None)?.reshape((s * t, m * sizes.reduce))?;
            let hidden = gelu(&linear(&reduced, &get("mlp.hidden.weight")?, Some(&get("mlp.hidden.bias")?))?)?;
            sum = linear_onto(&sum.reshape((s * t, m * d))?, &hidden, &get("mlp.out.weight")?)?;
        }
        sum.reshape((s, t, m, d))
    }
}
