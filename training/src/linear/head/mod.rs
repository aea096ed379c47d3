//! The linear head: which normalizer, which features and which ridge, decided on validation from second moments.
//!
//! For each candidate normalizer one pass over the training and validation rows gathers the moments of the widest feature vector,
//! per variate; every narrower set of features, shared or per-variate weights, what the ridge draws to, and every ridge is then decided per band
//! of leads without touching the data again (TSM2.md section 5). All errors are in units of z, so candidates of different normalizers compare.

mod gather;
mod select;

use std::fmt;
use std::ops::Range;

use tsm2_core::{Config, LinearHead, Normalizer};

use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::linear::ridge::RidgeError;

/// Numbers of lags tried.
const LAGS: [usize; 7] = [1, 4, 12, 24, 96, 256, 512];

/// Numbers of the other variates' samples tried.
const CROSS_LAGS: [usize; 3] = [2, 8, 24];

/// By what share samples relative to a level that follows them must be better than samples as they are, whose maps need not trust any level either.
const FOLLOWING_MARGIN: f64 = 0.05;

/// A linear model with the normalizer it goes with.
#[derive(Clone, Debug)]
pub struct LinearModel {
    /// The normalizer.
    pub normalizer: Normalizer,
    /// The features, those of all bands together.
    pub features: LinearHead,
    /// `linear_head.weight` as in the model file.
    pub weights: Vec<f32>,
    /// Mean squared error on validation per lead, in units of z, over all variates.
    pub mse: Vec<f64>,
    /// What is done at which leads.
    bands: Vec<select::Band>,
}

impl LinearModel {
    /// Mean over leads of the validation error.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mse.iter().sum::<f64>() / self.mse.len() as f64
    }
}

impl fmt::Display for LinearModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normalizer {:?}, validation MSE {:.4}", self.normalizer, self.mean())?;
        for band in &self.bands {
            let leads = &self.mse[band.leads.clone()];
            write!(f, "; {band} ({:.4})", leads.iter().sum::<f64>() / leads.len() as f64)?;
        }
        Ok(())
    }
}

/// Errors of choosing a linear head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinearError {
    /// The moments cannot be solved.
    #[error("the linear head: {0}")]
    Ridge(#[from] RidgeError),
    /// A fault of the configuration or the scaler.
    #[error("the linear head: {0}")]
    Model(#[from] tsm2_core::Error),
    /// A part without readings.
    #[error("the {part} part, rows {}..{}, has no reading to compare a forecast with", rows.start, rows.end)]
    NoReading {
        /// `training` or `validation`.
        part: &'static str,
        /// Its rows.
        rows: Range<usize>,
    },
}

/// The best linear head on validation for forecasts of `config.horizon` rows under each candidate normalizer, the best of them first; `period`
/// adds seasonal averages. `report` is told each as it is found.
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
    // A sliding window's level and an exponential one's served equally well, and the latter needs no ring.
    let half_life = (split.train as f32 / 32.0).clamp(1.0, 128.0);
    let normalizers = [Normalizer::Global, Normalizer::Exponential { half_life }];
    let mut choices = Vec::with_capacity(normalizers.len());
    for normalizer in normalizers {
        let gathered = gather::gather(&Config { normalizer, ..*config }, table, split, scaler, period)?;
        let choice = select::best_of(&gathered, normalizer, config, split.validation_origins(config.horizon))?;
        report(&choice);
        choices.push(choice);
    }
    let judged = |choice: &LinearModel| {
        let margin = if choice.normalizer == Normalizer::Global {
            FOLLOWING_MARGIN
        } else {
            0.0
        };
        (1.0 - margin) * choice.mean()
    };
    choices.sort_by(|a, b| judged(a).total_cmp(&judged(b)));
    Ok(choices)
}
