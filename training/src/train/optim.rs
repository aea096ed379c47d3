//! AdamW (Loshchilov and Hutter 2019) with clipping by the global norm, and the exponential average of the weights.
//!
//! Own rather than candle's so that a run resumes exactly: moments and step count go out and come back as named tensors. An update
//! is one fused pass per parameter, in place. Gradients come as plain numbers, summed by the caller over the shards of a batch
//! ([`sum_gradients`]); everything is deterministic.

mod access;
mod ema;

pub use ema::Ema;

use crate::network::parameters::Parameter;
use crate::ops::{dot, vectorised};
use access::{change, read};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;

/// What can go wrong in an update or when resuming.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptimError {
    /// The number of gradients, or the length of one.
    #[error("the gradient of {name} has {got} numbers where the parameter has {want}")]
    Gradient {
        /// The parameter.
        name: String,
        /// Its size.
        want: usize,
        /// What was given.
        got: usize,
    },
    /// A saved tensor is absent.
    #[error("the saved training state has no tensor {name}")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// A saved tensor has another shape than the parameter.
    #[error("the saved training state's tensor {name} has shape {got:?} where {want:?} is needed")]
    Shape {
        /// The tensor.
        name: String,
        /// The parameter's shape.
        want: Vec<usize>,
        /// What was found.
        got: Vec<usize>,
    },
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The constants of [`AdamW`].
#[derive(Clone, Copy, Debug)]
pub struct AdamWOptions {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, a rate that the learning rate multiplies.
    pub weight_decay: f32,
    /// Largest Euclidean norm of all gradients together; infinite for no limit.
    pub max_norm: f32,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            max_norm: 1.0,
        }
    }
}

/// The optimiser of a list of parameters.
#[derive(Debug)]
pub struct AdamW {
    options: AdamWOptions,
    parameters: Vec<Parameter>,
    moments: Vec<AdamMoments>,
    steps: i64,
}

#[derive(Debug)]
struct AdamMoments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The name of the step count among the saved tensors.
const STEPS: &str = "adamw.steps";

impl AdamW {
    /// Starts with zero moments.
    #[must_use]
    pub fn new(parameters: Vec<Parameter>, options: AdamWOptions) -> Self {
        let zeros = |parameter: &Parameter| vec![0.0; parameter.var.elem_count()];
        let moments = parameters
            .iter()
            .map(|p| AdamMoments {
                first: zeros(p),
                second: zeros(p),
            })
            .collect();
        Self {
            options,
            parameters,
            moments,
            steps: 0,
        }
    }

    /// The parameters, in the order in which gradients are expected.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// One update with gradients in the order of [`AdamW::parameters`]. Returns their norm before clipping; when that is not
    /// finite, nothing was changed.
    ///
    /// # Errors
    /// Gradients that do not fit the parameters.
    pub fn step(&mut self, gradients: &[Vec<f32>], learning_rate: f64) -> Result<f64, OptimError> {
        for (i, parameter) in self.parameters.iter().enumerate() {
            let (want, got) = (parameter.var.elem_count(), gradients.get(i).map_or(0, Vec::len));
            if want != got {
                return Err(OptimError::Gradient {
                    name: parameter.name.clone(),
                    want,
                    got,
                });
            }
        }
        let norm = gradients
            .iter()
            .map(|gradient| f64::from(dot(gradient, gradient)))
            .sum::<f64>()
            .sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.steps += 1;
        let AdamWOptions {
            beta1,
            beta2,
            eps,
            weight_decay,
            max_norm,
        } = self.options;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let (correct1, correct2) = (correction(beta1), correction(beta2));
        let (parameters, moments) = (&self.parameters, &mut self.moments);
        change(parameters, |i, weights| {
            let update = Update {
                clip: if norm > f64::from(max_norm) {
                    (f64::from(max_norm) / norm) as f32
                } else {
                    1.0
                },
                keep1: beta1 as f32,
                add1: (1.0 - beta1) as f32,
                keep2: beta2 as f32,
                add2: (1.0 - beta2) as f32,
                rate: (learning_rate / correct1) as f32,
                correct2: (1.0 / correct2) as f32,
                eps,
                shrink: if parameters[i].decay {
                    1.0 - (learning_rate * f64::from(weight_decay)) as f32
                } else {
                    1.0
                },
            };
            let AdamMoments { first, second } = &mut moments[i];
            vectorised(
                #[inline(always)]
                || update.apply(weights, &gradients[i], first, second),
            );
        })?;
        Ok(norm)
    }

    /// AdamMoments and step count as named tensors: `adamw.first.NAME`, `adamw.second.NAME`, `adamw.steps`.
    ///
    /// # Errors
    /// Those of candle.
    pub fn save(&self) -> Result<HashMap<String, Tensor>, OptimError> {
        let mut saved = HashMap::new();
        for (parameter, moments) in self.parameters.iter().zip(&self.moments) {
            for (kind, values) in [("first", &moments.first), ("second", &moments.second)] {
                let tensor = Tensor::from_slice(values, parameter.var.shape(), &Device::Cpu)?;
                saved.insert(format!("adamw.{kind}.{}", parameter.name), tensor);
            }
        }
        saved.insert(STEPS.into(), Tensor::new(&[self.steps], &Device::Cpu)?);
        Ok(saved)
    }

    /// Restores the state of [`AdamW::save`]; the next step is the one that would have followed.
    ///
    /// # Errors
    /// A tensor that is absent or of another shape.
    pub fn restore(&mut self, saved: &HashMap<String, Tensor>) -> Result<(), OptimError> {
        let steps = saved.get(STEPS).ok_or_else(|| OptimError::Missing { name: STEPS.into() })?;
        let mut restored = Vec::with_capacity(self.parameters.len());
        for Parameter { name, var, .. } in &self.parameters {
            restored.push(AdamMoments {
                first: find(saved, format!("adamw.first.{name}"), var.dims())?,
                second: find(saved, format!("adamw.second.{name}"), var.dims())?,
            });
        }
        self.steps = steps.flatten_all()?.get(0)?.to_scalar::<i64>()?;
        self.moments = restored;
        Ok(())
    }
}

/// The numbers of one update, the same for every element of a parameter.
struct Update {
    clip: f32,
    keep1: f32,
    add1: f32,
    keep2: f32,
    add2: f32,
    /// Learning rate with the first moment's correction.
    rate: f32,
    /// One over the second moment's correction.
    correct2: f32,
    eps: f32,
    /// 1 - learning rate * weight decay.
    shrink: f32,
}

impl Update {
    #[inline(always)]
    fn apply(&self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * self.clip;
            *m = self.keep1 * *m + self.add1 * g;
            *v = self.keep2 * *v + self.add2 * g * g;
            *w = self.shrink * *w - self.rate * *m / ((*v * self.correct2).sqrt() + self.eps);
        }
    }
}

/// The sum over `shards` of every parameter's gradient; zero where a shard does not reach the parameter and where it is held.
///
/// # Errors
/// A gradient that is not f32.
pub fn sum_gradients(parameters: &[Parameter], shards: &[GradStore]) -> Result<Vec<Vec<f32>>, OptimError> {
    let mut sums: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.0; p.var.elem_count()]).collect();
    for shard in shards {
        let reached = parameters.iter().enumerate().filter_map(|(i, p)| Some((i, shard.get(&p.var)?)));
        let (places, gradients): (Vec<usize>, Vec<&Tensor>) = reached.unzip();
        read(&gradients, |i, gradient| {
            sums[places[i]]
                .iter_mut()
                .zip(gradient)
                .for_each(|(sum, gradient)| *sum += gradient);
        })?;
    }
    for (sum, parameter) in sums.iter_mut().zip(parameters) {
        sum[parameter.frozen.clone()].fill(0.0);
    }
    Ok(sums)
}

/// The learning rate of an update: up to `largest` along a line over the warm-up, times a cosine down to nothing at the last.
#[must_use]
pub fn warm_cosine(update: usize, updates: usize, warm_up: usize, largest: f64) -> f64 {
    let warm = ((update + 1) as f64 / warm_up as f64).min(1.0);
    let progress = update as f64 / updates as f64;
    largest * warm * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

fn find(saved: &HashMap<String, Tensor>, name: String, want: &[usize]) -> Result<Vec<f32>, OptimError> {
    match saved.get(&name) {
        None => Err(OptimError::Missing { name }),
        Some(tensor) if tensor.dims() != want => Err(OptimError::Shape {
            name,
            want: want.to_vec(),
            got: tensor.dims().to_vec(),
        }),
        Some(tensor) => Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    fn parameters() -> Vec<Parameter> {
        let var = |values: &[f32], shape: &[usize]| Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap();
        let matrix: Vec<f32> = (0..35).map(|i| (i as f32 * 0.7).sin()).collect();
        vec![
            Parameter {
                name: "w".into(),
                var: var(&matrix, &[5, 7]),
                decay: true,
                frozen: 0..0,
            },
            Parameter {
                name: "b".into(),
                var: var(&[0.5, -0.25], &[2]),
                decay: false,
                frozen: 0..0,
            },
        ]
    }

    /// The gradient of a quadratic with its minimum at 0.3.
    fn gradients(parameters: &[Parameter]) -> Vec<Vec<f32>> {
        values(parameters)
            .iter()
            .map(|values| values.iter().map(|w| 2.0 * (w - 0.3)).collect())
            .collect()
    }

    fn values(parameters: &[Parameter]) -> Vec<Vec<f32>> {
        parameters.iter().map(|p| p.var.flatten_all().unwrap().to_vec1().unwrap()).collect()
    }

    #[test]
    fn an_update_is_the_papers_in_double_precision() {
        let options = AdamWOptions {
            weight_decay: 0.1,
            max_norm: 1.5,
            ..AdamWOptions::default()
        };
        let mut adam = AdamW::new(parameters(), options);
        let mut want: Vec<Vec<f64>> = values(adam.parameters())
            .iter()
            .map(|v| v.iter().map(|x| f64::from(*x)).collect())
            .collect();
        let mut moments: Vec<Vec<(f64, f64)>> = want.iter().map(|v| vec![(0.0, 0.0); v.len()]).collect();
        for step in 1..=50 {
            let given = gradients(adam.parameters());
            let norm = adam.step(&given, 0.02).unwrap();
            let exact = want.iter().flatten().map(|w| (2.0 * (w - 0.3)).powi(2)).sum::<f64>().sqrt();
            assert!((norm - exact).abs() < 1e-4 * exact, "{norm} {exact}");
            for ((row, moments), decay) in want.iter_mut().zip(&mut moments).zip([0.1, 0.0]) {
                for (w, (m, v)) in row.iter_mut().zip(moments) {
                    let g = 2.0 * (*w - 0.3) * (1.5 / exact).min(1.0);
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.999 * *v + 0.001 * g * g;
                    let (m, v) = (*m / (1.0 - 0.9f64.powi(step)), *v / (1.0 - 0.999f64.powi(step)));
                    *w -= 0.02 * decay * *w + 0.02 * m / (v.sqrt() + 1e-8);
                }
            }
        }
        for (got, want) in values(adam.parameters()).iter().flatten().zip(want.iter().flatten()) {
            assert!((f64::from(*got) - want).abs() < 2e-5, "{got} {want}");
        }
    }

    #[test]
    fn a_restored_optimiser_goes_on_to_the_bit() {
        let run = |adam: &mut AdamW, ema: &mut Ema, steps: usize| {
            for _ in 0..steps {
                let given = gradients(adam.parameters());
                adam.step(&given, 0.01).unwrap();
                ema.update(adam.parameters(), 0.9).unwrap();
            }
        };
        let mut whole = AdamW::new(parameters(), AdamWOptions::default());
        let mut whole_ema = Ema::new(whole.parameters()).unwrap();
        run(&mut whole, &mut whole_ema, 7);
        let (saved, saved_ema) = (whole.save().unwrap(), whole_ema.save(whole.parameters()).unwrap());

        let copies = whole.parameters().iter().map(|p| Parameter {
            var: Var::from_tensor(&p.var.copy().unwrap()).unwrap(),
            ..p.clone()
        });
        let mut resumed = AdamW::new(copies.collect(), AdamWOptions::default());
        resumed.restore(&saved).unwrap();
        let mut resumed_ema = Ema::new(resumed.parameters()).unwrap();
        resumed_ema.restore(resumed.parameters(), &saved_ema).unwrap();
        run(&mut whole, &mut whole_ema, 5);
        run(&mut resumed, &mut resumed_ema, 5);
        assert_eq!(values(whole.parameters()), values(resumed.parameters()));
        assert_eq!(whole_ema.values, resumed_ema.values);
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut adam = AdamW::new(parameters(), AdamWOptions::default());
        let before = values(adam.parameters());
        let mut given = gradients(adam.parameters());
        given[0][3] = f32::NAN;
        assert!(adam.step(&given, 0.01).unwrap().is_nan());
        assert_eq!(values(adam.parameters()), before);
        assert_eq!(adam.steps, 0);
    }

    #[test]
    fn swapping_twice_restores_the_weights() {
        let parameters = parameters();
        let mut ema = Ema::new(&parameters).unwrap();
        parameters[1].var.set(&Tensor::new(&[4.0f32, 4.0], &Device::Cpu).unwrap()).unwrap();
        ema.update(&parameters, 0.75).unwrap();
        ema.swap(&parameters).unwrap();
        assert_eq!(values(&parameters)[1], [1.375, 0.8125]);
        ema.swap(&parameters).unwrap();
        assert_eq!(values(&parameters)[1], [4.0, 4.0]);
    }

    #[test]
    fn gradients_of_shards_are_summed_and_unreached_parameters_get_zero() {
        let parameters = parameters();
        let shard = |factor: f64| {
            (parameters[1].var.as_tensor() * factor)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let sums = sum_gradients(&parameters, &[shard(2.0), shard(0.5)]).unwrap();
        assert_eq!(sums[0], vec![0.0; 35]);
        assert_eq!(sums[1], vec![2.5; 2]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut adam = AdamW::new(parameters(), AdamWOptions::default());
        let error = adam.step(&[vec![0.0; 35]], 0.01).unwrap_err();
        assert!(error.to_string().contains("gradient of b has 0 numbers"), "{error}");
        let mut saved = adam.save().unwrap();
        saved.insert("adamw.second.b".into(), Tensor::new(&[1.0f32], &Device::Cpu).unwrap());
        assert!(
            adam.restore(&saved)
                .unwrap_err()
                .to_string()
                .contains("adamw.second.b has shape [1]")
        );
        saved.remove("adamw.first.w");
        assert!(adam.restore(&saved).unwrap_err().to_string().contains("no tensor adamw.first.w"));
    }
}
