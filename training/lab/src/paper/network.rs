//! A network in window mode: patches of a whole window in, the forecast out.

use candle_core::{Device, Result, Tensor};
use rand::Rng;

use super::config::{TimeMixer, WindowConfig};
use super::error::PaperError;
use tsm2_train::network::mixer::Mixers;
use tsm2_train::network::parameters::Parameters;
use tsm2_train::ops::{layer_norm, linear};

/// A network in window mode, with the current values of its parameters.
#[derive(Clone, Debug)]
pub struct WindowNetwork {
    config: WindowConfig,
    parameters: Parameters,
}

impl WindowNetwork {
    /// A network with initial weights.
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial(config: &WindowConfig, rng: &mut impl Rng, device: &Device) -> std::result::Result<Self, PaperError> {
        config.validate()?;
        let values = |name: &str, shape: &[usize]| Ok(config.initial(name, shape, rng));
        Ok(Self {
            config: *config,
            parameters: Parameters::new(config.layout(), device, values)?,
        })
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> &WindowConfig {
        &self.config
    }

    /// Its tensors.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Patches `[windows, tokens, variates, P]` to the forecast `[windows, variates, H]`, normalised as the windows are.
    ///
    /// # Errors
    /// Shapes that do not fit; the device's.
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let features = self.features(patches)?;
        let (windows, tokens, variates, d) = features.dims4()?;
        let read = features.transpose(1, 2)?.contiguous()?.reshape((windows, variates, tokens * d))?;
        let (weight, bias) = (self.parameters.get("head.weight")?, self.parameters.get("head.bias")?);
        linear(&read, &weight, Some(&bias))
    }

    /// Patches `[windows, tokens, variates, P]` to the last layer's features `[windows, tokens, variates, D]` (paper, equations 8 and 9).
    ///
    /// # Errors
    /// Shapes that do not fit; the device's.
    pub fn features(&self, patches: &Tensor) -> Result<Tensor> {
        let p = &self.parameters;
        let mixers = Mixers {
            parameters: p,
            raw_values: false,
        };
        let u = linear(patches, &p.get("embed.weight")?, Some(&p.get("embed.bias")?))?;
        let (mut of_time, mut of_variate) = (vec![u.clone()], vec![u]);
        let span = self.config.span();
        for l in 0..self.config.layers {
            let prefix = format!("layers.{l}.");
            let x = match span {
                0 => of_variate[l].clone(),
                _ => mixers.average(&prefix, ("alpha", last(&of_time, span)), ("beta", last(&of_variate, span)))?,
            };
            of_time.push(self.time_mixer(&mixers, &prefix, &x)?);
            let x = match span {
                0 => of_time[l + 1].clone(),
                // The time mixer of the layer itself is not an earlier one.
                _ => mixers.average(&prefix, ("theta", last(&of_time, span + 1)), ("gamma", last(&of_variate, span)))?,
            };
            of_variate.push(mixers.variate(&prefix, &self.config.variate, self.config.directions, &x)?);
        }
        Ok(of_variate.swap_remove(self.config.layers))
    }

    fn time_mixer(&self, mixers: &Mixers<'_>, prefix: &str, x: &Tensor) -> Result<Tensor> {
        if let TimeMixer::S6(sizes) = &self.config.time {
            return Ok(mixers.time(prefix, sizes, x, None)?.0);
        }
        let get = |name: &str| self.parameters.get(&format!("{prefix}time.{name}"));
        let xn = layer_norm(x, &get("norm.weight")?, &get("norm.bias")?)?;
        let by_feature = xn.permute((0, 2, 3, 1))?.contiguous()?;
        x + linear(&by_feature, &get("mix.weight")?, Some(&get("mix.bias")?))?.permute((0, 3, 1, 2))?
    }
}

/// The last `count` of these outputs, or all there are.
fn last(features: &[Tensor], count: usize) -> &[Tensor] {
    &features[features.len().saturating_sub(count)..]
}
