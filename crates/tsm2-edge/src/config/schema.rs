//! Schema: how payloads become readings, readings become time steps, and time steps become forecasts.

use tsm2_bundle::Metadata;
use tsm2_mqtt::{Decoder, DecoderOptions, Field, Path, PathError};
use tsm2_stream::{ForecasterConfig, Resampler, ResamplerConfig, ResamplerError, initial_widths};

use super::input::Input;
use super::sources::{MAX_DEPTH, PreparedSource, SourceError, zone_of};

/// Field of the time in a point of a future covariate without `input.time_field`.
const TIME_OF_POINT: &str = "time";

/// Payloads or time steps that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A key for a variate that the model does not have.
    #[error("{key}.{name}: the model {model:?} has no variate {name:?}; it has {known}")]
    UnknownVariate {
        /// The key above it.
        key: &'static str,
        /// The variate.
        name: String,
        /// The model.
        model: String,
        /// Its variates.
        known: String,
    },
    /// The allowed lateness is not a time.
    #[error("input.allowed_lateness_s is {seconds}; set it between 0 and 10^9 seconds")]
    AllowedLateness {
        /// The lateness.
        seconds: f64,
    },
    /// The resampler rejects the settings.
    #[error("input: {0}")]
    Resampler(#[from] ResamplerError),
    /// The time zone does not exist.
    #[error(transparent)]
    TimeZone(#[from] SourceError),
    /// A path that cannot be used.
    #[error("{key}: {source}")]
    Path {
        /// The key.
        key: &'static str,
        /// Why.
        source: PathError,
    },
    /// A number that must not be zero.
    #[error("{key} is 0; set it to at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Schema {
    /// Payloads of future covariates.
    pub future_covariates: Decoder,
    /// Readings to time steps.
    pub resampler: ResamplerConfig,
    /// Time steps to forecasts.
    pub forecaster: ForecasterConfig,
}

impl Schema {
    /// # Errors
    /// Why no reading could become a forecast.
    pub(super) fn new(
        input: &Input,
        sources: &[PreparedSource],
        meta: &Metadata,
        interval_ms: u64,
        coverage: f32,
    ) -> Result<Self, SchemaError> {
        if input.max_payload_bytes == 0 {
            return Err(SchemaError::Zero {
                key: "input.max_payload_bytes",
            });
        }
        let path = |key, text| Path::parse(text).map_err(|source| SchemaError::Path { key, source });
        let points = DecoderOptions {
            fields: vec![Field::at(path("input.value", &input.value)?)],
            time: Some(path("input.time_field", input.time_field.as_deref().unwrap_or(TIME_OF_POINT))?),
            time_format: input.time_format,
            time_zone: input.time_zone.as_ref().map(|name| zone_of("input.time_zone", name)).transpose()?,
            max_payload: input.max_payload_bytes,
            max_depth: MAX_DEPTH,
            ..DecoderOptions::default()
        };
        let mut resampler = resampler(input, meta, interval_ms)?;
        let mut ids = 0;
        for source in sources.iter().filter(|source| !source.variates.is_empty()) {
            // A topic per variate is a sensor per variate.
            let sensors = if source.template.has_variate() { source.variates.len() } else { 1 };
            for (index, &variate) in source.variates.iter().enumerate() {
                resampler.sources[variate] = ids + (index % sensors) as u16;
            }
            ids += sensors as u16;
        }
        resampler.device_times = sources.iter().any(|source| source.decoder.has_own_time());
        Ok(Schema {
            future_covariates: Decoder::new(points),
            resampler,
            forecaster: forecaster(meta, interval_ms, coverage),
        })
    }
}

/// How the readings of a model become time steps.
///
/// # Errors
/// Why no reading could become one.
pub fn resampler(input: &Input, meta: &Metadata, interval_ms: u64) -> Result<ResamplerConfig, SchemaError> {
    let names: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
    if let Some(name) = input.aggregates.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(SchemaError::UnknownVariate {
            key: "input.aggregates",
            name: name.clone(),
            model: meta.name.clone(),
            known: names.join(", "),
        });
    }
    let mut config = ResamplerConfig::new(names.len(), interval_ms, input.max_gap);
    for (aggregate, name) in config.aggregates.iter_mut().zip(&names) {
        *aggregate = input.aggregates.get(*name).copied().unwrap_or(input.aggregate);
    }
    let seconds = input.allowed_lateness_s;
    if !(0.0..=1e9).contains(&seconds) {
        return Err(SchemaError::AllowedLateness { seconds });
    }
    config.allowed_lateness_ms = (seconds * 1e3).round() as u64;
    config.forward_fill_limit = input.forward_fill_limit;
    config.max_ahead = input.max_ahead;
    config.device_times = input.time_field.is_some();
    Resampler::new(config.clone())?;
    Ok(config)
}

/// How the time steps of a model become forecasts.
pub fn forecaster(meta: &Metadata, interval_ms: u64, coverage: f32) -> ForecasterConfig {
    let deviations = meta.targets().iter().map(|variate| variate.std);
    ForecasterConfig {
        interval_ms,
        coverage,
        naive: None,
        initial_widths: initial_widths(deviations, meta.config.horizon, coverage, meta.validation_mse()),
    }
}
