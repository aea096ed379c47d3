//! A trained network and its linear head as one bundle: the blend weights are multiplied into both heads.

use std::collections::BTreeMap;
use std::ops::Range;

use tsm2_bundle::{Bundle, BundleError, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, LinearHead};

use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::linear::step_groups::{certainty, step_groups};
use crate::train::trainer_options::Target;
use crate::train::validation_errors::{BlendSums, ValidationErrors};

/// Minimum relative improvement on validation by the network.
const LEAST_GAIN: f64 = 0.03;

/// Largest relative excess error at which the weight 1 replaces the best weight.
const FULL_WEIGHT_TIE: f64 = 1e-3;

/// The parts of a bundle, besides the trained weights.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Name published with every forecast.
    pub name: &'a str,
    /// The data.
    pub table: &'a Table,
    /// Its scaler.
    pub scaler: &'a Scaler,
    /// The configuration in training.
    pub config: &'a Config,
    /// The linear head's weights as in the model file.
    pub linear_head: &'a [f32],
    /// The target of the training.
    pub target: Target,
    /// The blend weight of the network per step group.
    pub blend_weights: &'a [f64],
}

impl Export<'_> {
    /// The bundle of these weights.
    ///
    /// # Errors
    /// Weights that do not fit the configuration or are not finite.
    pub fn bundle(&self, weights: &BTreeMap<String, Vec<f32>>, provenance: Provenance) -> Result<Bundle, BundleError> {
        let (config, weights) = self.assemble(weights)?;
        let variate = |(m, name): (usize, &String)| Variate {
            name: name.clone(),
            unit: self.table.units[m].clone(),
            mean: self.scaler.mean[m],
            std: self.scaler.std[m],
        };
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: self.name.to_owned(),
            config,
            variates: self.table.names.iter().enumerate().map(variate).collect(),
            interval_ms: self.table.interval_ms,
            provenance,
        };
        Bundle::new(meta, weights)
    }

    /// Configuration and flat weights of the model file: the weights per group folded into head and linear head. What is silent at every step is
    /// left out, network or linear head.
    fn assemble(&self, trained: &BTreeMap<String, Vec<f32>>) -> Result<(Config, Vec<f32>), tsm2_core::Error> {
        let (config, linear_head) = (self.config, self.linear_head);
        let by_lead: Vec<f32> = step_groups(config.horizon)
            .iter()
            .zip(self.blend_weights)
            .flat_map(|(group, &w)| group.clone().map(move |_| w as f32))
            .collect();
        let of_linear = |step: usize| if self.target == Target::Full { 1.0 - by_lead[step] } else { 1.0 };
        let mut shrunk = *config;
        let silent = by_lead.iter().all(|&w| w == 0.0);
        if silent {
            shrunk.network = None;
            // Without the network a future covariate is needed by the linear head only.
            if !config.linear_head.future_covariates {
                (shrunk.past_covariates, shrunk.future_covariates) = (config.past_covariates + config.future_covariates, 0);
            }
        }
        if (0..config.horizon).all(|step| of_linear(step) == 0.0) {
            shrunk.linear_head = LinearHead::default();
        }
        let scaled = |mut values: Vec<f32>, width: usize, scale: &dyn Fn(usize) -> f32| {
            for (row, values) in values.chunks_exact_mut(width).enumerate() {
                values.iter_mut().for_each(|w| *w *= scale(row % config.horizon));
            }
            values
        };
        let d_model = config.network.map_or(0, |network| network.d_model);
        let mut names = Vec::new();
        tsm2_core::layout(&shrunk, |name, _| names.push(name.to_string()))?;
        let mut weights = Vec::new();
        for name in names {
            if name == "linear_head.weight" {
                weights.extend(scaled(linear_head.to_vec(), config.linear_head_features(), &of_linear));
            } else {
                // A tensor that is not there leaves the weights too few, which the bundle refuses.
                let values = trained.get(&name).cloned().unwrap_or_default();
                weights.extend(match name.as_str() {
                    "head.weight" => scaled(values, d_model, &|step| by_lead[step]),
                    "head.bias" => scaled(values, 1, &|step| by_lead[step]),
                    _ => values,
                });
            }
        }
        Ok((shrunk, weights))
    }
}

/// The blend weight of the network per step group: the best on validation, with `origins` forecasts.
///
/// - 0 where the network improves too little for so few forecasts, or not in every part of the validation rows.
/// - 1 where that is about as good as the best weight.
#[must_use]
pub fn blend_weights(errors: &ValidationErrors, origins: usize) -> Vec<f64> {
    let weight = |group: &Range<usize>| {
        // A part without readings does not count.
        let parts: Vec<BlendSums> = errors.group(group.clone()).filter(|part| part.count > 0.0).collect();
        let whole: BlendSums = parts.iter().copied().sum();
        let best = whole.best_weight();
        let gains = |sums: &BlendSums, least: f64| sums.mse(best) < (1.0 - least) * sums.mse(0.0);
        if !gains(&whole, LEAST_GAIN / certainty(origins, group.end)) || !parts.iter().all(|part| gains(part, 0.0)) {
            0.0
        } else if whole.mse(1.0) * (1.0 - FULL_WEIGHT_TIE) <= whole.mse(best) {
            1.0
        } else {
            best
        }
    };
    step_groups(errors.horizon()).iter().map(weight).collect()
}

/// The mean over steps of the error with these weights, relative to that of another model, `mse` per step.
#[must_use]
pub fn relative(errors: &ValidationErrors, blend_weights: &[f64], mse: &[f64]) -> f64 {
    let of_band =
        |(group, &weight): (Range<usize>, &f64)| group.map(move |step| errors.group(step..step + 1).sum::<BlendSums>().mse(weight));
    let ratios = step_groups(errors.horizon())
        .into_iter()
        .zip(blend_weights)
        .flat_map(of_band)
        .zip(mse);
    let ratio = |(own, &other): (f64, &f64)| if other > 0.0 { own / other } else { 1.0 };
    ratios.map(ratio).sum::<f64>() / mse.len() as f64
}

/// A line per step group: the blend weight of the network, and the validation errors of the linear head and of both.
pub fn describe(errors: &ValidationErrors, blend_weights: &[f64]) -> impl Iterator<Item = String> {
    let line = |(group, &weight): (Range<usize>, &f64)| {
        let sums: BlendSums = errors.group(group.clone()).sum();
        let steps = match group.len() {
            1 => format!("step {}", group.end),
            _ => format!("steps {} to {}", group.start + 1, group.end),
        };
        let (linear, both) = (sums.mse(0.0), sums.mse(weight));
        format!("- {steps}: blend weight of the network {weight:.2}, validation MSE {linear:.4} -> {both:.4}")
    };
    step_groups(errors.horizon()).into_iter().zip(blend_weights).map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step, two parts: the linear head's error is 1, the network's step n explains a share of it in each part.
    fn weight(first: f64, second: f64, count: f64) -> f64 {
        let part = |cross, count: f64| {
            vec![BlendSums {
                linear: count,
                cross,
                network: 0.5 * count,
                count,
            }]
        };
        let parts = vec![part(first, 100.0), part(second, count)];
        blend_weights(&ValidationErrors { parts }, 1000)[0]
    }

    #[test]
    fn the_network_speaks_only_where_it_gains_everywhere() {
        assert_eq!(weight(50.0, 50.0, 100.0), 1.0);
        assert_eq!(weight(20.0, 30.0, 100.0), 0.5);
        assert_eq!(weight(60.0, -10.0, 100.0), 0.0, "it loses in the second part");
        assert_eq!(weight(2.0, 2.0, 100.0), 0.0, "it gains next to nothing");
        assert_eq!(weight(-10.0, -10.0, 100.0), 0.0);
        assert_eq!(weight(25.0, 0.0, 0.0), 0.5, "the second part has no readings");
    }

    #[test]
    fn errors_relative_to_another_model() {
        let sums = BlendSums {
            linear: 100.0,
            cross: 50.0,
            network: 50.0,
            count: 100.0,
        };
        let errors = ValidationErrors {
            parts: vec![vec![sums, sums]],
        };
        assert_eq!(relative(&errors, &[1.0, 0.0], &[1.0, 0.5]), (0.5 + 2.0) / 2.0);
    }
}
