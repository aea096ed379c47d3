//! Sums of forecast errors by horizon: every origin, every variate, every step.
//!
//! An origin `r` is a forecast made after consuming rows `0..r`, whose first step is row `r`. Every origin counts whose steps all lie in the rows
//! evaluated; errors are in units of the scaler; readings that are missing are left out and counted. MSE and MAE at horizon h are averages
//! over steps `1..=h` of all origins that have h steps.

use std::ops::Range;

use serde::Serialize;
use tsm2_stream::{ErrorSums, Errors};

use crate::data::split::SplitError;
use crate::linear::ridge::RidgeError;

/// Errors at one horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HorizonError {
    /// Steps ahead.
    pub horizon: usize,
    /// Mean squared error, in squared training standard deviations.
    pub mse: f64,
    /// Mean absolute error, in training standard deviations.
    pub mae: f64,
    /// Origins it is the average of.
    pub origins: usize,
    /// Readings to compare with that are missing, over all origins, steps and variates.
    #[serde(skip)]
    pub missing: usize,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A horizon of no steps, or none at all.
    #[error("a horizon is at least 1 step")]
    NoHorizon,
    /// The model does not forecast that far.
    #[error("horizon {horizon} is beyond the model's {model}")]
    BeyondModel {
        /// Steps asked for.
        horizon: usize,
        /// Steps of the model's forecasts.
        model: usize,
    },
    /// The rows evaluated hold no origin with a reading to compare with.
    #[error("rows {}..{} hold no reading to compare a forecast of {horizon} steps with", rows.start, rows.end)]
    NothingToCompare {
        /// Steps asked for.
        horizon: usize,
        /// Rows evaluated.
        rows: Range<usize>,
    },
    /// The split leaves too little.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A linear baseline cannot be fitted.
    #[error("the linear baseline: {0}")]
    Linear(#[from] RidgeError),
    /// A neural baseline fails.
    #[error("the neural baseline: {0}")]
    Baseline(#[from] candle_core::Error),
    /// The model refuses the rows.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
}

/// Sums of errors by horizon.
#[derive(Debug, Clone)]
pub struct Tally<'z> {
    /// Standardised readings `[rows][variates]`.
    z: &'z [f32],
    variates: usize,
    rows: Range<usize>,
    sums: Vec<HorizonSums>,
}

#[derive(Debug, Clone, Copy, Default)]
struct HorizonSums {
    horizon: usize,
    errors: ErrorSums,
    missing: usize,
    origins: usize,
}

impl<'z> Tally<'z> {
    /// No error yet; `z` is standardised, `[rows][variates]`.
    ///
    /// # Errors
    /// A horizon of no steps, or none at all.
    pub fn new(z: &'z [f32], variates: usize, rows: Range<usize>, horizons: &[usize]) -> Result<Self, EvaluateError> {
        if horizons.is_empty() || horizons.contains(&0) {
            return Err(EvaluateError::NoHorizon);
        }
        Ok(Tally {
            z,
            variates,
            rows,
            sums: horizons
                .iter()
                .map(|&horizon| HorizonSums {
                    horizon,
                    ..HorizonSums::default()
                })
                .collect(),
        })
    }

    /// Origins that count for any of the horizons; none before the first row, for there is nothing to forecast from.
    pub fn origins(&self) -> Range<usize> {
        let shortest = self.sums.iter().map(|sums| sums.horizon).min().unwrap_or(1);
        self.rows.start.max(1)..(self.rows.end + 1).saturating_sub(shortest)
    }

    /// Adds the errors of a standardised forecast `[variates][any horizon]`.
    pub fn add(&mut self, origin: usize, forecast: &[f32]) {
        let width = forecast.len() / self.variates;
        for sums in self.sums.iter_mut().filter(|sums| origin + sums.horizon <= self.rows.end) {
            sums.origins += 1;
            for (m, forecast) in forecast.chunks_exact(width).enumerate() {
                for (step, forecast) in forecast[..sums.horizon].iter().enumerate() {
                    let reading = self.z[(origin + step) * self.variates + m];
                    if reading.is_nan() {
                        sums.missing += 1;
                        continue;
                    }
                    sums.errors.add(f64::from(forecast - reading));
                }
            }
        }
    }

    /// Adds the sums of another share of the same origins.
    pub fn merge(&mut self, other: &Tally<'_>) {
        for (sums, other) in self.sums.iter_mut().zip(&other.sums) {
            sums.errors += other.errors;
            sums.missing += other.missing;
            sums.origins += other.origins;
        }
    }

    /// What the sums come to.
    pub fn errors(&self) -> Result<Vec<HorizonError>, EvaluateError> {
        let error = |sums: &HorizonSums| {
            let HorizonSums {
                horizon, missing, origins, ..
            } = *sums;
            let Errors { mae, mse } = sums.errors.mean().ok_or_else(|| EvaluateError::NothingToCompare {
                horizon,
                rows: self.rows.clone(),
            })?;
            Ok(HorizonError {
                horizon,
                mse,
                mae,
                origins,
                missing,
            })
        };
        self.sums.iter().map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two variates of five rows, one reading missing.
    const Z: [f32; 10] = [0.0, 0.0, 1.0, 10.0, 2.0, f32::NAN, 3.0, 30.0, 4.0, 40.0];

    #[test]
    fn every_origin_whose_steps_lie_inside_counts() {
        let mut tally = Tally::new(&Z, 2, 2..5, &[1, 2]).unwrap();
        assert_eq!(tally.origins(), 2..5);
        for origin in tally.origins() {
            // Three steps, though only two are scored: [variate][step].
            tally.add(origin, &[0.0, 0.0, 9.0, 10.0, 10.0, 9.0]);
        }
        let errors = tally.errors().unwrap();
        // One step: rows 2, 3, 4 of the first variate, 3 and 4 of the second.
        let mse = (4.0 + 9.0 + 16.0 + 400.0 + 900.0) / 5.0;
        let mae = (2.0 + 3.0 + 4.0 + 20.0 + 30.0) / 5.0;
        assert_eq!(
            errors[0],
            HorizonError {
                horizon: 1,
                mse,
                mae,
                origins: 3,
                missing: 1
            }
        );
        // Two steps: rows 2, 3 and 3, 4; row 2 of the second variate is missing.
        let mse = (4.0 + 9.0 + 9.0 + 16.0 + 400.0 + 400.0 + 900.0) / 7.0;
        let mae = (2.0 + 3.0 + 3.0 + 4.0 + 20.0 + 20.0 + 30.0) / 7.0;
        assert_eq!(
            errors[1],
            HorizonError {
                horizon: 2,
                mse,
                mae,
                origins: 2,
                missing: 1
            }
        );
    }

    #[test]
    fn nothing_to_compare_is_said() {
        assert!(matches!(Tally::new(&Z, 2, 2..5, &[0]), Err(EvaluateError::NoHorizon)));
        assert!(matches!(Tally::new(&Z, 2, 2..5, &[]), Err(EvaluateError::NoHorizon)));
        let tally = Tally::new(&Z, 2, 2..5, &[4]).unwrap();
        assert!(tally.origins().is_empty());
        let message = tally.errors().unwrap_err().to_string();
        assert!(message.contains("rows 2..5") && message.contains("4 steps"), "{message}");
    }

    #[test]
    fn shares_add_up() {
        let whole = Tally::new(&Z, 2, 1..5, &[2]).unwrap();
        let (mut one, mut other) = (whole.clone(), whole.clone());
        let mut whole = whole;
        for origin in whole.origins() {
            whole.add(origin, &[0.5; 4]);
            if origin % 2 == 0 { &mut one } else { &mut other }.add(origin, &[0.5; 4]);
        }
        one.merge(&other);
        assert_eq!(one.errors().unwrap(), whole.errors().unwrap());
    }
}
