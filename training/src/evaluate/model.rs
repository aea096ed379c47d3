//! A model's errors, a bundle's run by the device's own code.

use std::ops::Range;

use serde::Serialize;

use super::tally::{ErrorsByDevice, EvaluateError, Tally};
use crate::data::runs::Pieces;
use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::model::{StepError, Stepped, Stepper};

/// Rows that a model reads before each origin under [`Protocol::Reset`].
pub const RESET_ROWS: usize = 512;

/// The state of a model before an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The state runs from the first row after each long gap, as on a device.
    Carried,
    /// The state is empty [`RESET_ROWS`] rows before each origin.
    Reset,
}

/// Errors of a model at the origins of these pieces. `done` gets the shares of the work: together 1.
///
/// # Errors
/// `NoHorizon`, `BeyondModel`, `NothingToCompare`, `Model`.
pub fn model_errors(
    model: &Stepper<'_>,
    table: &Table,
    scaler: &Scaler,
    pieces: &Pieces,
    horizons: &[usize],
    protocol: Protocol,
    done: &(dyn Fn(f64) + Sync),
) -> Result<ErrorsByDevice, EvaluateError> {
    let config = model.config();
    check_horizons(model, horizons)?;
    let z = scaler.standardise_targets(table);
    let tally = Tally::new(&z, config.targets(), pieces, horizons)?;
    match protocol {
        Protocol::Carried => carried(model, table, scaler, tally, done)?.errors(),
        Protocol::Reset => {
            let origins: Vec<usize> = tally.origins().collect();
            let share = |job: usize, jobs: usize| {
                let mut tally = tally.clone();
                let mut out = vec![0.0; config.forecast_len()];
                for &origin in origins.iter().skip(job).step_by(jobs) {
                    let first = table.runs.run_of(origin - 1).start.max(origin.saturating_sub(RESET_ROWS));
                    run(model, table, first..origin, |at, token| {
                        if at == origin {
                            standardised(token, scaler, model.config().horizon, &mut out)?;
                            tally.add(origin, &out);
                            done(1.0 / origins.len() as f64);
                        }
                        Ok(())
                    })?;
                }
                Ok::<_, StepError>(tally)
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
pub fn check_horizons(model: &Stepper<'_>, horizons: &[usize]) -> Result<(), EvaluateError> {
    let model = model.config().horizon;
    match horizons.iter().find(|&&horizon| horizon > model) {
        Some(&horizon) => Err(EvaluateError::BeyondModel { horizon, model }),
        None => Ok(()),
    }
}

/// Adds the errors of a model whose state runs from the first row of each run of `seen`. The tally may compare with readings that `seen` lacks.
/// `done` gets the shares of the work: together 1.
pub fn carried<'z>(
    model: &Stepper<'_>,
    seen: &Table,
    scaler: &Scaler,
    mut tally: Tally<'z>,
    done: &(dyn Fn(f64) + Sync),
) -> Result<Tally<'z>, StepError> {
    let mut out = vec![0.0; model.config().forecast_len()];
    let (step, forecast) = model.config().operations();
    let rows: usize = tally.passes().iter().map(ExactSizeIterator::len).sum();
    let all = (rows * step + tally.origins().count() * forecast).max(1) as f64;
    for rows in tally.passes() {
        run(model, seen, rows, |origin, token| {
            let mut work = step;
            if tally.is_origin(origin) {
                standardised(token, scaler, model.config().horizon, &mut out)?;
                tally.add(origin, &out);
                work += forecast;
            }
            done(work as f64 / all);
            Ok(())
        })?;
    }
    Ok(tally)
}

/// Writes a token's forecast, `[M - X][H]`, in units of the scaler.
pub fn standardised(token: &mut Stepped<'_>, scaler: &Scaler, horizon: usize, out: &mut [f32]) -> Result<(), StepError> {
    token.forecast(out)?;
    for (out, (mean, std)) in out.chunks_exact_mut(horizon).zip(scaler.mean.iter().zip(&scaler.std)) {
        out.iter_mut().for_each(|x| *x = (*x - mean) / std);
    }
    Ok(())
}

/// Calls `share(job, jobs)` for every job at once, one per core; the results in the order of the jobs.
pub fn on_all_cores<T: Send>(share: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    on_cores(std::thread::available_parallelism().map_or(1, usize::from), share)
}

/// As [`on_all_cores`], in so many jobs.
pub fn on_cores<T: Send>(jobs: usize, share: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let share = &share;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|job| scope.spawn(move || share(job, jobs))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Steps a model with an empty state through `rows` of the table, with the future covariates that the table holds. The state starts anew at the
/// first row of each run.
///
/// `at(r, token)` is called after each row; `r` is the number of the next row, the first step of the token's forecast.
///
/// # Errors
/// Those of the model, and of `at`.
pub fn run(
    model: &Stepper<'_>,
    table: &Table,
    rows: Range<usize>,
    at: impl FnMut(usize, &mut Stepped<'_>) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let mut state = vec![0.0; model.state_len()];
    model.reset(&mut state)?;
    go_on(model, table, &mut state, rows, at)
}

/// As [`run`], from this state on, which then is the one after `rows`.
///
/// # Errors
/// Those of the model, and of `at`.
pub fn go_on(
    model: &Stepper<'_>,
    table: &Table,
    state: &mut [f32],
    rows: Range<usize>,
    mut at: impl FnMut(usize, &mut Stepped<'_>) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let mut scratch = vec![0.0; model.scratch_len()];
    let config = model.config();
    for r in rows {
        if table.runs.starts_at(r) {
            model.reset(state)?;
        }
        table.future_values(r, config.future_covariates, config.horizon, |v, values| {
            model.set_future(state, v, values)
        })?;
        let mut token = model.step(state, &mut scratch, table.row(r), table.time_ms(r))?;
        at(r + 1, &mut token)?;
    }
    Ok(())
}
