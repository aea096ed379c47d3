//! Station: one stream on a microcontroller. A payload in, a forecast out.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use tsm2_blob::{Blob, BlobError};
use tsm2_core::Model;
use tsm2_stream::{
    Event, Forecaster, ForecasterConfig, ForecasterSnapshot, MonitorError, Reading, Resampler, ResamplerConfig, ResamplerError,
    ResamplerSnapshot, Workspace,
};

use crate::forecast::Latest;
use crate::payload::{self, Rejected};
use crate::settings::Settings;

/// Why there is no station.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum StationError {
    /// The model cannot be used.
    Blob(BlobError),
    /// The settings make no resampler.
    Resampler(ResamplerError),
    /// The model makes no forecaster.
    Monitor(MonitorError),
}

/// One stream. See the module.
pub struct Station<'m> {
    blob: Blob<'m>,
    model: Model<'m>,
    time_field: alloc::string::String,
    resampler_config: ResamplerConfig,
    forecaster_config: ForecasterConfig,
    resampler: Resampler,
    forecaster: Forecaster,
    workspace: Workspace,
    latest: Option<Latest>,
    /// Shape `[M]`.
    readings: Vec<Option<f32>>,
    /// Payloads and readings that were rejected.
    rejected: u32,
}

/// All that a station remembers.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    resampler: ResamplerSnapshot,
    forecaster: ForecasterSnapshot,
    latest: Option<Latest>,
}

impl<'m> Station<'m> {
    /// A station without history.
    ///
    /// # Errors
    /// See [`StationError`].
    pub fn new(flash: &'m [u8], settings: &Settings) -> Result<Self, StationError> {
        let blob = Blob::open(flash).map_err(StationError::Blob)?;
        let model = blob.model().map_err(StationError::Blob)?;
        let variates = blob.config().variates;
        let mut resampler_config = ResamplerConfig::new(variates, blob.interval_ms(), settings.max_gap);
        resampler_config.forward_fill_limit = settings.forward_fill_limit;
        resampler_config.allowed_lateness_ms = settings.allowed_lateness_s.saturating_mul(1000);
        let forecaster_config = ForecasterConfig {
            naive: None,
            interval_ms: blob.interval_ms(),
            coverage: blob.coverage(),
            initial_widths: blob.initial_widths().to_vec(),
        };
        Ok(Station {
            resampler: Resampler::new(resampler_config.clone()).map_err(StationError::Resampler)?,
            forecaster: Forecaster::new(&model, &forecaster_config).map_err(StationError::Monitor)?,
            workspace: Workspace::new(&model),
            readings: vec![None; variates],
            time_field: settings.time_field.clone(),
            latest: None,
            rejected: 0,
            blob,
            model,
            resampler_config,
            forecaster_config,
        })
    }

    /// The model in flash.
    #[must_use]
    pub fn blob(&self) -> &Blob<'m> {
        &self.blob
    }

    /// Takes one payload and returns whether there is a new forecast. A payload that completes
    /// several time steps leads to one new forecast, the newest. `alive` is called after each time step:
    /// a payload after a long gap takes as long as all the time steps that bridge it.
    ///
    /// # Errors
    /// The payload cannot be read. Nothing has changed but a count.
    pub fn take(&mut self, payload: &[u8], mut alive: impl FnMut()) -> Result<bool, Rejected> {
        let time_ms = payload::decode(payload, &self.blob, &self.time_field, &mut self.readings).inspect_err(|_| {
            self.rejected = self.rejected.saturating_add(1);
        })?;
        let (model, interval_ms) = (&self.model, i64::try_from(self.blob.interval_ms()).unwrap_or(i64::MAX));
        let (forecaster, workspace, latest) = (&mut self.forecaster, &mut self.workspace, &mut self.latest);
        let mut is_new = false;
        for (variate, value) in self.readings.iter().enumerate() {
            let &Some(value) = value else { continue };
            let reading = Reading::at(variate, value, time_ms);
            let result = self.resampler.push(reading, |event| match event {
                Event::TimeStep(step) => {
                    // The model is the forecaster's own: it fits.
                    let Ok(forecast) = forecaster.step(model, workspace, &step) else {
                        return;
                    };
                    let new = latest.get_or_insert_with(|| Latest::of_length(forecast.mean.len()));
                    new.origin_ms = step.last_reading_ms.unwrap_or(new.origin_ms.max(step.time_ms));
                    new.start_ms = step.time_ms.saturating_add(interval_ms);
                    new.mean.copy_from_slice(forecast.mean);
                    new.lower.copy_from_slice(forecast.lower);
                    new.upper.copy_from_slice(forecast.upper);
                    is_new = true;
                    alive();
                }
                Event::Restart { .. } => forecaster.restart(),
                _ => {}
            });
            if result.is_err() {
                self.rejected = self.rejected.saturating_add(1);
            }
        }
        Ok(is_new)
    }

    /// Payloads and readings that were rejected since the start.
    #[must_use]
    pub fn rejected(&self) -> u32 {
        self.rejected
    }

    /// The newest forecast of a target as JSON; `None` before the first forecast and beyond the last
    /// target.
    #[must_use]
    pub fn forecast(&self, target: usize) -> Option<Vec<u8>> {
        self.latest.as_ref()?.json(&self.blob, target)
    }

    /// All that the station remembers, as bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let snapshot = Snapshot {
            resampler: self.resampler.snapshot(),
            forecaster: self.forecaster.snapshot(),
            latest: self.latest.clone(),
        };
        postcard::to_allocvec(&snapshot).unwrap_or_default()
    }

    /// Continues from a snapshot of the same model as if never interrupted; false, and nothing has
    /// changed, where the bytes are not that.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let Ok(snapshot) = postcard::from_bytes::<Snapshot>(bytes) else {
            return false;
        };
        let numbers = self.blob.config().forecast_len();
        let resampler = Resampler::restore(self.resampler_config.clone(), snapshot.resampler);
        let forecaster = Forecaster::restore(&self.model, &self.forecaster_config, snapshot.forecaster);
        match (resampler, forecaster) {
            (Ok(resampler), Ok(forecaster)) if snapshot.latest.as_ref().is_none_or(|latest| latest.has_length(numbers)) => {
                (self.resampler, self.forecaster, self.latest) = (resampler, forecaster, snapshot.latest);
                true
            }
            _ => false,
        }
    }
}

impl fmt::Display for StationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StationError::Blob(error) => write!(f, "model: {error}"),
            StationError::Resampler(error) => write!(f, "settings: {error}"),
            StationError::Monitor(error) => write!(f, "model: {error}"),
        }
    }
}

impl core::error::Error for StationError {}
