//! Forecaster: the model state, future covariates and forecast evaluation of one stream.
//!
//! The order of work for each time step is fixed here and nowhere else:
//! 1. the future covariates for this step and the next H steps go to the model;
//! 2. the model steps and forecasts, or before a model exists the better of naive and seasonal naive
//!    does after 3.;
//! 3. the monitor scores the open forecasts of earlier steps against the readings;
//! 4. the monitor keeps the new forecast and computes its prediction intervals.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};
use tsm2_core::Config;

use crate::forecast_model::ForecastModel;
use crate::future_covariates::{FutureCovariate, FutureCovariates};
use crate::monitor::{Monitor, MonitorConfig, MonitorError, MonitorSnapshot};
use crate::time_bin::TimeStep;

/// Settings of a forecaster; the model determines the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecasterConfig {
    /// Sampling interval in milliseconds.
    pub interval_ms: u64,
    /// Fraction of the readings that the prediction intervals are to cover, between 0 and 1.
    pub coverage: f32,
    /// Half-widths of the first prediction intervals, in the sensors' units. Shape `[targets][H]`.
    pub initial_widths: Vec<f32>,
    /// Before a model exists: the model's forecasts are replaced by the better of naive and seasonal
    /// naive, see [`Monitor::baseline`].
    pub naive: Option<Naive>,
}

/// Forecasts before a model exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naive {
    /// Time steps of a season; `None` for naive forecasts only.
    pub season: Option<usize>,
}

impl ForecasterConfig {
    /// The configuration of the monitor.
    pub fn monitor(&self, config: &Config) -> MonitorConfig {
        let of_model = MonitorConfig::of(config, self.coverage);
        MonitorConfig {
            season: self.naive.map_or(of_model.season, |naive| naive.season),
            ..of_model
        }
    }
}

/// Working memory for one model; all streams of a thread share it.
#[derive(Debug, Clone)]
pub struct Workspace {
    scratch: Vec<f32>,
    /// Known values of one future covariate. Shape `[H + 1]`.
    future: Vec<f32>,
    mean: Vec<f32>,
    lower: Vec<f32>,
    upper: Vec<f32>,
    expired: Vec<usize>,
}

/// A forecast with its prediction intervals, in the sensors' units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast<'w> {
    /// Forecast values; step 0 is the time step after the one just consumed. Shape `[targets][H]`.
    pub mean: &'w [f32],
    /// Lower bounds. Shape `[targets][H]`.
    pub lower: &'w [f32],
    /// Upper bounds. Shape `[targets][H]`.
    pub upper: &'w [f32],
    /// Variates whose last known future value ended with this time step.
    pub expired: &'w [usize],
}

/// One stream's forecaster. See the module's documentation.
///
/// ```
/// use tsm2_core::{Config, Model, Scaler, parameter_count};
/// use tsm2_stream::{Event, Forecaster, ForecasterConfig, Workspace};
/// use tsm2_stream::{Reading, Resampler, ResamplerConfig};
///
/// let config = Config { horizon: 3, ..Config::default() };
/// let weights = vec![0.1; parameter_count(&config)?];
/// let model = Model::new(&config, Scaler { mean: &[20.0], std: &[2.0] }, &weights)?;
/// let settings = ForecasterConfig {
///     interval_ms: 60_000,
///     coverage: 0.9,
///     initial_widths: vec![1.0; 3],
///     naive: None,
/// };
///
/// let mut resampler = Resampler::new(ResamplerConfig::new(1, settings.interval_ms, 1440))?;
/// let mut forecaster = Forecaster::new(&model, &settings)?;
/// let mut workspace = Workspace::new(&model); // shared by all streams of a thread
/// for minute in 0..10 {
///     let reading = Reading::at(0, 20.0 + minute as f32, minute * 60_000);
///     resampler.push(reading, |event| match event {
///         Event::TimeStep(step) => match forecaster.step(&model, &mut workspace, &step) {
///             Ok(forecast) => assert!(forecast.lower[0] <= forecast.upper[0]),
///             Err(error) => eprintln!("{error}"),
///         },
///         Event::Restart { .. } => forecaster.restart(),
///         _ => {}
///     })?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Forecaster {
    interval_ms: i64,
    covariates: FutureCovariates,
    monitor: Monitor,
    is_naive: bool,
    state: Vec<f32>,
}

/// All that a forecaster remembers, for [`Forecaster::restore`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterSnapshot {
    covariates: Vec<FutureCovariate>,
    monitor: MonitorSnapshot,
    state: Vec<f32>,
}

impl Workspace {
    /// Working memory for streams of `model`.
    pub fn new(model: &impl ForecastModel) -> Self {
        let config = model.config();
        let forecast = vec![0.0; config.forecast_len()];
        Workspace {
            scratch: vec![0.0; model.scratch_len()],
            future: vec![0.0; config.horizon + 1],
            mean: forecast.clone(),
            lower: forecast.clone(),
            upper: forecast,
            expired: Vec::with_capacity(future_covariates(config)),
        }
    }
}

/// Number of future covariates, the last variates of a time step.
fn future_covariates(config: &Config) -> usize {
    config.future_covariates
}

impl MonitorConfig {
    /// The configuration of the monitor for a model's forecasts.
    pub fn of(config: &Config, coverage: f32) -> Self {
        MonitorConfig {
            variates: config.targets(),
            horizon: config.horizon,
            season: config.linear_head.season.map(|season| season.period),
            coverage,
        }
    }
}

impl Forecaster {
    /// A forecaster of a stream without history.
    ///
    /// # Errors
    /// A coverage that is not between 0 and 1, or initial widths of another shape.
    pub fn new(model: &impl ForecastModel, config: &ForecasterConfig) -> Result<Self, MonitorError> {
        let of = model.config();
        Ok(Forecaster {
            interval_ms: i64::try_from(config.interval_ms).unwrap_or(i64::MAX),
            covariates: FutureCovariates::new(of.variates, future_covariates(of)),
            monitor: Monitor::new(config.monitor(of), &config.initial_widths)?,
            is_naive: config.naive.is_some(),
            // A new state is all zeros, as after `Model::reset`.
            state: vec![0.0; model.state_len()],
        })
    }

    /// All that this forecaster remembers.
    pub fn snapshot(&self) -> ForecasterSnapshot {
        ForecasterSnapshot {
            covariates: self.covariates.all().to_vec(),
            monitor: self.monitor.snapshot(),
            state: self.state.clone(),
        }
    }

    /// The forecaster of a snapshot, which continues as if it had never been interrupted. The
    /// caller makes sure that the snapshot's state is that of `model`; here only its length is
    /// checked.
    ///
    /// # Errors
    /// As [`Forecaster::new`], and [`MonitorError::Snapshot`] for a snapshot that does not fit or
    /// breaks an invariant.
    pub fn restore(model: &impl ForecastModel, config: &ForecasterConfig, snapshot: ForecasterSnapshot) -> Result<Self, MonitorError> {
        let mut forecaster = Forecaster::new(model, config)?;
        if snapshot.state.len() != forecaster.state.len() || !forecaster.covariates.resume(snapshot.covariates) {
            return Err(MonitorError::Snapshot);
        }
        forecaster.monitor = Monitor::restore(*forecaster.monitor.config(), snapshot.monitor)?;
        forecaster.state = snapshot.state;
        Ok(forecaster)
    }

    /// Prediction intervals, live metrics and drift flags of this stream.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Replaces the future values of a variate. They take effect with the next time step.
    ///
    /// # Errors
    /// The variate is not a future covariate, or the model is not the one of this forecaster.
    /// Nothing has changed then.
    pub fn set_future<M: ForecastModel>(&mut self, model: &M, variate: usize, values: FutureCovariate) -> Result<(), M::Error> {
        // The old values are void at once, although the next time step may be far away.
        model.set_future(&mut self.state, variate, &[])?;
        self.covariates.set(variate, values);
        Ok(())
    }

    /// Consumes one time step and returns the forecast made at it.
    ///
    /// # Errors
    /// The model cannot compute the step, or the model or the workspace is not the one of this
    /// forecaster.
    pub fn step<'w, M: ForecastModel>(
        &mut self,
        model: &M,
        workspace: &'w mut Workspace,
        step: &TimeStep<'_>,
    ) -> Result<Forecast<'w>, M::Error> {
        self.advance(model, workspace, step)?;
        let targets = self.targets(step);
        if self.is_naive {
            self.monitor.begin_with(targets);
        }
        self.monitor.observe(targets);
        if self.is_naive {
            self.monitor.baseline(&mut workspace.mean);
        }
        self.monitor.issue(&workspace.mean);
        self.monitor.interval(&workspace.mean, &mut workspace.lower, &mut workspace.upper);
        Ok(Forecast {
            mean: &workspace.mean,
            lower: &workspace.lower,
            upper: &workspace.upper,
            expired: &workspace.expired,
        })
    }

    /// Starts the stream over after an [`Event::Restart`](crate::Event::Restart). Future covariates
    /// and what the monitor learned stay.
    pub fn restart(&mut self) {
        self.state.fill(0.0);
        self.monitor.restart();
    }

    /// Steps 1 and 2 of the module's order of work.
    fn advance<M: ForecastModel>(&mut self, model: &M, workspace: &mut Workspace, step: &TimeStep<'_>) -> Result<(), M::Error> {
        let Workspace {
            scratch,
            future,
            mean,
            expired,
            ..
        } = workspace;
        expired.clear();
        let (state, time_ms) = (&mut self.state, step.time_ms);
        self.covariates.advance(
            (time_ms, self.interval_ms),
            future,
            |variate, values| model.set_future(state, variate, values),
            |variate| expired.push(variate),
        )?;
        model.step(&mut self.state, scratch, step.values, time_ms, mean)
    }

    /// The readings of the variates that are forecast: the first of a time step.
    fn targets<'s>(&self, step: &TimeStep<'s>) -> &'s [f32] {
        &step.values[..self.monitor.config().variates.min(step.values.len())]
    }
}
