//! What a stream's forecasts are worth, live: bounds around them, their errors beside those of the plainest forecasts, and a flag when they
//! get worse.
//!
//! Each row is held against the waiting forecasts of it, per variate and lead. Invariants: the work per row is bounded by M * 10 scores, and
//! nothing is allocated after [`Monitor::new`]; every number stays finite whatever is read or forecast; a missing reading scores nothing.

use alloc::{vec, vec::Vec};
use core::fmt;

use crate::bytes::{Bytes, put, put_all};
use crate::drift::DriftDetector;
use crate::intervals::{IntervalState, MAX_ERROR};
use crate::live_metrics::{Comparison, LiveMetrics};
use crate::open_forecasts::{self, OpenForecasts};
use crate::seasons::{self, Seasons};

/// Longest season, in rows, of which the readings are kept.
pub const MAX_SEASON: usize = 1500;
/// The most numbers in a forecast.
const MAX_CELLS: usize = 1 << 24;
/// Least scale of a variate's errors, in units of its widest prior: a sensor that never moved is followed when it does.
const LEAST_SCALE: f32 = 1e-3;
/// Largest error that counts in the skill, in the same units.
const LARGEST_ERROR: f32 = 1e3;
/// Comparisons after which a mean error tells whether others are large.
const SETTLED: u32 = 32;

/// Shape of a monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonitorConfig {
    /// Number of variates M that are forecast, at least 1; those that are only read are no business of a monitor.
    pub variates: usize,
    /// Rows of a forecast H, at least 1.
    pub horizon: usize,
    /// Rows of a season to compare with; one beyond [`MAX_SEASON`] is not kept, as if there were none.
    pub season: Option<usize>,
    /// Part of the readings that the intervals are to cover, between 0 and 1: 0.9.
    pub coverage: f32,
}

/// A monitor that cannot be made.
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
        /// The coverage asked for.
        coverage: f32,
    },
    /// The prior does not have M * H widths that are positive and finite.
    InitialWidths,
    /// The bytes are not those of a saved monitor of this shape, season and coverage.
    Snapshot,
}

/// Watches the forecasts of one stream. See the module's invariants.
///
/// For each row in this order: [`Monitor::observe`] with its readings; then, when it made a forecast, [`Monitor::issue`] with it and
/// [`Monitor::interval`] for its bounds.
#[derive(Debug, Clone)]
pub struct Monitor {
    config: MonitorConfig,
    /// Part of the readings that may lie beyond either bound.
    miss: f32,
    /// Each variate's widest prior. `[M]`.
    units: Vec<f32>,
    /// Each variate's last reading, NaN before its first. `[M]`.
    last: Vec<f32>,
    /// `[M][H]`.
    widths: Vec<IntervalState>,
    /// `[M][H]`.
    comparisons: Vec<Comparison>,
    /// `[M]`.
    drift: Vec<DriftDetector>,
    open_forecasts: OpenForecasts,
    history: Option<Seasons>,
}

impl Monitor {
    /// A monitor that has seen nothing; the only place that allocates. `prior` holds the half-widths of the intervals to begin with, `[M][H]`,
    /// positive.
    ///
    /// # Errors
    /// Any fault of the configuration or the prior.
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
        let widest = |initial_widths: &[f32]| initial_widths.iter().copied().fold(0.0, f32::max).min(MAX_ERROR);
        Ok(Monitor {
            config,
            miss: (1.0 - coverage) / 2.0,
            units: initial_widths.chunks_exact(horizon).map(widest).collect(),
            last: vec![f32::NAN; variates],
            widths: initial_widths
                .iter()
                .map(|initial_widths| IntervalState::new(initial_widths.min(MAX_ERROR)))
                .collect(),
            comparisons: vec![Comparison::default(); cells],
            drift: vec![DriftDetector::default(); variates],
            open_forecasts: OpenForecasts::new(variates, horizon),
            history: season
                .filter(|&season| season <= MAX_SEASON)
                .map(|season| Seasons::new(variates, season, horizon)),
        })
    }

    /// The configuration this was made with.
    pub fn config(&self) -> &MonitorConfig {
        &self.config
    }

    /// Bytes of memory that a monitor of this shape takes: 48 per variate and lead, 12 for each of them that waits, and the seasons' readings.
    pub fn bytes(config: &MonitorConfig) -> usize {
        let MonitorConfig {
            variates, horizon, season, ..
        } = *config;
        let seasons = season
            .filter(|&season| (1..=MAX_SEASON).contains(&season))
            .map_or(0, |season| seasons::rows(season, horizon));
        let per_cell = size_of::<IntervalState>() + size_of::<Comparison>();
        let per_variate =
            horizon * per_cell + open_forecasts::slots(horizon) * (12 * horizon + 4) + 4 * seasons + 8 + size_of::<DriftDetector>();
        size_of::<Monitor>() + open_forecasts::slots(horizon) * size_of::<usize>() + variates * per_variate
    }

    /// A row is closed: holds its readings `[M]`, NaN where missing, against the forecasts that were waiting for them.
    pub fn observe(&mut self, values: &[f32]) {
        debug_assert_eq!(values.len(), self.config.variates);
        let horizon = self.config.horizon;
        let (widths, comparisons, drift, history) = (&mut self.widths, &mut self.comparisons, &mut self.drift, &self.history);
        let (miss, units) = (self.miss, &self.units);
        self.open_forecasts.advance(|variate, step, issued, last| {
            let value = values.get(variate).copied().unwrap_or(f32::NAN);
            if !(value.is_finite() && issued.mean.is_finite()) {
                return;
            }
            let (width, comparison) = (&mut widths[variate * horizon + step], &mut comparisons[variate * horizon + step]);
            let least = LEAST_SCALE * units[variate];
            width.score(value, issued, miss, least);
            let error = value - issued.mean;
            if comparison.compared >= SETTLED {
                drift[variate].add(error.abs() / comparison.model.mae.max(least).max(f32::MIN_POSITIVE));
            }
            let seasonal = history.as_ref().map_or(value, |history| history.seasonal(variate, step));
            if last.is_finite() && seasonal.is_finite() {
                let limit = (LARGEST_ERROR * units[variate]).min(MAX_ERROR);
                comparison.add([error, value - last, value - seasonal], limit);
            }
        });
        for drift in drift {
            drift.row(horizon);
        }
        self.remember(values);
    }

    /// A time step that was observed before, by a monitor that this one continues: its readings `[M]` are remembered and
    /// the open forecasts age, but nothing is scored a second time.
    pub fn recall(&mut self, values: &[f32]) {
        self.open_forecasts.advance(|_, _, _, _| ());
        self.remember(values);
    }

    fn remember(&mut self, values: &[f32]) {
        for (last, &value) in self.last.iter_mut().zip(values).filter(|(_, value)| value.is_finite()) {
            *last = value;
        }
        if let Some(history) = &mut self.history {
            history.push(&self.last);
        }
    }

    /// The forecast `[M][H]` made at the last row; some are kept to be held against the rows that come.
    pub fn issue(&mut self, forecast: &[f32]) {
        debug_assert_eq!(forecast.len(), self.widths.len());
        if forecast.len() == self.widths.len() {
            let bounded = self.widths.iter().zip(forecast).map(|(width, &mean)| width.around(mean));
            self.open_forecasts.issue(bounded, &self.last);
        }
    }

    /// Bounds of a forecast, all `[M][H]`: `lo <= forecast <= hi`, and finite where the forecast is.
    pub fn interval(&self, forecast: &[f32], lower: &mut [f32], upper: &mut [f32]) {
        debug_assert!([forecast.len(), lower.len(), upper.len()] == [self.widths.len(); 3]);
        for (((width, &mean), lower), upper) in self.widths.iter().zip(forecast).zip(lower).zip(upper) {
            let bounded = width.around(mean);
            (*lower, *upper) = (bounded.lower(), bounded.upper());
        }
    }

    /// The stream starts over after a silence: waiting forecasts and past readings are forgotten, what was learned from them stays.
    pub fn restart(&mut self) {
        self.open_forecasts.clear();
        self.last.fill(f32::NAN);
        if let Some(history) = &mut self.history {
            history.clear();
        }
    }

    /// How forecasts of a variate at a lead (from 0) have fared; `None` for a variate or a lead that does not exist.
    pub fn live_metrics(&self, variate: usize, step: usize) -> Option<LiveMetrics> {
        let MonitorConfig { variates, horizon, .. } = self.config;
        if variate >= variates || step >= horizon {
            return None;
        }
        let (width, comparison) = (&self.widths[variate * horizon + step], &self.comparisons[variate * horizon + step]);
        Some(LiveMetrics {
            scored: width.scored,
            coverage: width.covered,
            compared: comparison.compared,
            model: comparison.model,
            naive: comparison.naive,
            seasonal: self.history.as_ref().map(|_| comparison.seasonal),
        })
    }

    /// Whether a variate's forecasts have become worse than they used to be: a CUSUM over batches of at least a horizon of rows, of the
    /// errors in units of their own running size.
    pub fn is_drifting(&self, variate: usize) -> bool {
        self.drift.get(variate).is_some_and(|drift| drift.raised)
    }

    /// Whether any variate's forecasts have.
    pub fn drifts(&self) -> bool {
        self.drift.iter().any(|drift| drift.raised)
    }

    /// Appends all that this monitor remembers, for [`Monitor::restore`].
    pub fn save(&self, out: &mut Vec<u8>) {
        put_shape(&self.config, out);
        put_all(out, &self.units);
        put_all(out, &self.last);
        for (width, comparison) in self.widths.iter().zip(&self.comparisons) {
            width.save(out);
            comparison.save(out);
        }
        for drift in &self.drift {
            drift.save(out);
        }
        self.open_forecasts.save(out);
        if let Some(history) = &self.history {
            history.save(out);
        }
    }

    /// The monitor that [`Monitor::save`] wrote, which goes on as if it had never been interrupted.
    ///
    /// # Errors
    /// As [`Monitor::new`], and [`MonitorError::Snapshot`] for bytes of a monitor of another configuration or of none.
    pub fn restore(config: MonitorConfig, saved: &[u8]) -> Result<Self, MonitorError> {
        let cells = config.variates.saturating_mul(config.horizon);
        // Refused before anything of the size that the configuration asks for is made.
        let mut shape = Vec::new();
        put_shape(&config, &mut shape);
        let rest = saved.strip_prefix(shape.as_slice()).ok_or(MonitorError::Snapshot)?;
        let mut monitor = Monitor::new(config, &vec![1.0; cells.min(MAX_CELLS)])?;
        monitor.read(&mut Bytes(rest)).ok_or(MonitorError::Snapshot)?;
        Ok(monitor)
    }

    /// `None` when the bytes break an invariant.
    fn read(&mut self, from: &mut Bytes<'_>) -> Option<()> {
        for unit in &mut self.units {
            *unit = from.amount(MAX_ERROR)?;
        }
        from.fill(&mut self.last)?;
        for (width, comparison) in self.widths.iter_mut().zip(&mut self.comparisons) {
            *width = IntervalState::restore(from)?;
            *comparison = Comparison::restore(from)?;
        }
        for drift in &mut self.drift {
            *drift = DriftDetector::restore(from)?;
        }
        self.open_forecasts.restore(from)?;
        if let Some(history) = &mut self.history {
            history.restore(from)?;
        }
        from.0.is_empty().then_some(())
    }
}

fn put_shape(config: &MonitorConfig, out: &mut Vec<u8>) {
    for count in [config.variates, config.horizon, config.season.unwrap_or(0)] {
        put(out, (count as u64).to_le_bytes());
    }
    put(out, config.coverage.to_le_bytes());
}

impl fmt::Display for MonitorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MonitorError::Shape { variates, horizon } => {
                write!(f, "{variates} variates, {horizon} rows ahead and a season make no monitor")
            }
            MonitorError::Coverage { coverage } => write!(f, "a coverage of {coverage} is not between 0 and 1"),
            MonitorError::InitialWidths => f.write_str("the initial_widths widths are not one positive number per variate and step"),
            MonitorError::Snapshot => f.write_str("what was saved is no monitor of this shape, season and coverage"),
        }
    }
}

impl core::error::Error for MonitorError {}
