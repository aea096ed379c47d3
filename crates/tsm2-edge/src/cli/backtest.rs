//! A recording streamed through grid, model and monitor as the daemon does it, and how its forecasts and their intervals fared.
//!
//! Every forecast is judged at every lead by the bounds that went out with it, not only those few that the monitor keeps. A reading that is
//! missing, or of a variate of which nothing was read before the forecast, judges nothing. What the model is to be told ahead it is told as it came
//! true.

use std::ops::Range;

use serde::Serialize;
use tsm2_bundle::Bundle;
use tsm2_stream::{Event, FutureCovariate, Monitor, MonitorConfig, MonitorError, Reading, Resampler, ResamplerConfig, ResamplerError};

use crate::cli::table::{Record, Table};
use crate::config::prior::half_widths;

/// A recording that cannot be judged with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// A variate is not in the recording.
    #[error("there is no column {name:?}; the model {model:?} needs it")]
    NoColumn {
        /// The variate.
        name: String,
        /// The model.
        model: String,
    },
    /// The bundle does not tell how far apart rows are.
    #[error("the model {model:?} was trained on data without timestamps: its rows have no interval")]
    NoInterval {
        /// The model.
        model: String,
    },
    /// The interval makes no grid.
    #[error(transparent)]
    Resampler(#[from] ResamplerError),
    /// The coverage makes no intervals.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The model does not take a row.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
}

/// Sums over the errors of one way to forecast.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: u64,
    absolute: f64,
    squared: f64,
}

/// Sums over the readings of one variate at one lead.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    covered: u64,
    width: f64,
    model: Sums,
    repeat_last: Sums,
    seasonal: Sums,
}

/// Mean errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Means {
    /// Mean absolute error.
    pub mae: f64,
    /// Mean squared error.
    pub mse: f64,
}

/// How forecasts at one lead fared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Rows ahead, from 1.
    pub lead: usize,
    /// Readings judged.
    pub n: u64,
    /// Part of them that lay within the interval.
    pub coverage: f64,
    /// Mean of `hi - lo`.
    pub width: f64,
    /// Of the model.
    pub model: Means,
    /// Of repeating the last reading before the forecast.
    pub repeat_last: Means,
    /// Of repeating the last season before the forecast, where one was seen.
    pub seasonal: Option<Means>,
}

/// The outcome.
#[derive(Debug)]
pub struct Backtest {
    /// The model's name.
    pub model: String,
    /// The variates that are forecast.
    pub variates: Vec<String>,
    /// H.
    pub horizon: usize,
    /// Rows of a season; `None` where the model has none.
    pub season: Option<usize>,
    /// Memory that the daemon takes for this, per stream.
    pub monitor_bytes: usize,
    /// Rows on the grid within the range judged, those that bridge gaps included.
    pub rows: u64,
    /// Per variate on how many of those rows its drift flag was up.
    pub drifting: Vec<u64>,
    std: Vec<f64>,
    /// `[variates][H]`.
    cells: Vec<Cell>,
}

/// The forecast of one row, as it went out.
struct Issued {
    /// `[variates][H]` each; of a row without a forecast, NaN.
    mean: Vec<f32>,
    lo: Vec<f32>,
    hi: Vec<f32>,
    /// Whether the row lies within the range judged.
    counts: bool,
}

/// What goes on from row to row.
struct Run<'r> {
    monitor: Monitor,
    /// The last H rows' forecasts, a ring.
    issued: Vec<Issued>,
    /// All rows since the stream began, a missing reading at its variate's last. `[rows][variates]`.
    seen: Vec<f32>,
    /// Times between which rows are judged, milliseconds since 1970-01-01 UTC.
    judged_ms: Range<i64>,
    outcome: &'r mut Backtest,
}

/// Streams all rows of the table before the end of `rows`, and judges the forecasts made and met within `rows`; rows are the table's. A
/// silence of more than `max_gap` rows restarts the stream. `progress` hears of each row of the table.
///
/// # Errors
/// What makes the table, the model and the coverage unfit for each other.
pub fn backtest(
    bundle: &Bundle,
    table: &Table,
    rows: Range<usize>,
    coverage: f32,
    max_gap: u64,
    mut progress: impl FnMut(),
) -> Result<Backtest, BacktestError> {
    let (meta, model) = (bundle.meta(), bundle.model());
    let (variates, horizon) = (meta.config.targets(), meta.config.horizon);
    let columns: Vec<usize> = meta
        .variates
        .iter()
        .map(|variate| column(table, &variate.name, &meta.name))
        .collect::<Result<_, _>>()?;
    let config = MonitorConfig {
        variates,
        horizon,
        season: meta.config.linear_head.season.map(|season| season.period),
        coverage,
    };
    let interval_ms = meta
        .interval_ms
        .ok_or_else(|| BacktestError::NoInterval { model: meta.name.clone() })?;
    let mut grid = Resampler::new(ResamplerConfig::new(meta.config.variates, interval_ms, max_gap))?;
    let mut outcome = Backtest {
        model: meta.name.clone(),
        variates: meta.targets().iter().map(|variate| variate.name.clone()).collect(),
        horizon,
        season: config.season,
        monitor_bytes: Monitor::bytes(&config),
        rows: 0,
        drifting: vec![0; variates],
        std: meta.targets().iter().map(|variate| f64::from(variate.std)).collect(),
        cells: vec![Cell::default(); variates * horizon],
    };
    let mut run = Run {
        monitor: Monitor::new(config, &half_widths(meta, coverage))?,
        issued: Vec::with_capacity(horizon),
        seen: Vec::new(),
        judged_ms: times(table.slice(rows.clone()), interval_ms),
        outcome: &mut outcome,
    };
    let first = meta.config.variates - meta.config.future_covariates;
    let covariates: Vec<FutureCovariate> = columns[first..].iter().map(|&column| covariate(table, column)).collect();
    let mut ahead = vec![0.0; horizon + 1];
    let step_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX);
    let mut state = vec![0.0; model.state_len()];
    model.reset(&mut state)?;
    let mut scratch = vec![0.0; model.scratch_len()];
    let mut forecast = vec![0.0; meta.config.forecast_len()];
    let mut fault = None;
    for record in table.slice(0..rows.end) {
        for (variate, &column) in columns.iter().enumerate() {
            let reading = Reading {
                variate,
                value: record.values.get(column).map_or(f32::NAN, |&value| value as f32),
                time_ms: record.time_ms,
            };
            // One that is late or comes twice is refused here as it is by the daemon.
            let _ = grid.push(reading, |event| match event {
                Event::TimeStep(row) => {
                    let told = (first..).zip(&covariates).try_for_each(|(variate, covariate)| {
                        covariate.values(row.time_ms, step_ms, &mut ahead);
                        model.set_future(&mut state, variate, &ahead)
                    });
                    let made = told
                        .and_then(|()| model.step(&mut state, &mut scratch, row.values, row.time_ms))
                        .and_then(|mut token| token.forecast(&mut forecast));
                    match made {
                        Ok(()) => run.row(row.time_ms, &row.values[..variates], &forecast),
                        Err(error) => fault = Some(error),
                    }
                }
                Event::Restart { .. } => {
                    run.restart();
                    state.fill(0.0);
                }
                _ => {}
            });
        }
        progress();
    }
    match fault {
        Some(error) => Err(error.into()),
        None => Ok(outcome),
    }
}

fn column(table: &Table, name: &str, model: &str) -> Result<usize, BacktestError> {
    table
        .names
        .iter()
        .position(|column| column == name)
        .ok_or_else(|| BacktestError::NoColumn {
            name: name.to_owned(),
            model: model.to_owned(),
        })
}

/// What a column tells of its rows to come.
fn covariate(table: &Table, column: usize) -> FutureCovariate {
    let point = |record: &Record| (record.time_ms, record.values.get(column).map_or(f32::NAN, |&value| value as f32));
    FutureCovariate::new(table.rows.iter().map(point).collect())
}

/// The times of the slots that these records fall in.
fn times(records: &[Record], interval_ms: u64) -> Range<i64> {
    let half = i64::try_from(interval_ms / 2).unwrap_or(i64::MAX);
    let (first, last) = (records.first().map(|r| r.time_ms), records.last().map(|r| r.time_ms));
    match (first, last) {
        (Some(first), Some(last)) => first.saturating_sub(half)..last.saturating_add(half.max(1)),
        _ => 0..0,
    }
}

impl Run<'_> {
    fn restart(&mut self) {
        self.monitor.restart();
        self.issued.clear();
        self.seen.clear();
    }

    /// A row has come, `values` of what is forecast of it, and its forecast, which is NaN where there is none.
    fn row(&mut self, time_ms: i64, values: &[f32], forecast: &[f32]) {
        let (variates, horizon) = (values.len(), self.outcome.horizon);
        let counts = self.judged_ms.contains(&time_ms);
        let row = self.seen.len() / variates;
        if counts {
            for lead in 0..horizon.min(row) {
                let origin = row - 1 - lead;
                if self.issued[origin % horizon].counts {
                    self.judge(origin, lead, values);
                }
            }
        }
        let before = self.seen.len().checked_sub(variates);
        for (variate, &value) in values.iter().enumerate() {
            let last = before.map_or(f32::NAN, |before| self.seen[before + variate]);
            self.seen.push(if value.is_finite() { value } else { last });
        }

        self.monitor.observe(values);
        let (mut lo, mut hi) = (vec![f32::NAN; forecast.len()], vec![f32::NAN; forecast.len()]);
        if forecast.iter().all(|mean| mean.is_finite()) {
            self.monitor.issue(forecast);
            self.monitor.interval(forecast, &mut lo, &mut hi);
        }
        let issued = Issued {
            mean: forecast.to_vec(),
            lo,
            hi,
            counts,
        };
        match self.issued.get_mut(row % horizon) {
            Some(oldest) => *oldest = issued,
            None => self.issued.push(issued),
        }
        if counts {
            self.outcome.rows += 1;
            for (variate, rows) in self.outcome.drifting.iter_mut().enumerate() {
                *rows += u64::from(self.monitor.is_drifting(variate));
            }
        }
    }

    /// Holds a row's readings against the forecast of it made at row `origin`.
    fn judge(&mut self, origin: usize, lead: usize, values: &[f32]) {
        let (variates, horizon) = (values.len(), self.outcome.horizon);
        let issued = &self.issued[origin % horizon];
        for (variate, &value) in values.iter().enumerate() {
            let place = variate * horizon + lead;
            let (mean, last) = (issued.mean[place], self.seen[origin * variates + variate]);
            if ![value, mean, last].iter().all(|number| number.is_finite()) {
                continue;
            }
            let cell = &mut self.outcome.cells[place];
            cell.covered += u64::from((issued.lo[place]..=issued.hi[place]).contains(&value));
            cell.width += f64::from(issued.hi[place]) - f64::from(issued.lo[place]);
            cell.model.add(value, mean);
            cell.repeat_last.add(value, last);
            let season = self
                .outcome
                .season
                .and_then(|period| (origin + lead + 1).checked_sub(period * (lead / period + 1)));
            let seasonal = season.map_or(f32::NAN, |row| self.seen[row * variates + variate]);
            if seasonal.is_finite() {
                cell.seasonal.add(value, seasonal);
            }
        }
    }
}

impl Sums {
    fn add(&mut self, value: f32, forecast: f32) {
        let error = f64::from(value) - f64::from(forecast);
        self.n += 1;
        self.absolute += error.abs();
        self.squared += error * error;
    }

    /// In units of `unit`; `None` when nothing was added.
    fn means(&self, unit: f64) -> Option<Means> {
        (self.n > 0).then(|| Means {
            mae: self.absolute / self.n as f64 / unit,
            mse: self.squared / self.n as f64 / (unit * unit),
        })
    }
}

impl Backtest {
    /// One variate at a lead (from 0), in the sensor's own unit; `None` where nothing was judged.
    pub fn of(&self, variate: usize, lead: usize) -> Option<Line> {
        self.line(variate, lead, 1.0)
    }

    /// The mean over the variates at a lead (from 0), in units of their training standard deviations; `None` where nothing was judged.
    pub fn all(&self, lead: usize) -> Option<Line> {
        let lines: Vec<Line> = (0..self.std.len())
            .filter_map(|variate| self.line(variate, lead, self.std[variate]))
            .collect();
        let mean = |of: &dyn Fn(&Line) -> f64| lines.iter().map(of).sum::<f64>() / lines.len() as f64;
        let means = |of: &dyn Fn(&Line) -> Means| Means {
            mae: mean(&|line| of(line).mae),
            mse: mean(&|line| of(line).mse),
        };
        let nothing = Means {
            mae: f64::NAN,
            mse: f64::NAN,
        };
        (!lines.is_empty()).then(|| Line {
            lead: lead + 1,
            n: lines.iter().map(|line| line.n).sum(),
            coverage: mean(&|line| line.coverage),
            width: mean(&|line| line.width),
            model: means(&|line| line.model),
            repeat_last: means(&|line| line.repeat_last),
            seasonal: lines
                .iter()
                .all(|line| line.seasonal.is_some())
                .then(|| means(&|line| line.seasonal.unwrap_or(nothing))),
        })
    }

    fn line(&self, variate: usize, lead: usize, unit: f64) -> Option<Line> {
        let cell = self.cells.get(variate * self.horizon + lead)?;
        let n = cell.model.n;
        Some(Line {
            lead: lead + 1,
            n,
            coverage: cell.covered as f64 / n as f64,
            width: cell.width / n as f64 / unit,
            model: cell.model.means(unit)?,
            repeat_last: cell.repeat_last.means(unit)?,
            seasonal: cell.seasonal.means(unit),
        })
    }
}
