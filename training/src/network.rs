//! The network in parallel form: whole stretches of tokens at once, differentiable, the same function as the device's step.
//!
//! Features are `[streams, tokens, variates, D]`.

use candle_core::{DType, Device, Result, Tensor, bail};
use rand::Rng;
use tsm2_core::{Config, S6, SelectionFrom, VALUE_LIMIT};

use crate::learner::{Learner, State};
use crate::ops::{ScanOptions, conv_silu, gate, gelu, layer_norm, limit, linear, linear_onto, selective_scan, weighted_sum};
use crate::optim::Parameter;
use crate::parameters::Parameters;

/// Where a time mixer of one layer stands in a [`State`], which holds both for layer after layer.
#[derive(Clone, Copy)]
struct LayerState<'a> {
    /// The last K-1 values, `[streams, K-1, variates, E]`.
    conv: &'a Tensor,
    /// h, `[streams, variates, E, N]`.
    scan: &'a Tensor,
}

/// TSM2's network, with the current values of its parameters.
#[derive(Clone, Debug)]
pub struct Network {
    config: Config,
    parameters: Parameters,
}

impl Learner for Network {
    fn parameters(&self) -> &[Parameter] {
        self.parameters.list()
    }

    fn zero_state(&self, streams: usize, device: &Device) -> Result<State> {
        let S6 {
            d_inner: e,
            d_state: n,
            d_conv: k,
            ..
        } = self.config.time_mixer;
        let m = self.config.variates;
        let mut tensors = Vec::with_capacity(2 * self.config.layers);
        for _ in 0..self.config.layers {
            tensors.push(Tensor::zeros((streams, k - 1, m, e), DType::F32, device)?);
            tensors.push(Tensor::zeros((streams, m, e, n), DType::F32, device)?);
        }
        Ok(State(tensors))
    }

    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let (features, state) = self.features(patches, state)?;
        Ok((self.head(&features)?, state))
    }
}

impl Network {
    /// A network of this configuration.
    #[must_use]
    pub fn new(config: &Config, parameters: Parameters) -> Self {
        Self {
            config: *config,
            parameters,
        }
    }

    /// A network with initial weights.
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial(config: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Ok(Self::new(config, Parameters::initial(config, rng, device)?))
    }

    /// Its parameters, to be set or held.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Patches `[streams, tokens, variates, patch]` to the last layer's features `[streams, tokens, variates, D]`, and the state after them.
    fn features(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let p = &self.parameters;
        let mut bias = p.get("embed.bias")?;
        if self.config.variate_embedding {
            bias = p.get("embed.variate")?.broadcast_add(&bias)?;
        }
        let u = linear(patches, &p.get("embed.weight")?, Some(&bias))?;
        let (mut of_time, mut of_variate) = (vec![u.clone()], vec![u]);
        let mut after = Vec::with_capacity(state.0.len());
        for (l, state) in state.0.chunks_exact(2).take(self.config.layers).enumerate() {
            let prefix = format!("layers.{l}.");
            let x = match self.config.weighted_averaging {
                true => self.average(&prefix, ("alpha", &of_time), ("beta", &of_variate))?,
                false => of_variate[l].clone(),
            };
            let layer = LayerState {
                conv: &state[0],
                scan: &state[1],
            };
            let (y, layer) = self.time_mixer(&prefix, &x, layer)?;
            of_time.push(y);
            after.extend(layer);
            let x = match self.config.weighted_averaging {
                true => self.average(&prefix, ("theta", &of_time), ("gamma", &of_variate))?,
                false => of_time[l + 1].clone(),
            };
            of_variate.push(self.variate_mixer(&prefix, &x)?);
        }
        if after.len() != 2 * self.config.layers {
            bail!(
                "a state of {} tensors where {} layers have two each",
                state.0.len(),
                self.config.layers
            );
        }
        Ok((of_variate.swap_remove(self.config.layers), State(after)))
    }

    /// Features `[streams, tokens, variates, D]` to what the network adds to the forecast, normalised: `[streams, tokens, M - X, H]`.
    fn head(&self, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.parameters.get("head.weight")?, self.parameters.get("head.bias")?);
        let forecast = match self.config.exogenous {
            0 => features.clone(),
            _ => features.narrow(2, 0, self.config.endogenous())?.contiguous()?,
        };
        linear(&forecast, &weight, Some(&bias))
    }

    /// sum_i a_i yT_i + b_i yC_i over the outputs so far (paper, equations 8 and 9); the lists may differ in length by one.
    fn average(&self, prefix: &str, time: (&str, &[Tensor]), variate: (&str, &[Tensor])) -> Result<Tensor> {
        let weights = |name: &str| self.parameters.get(&format!("{prefix}average.{name}"));
        let terms: Vec<&Tensor> = time.1.iter().chain(variate.1).collect();
        weighted_sum(&terms, &Tensor::cat(&[weights(time.0)?, weights(variate.0)?], 0)?)
    }

    /// One direction of a selective mixer: convolution, selection, scan. `v` is `[O, L, I, E]`; `xn` is the LayerNormed input.
    fn s6(
        &self,
        prefix: &str,
        sizes: &S6,
        v: &Tensor,
        xn: &Tensor,
        reverse: bool,
        state: Option<LayerState<'_>>,
    ) -> Result<(Tensor, Tensor)> {
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let c = conv_silu(v, &get("conv.weight")?, &get("conv.bias")?, reverse, state.map(|s| s.conv))?;
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
        selective_scan(&c, &dt, &bc, &get("a_log")?, &get("d")?, state.map(|s| s.scan), options)
    }

    /// The time mixer's output, and its values and h after the last token.
    fn time_mixer(&self, prefix: &str, x: &Tensor, state: LayerState<'_>) -> Result<(Tensor, [Tensor; 2])> {
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
        let conv = Tensor::cat(&[state.conv, &v.detach()], 1)?;
        let conv = conv.narrow(1, conv.dim(1)? - past, past)?.contiguous()?;
        Ok((out, [conv, scan]))
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
