//! Schema: how payloads become readings, readings become time steps, and time steps become forecasts.

use jiff::tz::TimeZone;
use tsm2_bundle::Metadata;
use tsm2_mqtt::{Decoder, DecoderOptions, PayloadShape};
use tsm2_stream::{ForecasterConfig, Resampler, ResamplerConfig, ResamplerError, initial_widths};

use super::input::Input;
use super::topics::Topics;

/// Deepest nesting of JSON that is read.
const MAX_DEPTH: usize = 32;
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
    #[error("input.time_zone: {name:?} is not an IANA time zone; write it as Europe/Berlin")]
    TimeZone {
        /// The name.
        name: String,
    },
    /// A zone for times that are not read.
    #[error("input.time_zone needs input.time_field: the time of arrival has no zone")]
    ZoneWithoutTime,
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
    /// Payloads of readings.
    pub readings: Decoder,
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
    pub(super) fn new(input: &Input, topics: &Topics, meta: &Metadata, interval_ms: u64, coverage: f32) -> Result<Self, SchemaError> {
        if input.max_payload_bytes == 0 {
            return Err(SchemaError::Zero {
                key: "input.max_payload_bytes",
            });
        }
        let shape = match topics.has_variate() {
            true => PayloadShape::Single(input.value.clone()),
            false => PayloadShape::Fields(topics.inputs().to_vec()),
        };
        let time_zone = time_zone(input)?;
        let decoder = |shape, time| {
            Decoder::new(DecoderOptions {
                shape,
                time,
                time_format: input.time_format,
                time_zone: time_zone.clone(),
                max_payload: input.max_payload_bytes,
                max_depth: MAX_DEPTH,
            })
        };
        let time_of_point = input.time_field.clone().unwrap_or_else(|| TIME_OF_POINT.to_owned());
        Ok(Schema {
            readings: decoder(shape, input.time_field.clone()),
            future_covariates: decoder(PayloadShape::Single(input.value.clone()), Some(time_of_point)),
            resampler: resampler(input, meta, interval_ms)?,
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
    for (key, named) in [
        ("input.fields", input.fields.keys().collect::<Vec<_>>()),
        ("input.aggregates", input.aggregates.keys().collect()),
    ] {
        if let Some(name) = named.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(SchemaError::UnknownVariate {
                key,
                name: (*name).clone(),
                model: meta.name.clone(),
                known: names.join(", "),
            });
        }
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
        initial_widths: initial_widths(deviations, meta.config.horizon, coverage, meta.validation_mse()),
    }
}

fn time_zone(input: &Input) -> Result<Option<TimeZone>, SchemaError> {
    let Some(name) = &input.time_zone else { return Ok(None) };
    if input.time_field.is_none() {
        return Err(SchemaError::ZoneWithoutTime);
    }
    let unknown = |_| SchemaError::TimeZone { name: name.clone() };
    TimeZone::get(name).map(Some).map_err(unknown)
}
