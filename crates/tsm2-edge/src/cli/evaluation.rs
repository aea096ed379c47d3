//! Evaluation of a model on a recording: resampler and forecaster of the daemon, and the errors and
//! coverage of every forecast at every step.
//!
//! - A forecast is evaluated with the prediction interval that would have been published with it.
//! - A missing reading evaluates nothing, and neither does a variate without any reading before the
//!   forecast.
//! - Future covariates are known as the recording has them.

use std::ops::Range;

use serde::Serialize;
use tsm2_bundle::Bundle;
use tsm2_data::{Recording, Series};
use tsm2_stream::{
    ErrorSums, Errors, Event, Forecaster, FutureCovariate, Monitor, MonitorConfig, MonitorError, Reading, Resampler, ResamplerConfig,
    ResamplerError, TimeStep, Workspace,
};

use crate::config::forecaster;
use crate::model::{OpenModel, StepError, Stepper};

/// A recording that cannot be evaluated with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A variate is not in the recording.
    #[error("there is no column {name:?}; the model {model:?} needs it")]
    NoColumn {
        /// The variate.
        name: String,
        /// The model.
        model: String,
    },
    /// Several devices, or none.
    #[error("the recording has {0} devices; evaluate one at a time")]
    Devices(usize),
    /// No times.
    #[error("the recording has no column of times")]
    NoTimes,
    /// The resampler rejects the settings.
    #[error(transparent)]
    Resampler(#[from] ResamplerError),
    /// The monitor rejects the settings.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The model does not take a time step.
    #[error(transparent)]
    Model(#[from] StepError),
}

/// What is evaluated, and how the daemon would be configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rows of the recording whose time steps are evaluated. Earlier rows are streamed too.
    pub rows: Range<usize>,
    /// How readings become time steps.
    pub resampler: ResamplerConfig,
    /// Fraction of the readings that the prediction intervals should contain.
    pub coverage: f32,
}

/// Errors and coverage at one step of the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepErrors {
    /// Step of the horizon, from 1.
    pub step: usize,
    /// Readings evaluated.
    pub n: u64,
    /// Fraction of them within the prediction interval.
    pub coverage: f64,
    /// Mean of `upper - lower`.
    pub width: f64,
    /// Errors of the model.
    pub model: Errors,
    /// Errors of the naive forecast.
    pub naive: Errors,
    /// Errors of the seasonal naive forecast, where a season was seen.
    pub seasonal: Option<Errors>,
}

/// The result.
#[derive(Debug)]
pub struct Evaluation {
    /// Name of the model.
    pub model: String,
    /// Target variates.
    pub variates: Vec<String>,
    /// Steps of the horizon, H.
    pub horizon: usize,
    /// Time steps of a season; `None` where the model has none.
    pub season: Option<usize>,
    /// Memory of the monitor in the daemon, per stream.
    pub monitor_bytes: usize,
    /// Time steps evaluated, those of bridged gaps included.
    pub time_steps: u64,
    /// For each target: time steps at which its drift flag was up.
    pub drifting: Vec<u64>,
    std: Vec<f64>,
    /// `[targets][H]`.
    cells: Vec<Cell>,
}

/// Sums over the readings of one variate at one step.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    covered: u64,
    width: f64,
    model: ErrorSums,
    naive: ErrorSums,
    seasonal: ErrorSums,
}

/// A forecast that waits for its readings. `[targets][H]` each.
struct OpenForecast {
    mean: Vec<f32>,
    lower: Vec<f32>,
    upper: Vec<f32>,
    /// Whether its origin lies in the evaluated range.
    counts: bool,
}

/// Streams the recording up to the end of `settings.rows`, and evaluates the forecasts made and met
/// within them. `progress` is called after each row.
///
/// # Errors
/// Recording, model and settings do not fit together.
pub fn evaluate(
    bundle: &OpenModel,
    recording: &Recording,
    settings: &Settings,
    mut progress: impl FnMut(),
) -> Result<Evaluation, EvaluationError> {
    let [series] = recording.series.as_slice() else {
        return Err(EvaluationError::Devices(recording.series.len()));
    };
    if series.times_ms.is_empty() {
        return Err(EvaluationError::NoTimes);
    }
    let (meta, model) = (bundle.meta(), bundle.model());
    let columns: Vec<usize> = meta
        .variates
        .iter()
        .map(|variate| column(recording, &variate.name, &meta.name))
        .collect::<Result<_, _>>()?;
    let config = forecaster(meta, settings.resampler.interval_ms, settings.coverage);
    let mut resampler = Resampler::new(settings.resampler.clone())?;
    let mut run = Run {
        forecaster: Forecaster::new(&model, &config)?,
        workspace: Workspace::new(&model),
        future: Future::new(
            series,
            &columns,
            recording.variates.len(),
            meta.future_covariates().len(),
            &settings.resampler,
        ),
        open: Vec::new(),
        seen: Vec::new(),
        evaluated_ms: times(&series.times_ms, &settings.rows, settings.resampler.interval_ms),
        evaluation: Evaluation::new(bundle, settings.coverage),
        model: &model,
    };
    let mut failed = None;
    for row in 0..settings.rows.end.min(series.times_ms.len()) {
        let values = series.row(row, recording.variates.len());
        for (variate, &column) in columns.iter().enumerate() {
            let reading = Reading::at(variate, values[column], series.times_ms[row]);
            // A late or repeated reading is rejected here as it is by the daemon.
            let _ = resampler.push(reading, |event| match event {
                Event::TimeStep(step) => failed = run.step(&step).err().or(failed.take()),
                Event::Restart { .. } => run.restart(),
                _ => {}
            });
        }
        progress();
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(run.evaluation),
    }
}

fn column(recording: &Recording, name: &str, model: &str) -> Result<usize, EvaluationError> {
    let found = recording.variates.iter().position(|variate| variate.name == name);
    found.ok_or_else(|| EvaluationError::NoColumn {
        name: name.to_owned(),
        model: model.to_owned(),
    })
}

/// Times of the time bins of these rows.
fn times(times_ms: &[i64], rows: &Range<usize>, interval_ms: u64) -> Range<i64> {
    let half = i64::try_from(interval_ms / 2).unwrap_or(i64::MAX);
    let end = rows.end.min(times_ms.len());
    let rows = &times_ms[rows.start.min(end)..end];
    match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => first.saturating_sub(half)..last.saturating_add(half.max(1)),
        _ => 0..0,
    }
}

/// The future covariates of a recording, given to the forecaster in windows as messages would be.
struct Future<'s> {
    series: &'s Series,
    /// Index of each future covariate in a time step, and its column.
    variates: Vec<(usize, usize)>,
    width: usize,
    interval_ms: i64,
    /// Time from which on new values are needed.
    due_ms: i64,
}

impl<'s> Future<'s> {
    fn new(series: &'s Series, columns: &[usize], width: usize, future: usize, resampler: &ResamplerConfig) -> Self {
        Future {
            series,
            variates: columns.iter().copied().enumerate().skip(columns.len() - future).collect(),
            width,
            interval_ms: i64::try_from(resampler.interval_ms).unwrap_or(i64::MAX),
            due_ms: i64::MIN,
        }
    }

    /// Sets the values from the time step at `time_ms` on, for at least `horizon` steps.
    fn set(&mut self, forecaster: &mut Forecaster, model: &Stepper<'_>, time_ms: i64, horizon: usize) -> Result<(), StepError> {
        if self.variates.is_empty() || time_ms < self.due_ms {
            return Ok(());
        }
        let span_ms = self.interval_ms.saturating_mul(i64::try_from(horizon + 1).unwrap_or(i64::MAX));
        self.due_ms = time_ms.saturating_add(span_ms);
        let times = &self.series.times_ms;
        // From the value in force to the first one beyond the span, which ends the last one within it.
        let first = times
            .partition_point(|&t| t <= time_ms.saturating_sub(self.interval_ms))
            .saturating_sub(1);
        let end = times.partition_point(|&t| t <= self.due_ms.saturating_add(span_ms + self.interval_ms)) + 1;
        let rows = first..end.min(times.len());
        for &(variate, column) in &self.variates {
            let points = rows.clone().map(|row| (times[row], self.series.row(row, self.width)[column]));
            forecaster.set_future(model, variate, FutureCovariate::new(points.collect()))?;
        }
        Ok(())
    }
}

/// One pass over the recording.
struct Run<'m, 's> {
    model: &'m Stepper<'m>,
    forecaster: Forecaster,
    workspace: Workspace,
    future: Future<'s>,
    /// The forecasts of the last H time steps, a ring.
    open: Vec<OpenForecast>,
    /// All time steps since the stream began, a missing reading at its variate's last. `[steps][targets]`.
    seen: Vec<f32>,
    /// Times between which time steps are evaluated, milliseconds since 1970-01-01 UTC.
    evaluated_ms: Range<i64>,
    evaluation: Evaluation,
}

impl Run<'_, '_> {
    fn restart(&mut self) {
        self.forecaster.restart();
        self.open.clear();
        self.seen.clear();
    }

    fn step(&mut self, step: &TimeStep<'_>) -> Result<(), StepError> {
        let (targets, horizon) = (self.evaluation.variates.len(), self.evaluation.horizon);
        let (values, row) = (&step.values[..targets], self.seen.len() / targets);
        let counts = self.evaluated_ms.contains(&step.time_ms);
        if counts {
            for lag in 0..horizon.min(row) {
                let origin = row - 1 - lag;
                if self.open[origin % horizon].counts {
                    self.compare(origin, lag, values);
                }
            }
        }
        let before = self.seen.len().checked_sub(targets);
        for (variate, &value) in values.iter().enumerate() {
            let last = before.map_or(f32::NAN, |before| self.seen[before + variate]);
            self.seen.push(if value.is_finite() { value } else { last });
        }
        self.future.set(&mut self.forecaster, self.model, step.time_ms, horizon)?;
        let forecast = self.forecaster.step(self.model, &mut self.workspace, step)?;
        let made = OpenForecast {
            mean: forecast.mean.to_vec(),
            lower: forecast.lower.to_vec(),
            upper: forecast.upper.to_vec(),
            counts,
        };
        match self.open.get_mut(row % horizon) {
            Some(oldest) => *oldest = made,
            None => self.open.push(made),
        }
        if counts {
            self.evaluation.time_steps += 1;
            for (variate, steps) in self.evaluation.drifting.iter_mut().enumerate() {
                *steps += u64::from(self.forecaster.monitor().is_drifting(variate));
            }
        }
        Ok(())
    }

    /// Compares readings with the forecast made at `origin`, `lag + 1` steps before.
    fn compare(&mut self, origin: usize, lag: usize, values: &[f32]) {
        let (targets, horizon) = (values.len(), self.evaluation.horizon);
        let open = &self.open[origin % horizon];
        for (variate, &value) in values.iter().enumerate() {
            let place = variate * horizon + lag;
            let (mean, last) = (open.mean[place], self.seen[origin * targets + variate]);
            if ![value, mean, last].iter().all(|number| number.is_finite()) {
                continue;
            }
            let cell = &mut self.evaluation.cells[place];
            cell.covered += u64::from((open.lower[place]..=open.upper[place]).contains(&value));
            cell.width += f64::from(open.upper[place]) - f64::from(open.lower[place]);
            cell.model.add(f64::from(value) - f64::from(mean));
            cell.naive.add(f64::from(value) - f64::from(last));
            let season = self.evaluation.season;
            let season = season.and_then(|period| (origin + lag + 1).checked_sub(period * (lag / period + 1)));
            let seasonal = season.map_or(f32::NAN, |row| self.seen[row * targets + variate]);
            if seasonal.is_finite() {
                cell.seasonal.add(f64::from(value) - f64::from(seasonal));
            }
        }
    }
}

/// The mean errors in units of `unit`; `None` when nothing was added.
fn means(sums: &ErrorSums, unit: f64) -> Option<Errors> {
    sums.mean().map(|errors| Errors {
        mae: errors.mae / unit,
        mse: errors.mse / (unit * unit),
    })
}

impl Evaluation {
    fn new(bundle: &Bundle, coverage: f32) -> Self {
        let meta = bundle.meta();
        let monitor = MonitorConfig::of(&meta.config, coverage);
        let targets = meta.targets();
        Evaluation {
            model: meta.name.clone(),
            variates: targets.iter().map(|variate| variate.name.clone()).collect(),
            horizon: meta.config.horizon,
            season: monitor.season,
            monitor_bytes: Monitor::bytes(&monitor),
            time_steps: 0,
            drifting: vec![0; targets.len()],
            std: targets.iter().map(|variate| f64::from(variate.std)).collect(),
            cells: vec![Cell::default(); targets.len() * meta.config.horizon],
        }
    }

    /// One variate at a step (from 1), in the sensor's unit; `None` where nothing was evaluated.
    pub fn of(&self, variate: usize, step: usize) -> Option<StepErrors> {
        self.errors(variate, step, 1.0)
    }

    /// The mean over the variates at a step (from 1), in units of their training standard deviations;
    /// `None` where nothing was evaluated.
    pub fn all(&self, step: usize) -> Option<StepErrors> {
        let each: Vec<StepErrors> = (0..self.std.len())
            .filter_map(|variate| self.errors(variate, step, self.std[variate]))
            .collect();
        let mean = |of: &dyn Fn(&StepErrors) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
        let all = |of: &dyn Fn(&StepErrors) -> Errors| Errors {
            mae: mean(&|errors| of(errors).mae),
            mse: mean(&|errors| of(errors).mse),
        };
        let nothing = Errors {
            mae: f64::NAN,
            mse: f64::NAN,
        };
        (!each.is_empty()).then(|| StepErrors {
            step,
            n: each.iter().map(|errors| errors.n).sum(),
            coverage: mean(&|errors| errors.coverage),
            width: mean(&|errors| errors.width),
            model: all(&|errors| errors.model),
            naive: all(&|errors| errors.naive),
            seasonal: each
                .iter()
                .all(|errors| errors.seasonal.is_some())
                .then(|| all(&|errors| errors.seasonal.unwrap_or(nothing))),
        })
    }

    fn errors(&self, variate: usize, step: usize, unit: f64) -> Option<StepErrors> {
        let lag = step.checked_sub(1).filter(|&lag| lag < self.horizon)?;
        let cell = self.cells.get(variate * self.horizon + lag)?;
        let n = cell.model.weight;
        Some(StepErrors {
            step,
            n: n as u64,
            coverage: cell.covered as f64 / n,
            width: cell.width / n / unit,
            model: means(&cell.model, unit)?,
            naive: means(&cell.naive, unit)?,
            seasonal: means(&cell.seasonal, unit),
        })
    }
}
