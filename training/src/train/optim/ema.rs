//! The exponential average of the weights. Validation and the bundle use it in the place of the weights themselves.

use super::access::{change, read};
use super::{OptimError, find};
use crate::network::parameters::Parameter;
use crate::ops::vectorised;
use candle_core::{Device, Tensor};
use std::collections::HashMap;

/// The exponential average of the weights; validation and the bundle use it (docs/explanation/training.md, Training).
#[derive(Debug)]
pub struct Ema {
    pub(super) values: Vec<Vec<f32>>,
}

impl Ema {
    /// Starts at the present weights.
    ///
    /// # Errors
    /// A parameter that is not f32.
    pub fn new(parameters: &[Parameter]) -> Result<Self, OptimError> {
        let values = parameters
            .iter()
            .map(|p| p.var.flatten_all()?.to_vec1())
            .collect::<candle_core::Result<_>>()?;
        Ok(Self { values })
    }

    /// average = decay * average + (1 - decay) * weights.
    ///
    /// # Errors
    /// A parameter that is not f32.
    pub fn update(&mut self, parameters: &[Parameter], decay: f32) -> Result<(), OptimError> {
        let tensors: Vec<&Tensor> = parameters.iter().map(|p| p.var.as_tensor()).collect();
        read(&tensors, |i, weights| {
            vectorised(
                #[inline(always)]
                || {
                    for (average, weight) in self.values[i].iter_mut().zip(weights) {
                        *average = decay * *average + (1.0 - decay) * weight;
                    }
                },
            );
        })?;
        Ok(())
    }

    /// Exchanges average and weights: once to evaluate with the average, once more to train on.
    ///
    /// # Errors
    /// A parameter that is not f32.
    pub fn swap(&mut self, parameters: &[Parameter]) -> Result<(), OptimError> {
        change(parameters, |i, weights| weights.swap_with_slice(&mut self.values[i]))?;
        Ok(())
    }

    /// Gives the parameters their averages.
    ///
    /// # Errors
    /// A parameter that is not f32.
    pub fn copy_to(&self, parameters: &[Parameter]) -> Result<(), OptimError> {
        change(parameters, |i, weights| weights.copy_from_slice(&self.values[i]))?;
        Ok(())
    }

    /// The averages as named tensors, `ema.NAME`.
    ///
    /// # Errors
    /// Those of candle.
    pub fn save(&self, parameters: &[Parameter]) -> Result<HashMap<String, Tensor>, OptimError> {
        let mut saved = HashMap::new();
        for (parameter, average) in parameters.iter().zip(&self.values) {
            let tensor = Tensor::from_slice(average, parameter.var.shape(), &Device::Cpu)?;
            saved.insert(format!("ema.{}", parameter.name), tensor);
        }
        Ok(saved)
    }

    /// Restores the state of [`Ema::save`].
    ///
    /// # Errors
    /// A tensor that is absent or of another shape.
    pub fn restore(&mut self, parameters: &[Parameter], saved: &HashMap<String, Tensor>) -> Result<(), OptimError> {
        let found = parameters.iter().map(|p| find(saved, format!("ema.{}", p.name), p.var.dims()));
        self.values = found.collect::<Result<_, _>>()?;
        Ok(())
    }
}
