//! Errors of forecasts by horizon: every origin, every variate, every step.
//!
//! An origin `r` is a forecast made after consuming rows `0..r`, whose first step is row `r`. Every origin counts whose steps all lie in the rows
//! evaluated; errors are in units of the scaler; readings that are missing are left out and counted. MSE and MAE at horizon h are averages
//! over steps `1..=h` of all origins that have h steps. The model is run by the device's own code.

use std::ops::Range;

use serde::Serialize;
use tsm2_core::{Model, Token};

use crate::baselines::{Baseline, Linear, LinearAll, Series};
use crate::company::{Company, Kind};
use crate::ridge::RidgeError;
use crate::scale::Scaler;
use crate::split::{Split, SplitError};
use crate::table::Table;

/// Rows that a model sees before each origin under [`Protocol::Reset`].
pub const RESET_ROWS: usize = 512;

/// The file beside a model's that holds its linear read-out alone, where it has a network as well.
pub const READOUT: &str = "readout.safetensors";

/// What a model has seen before an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Its state runs from row 0, as on a device.
    Carried,
    /// It starts without state [`RESET_ROWS`] rows before each origin.
    Reset,
}

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

/// A model under one protocol, beside its company.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// What the model had seen before each origin.
    pub protocol: Protocol,
    /// The model's errors.
    pub results: Vec<HorizonError>,
    /// The company's errors at the same origins; none of them depends on the protocol.
    pub baselines: BaselineErrors,
    /// The season that seasonal-naive repeats; `None` if the training data has none and it repeats the last reading.
    #[serde(skip)]
    pub period: Option<usize>,
}

impl Evaluation {
    /// Adds the errors of the model's own read-out, its state carried, at the same origins.
    ///
    /// # Errors
    /// As [`model_errors`].
    pub fn join_readout(&mut self, readout: &Model<'_>, table: &Table, scaler: &Scaler, split: &Split) -> Result<(), EvaluateError> {
        let errors = model_errors(
            readout,
            table,
            scaler,
            split.test_range(),
            &self.horizons(),
            Protocol::Carried,
            &|| (),
        )?;
        self.baselines.readout = Some(errors);
        Ok(())
    }

    fn horizons(&self) -> Vec<usize> {
        self.results.iter().map(|error| error.horizon).collect()
    }

    /// Adds the trained company's errors at the same origins.
    ///
    /// # Errors
    /// As [`model_errors`].
    pub fn join(&mut self, company: &Company, table: &Table, split: &Split) -> Result<(), EvaluateError> {
        for (kind, errors) in company.errors(table, split.test_range(), &self.horizons())? {
            match kind {
                Kind::Gru => self.baselines.gru = Some(errors),
                Kind::Mlp => self.baselines.mlp = Some(errors),
            }
        }
        Ok(())
    }
}

/// Errors of the company.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineErrors {
    /// The last reading at every lead.
    pub repeat_last: Vec<HorizonError>,
    /// The reading one season before.
    pub seasonal_naive: Vec<HorizonError>,
    /// The closed-form linear model of each variate's own readings.
    pub linear: Vec<HorizonError>,
    /// The closed-form linear model of all variates' readings; `None` for one variate, where it is no other, and where it would be too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_all: Option<Vec<HorizonError>>,
    /// The model's own linear read-out without its network, if it has one and the other is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readout: Option<Vec<HorizonError>>,
    /// The streaming GRU, if it was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gru: Option<Vec<HorizonError>>,
    /// The MLP over a short window, if it was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlp: Option<Vec<HorizonError>>,
}

impl BaselineErrors {
    /// All that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[HorizonError])> {
        let fitted = [
            ("repeat-last", Some(&self.repeat_last)),
            ("seasonal-naive", Some(&self.seasonal_naive)),
            ("linear", Some(&self.linear)),
            ("linear-all", self.linear_all.as_ref()),
            ("readout", self.readout.as_ref()),
        ];
        let trained = [(Kind::Gru.name(), self.gru.as_ref()), (Kind::Mlp.name(), self.mlp.as_ref())];
        let all = fitted.into_iter().chain(trained);
        all.filter_map(|(name, errors)| Some((name, errors?.as_slice())))
    }
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
    /// A network of the company fails.
    #[error("the company: {0}")]
    Company(#[from] candle_core::Error),
    /// The model refuses the rows.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
}

/// Evaluates a model on the split's test part, beside the baselines fitted on its training part. `table` has the model's variates in its order,
/// and as many exogenous ones; `tick` is called once per origin of the model.
///
/// # Errors
/// When a horizon does not fit the model or the test part, or the baselines cannot be fitted.
pub fn evaluate(
    model: &Model<'_>,
    table: &Table,
    scaler: &Scaler,
    split: &Split,
    horizons: &[usize],
    protocol: Protocol,
    tick: &(dyn Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let longest = horizons.iter().copied().max().ok_or(EvaluateError::NoHorizon)?;
    split.check_training(model.config().patch, longest)?;
    split.check_test(longest)?;
    let results = model_errors(model, table, scaler, split.test_range(), horizons, protocol, tick)?;
    let (baselines, period) = baseline_errors(table, scaler, split, split.test_range(), horizons)?;
    Ok(Evaluation {
        protocol,
        results,
        baselines,
        period,
    })
}

/// Errors of a model at the origins of these rows. `tick` is called once per origin.
///
/// # Errors
/// `NoHorizon`, `BeyondModel`, `NothingToCompare`, `Model`.
pub fn model_errors(
    model: &Model<'_>,
    table: &Table,
    scaler: &Scaler,
    rows: Range<usize>,
    horizons: &[usize],
    protocol: Protocol,
    tick: &(dyn Fn() + Sync),
) -> Result<Vec<HorizonError>, EvaluateError> {
    let config = model.config();
    check_horizons(model, horizons)?;
    let z = scaler.standardise_endogenous(table);
    let tally = Tally::new(&z, config.endogenous(), rows, horizons)?;
    match protocol {
        Protocol::Carried => carried(model, table, scaler, tally, tick)?.errors(),
        Protocol::Reset => {
            let share = |job: usize, jobs: usize| {
                let mut tally = tally.clone();
                let mut out = vec![0.0; config.forecast_len()];
                for origin in tally.origins().skip(job).step_by(jobs) {
                    run(model, table, origin.saturating_sub(RESET_ROWS)..origin, |at, token| {
                        if at == origin {
                            standardised(token, scaler, model.config().horizon, &mut out)?;
                            tally.add(origin, &out);
                            tick();
                        }
                        Ok(())
                    })?;
                }
                Ok::<_, tsm2_core::Error>(tally)
            };
            let mut sum = tally.clone();
            for share in on_all_cores(share) {
                sum.merge(&share?);
            }
            sum.errors()
        }
    }
}

/// Refuses a horizon that the model does not forecast.
pub(crate) fn check_horizons(model: &Model<'_>, horizons: &[usize]) -> Result<(), EvaluateError> {
    let model = model.config().horizon;
    match horizons.iter().find(|&&horizon| horizon > model) {
        Some(&horizon) => Err(EvaluateError::BeyondModel { horizon, model }),
        None => Ok(()),
    }
}

/// Adds the errors of a model whose state runs from row 0 of `seen`, which may lack readings that the tally compares with.
pub(crate) fn carried<'z>(
    model: &Model<'_>,
    seen: &Table,
    scaler: &Scaler,
    mut tally: Tally<'z>,
    tick: &(dyn Fn() + Sync),
) -> Result<Tally<'z>, tsm2_core::Error> {
    let mut out = vec![0.0; model.config().forecast_len()];
    let last = tally.origins().end;
    run(model, seen, 0..last.saturating_sub(1), |origin, token| {
        if tally.origins().contains(&origin) {
            standardised(token, scaler, model.config().horizon, &mut out)?;
            tally.add(origin, &out);
            tick();
        }
        Ok(())
    })?;
    Ok(tally)
}

/// Writes a token's forecast, `[M - X][H]`, in units of the scaler.
pub(crate) fn standardised(token: &mut Token<'_>, scaler: &Scaler, horizon: usize, out: &mut [f32]) -> Result<(), tsm2_core::Error> {
    token.forecast(out)?;
    for (out, (mean, std)) in out.chunks_exact_mut(horizon).zip(scaler.mean.iter().zip(&scaler.std)) {
        out.iter_mut().for_each(|x| *x = (*x - mean) / std);
    }
    Ok(())
}

/// Calls `share(job, jobs)` for every job at once, one per core; the results in the order of the jobs.
pub(crate) fn on_all_cores<T: Send>(share: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    on_cores(std::thread::available_parallelism().map_or(1, usize::from), share)
}

/// As [`on_all_cores`], in so many jobs.
pub(crate) fn on_cores<T: Send>(jobs: usize, share: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let share = &share;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|job| scope.spawn(move || share(job, jobs))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Errors of all baselines that are fitted on the split's training part, at the origins of `rows`; and the season found.
///
/// # Errors
/// `NoHorizon`, `NothingToCompare`, `Linear`.
pub fn baseline_errors(
    table: &Table,
    scaler: &Scaler,
    split: &Split,
    rows: Range<usize>,
    horizons: &[usize],
) -> Result<(BaselineErrors, Option<usize>), EvaluateError> {
    let longest = horizons.iter().copied().max().ok_or(EvaluateError::NoHorizon)?;
    let z = scaler.standardise_endogenous(table);
    let series = Series::new(&scaler.standardise(table), table.variates()).with_exogenous(table.exogenous);
    let period = series.find_period(split.train_range());
    let errors = |baseline: Baseline| {
        let mut tally = Tally::new(&z, table.endogenous(), rows.clone(), horizons)?;
        let mut out = vec![0.0; table.endogenous() * longest];
        for origin in tally.origins() {
            baseline.forecast(&series, origin, &mut out);
            tally.add(origin, &out);
        }
        tally.errors()
    };
    let baselines = BaselineErrors {
        repeat_last: errors(Baseline::RepeatLast)?,
        seasonal_naive: errors(Baseline::SeasonalNaive {
            period: period.unwrap_or(1),
        })?,
        linear: errors(Baseline::Linear(Linear::fit(&series, split, longest)?))?,
        linear_all: match table.variates() {
            1 => None,
            _ => LinearAll::fit(&series, split, longest)?
                .map(|linear| errors(Baseline::LinearAll(linear)))
                .transpose()?,
        },
        readout: None,
        gru: None,
        mlp: None,
    };
    Ok((baselines, period))
}

/// Steps a model without state through `rows` of the table, which also tells it what is known ahead; `at(r, token)` sees every token, `r` being the number of the row after the
/// one just consumed: the first that the token's forecast is about.
///
/// # Errors
/// Those of the model, and of `at`.
pub fn run(
    model: &Model<'_>,
    table: &Table,
    rows: Range<usize>,
    at: impl FnMut(usize, &mut Token<'_>) -> Result<(), tsm2_core::Error>,
) -> Result<(), tsm2_core::Error> {
    let mut state = vec![0.0; model.state_len()];
    model.reset(&mut state)?;
    go_on(model, table, &mut state, rows, at)
}

/// As [`run`], from this state on, which then is the one after `rows`.
///
/// # Errors
/// Those of the model, and of `at`.
pub fn go_on(
    model: &Model<'_>,
    table: &Table,
    state: &mut [f32],
    rows: Range<usize>,
    mut at: impl FnMut(usize, &mut Token<'_>) -> Result<(), tsm2_core::Error>,
) -> Result<(), tsm2_core::Error> {
    let mut scratch = vec![0.0; model.scratch_len()];
    let config = model.config();
    for r in rows {
        table.foretell(r, config.known_ahead, config.horizon, |v, values| model.foretell(state, v, values))?;
        if let Some(mut token) = model.step(state, &mut scratch, table.row(r), table.time_ms(r))? {
            at(r + 1, &mut token)?;
        }
    }
    Ok(())
}

/// Sums of errors by horizon.
#[derive(Debug, Clone)]
pub(crate) struct Tally<'z> {
    /// Standardised readings `[rows][variates]`.
    z: &'z [f32],
    variates: usize,
    rows: Range<usize>,
    sums: Vec<Sums>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    horizon: usize,
    squared: f64,
    absolute: f64,
    compared: usize,
    missing: usize,
    origins: usize,
}

impl<'z> Tally<'z> {
    pub(crate) fn new(z: &'z [f32], variates: usize, rows: Range<usize>, horizons: &[usize]) -> Result<Self, EvaluateError> {
        if horizons.is_empty() || horizons.contains(&0) {
            return Err(EvaluateError::NoHorizon);
        }
        Ok(Tally {
            z,
            variates,
            rows,
            sums: horizons
                .iter()
                .map(|&horizon| Sums {
                    horizon,
                    ..Sums::default()
                })
                .collect(),
        })
    }

    /// Origins that count for any of the horizons; none before the first row, for there is nothing to forecast from.
    pub(crate) fn origins(&self) -> Range<usize> {
        let shortest = self.sums.iter().map(|sums| sums.horizon).min().unwrap_or(1);
        self.rows.start.max(1)..(self.rows.end + 1).saturating_sub(shortest)
    }

    /// Adds the errors of a standardised forecast `[variates][any horizon]`.
    pub(crate) fn add(&mut self, origin: usize, forecast: &[f32]) {
        let width = forecast.len() / self.variates;
        for sums in self.sums.iter_mut().filter(|sums| origin + sums.horizon <= self.rows.end) {
            sums.origins += 1;
            for (m, forecast) in forecast.chunks_exact(width).enumerate() {
                for (lead, forecast) in forecast[..sums.horizon].iter().enumerate() {
                    let reading = self.z[(origin + lead) * self.variates + m];
                    if reading.is_nan() {
                        sums.missing += 1;
                        continue;
                    }
                    let error = f64::from(forecast - reading);
                    sums.squared += error * error;
                    sums.absolute += error.abs();
                    sums.compared += 1;
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Tally<'_>) {
        for (sums, other) in self.sums.iter_mut().zip(&other.sums) {
            sums.squared += other.squared;
            sums.absolute += other.absolute;
            sums.compared += other.compared;
            sums.missing += other.missing;
            sums.origins += other.origins;
        }
    }

    /// What the sums come to.
    pub(crate) fn errors(&self) -> Result<Vec<HorizonError>, EvaluateError> {
        let error = |sums: &Sums| {
            let Sums {
                horizon,
                squared,
                absolute,
                compared,
                missing,
                origins,
            } = *sums;
            if compared == 0 {
                return Err(EvaluateError::NothingToCompare {
                    horizon,
                    rows: self.rows.clone(),
                });
            }
            let count = compared as f64;
            Ok(HorizonError {
                horizon,
                mse: squared / count,
                mae: absolute / count,
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
            // Three leads, though only two are scored: [variate][lead].
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
