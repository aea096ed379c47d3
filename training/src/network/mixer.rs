//! The mixers of TSM2's layers, differentiable, over whole sequences (docs/reference/bundle.md, section 10), for streaming and window mode.
//!
//! Features are `[streams, tokens, variates, D]`. A mixer reads the tensors under its layer's prefix and adds its output to its input.

use candle_core::{Result, Tensor};
use tsm2_core::{S6, VALUE_LIMIT, VariateMixer};

use crate::network::parameters::Parameters;
use crate::ops::{ScanOptions, conv_silu, gate, gelu, layer_norm, limit, linear, linear_onto, selective_scan, weighted_sum};

/// Where a time mixer stands.
#[derive(Clone, Copy)]
pub struct TimeState<'a> {
    /// The last K-1 values, `[streams, K-1, variates, E]`.
    pub conv: &'a Tensor,
    /// h, `[streams, variates, E, N]`.
    pub scan: &'a Tensor,
}

/// In which orders a variate mixer runs over the variates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// As they stand.
    One,
    /// As they stand, and from the last to the first.
    Both,
}

impl Directions {
    /// The name of each, and whether it runs from the last to the first.
    #[must_use]
    pub fn each(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::One => &[("forward", false)],
            Self::Both => &[("forward", false), ("backward", true)],
        }
    }
}

/// A network's parameters, and the form that all its selective mixers have.
pub struct Mixers<'a> {
    /// The tensors.
    pub parameters: &'a Parameters,
    /// The value path bypasses the LayerNorm.
    pub raw_values: bool,
}

impl Mixers<'_> {
    /// sum_i a_i yT_i + b_i yC_i over outputs of earlier layers (paper, equations 8 and 9): the names of the coefficients, and the features they weigh.
    ///
    /// # Errors
    /// No such tensors; as many coefficients as features are needed.
    pub fn average(&self, prefix: &str, time: (&str, &[Tensor]), variate: (&str, &[Tensor])) -> Result<Tensor> {
        let weights = |name: &str| self.parameters.get(&format!("{prefix}average.{name}"));
        let terms: Vec<&Tensor> = time.1.iter().chain(variate.1).collect();
        weighted_sum(&terms, &Tensor::cat(&[weights(time.0)?, weights(variate.0)?], 0)?)
    }

    /// The time mixer from `state`, or from nothing; its values and h after the last token, detached.
    ///
    /// # Errors
    /// No such tensors, or of other shapes.
    pub fn time(&self, prefix: &str, sizes: &S6, x: &Tensor, state: Option<TimeState<'_>>) -> Result<(Tensor, [Tensor; 2])> {
        let prefix = format!("{prefix}time.");
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let e = sizes.d_inner;
        let xn = layer_norm(x, &get("norm.weight")?, &get("norm.bias")?)?;
        let in_proj = get("in_proj.weight")?;
        let v = limit(
            &linear(if self.raw_values { x } else { &xn }, &in_proj.narrow(0, 0, e)?, None)?,
            VALUE_LIMIT,
        )?;
        let g = linear(&xn, &in_proj.narrow(0, e, e)?, Some(&get("gate_bias")?))?;
        let (y, scan) = self.s6(&prefix, sizes, &v, false, state)?;
        let out = linear_onto(x, &gate(&y, &g)?, &get("out_proj.weight")?)?;
        let (streams, tokens, variates, _) = v.dims4()?;
        let past = sizes.d_conv - 1;
        let before = match state {
            Some(state) => state.conv.clone(),
            None => Tensor::zeros((streams, past, variates, e), v.dtype(), v.device())?,
        };
        let conv = Tensor::cat(&[&before, &v.detach()], 1)?.narrow(1, tokens, past)?.contiguous()?;
        Ok((out, [conv, scan]))
    }

    /// The variate mixer; it has no state in time.
    ///
    /// # Errors
    /// No such tensors, or of other shapes.
    pub fn variate(&self, prefix: &str, mixer: &VariateMixer, directions: Directions, x: &Tensor) -> Result<Tensor> {
        let prefix = format!("{prefix}variate.");
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let (s6, mlp) = (mixer.s6(), mixer.mlp());
        if s6.is_none() && mlp.is_none() {
            return Ok(x.clone());
        }
        let (s, t, m, d) = x.dims4()?;
        // One token is one sequence over the variates.
        let tokens = x.reshape((s * t, m, 1, d))?;
        let xn = layer_norm(&tokens, &get("norm.weight")?, &get("norm.bias")?)?;
        let mut sum = tokens.clone();
        if let Some(sizes) = s6 {
            let (e, directions) = (sizes.d_inner, directions.each());
            let in_proj = get("in_proj.weight")?;
            let value = if self.raw_values { &tokens } else { &xn };
            let of_direction = |(i, &(name, reverse)): (usize, &(&str, bool))| {
                let v = limit(&linear(value, &in_proj.narrow(0, i * e, e)?, None)?, VALUE_LIMIT)?;
                let (y, _) = self.s6(&format!("{prefix}{name}."), &sizes, &v, reverse, None)?;
                Ok(y)
            };
            let y = directions.iter().enumerate().map(of_direction).reduce(|a, b| a? + b?);
            let g = linear(&xn, &in_proj.narrow(0, directions.len() * e, e)?, Some(&get("gate_bias")?))?;
            if let Some(y) = y {
                sum = linear_onto(&sum, &gate(&y?, &g)?, &get("out_proj.weight")?)?;
            }
        }
        if let Some(sizes) = mlp {
            let reduced = linear(&xn, &get("mlp.reduce.weight")?, None)?.reshape((s * t, m * sizes.reduce))?;
            let hidden = gelu(&linear(&reduced, &get("mlp.hidden.weight")?, Some(&get("mlp.hidden.bias")?))?)?;
            sum = linear_onto(&sum.reshape((s * t, m * d))?, &hidden, &get("mlp.out.weight")?)?;
        }
        sum.reshape((s, t, m, d))
    }

    /// One direction of a selective mixer: convolution, selection, scan. `v` is `[O, L, I, E]`.
    fn s6(&self, prefix: &str, sizes: &S6, v: &Tensor, reverse: bool, state: Option<TimeState<'_>>) -> Result<(Tensor, Tensor)> {
        let get = |name: &str| self.parameters.get(&format!("{prefix}{name}"));
        let c = conv_silu(v, &get("conv.weight")?, &get("conv.bias")?, reverse, state.map(|s| s.conv))?;
        let x_proj = get("x_proj.weight")?;
        let (r, n) = (sizes.dt_rank, sizes.d_state);
        let dt = linear(
            &linear(&c, &x_proj.narrow(0, 0, r)?, None)?,
            &get("dt_proj.weight")?,
            Some(&get("dt_proj.bias")?),
        )?;
        let selection_bias = Tensor::cat(&[get("b_bias")?, get("c_bias")?], 0)?;
        let bc = linear(&c, &x_proj.narrow(0, r, 2 * n)?, Some(&selection_bias))?;
        selective_scan(
            &c,
            &dt,
            &bc,
            &get("a_log")?,
            &get("d")?,
            state.map(|s| s.scan),
            ScanOptions { reverse },
        )
    }
}
