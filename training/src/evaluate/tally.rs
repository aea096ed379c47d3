//! Sums of forecast errors by horizon: every origin, every variate, every step.
//!
//! An origin `r` is a forecast made after consuming rows `0..r`, whose first step is row `r`. Every origin counts whose steps all lie in the rows
//! evaluated; errors are in units of the scaler; readings that are missing are left out and counted. MSE and MAE at horizon h are averages
//! over steps `1..=h` of all origins that have h steps.

use std::ops::Range;

use serde::Serialize;
use tsm2_stream::{ErrorSums, Errors};

use crate::data::runs::{Piece, Pieces};
use crate::data::split::SplitError;
use crate::linear::ridge::RidgeError;
use crate::model::StepError;

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

/// Errors of a forecaster on a part of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorsByDevice {
    /// Over all devices, by horizon.
    pub total: Vec<HorizonError>,
    /// By number of the device; a device without a reading to compare with is left out.
    pub devices: Vec<(usize, Vec<HorizonError>)>,
    /// Over all devices in detail, by horizon.
    pub details: Vec<Details>,
}

/// Sums of errors at one horizon, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Number of targets.
    pub targets: usize,
    /// By target and step, `[targets][horizon]`.
    pub steps: Vec<ErrorSums>,
    /// By block of consecutive origins and target, `[blocks][targets]`. A block is at least as long as the longest horizon.
    pub blocks: Vec<ErrorSums>,
}

impl Details {
    /// Of a target, over all steps.
    #[must_use]
    pub fn target(&self, target: usize) -> ErrorSums {
        sum(self.target_steps(target))
    }

    /// Of a target, by step.
    #[must_use]
    pub fn target_steps(&self, target: usize) -> &[ErrorSums] {
        let horizon = self.horizon();
        &self.steps[target * horizon..(target + 1) * horizon]
    }

    /// Of all targets at a step, counted from 0.
    #[must_use]
    pub fn step(&self, step: usize) -> ErrorSums {
        sum(self.steps.iter().skip(step).step_by(self.horizon()))
    }

    /// Of all targets, by block.
    #[must_use]
    pub fn blocks(&self) -> Vec<ErrorSums> {
        self.blocks.chunks(self.targets.max(1)).map(sum).collect()
    }

    /// Of a target, by block.
    #[must_use]
    pub fn target_blocks(&self, target: usize) -> Vec<ErrorSums> {
        self.blocks.iter().skip(target).step_by(self.targets.max(1)).copied().collect()
    }

    /// Number of steps.
    #[must_use]
    pub fn horizon(&self) -> usize {
        (self.steps.len() / self.targets.max(1)).max(1)
    }
}

fn sum<'s>(sums: impl IntoIterator<Item = &'s ErrorSums>) -> ErrorSums {
    sums.into_iter().fold(ErrorSums::default(), |mut sum, one| {
        sum += *one;
        sum
    })
}

/// The horizons that a report shows: 1, a quarter, half and all of the steps.
#[must_use]
pub fn reported_horizons(horizon: usize) -> Vec<usize> {
    let mut list = vec![1, horizon / 4, horizon / 2, horizon];
    list.retain(|&h| h > 0);
    list.dedup();
    list
}

/// Blocks of the origins at most.
const BLOCKS: usize = 100;

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
    Model(#[from] StepError),
}

impl From<tsm2_core::Error> for EvaluateError {
    fn from(error: tsm2_core::Error) -> Self {
        Self::Model(error.into())
    }
}

/// Sums of errors by device and horizon.
#[derive(Debug, Clone)]
pub struct Tally<'z> {
    /// Standardised readings `[rows][variates]`.
    z: &'z [f32],
    variates: usize,
    pieces: &'z Pieces,
    /// Rows of all pieces before each.
    before: Vec<usize>,
    /// Origins that count for any of the horizons.
    origins: Vec<Range<usize>>,
    /// By device.
    sums: Vec<Vec<HorizonSums>>,
    /// By horizon.
    details: Vec<Details>,
    /// Origins of a block.
    block: usize,
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
    pub fn new(z: &'z [f32], variates: usize, pieces: &'z Pieces, horizons: &[usize]) -> Result<Self, EvaluateError> {
        if horizons.is_empty() || horizons.contains(&0) {
            return Err(EvaluateError::NoHorizon);
        }
        let blank = |&horizon: &usize| HorizonSums {
            horizon,
            ..HorizonSums::default()
        };
        let devices = pieces.iter().map(|piece| piece.device + 1).max().unwrap_or(1);
        let rows_before = |sum: &mut usize, piece: &Piece| {
            let before = *sum;
            *sum += piece.rows.len();
            Some(before)
        };
        let block = (pieces.rows() / BLOCKS).max(horizons.iter().copied().max().unwrap_or(1));
        let details = |&horizon: &usize| Details {
            targets: variates,
            steps: vec![ErrorSums::default(); variates * horizon],
            blocks: vec![ErrorSums::default(); (pieces.rows() / block + 1) * variates],
        };
        Ok(Tally {
            z,
            variates,
            pieces,
            before: pieces.iter().scan(0, rows_before).collect(),
            origins: pieces.origins(horizons.iter().copied().min().unwrap_or(1)).collect(),
            sums: vec![horizons.iter().map(blank).collect(); devices],
            details: horizons.iter().map(details).collect(),
            block,
        })
    }

    /// Origins that count for any of the horizons; none without a row before it, for there is nothing to forecast from.
    pub fn origins(&self) -> impl Iterator<Item = usize> {
        self.origins.clone().into_iter().flatten()
    }

    /// Whether this is one of the origins.
    pub fn is_origin(&self, row: usize) -> bool {
        let at = self.origins.partition_point(|origins| origins.end <= row);
        self.origins.get(at).is_some_and(|origins| origins.contains(&row))
    }

    /// The rows that a model runs through to forecast at every origin, each range from the first row of a run.
    pub fn passes(&self) -> Vec<Range<usize>> {
        self.pieces.passes()
    }

    /// Adds the errors of a standardised forecast `[variates][any horizon]`.
    pub fn add(&mut self, origin: usize, forecast: &[f32]) {
        let width = forecast.len() / self.variates;
        let Some((at, piece)) = self.pieces.find(origin) else { return };
        let place = self.before[at] + origin - piece.rows.start;
        let sums = self.sums[piece.device].iter_mut().zip(&mut self.details);
        for (sums, details) in sums.filter(|(sums, _)| origin + sums.horizon <= piece.rows.end) {
            sums.origins += 1;
            let blocks = &mut details.blocks[place / self.block * self.variates..][..self.variates];
            for (m, forecast) in forecast.chunks_exact(width).enumerate() {
                for (step, forecast) in forecast[..sums.horizon].iter().enumerate() {
                    let reading = self.z[(origin + step) * self.variates + m];
                    if reading.is_nan() {
                        sums.missing += 1;
                        continue;
                    }
                    let error = f64::from(forecast - reading);
                    sums.errors.add(error);
                    blocks[m].add(error);
                    details.steps[m * sums.horizon + step].add(error);
                }
            }
        }
    }

    /// Adds the sums of another share of the same origins.
    pub fn merge(&mut self, other: &Tally<'_>) {
        let pairs = self.sums.iter_mut().zip(&other.sums);
        pairs.for_each(|(sums, other)| merge(sums, other));
        for (details, other) in self.details.iter_mut().zip(&other.details) {
            let pairs = details.steps.iter_mut().zip(&other.steps);
            let pairs = pairs.chain(details.blocks.iter_mut().zip(&other.blocks));
            pairs.for_each(|(sums, other)| *sums += *other);
        }
    }

    /// What the sums come to.
    ///
    /// # Errors
    /// `NothingToCompare`.
    pub fn errors(&self) -> Result<ErrorsByDevice, EvaluateError> {
        let mut total = self.sums[0].clone();
        self.sums[1..].iter().for_each(|sums| merge(&mut total, sums));
        let devices = self.sums.iter().enumerate();
        Ok(ErrorsByDevice {
            total: self.means(&total)?,
            details: self.details.clone(),
            devices: devices
                .filter_map(|(device, sums)| Some((device, self.means(sums).ok()?)))
                .collect(),
        })
    }

    fn means(&self, sums: &[HorizonSums]) -> Result<Vec<HorizonError>, EvaluateError> {
        let error = |sums: &HorizonSums| {
            let HorizonSums {
                horizon, missing, origins, ..
            } = *sums;
            let Errors { mae, mse } = sums.errors.mean().ok_or_else(|| EvaluateError::NothingToCompare {
                horizon,
                rows: self.pieces.hull(),
            })?;
            Ok(HorizonError {
                horizon,
                mse,
                mae,
                origins,
                missing,
            })
        };
        sums.iter().map(error).collect()
    }
}

fn merge(sums: &mut [HorizonSums], other: &[HorizonSums]) {
    for (sums, other) in sums.iter_mut().zip(other) {
        sums.errors += other.errors;
        sums.missing += other.missing;
        sums.origins += other.origins;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::runs::{Part, Runs};
    use crate::data::split::Split;

    /// Two variates of five rows, one reading missing.
    const Z: [f32; 10] = [0.0, 0.0, 1.0, 10.0, 2.0, f32::NAN, 3.0, 30.0, 4.0, 40.0];

    #[test]
    fn every_origin_whose_steps_lie_inside_counts() {
        let part = Pieces::from(2..5);
        let mut tally = Tally::new(&Z, 2, &part, &[1, 2]).unwrap();
        assert_eq!(tally.origins().collect::<Vec<_>>(), [2, 3, 4]);
        for origin in 2..5 {
            // Three steps, though only two are scored: [variate][step].
            tally.add(origin, &[0.0, 0.0, 9.0, 10.0, 10.0, 9.0]);
        }
        let errors = tally.errors().unwrap().total;
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
        let part = Pieces::from(2..5);
        assert!(matches!(Tally::new(&Z, 2, &part, &[0]), Err(EvaluateError::NoHorizon)));
        assert!(matches!(Tally::new(&Z, 2, &part, &[]), Err(EvaluateError::NoHorizon)));
        let tally = Tally::new(&Z, 2, &part, &[4]).unwrap();
        assert_eq!(tally.origins().count(), 0);
        let message = tally.errors().unwrap_err().to_string();
        assert!(message.contains("rows 2..5") && message.contains("4 steps"), "{message}");
    }

    #[test]
    fn shares_add_up() {
        let part = Pieces::from(1..5);
        let whole = Tally::new(&Z, 2, &part, &[2]).unwrap();
        let (mut one, mut other) = (whole.clone(), whole.clone());
        let mut whole = whole;
        for origin in one.origins().collect::<Vec<_>>() {
            whole.add(origin, &[0.5; 4]);
            if origin % 2 == 0 { &mut one } else { &mut other }.add(origin, &[0.5; 4]);
        }
        one.merge(&other);
        assert_eq!(one.errors().unwrap(), whole.errors().unwrap());
    }

    #[test]
    fn sums_by_step_target_and_block_add_up_to_the_whole() {
        let part = Pieces::from(1..5);
        let mut tally = Tally::new(&Z, 2, &part, &[2]).unwrap();
        for origin in tally.origins().collect::<Vec<_>>() {
            tally.add(origin, &[0.5, 1.0, 2.0, 4.0]);
        }
        let errors = tally.errors().unwrap();
        let (total, details) = (errors.total[0], &errors.details[0]);
        let mut by_step = details.step(0);
        by_step += details.step(1);
        let mut by_target = details.target(0);
        by_target += details.target(1);
        for sums in [by_step, by_target, sum(&details.blocks())] {
            assert_eq!(sums.mean().unwrap().mse, total.mse);
        }
        assert_eq!(sum(&details.target_blocks(1)), details.target(1));
        // The second variate at the second step: rows 2 (missing), 3 and 4.
        assert_eq!(details.target_steps(1)[1].weight, 2.0);
        assert_eq!(reported_horizons(60), [1, 15, 30, 60]);
        assert_eq!(reported_horizons(1), [1]);
    }

    #[test]
    fn errors_stand_apart_by_device_and_together() {
        let mut runs = Runs::unbroken("a", 3);
        runs.push("b".into(), [2]);
        let split = Split {
            train: 0,
            validation: 0,
            test: 5,
        };
        let part = runs.part(&split, Part::Test);
        let mut tally = Tally::new(&Z, 2, &part, &[1]).unwrap();
        assert_eq!(tally.origins().collect::<Vec<_>>(), [1, 2, 4], "no forecast across the border");
        for origin in [1, 2, 4] {
            tally.add(origin, &[0.0, 0.0]);
        }
        let errors = tally.errors().unwrap();
        let of = |device: usize| (errors.devices[device].1[0].mse, errors.devices[device].1[0].origins);
        assert_eq!((of(0), of(1)), (((1.0 + 100.0 + 4.0) / 3.0, 2), ((16.0 + 1600.0) / 2.0, 1)));
        assert_eq!(errors.total[0].mse, (1.0 + 100.0 + 4.0 + 16.0 + 1600.0) / 5.0);
    }
}
