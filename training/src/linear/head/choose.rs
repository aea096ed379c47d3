//! The choice between normalizers.

use tsm2_core::{Config, Normalizer};

use super::error::LinearError;
use super::gather::gather;
use super::model::LinearModel;
use super::select::best_of;
use crate::data::runs::Part;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;

/// Minimum relative improvement before the exponential normalizer replaces the global one.
const EXPONENTIAL_MARGIN: f64 = 0.05;

/// Fits the linear head under each candidate normalizer, for forecasts of `config.horizon` steps; the best on validation comes first.
///
/// `period` adds seasonal averages. `report` is called with each model as soon as it is fitted.
///
/// # Errors
/// Too little data for any linear model.
pub fn choose(
    config: &Config,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    period: Option<usize>,
    mut report: impl FnMut(&LinearModel),
) -> Result<Vec<LinearModel>, LinearError> {
    let half_life = (split.train as f32 / 32.0).clamp(1.0, 128.0);
    let normalizers = [Normalizer::Global, Normalizer::Exponential { half_life }];
    let origins = table.part(split, Part::Validation).origin_count(config.horizon);
    let mut models = Vec::with_capacity(normalizers.len());
    for normalizer in normalizers {
        let gathered = gather(&Config { normalizer, ..*config }, table, split, scaler, period)?;
        let model = best_of(&gathered, normalizer, config, origins)?;
        report(&model);
        models.push(model);
    }
    let judged = |model: &LinearModel| {
        let margin = if model.normalizer == Normalizer::Global {
            EXPONENTIAL_MARGIN
        } else {
            0.0
        };
        (1.0 - margin) * model.mean()
    };
    models.sort_by(|a, b| judged(a).total_cmp(&judged(b)));
    Ok(models)
}
