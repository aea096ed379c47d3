//! Monitor: prediction intervals, live metrics and drift flags of one stream's forecasts.
//!
//! Every time step is compared with the open forecasts of it, per variate and step of the horizon.
//!
//! Invariants: the work per time step is bounded by M * 10 scores, and nothing is allocated after
//! [`Monitor::new`]; every number stays finite whatever is read or forecast; a missing reading
//! scores nothing.

use alloc::{vec, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::drift::DriftDetector;
use crate::intervals::{IntervalState, MAX_ERROR, PredictionInterval};
use crate::live_metrics::{LiveMetrics, metric_steps};
use crate::open_forecasts::{self, OpenForecasts, Waiting};
use crate::seasons::{self, Seasons};

/// Longest season, in time steps, whose readings are kept.
pub const MAX_SEASON: usize = 1500;
/// The most numbers in a forecast.
const MAX_CELLS: usize = 1 << 24;
/// Least scale of a variate's errors, in units of its widest initial width: a sensor that never
/// moved is followed when it does.
const LEAST_SCALE: f32 = 1e-3;
/// Largest error that counts in the live metrics, in the same units.
const LARGEST_ERROR: f32 = 1e3;
/// Comparisons after which a mean error shows whether others are large.
const SETTLED: u32 = 32;

/// Shape of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MonitorConfig {
    /// Number of targets M, the variates that are forecast; at least 1.
    pub variates: usize,
    /// Horizon H, the time steps of a forecast; at least 1.
    pub horizon: usize,
    /// Time steps of a season to compare with. A season beyond [`MAX_SEASON`] is ignored.
    pub season: Option<usize>,
    /// Fraction of the readings that the intervals are to cover, between 0 and 1: 0.9.
    pub coverage: f32,
}

/// Why there is no monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MonitorError {
    /// M, H or the season is zero, or a forecast has more than 2^24 numbers.
    Shape {
        /// M.
        variates: usize,
        /// H.
        horizon: usize,
    },
    /// The coverage is not between 0 and 1.
    Coverage {
        /// The coverage given.
        coverage: f32,
    },
    /// The initial widths are not M * H numbers that are positive and finite.
    InitialWidths,
    /// The snapshot is not that of a monitor of this shape, season and coverage, or not that of a
    /// forecaster of this model.
    Snapshot,
}

/// Evaluates the forecasts of one stream. See the module's invariants.
///
/// For each time step, in this order: [`Monitor::observe`] with its readings, then, where a
/// forecast was made, [`Monitor::issue`] with the forecast and [`Monitor::interval`] for its
/// bounds. [`crate::Forecaster`] does this.
#[derive(Debug, Clone)]
pub struct Monitor {
    config: MonitorConfig,
    /// Fraction of the readings that may lie beyond either bound.
    miss: f32,
    /// Each variate's widest initial width. Shape `[M]`.
    units: Vec<f32>,
    /// Each variate's last reading, NaN before its first. Shape `[M]`.
    last: Vec<f32>,
    /// Shape `[M][H]`.
    intervals: Vec<IntervalState>,
    /// Steps of the horizon with live metrics, from 1.
    metric_steps: Vec<usize>,
    /// Shape `[M][metric steps]`.
    metrics: Vec<LiveMetrics>,
    /// Shape `[M]`.
    drift: Vec<DriftDetector>,
    open: OpenForecasts,
    seasons: Option<Seasons>,
}

/// All that a monitor remembers, for [`Monitor::restore`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorSnapshot {
    config: MonitorConfig,
    units: Vec<f32>,
    last: Vec<f32>,
    intervals: Vec<IntervalState>,
    metrics: Vec<LiveMetrics>,
    drift: Vec<DriftDetector>,
    open: Waiting,
    seasons: Option<Seasons>,
}

impl MonitorConfig {
    /// The season whose readings are kept.
    fn kept_season(&self) -> Option<usize> {
        self.season.filter(|&season| (1..=MAX_SEASON).contains(&season))
    }
}

impl Monitor {
    /// A monitor that has seen nothing; nothing else allocates. `initial_widths` are the
    /// half-widths of the first intervals, positive, shape `[M][H]`.
    ///
    /// # Errors
    /// Any fault of the configuration or the widths.
    pub fn new(config: MonitorConfig, initial_widths: &[f32]) -> Result<Self, MonitorError> {
        let MonitorConfig {
            variates,
            horizon,
            season,
            coverage,
        } = config;
        let cells = variates.checked_mul(horizon).filter(|&cells| (1..=MAX_CELLS).contains(&cells));
        let (Some(cells), false) = (cells, season == Some(0)) else {
            return Err(MonitorError::Shape { variates, horizon });
        };
        if !(coverage > 0.0 && coverage < 1.0) {
            return Err(MonitorError::Coverage { coverage });
        }
        if initial_widths.len() != cells || !initial_widths.iter().all(|width| *width > 0.0 && width.is_finite()) {
            return Err(MonitorError::InitialWidths);
        }
        let widest = |widths: &[f32]| widths.iter().copied().fold(0.0, f32::max).min(MAX_ERROR);
        let season = config.kept_season();
        let metric_steps = metric_steps(horizon);
        Ok(Monitor {
            config,
            miss: (1.0 - coverage) / 2.0,
            units: initial_widths.chunks_exact(horizon).map(widest).collect(),
            last: vec![f32::NAN; variates],
            intervals: initial_widths
                .iter()
                .map(|width| IntervalState::new(width.min(MAX_ERROR)))
                .collect(),
            metrics: vec![LiveMetrics::new(season.is_some()); variates * metric_steps.len()],
            metric_steps,
            drift: vec![DriftDetector::default(); variates],
            open: OpenForecasts::new(variates, horizon),
            seasons: season.map(|season| Seasons::new(variates, season, horizon)),
        })
    }

    /// The configuration this was made with.
    pub fn config(&self) -> &MonitorConfig {
        &self.config
    }

    /// Bytes of memory of a monitor of this shape.
    pub fn bytes(config: &MonitorConfig) -> usize {
        let MonitorConfig { variates, horizon, .. } = *config;
        let (slots, steps) = (open_forecasts::slots(horizon), metric_steps(horizon).len());
        let seasons = config.kept_season().map_or(0, |season| seasons::time_steps(season, horizon));
        let per_variate = horizon * size_of::<IntervalState>()
            + steps * size_of::<LiveMetrics>()
            + slots * (horizon * size_of::<PredictionInterval>() + size_of::<f32>())
            + (seasons + 2) * size_of::<f32>()
            + size_of::<DriftDetector>();
        size_of::<Monitor>() + (slots + steps) * size_of::<usize>() + variates * per_variate
    }

    /// A time step has come: compares its readings `[M]`, NaN where missing, with the open
    /// forecasts of it.
    pub fn observe(&mut self, values: &[f32]) {
        debug_assert_eq!(values.len(), self.config.variates);
        let (horizon, steps) = (self.config.horizon, &self.metric_steps);
        let (intervals, metrics, drift, seasons) = (&mut self.intervals, &mut self.metrics, &mut self.drift, &self.seasons);
        let (miss, units) = (self.miss, &self.units);
        self.open.advance(|variate, step, published, last| {
            let value = values.get(variate).copied().unwrap_or(f32::NAN);
            if !(value.is_finite() && published.mean.is_finite()) {
                return;
            }
            let Some(unit) = units.get(variate) else { return };
            let least = LEAST_SCALE * unit;
            if let Some(interval) = intervals.get_mut(variate * horizon + step) {
                interval.score(value, published, miss, least);
            }
            let Ok(place) = steps.binary_search(&(step + 1)) else { return };
            let Some(metrics) = metrics.get_mut(variate * steps.len() + place) else {
                return;
            };
            metrics.score(published.covers(value));
            let error = value - published.mean;
            if let Some(drift) = drift.get_mut(variate).filter(|_| metrics.compared >= SETTLED) {
                drift.add(error.abs() / metrics.model.mae.max(least).max(f32::MIN_POSITIVE));
            }
            let seasonal = seasons.as_ref().map_or(value, |seasons| seasons.seasonal(variate, step));
            if last.is_finite() && seasonal.is_finite() {
                let limit = (LARGEST_ERROR * unit).min(MAX_ERROR);
                metrics.compare([error, value - last, value - seasonal], limit);
            }
        });
        for drift in drift {
            drift.end_step(horizon);
        }
        for (last, &value) in self.last.iter_mut().zip(values).filter(|(_, value)| value.is_finite()) {
            *last = value;
        }
        if let Some(seasons) = &mut self.seasons {
            seasons.push(&self.last);
        }
    }

    /// The forecast without a model, of the time step just observed: of each variate, at each step,
    /// the one of naive and seasonal naive with the smaller mean absolute error so far. Shape
    /// `[M][H]`; NaN before a variate's first reading.
    pub fn baseline(&self, forecast: &mut [f32]) {
        let steps = self.metric_steps.len();
        let variates = forecast.chunks_exact_mut(self.config.horizon.max(1)).zip(&self.last);
        for (variate, (forecast, last)) in variates.enumerate() {
            for (step, value) in forecast.iter_mut().enumerate() {
                let place = self.metric_steps.partition_point(|&evaluated| evaluated < step + 1);
                let is_seasonal = self.metrics.get(variate * steps + place).is_some_and(|metrics| {
                    metrics.compared >= SETTLED && metrics.seasonal.is_some_and(|seasonal| seasonal.mae < metrics.naive.mae)
                });
                let seasonal = self.seasons.as_ref().filter(|_| is_seasonal);
                let seasonal = seasonal.map_or(f32::NAN, |seasons| seasons.forecast(variate, step));
                *value = if seasonal.is_finite() { seasonal } else { *last };
            }
        }
    }

    /// Without a model nothing is known of a variate's size: its first reading decides the initial
    /// widths, a tenth of it.
    pub(crate) fn begin_with(&mut self, values: &[f32]) {
        let intervals = self.intervals.chunks_exact_mut(self.config.horizon);
        for (((intervals, unit), last), &value) in intervals.zip(&mut self.units).zip(&self.last).zip(values) {
            if last.is_nan() && value.is_finite() && intervals.iter().all(IntervalState::is_new) {
                let width = (value.abs() / 10.0).min(MAX_ERROR);
                *unit = if width > f32::MIN_POSITIVE { width } else { 1.0 };
                intervals.fill(IntervalState::new(*unit));
            }
        }
    }

    /// The forecast `[M][H]` made at the last time step; some are kept until their readings come.
    pub fn issue(&mut self, forecast: &[f32]) {
        debug_assert_eq!(forecast.len(), self.intervals.len());
        if forecast.len() == self.intervals.len() {
            let intervals = self.intervals.iter().zip(forecast).map(|(state, &mean)| state.around(mean));
            self.open.issue(intervals, &self.last);
        }
    }

    /// Bounds of a forecast, all `[M][H]`: `lower <= forecast <= upper`, and finite where the
    /// forecast is.
    pub fn interval(&self, forecast: &[f32], lower: &mut [f32], upper: &mut [f32]) {
        debug_assert!([forecast.len(), lower.len(), upper.len()] == [self.intervals.len(); 3]);
        for (((state, &mean), lower), upper) in self.intervals.iter().zip(forecast).zip(lower).zip(upper) {
            let interval = state.around(mean);
            (*lower, *upper) = (interval.lower(), interval.upper());
        }
    }

    /// The stream starts over: open forecasts and past readings are forgotten, what was learned
    /// from them stays.
    pub fn restart(&mut self) {
        self.open.clear();
        self.last.fill(f32::NAN);
        if let Some(seasons) = &mut self.seasons {
            seasons.clear();
        }
    }

    /// The steps of the horizon that have live metrics: from 1, ascending, at most 20, always with
    /// the first, the middle and the last.
    pub fn metric_steps(&self) -> &[usize] {
        &self.metric_steps
    }

    /// Live metrics of a variate at a step of the horizon (from 1); `None` for a variate that is
    /// not forecast and for a step that is not one of [`Monitor::metric_steps`].
    pub fn live_metrics(&self, variate: usize, step: usize) -> Option<LiveMetrics> {
        let place = self.metric_steps.binary_search(&step).ok()?;
        self.metrics.get(variate * self.metric_steps.len() + place).copied()
    }

    /// Whether a variate's forecasts have become worse than they used to be: a CUSUM over batches
    /// of at least a horizon of time steps, of the errors in units of their own running size.
    pub fn is_drifting(&self, variate: usize) -> bool {
        self.drift.get(variate).is_some_and(|drift| drift.raised)
    }

    /// Whether any variate's forecasts have.
    pub fn drifts(&self) -> bool {
        self.drift.iter().any(|drift| drift.raised)
    }

    /// All that this monitor remembers.
    pub fn snapshot(&self) -> MonitorSnapshot {
        MonitorSnapshot {
            config: self.config,
            units: self.units.clone(),
            last: self.last.clone(),
            intervals: self.intervals.clone(),
            metrics: self.metrics.clone(),
            drift: self.drift.clone(),
            open: self.open.waiting(),
            seasons: self.seasons.clone(),
        }
    }

    /// The monitor of a snapshot, which continues as if it had never been interrupted.
    ///
    /// # Errors
    /// As [`Monitor::new`], and [`MonitorError::Snapshot`] for a snapshot of another configuration
    /// or one that breaks an invariant.
    pub fn restore(config: MonitorConfig, snapshot: MonitorSnapshot) -> Result<Self, MonitorError> {
        // Checked before anything of the size that the configuration asks for is made.
        let cells = config.variates.saturating_mul(config.horizon);
        if snapshot.config != config || snapshot.intervals.len() != cells {
            return Err(MonitorError::Snapshot);
        }
        Monitor::new(config, &vec![1.0; cells.min(MAX_CELLS)])?
            .restored(snapshot)
            .ok_or(MonitorError::Snapshot)
    }

    fn restored(mut self, saved: MonitorSnapshot) -> Option<Self> {
        let has_season = self.seasons.is_some();
        let fits = saved.units.len() == self.units.len()
            && saved.last.len() == self.last.len()
            && saved.metrics.len() == self.metrics.len()
            && saved.drift.len() == self.drift.len()
            && match (&self.seasons, &saved.seasons) {
                (Some(seasons), Some(saved)) => seasons.fits(saved),
                (None, None) => true,
                _ => false,
            };
        let is_valid = saved.units.iter().all(|unit| (0.0..=MAX_ERROR).contains(unit))
            && saved.intervals.iter().all(IntervalState::is_valid)
            && saved.metrics.iter().all(|metrics| metrics.is_valid(has_season))
            && saved.drift.iter().all(DriftDetector::is_valid);
        self.open.resume(&saved.open)?;
        (self.units, self.last, self.seasons) = (saved.units, saved.last, saved.seasons);
        (self.intervals, self.metrics, self.drift) = (saved.intervals, saved.metrics, saved.drift);
        (fits && is_valid).then_some(self)
    }
}

impl fmt::Display for MonitorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MonitorError::Shape { variates, horizon } => write!(
                f,
                "{variates} variates and a horizon of {horizon} time steps make no monitor; use at least 1 each, at most 2^24 together, and \
                 a season of at least 1"
            ),
            MonitorError::Coverage { coverage } => write!(f, "the coverage is {coverage}; choose a number between 0 and 1"),
            MonitorError::InitialWidths => {
                f.write_str("the initial widths are not one positive number per variate and step of the horizon")
            }
            MonitorError::Snapshot => f.write_str("the snapshot does not fit this model, its horizon, season and coverage"),
        }
    }
}

impl core::error::Error for MonitorError {}
