//! A trained network and its linear head as one bundle: the blend weights are multiplied into both heads.

use std::collections::BTreeMap;

use tsm2_bundle::{Bundle, BundleError, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::Config;

use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::linear::step_groups::step_groups;

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
        let reads_calendar = config.linear_head.calendar || config.network.is_some_and(|network| network.calendar);
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: self.name.to_owned(),
            config,
            variates: self.table.names.iter().enumerate().map(variate).collect(),
            interval_ms: self.table.interval_ms,
            time_zone: reads_calendar.then(|| self.table.zone.name().map(str::to_owned)).flatten(),
            provenance,
        };
        Bundle::new(meta, weights)
    }

    /// Configuration and flat weights of the model file: the weights per group folded into the heads. A network that is
    /// silent at every step is left out.
    fn assemble(&self, trained: &BTreeMap<String, Vec<f32>>) -> Result<(Config, Vec<f32>), tsm2_core::Error> {
        let (config, mut linear_head) = (self.config, self.linear_head);
        let by_step: Vec<f32> = step_groups(config.horizon)
            .iter()
            .zip(self.blend_weights)
            .flat_map(|(group, &w)| group.clone().map(move |_| w as f32))
            .collect();
        let mut shrunk = *config;
        let silent = by_step.iter().all(|&w| w == 0.0);
        if silent {
            shrunk.network = None;
            // Without the network a future covariate is needed by the linear head only.
            if !config.linear_head.future_covariates {
                (shrunk.past_covariates, shrunk.future_covariates) = (config.past_covariates + config.future_covariates, 0);
            }
        }
        let scaled = |mut values: Vec<f32>, width: usize, scale: &dyn Fn(usize) -> f32| {
            for (row, values) in values.chunks_exact_mut(width).enumerate() {
                values.iter_mut().for_each(|w| *w *= scale(row % config.horizon));
            }
            values
        };
        let rank = config.linear_head.rank;
        let d_model = config.network.map_or(0, |network| network.d_model);
        let mut names = Vec::new();
        tsm2_core::layout(&shrunk, |name, shape| {
            names.push((name.to_string(), shape.iter().product::<usize>()))
        })?;
        let mut weights = Vec::new();
        for (name, len) in names {
            if name.starts_with("linear_head.") {
                let (tensor, rest) = linear_head.split_at(len.min(linear_head.len()));
                let (width, tensor) = (config.linear_head_features(), tensor.to_vec());
                weights.extend(match name.as_str() {
                    "linear_head.weight" => scaled(tensor, width, &|step| 1.0 - by_step[step]),
                    "linear_head.step.weight" => scaled(tensor, rank, &|step| 1.0 - by_step[step]),
                    _ => tensor,
                });
                linear_head = rest;
            } else {
                // A tensor that is not there leaves the weights too few, which the bundle refuses.
                let values = trained.get(&name).cloned().unwrap_or_default();
                weights.extend(match name.as_str() {
                    "head.weight" => scaled(values, d_model, &|step| by_step[step]),
                    "head.bias" => scaled(values, 1, &|step| by_step[step]),
                    _ => values,
                });
            }
        }
        Ok((shrunk, weights))
    }
}
