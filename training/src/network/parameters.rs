//! The learned tensors as candle variables: created in the order of the model file's layout, initialised, read back.
//!
//! The linear head's weights are not among them: they are found in closed form.

use std::collections::HashMap;
use std::ops::Range;

use candle_core::{Device, Result, Shape, Tensor, Var, bail};
use rand::{Rng, RngExt};
use tsm2_core::{Config, NetworkConfig};

/// The gate's bias at which SiLU is one.
pub const OPEN_GATE: f32 = 1.278;

/// Bounds of the initial step sizes dt, drawn log-uniformly: memories of 2 to 500 tokens.
const DT_RANGE: (f32, f32) = (0.002, 0.5);

/// Mamba's own.
const MAMBA_DT_RANGE: (f32, f32) = (0.001, 0.1);

/// How far the selection starts from a time-invariant filter.
const SELECTION_SCALE: f32 = 0.1;

/// A trained tensor.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in the bundle.
    pub name: String,
    /// Its value, f32.
    pub var: Var,
    /// Whether weight decay applies: matrices yes; biases, norms, a_log, D and the averaging coefficients no.
    pub decay: bool,
    /// The numbers that training leaves as they are, their gradient being taken for zero; decay still applies to them.
    pub frozen: Range<usize>,
}

/// Parts of the network that research takes away. A bundle has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The weighted averaging of earlier features; without it the layers are a plain residual stack.
    pub averaging: bool,
    /// A vector of its own in the embedding of each variate.
    pub variate_vectors: bool,
    /// Values that bypass the LayerNorm of their mixer.
    pub raw_values: bool,
}

impl Parts {
    /// The network as a bundle has it.
    pub const ALL: Parts = Parts {
        averaging: true,
        variate_vectors: true,
        raw_values: true,
    };

    /// Whether a network of these parts has the tensor.
    fn has(self, name: &str) -> bool {
        (self.averaging || !name.contains(".average.")) && (self.variate_vectors || name != "embed.variate")
    }
}

/// The network of a configuration.
///
/// # Errors
/// There is none: the model is its linear head.
pub fn sizes(config: &Config) -> Result<NetworkConfig> {
    match config.network {
        Some(network) => Ok(network),
        None => bail!("the configuration has no network"),
    }
}

/// All learned tensors of a network, in the layout's order.
#[derive(Clone, Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
    index: HashMap<String, usize>,
}

impl Parameters {
    /// Initial values: the mixers start as banks of exponential averages whose selection is nearly off, the variate mixers and
    /// the head contribute nothing yet, and the averaging of earlier features is a plain residual stack (docs/reference/bundle.md, section 10).
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial(config: &Config, parts: Parts, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let sizes = sizes(config)?;
        let mut layout = layout(config)?;
        layout.retain(|(name, _)| parts.has(name));
        Self::new(layout, device, |name, shape| Ok(initial(&sizes, name, shape, rng)))
    }

    /// The tensors out of flat weights in the order of [`tsm2_core::layout`].
    ///
    /// # Errors
    /// A fault of the configuration, a wrong number of weights, or a fault of the device.
    pub fn from_weights(config: &Config, weights: &[f32], device: &Device) -> Result<Self> {
        let expected = tsm2_core::parameter_count(config).map_err(candle_core::Error::wrap)?;
        if weights.len() != expected {
            bail!("{} weights where the configuration has {expected}", weights.len());
        }
        let mut rest = weights;
        Self::new(layout(config)?, device, |_, shape| {
            let (tensor, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            Ok(tensor.to_vec())
        })
    }

    /// Tensors of these names and shapes, with the values that `values` gives for each; those of a linear head are passed over.
    ///
    /// # Errors
    /// Those of `values`; values that do not fill their shape; a fault of the device.
    pub fn new(
        layout: Vec<(String, Vec<usize>)>,
        device: &Device,
        mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let mut parameters = Self {
            list: Vec::with_capacity(layout.len()),
            index: HashMap::new(),
        };
        for (name, shape) in layout {
            let data = values(&name, &shape)?;
            if name.starts_with("linear_head.") {
                continue;
            }
            parameters.add(&name, shape, data, device)?;
        }
        Ok(parameters)
    }

    /// Adds a tensor, which a model file need not have.
    ///
    /// # Errors
    /// Values that do not fill their shape; a fault of the device.
    pub fn add(&mut self, name: &str, shape: impl Into<Shape>, values: Vec<f32>, device: &Device) -> Result<()> {
        self.index.insert(name.to_owned(), self.list.len());
        self.list.push(Parameter {
            // Biases, norms, step sizes, A and the averaging coefficients have natural scales that decay would pull them from.
            decay: name.ends_with(".weight") && !name.ends_with("norm.weight"),
            var: Var::from_vec(values, shape, device)?,
            frozen: 0..0,
            name: name.to_owned(),
        });
        Ok(())
    }

    /// Every parameter, in the layout's order.
    #[must_use]
    pub fn list(&self) -> &[Parameter] {
        &self.list
    }

    /// Gives every tensor the values that `values` makes of its name, shape and present numbers.
    ///
    /// # Errors
    /// Those of `values`; values that do not fill their shape.
    pub fn set(&self, mut values: impl FnMut(&str, &[usize], Vec<f32>) -> Result<Vec<f32>>) -> Result<()> {
        self.list.iter().try_for_each(|Parameter { name, var, .. }| {
            let present = var.flatten_all()?.to_vec1()?;
            var.set(&Tensor::from_vec(values(name, var.dims(), present)?, var.shape(), var.device())?)
        })
    }

    /// Puts `value` into the rows `rows` of every tensor whose name ends so, and leaves it there in training.
    ///
    /// # Errors
    /// candle's.
    pub fn freeze(&mut self, suffix: &str, rows: Range<usize>, value: f32) -> Result<()> {
        for Parameter { name, var, frozen, .. } in &mut self.list {
            if !name.ends_with(suffix) {
                continue;
            }
            let width = var.elem_count() / var.dim(0)?;
            *frozen = rows.start * width..rows.end.min(var.dim(0)?) * width;
            let mut values = var.flatten_all()?.to_vec1()?;
            values[frozen.clone()].fill(value);
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
        }
        Ok(())
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// No such tensor.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        match self.index.get(name) {
            Some(&i) => Ok(self.list[i].var.as_tensor().clone()),
            None => bail!("the model has no tensor `{name}`"),
        }
    }
}

/// The initial values of Mamba (arXiv 2312.00752) where they are not those of [`Parameters::initial`]: no biases of B and C, a full selection, a
/// shorter range of step sizes, a random convolution, a half open gate, and a variate mixer that contributes from the start.
pub fn mamba(name: &str, shape: &[usize], rng: &mut impl Rng) -> Option<Vec<f32>> {
    let count: usize = shape.iter().product();
    let fan_in = *shape.last().unwrap_or(&1) as f32;
    let leaf = name.rsplit_once('.').map_or(name, |(_, leaf)| leaf);
    let mut uniform = |bound: f32| (0..count).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<f32>>();
    match () {
        () if matches!(leaf, "b_bias" | "c_bias" | "gate_bias") => Some(vec![0.0; count]),
        () if name.ends_with("dt_proj.bias") => Some(step_sizes(MAMBA_DT_RANGE, count, rng)),
        () if ["conv.weight", "x_proj.weight", "variate.out_proj.weight", "mlp.out.weight"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            Some(uniform(fan_in.sqrt().recip()))
        }
        () => None,
    }
}

/// Biases of the step sizes dt, which are drawn log-uniformly from a range: the inverse of softplus.
fn step_sizes(range: (f32, f32), count: usize, rng: &mut impl Rng) -> Vec<f32> {
    let (low, high) = (range.0.ln(), range.1.ln());
    (0..count)
        .map(|_| rng.random_range(low..=high).exp())
        .map(|dt| dt + (-(-dt).exp_m1()).ln())
        .collect()
}

/// Names and shapes of a model's tensors, in the layout's order.
pub(crate) fn layout(config: &Config) -> Result<Vec<(String, Vec<usize>)>> {
    let mut layout = Vec::new();
    tsm2_core::layout(config, |name, shape| layout.push((name.to_string(), shape.to_vec()))).map_err(candle_core::Error::wrap)?;
    Ok(layout)
}

/// Initial values of one tensor.
pub fn initial(network: &NetworkConfig, name: &str, shape: &[usize], rng: &mut impl Rng) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let fan_in = *shape.last().unwrap_or(&1) as f32;
    let mut uniform = |bound: f32| (0..count).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<f32>>();
    let sizes = if name.contains(".variate.") {
        network.variate_mixer.s6().unwrap_or(network.time_mixer)
    } else {
        network.time_mixer
    };
    let leaf = name.rsplit_once('.').map_or(name, |(_, leaf)| leaf);
    let last_is_one = || {
        let mut values = vec![0.0; count];
        values[count - 1] = 1.0;
        values
    };
    match () {
        () if name.ends_with("norm.weight") || leaf == "d" || leaf == "b_bias" => vec![1.0; count],
        () if leaf == "c_bias" => vec![1.0 / sizes.d_state as f32; count],
        () if leaf == "gate_bias" => vec![OPEN_GATE; count],
        () if leaf == "beta" || leaf == "theta" => last_is_one(),
        () if name.ends_with("conv.weight") => (0..count)
            .map(|i| if i % sizes.d_conv == sizes.d_conv - 1 { 1.0 } else { 0.0 })
            .collect(),
        () if leaf == "a_log" => (0..count).map(|i| ((i % sizes.d_state + 1) as f32).ln()).collect(),
        () if name.ends_with("dt_proj.bias") => step_sizes(DT_RANGE, count, rng),
        () if name.ends_with("dt_proj.weight") => uniform((sizes.dt_rank as f32).recip().sqrt()),
        () if name.ends_with("x_proj.weight") => uniform(SELECTION_SCALE / (sizes.d_inner as f32).sqrt()),
        () if name == "embed.variate" => uniform(0.1),
        // What starts at zero adds nothing until training finds a use for it.
        () if leaf == "bias" || leaf == "alpha" || leaf == "gamma" => vec![0.0; count],
        () if name == "head.weight" || name.starts_with("linear_head.") => vec![0.0; count],
        () if name.ends_with("variate.out_proj.weight") || name.ends_with("mlp.out.weight") => vec![0.0; count],
        () => uniform(fan_in.sqrt().recip()),
    }
}
