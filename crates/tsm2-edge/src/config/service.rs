//! A configuration checked and made ready: the bundle opened, the topics parsed, every name resolved.
//!
//! Invariant: whatever is wrong with a configuration is found here, before anything connects; a [`Service`] runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tsm2_bundle::{Bundle, BundleError, Metadata};
use tsm2_mqtt::{
    Decoder, DecoderOptions, MAX_IN_FLIGHT, PayloadShape, SessionError, SessionOptions, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template,
    TemplateError, TlsError, topic_level,
};
use tsm2_stream::{MonitorConfig, Resampler, ResamplerConfig, ResamplerError};

use crate::config::schema;
use crate::config::{Config, Http, Input};
use crate::observe::http::HttpOptions;
use crate::observe::token::{Token, WeakToken};
use crate::runtime::record::Fingerprint;

/// Where the time of a point that is known ahead is looked for when `input.time_field` does not tell.
const DEFAULT_TIME: &str = "time";
/// Deepest nesting of JSON that is read.
const MAX_DEPTH: usize = 32;

/// A configuration whose parts do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The bundle cannot be used.
    #[error("model.bundle: {0}")]
    Bundle(#[from] BundleError),
    /// Neither the bundle nor the configuration has a sampling interval.
    #[error("model.interval_s is needed: the bundle {name:?} was trained on data without timestamps")]
    NoInterval {
        /// Name of the model.
        name: String,
    },
    /// The interval cannot be used.
    #[error("model.interval_s, or the bundle's own interval: {interval_s} s is not between one millisecond and 10^9 seconds")]
    Interval {
        /// The interval.
        interval_s: f64,
    },
    /// The configuration contradicts the bundle.
    #[error("model.interval_s: {interval_s} s contradicts the bundle, which was trained on rows every {bundle_s} s")]
    OtherInterval {
        /// The configuration's.
        interval_s: f64,
        /// The bundle's.
        bundle_s: f64,
    },
    /// The topic is no template.
    #[error("input.topic: {0}")]
    Template(#[from] TemplateError),
    /// The model needs to be told what is known ahead, and there is no topic for it.
    #[error("input.future_covariates_topic is needed: the model {model:?} was trained with {variates} known ahead")]
    NoKnownAhead {
        /// The model.
        model: String,
        /// The variates.
        variates: String,
    },
    /// The topic of what is known ahead is no template.
    #[error("input.future_covariates_topic: {0}")]
    KnownAhead(TemplateError),
    /// The topic of what is known ahead does not tell what it speaks of.
    #[error("input.future_covariates_topic: {template:?} has no {placeholder}")]
    KnownAheadOf {
        /// The template.
        template: String,
        /// What it lacks.
        placeholder: &'static str,
    },
    /// What is known ahead could not be told from readings.
    #[error("input.future_covariates_topic: {template:?} also matches topics of input.topic {topic:?}; tell them apart")]
    KnownAheadOverlaps {
        /// The template.
        template: String,
        /// The other.
        topic: String,
    },
    /// A template that does not tell the stream, and no name for it.
    #[error("input.topic: {template:?} has no {TEMPLATE_STREAM}; add it, or name the one stream with input.stream")]
    NoStream {
        /// The template.
        template: String,
    },
    /// Two answers to which stream it is.
    #[error("input.stream: {template:?} has {TEMPLATE_STREAM} already; remove one of the two")]
    TwoStreams {
        /// The template.
        template: String,
    },
    /// A stream's name that no topic can have.
    #[error("{key}: {name:?} cannot be a stream's name: it is empty or contains `/`, `+`, `#` or control characters")]
    StreamName {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// A key for a variate that the model does not have.
    #[error("{key}.{name}: the model {model:?} has no variate of that name; it has {known}")]
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
    /// The lateness is no time.
    #[error("input.allowed_lateness_s: {lateness_s} is not between 0 and 10^9 seconds")]
    Lateness {
        /// The lateness.
        lateness_s: f64,
    },
    /// No grid can be made.
    #[error("input: {0}")]
    Resampler(#[from] ResamplerError),
    /// There is no such zone.
    #[error("input.time_zone: {name:?} is no time zone of the IANA database, as Europe/Berlin is")]
    TimeZone {
        /// The name.
        name: String,
    },
    /// A zone for times that are not read.
    #[error("input.time_zone needs input.time_field: the time of arrival has no zone")]
    ZoneWithoutTime,
    /// Two variates that would read the same field or publish to the same topic.
    #[error("variates {first:?} and {second:?} both go by {name:?}; tell them apart in input.fields or in the bundle")]
    SameName {
        /// One variate.
        first: String,
        /// The other.
        second: String,
        /// The name.
        name: String,
    },
    /// Nothing could ever be read.
    #[error("{key} must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// More than the daemon takes before it acknowledges.
    #[error("broker.max_inflight is {got}; it may be {MAX_IN_FLIGHT} at most")]
    InFlight {
        /// The number.
        got: usize,
    },
    /// The prefix makes no topic.
    #[error("output.prefix: {prefix:?} is no topic: it is empty, has an empty level, or contains `+`, `#` or control characters")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// No interval covers that.
    #[error("output.coverage: {coverage} is not between 0 and 1")]
    Coverage {
        /// The coverage asked for.
        coverage: f32,
    },
    /// The daemon would read its own forecasts.
    #[error("{key}: {template:?} also matches the topic {topic:?} that this daemon publishes to; change it or output.prefix")]
    Loop {
        /// The template's key.
        key: &'static str,
        /// The template.
        template: String,
        /// A topic published to.
        topic: String,
    },
    /// Nothing can connect with these settings.
    #[error("broker: {0}")]
    Session(SessionError),
    /// TLS cannot be used.
    #[error("broker.{0}")]
    Tls(TlsError),
    /// A password without a user.
    #[error("broker.password_file needs broker.username")]
    NoUser,
    /// The password's file cannot be read.
    #[error("broker.password_file: {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Anybody could read the metrics.
    #[error("http.token_file is needed: other machines may reach http.listen {listen}")]
    NoToken {
        /// The address.
        listen: SocketAddr,
    },
    /// The token's file cannot be read.
    #[error("http.token_file: {}: {source}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What the file holds is no token.
    #[error("http.token_file: {}: {source}", path.display())]
    WeakToken {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WeakToken,
    },
}

/// Everything the daemon needs, checked.
#[derive(Debug)]
pub struct Service {
    pub(crate) bundle: Bundle,
    pub(crate) template: Template,
    pub(crate) decoder: Decoder,
    /// Where and how it is told what is known ahead; `None` for a model that needs none of it.
    pub(crate) known_ahead: Option<KnownAhead>,
    /// The stream's name when the topic does not tell.
    pub(crate) stream: Option<String>,
    pub(crate) streams: Option<Vec<String>>,
    /// Per variate its name in an input topic.
    pub(crate) inputs: Vec<String>,
    /// Per variate that is forecast its level in an output topic.
    pub(crate) outputs: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) grid: ResamplerConfig,
    pub(crate) monitor: MonitorConfig,
    /// Half-widths of the intervals to begin with, `[M - X][H]`.
    pub(crate) prior: Vec<f32>,
    pub(crate) max_streams: usize,
    /// Model threads: as many as there are cores.
    pub(crate) shards: usize,
    pub(crate) session: SessionOptions,
    /// Which state the model can use.
    pub(crate) fingerprint: Fingerprint,
    /// Unacknowledged messages at which the broker may wait.
    pub(crate) max_inflight: usize,
    /// How long a stream may be silent before it is forgotten.
    pub(crate) forget_after: Option<Duration>,
    /// `None`: the state lives and dies with the process.
    pub(crate) durability: Option<Durability>,
    http: Option<HttpOptions>,
}

/// Where and how it is told what is known ahead.
#[derive(Debug)]
pub(crate) struct KnownAhead {
    pub(crate) template: Template,
    pub(crate) decoder: Decoder,
}

/// Where the state is kept and when it is committed.
#[derive(Debug, Clone)]
pub(crate) struct Durability {
    /// The file.
    pub(crate) path: PathBuf,
    /// The most readings in one commit.
    pub(crate) readings: u64,
    /// The oldest that an uncommitted reading may become.
    pub(crate) every: Duration,
    /// The last rows of each stream that are kept, to warm up another model.
    pub(crate) history_rows: u32,
    /// How long a stream may be silent before it leaves the memory.
    pub(crate) evict_after: Duration,
    /// The most streams in memory.
    pub(crate) resident_streams: usize,
}

impl Service {
    /// Checks a configuration and opens what it names.
    pub fn prepare(config: &Config) -> Result<Self, ServiceError> {
        let Config {
            broker,
            model,
            input,
            output,
            state,
            http,
            log: _,
        } = config;
        let template = Template::parse(&input.topic)?;
        let stream = stream_name(config, &template)?;
        for (key, is_zero) in [
            ("broker.max_inflight", broker.max_inflight == 0),
            ("input.max_streams", input.max_streams == 0),
            ("input.max_payload_bytes", input.max_payload_bytes == 0),
            ("state.commit_every_readings", state.commit_every_readings == 0),
            ("state.commit_every_s", state.commit_every_s == 0),
            ("state.idle_eviction_s", state.idle_eviction_s == 0),
            ("state.max_streams_in_memory", state.max_streams_in_memory == Some(0)),
        ] {
            if is_zero {
                return Err(ServiceError::Zero { key });
            }
        }
        if broker.max_inflight > MAX_IN_FLIGHT {
            return Err(ServiceError::InFlight { got: broker.max_inflight });
        }
        check_prefix(&output.prefix, &template, "input.topic")?;

        let bundle = Bundle::open(&model.bundle)?;
        let meta = bundle.meta();
        let names: Vec<&str> = meta.variates.iter().map(|v| v.name.as_str()).collect();
        let known = |key, name: &String| match names.contains(&name.as_str()) {
            true => Ok(()),
            false => Err(ServiceError::UnknownVariate {
                key,
                name: name.clone(),
                model: meta.name.clone(),
                known: names.join(", "),
            }),
        };
        input.fields.keys().try_for_each(|name| known("input.fields", name))?;
        input.aggregates.keys().try_for_each(|name| known("input.aggregates", name))?;
        let inputs: Vec<String> = names
            .iter()
            .map(|&name| input.fields.get(name).map_or(name, String::as_str).to_owned())
            .collect();
        let outputs: Vec<String> = meta.targets().iter().map(|variate| topic_level(&variate.name)).collect();
        distinct(&names, &inputs)?;
        distinct(&names, &outputs)?;

        let mut grid = ResamplerConfig::new(names.len(), interval_ms(meta, model.interval_s)?, input.max_gap);
        grid.device_times = input.time_field.is_some();
        for (aggregate, name) in grid.aggregates.iter_mut().zip(&names) {
            *aggregate = input.aggregates.get(*name).copied().unwrap_or(input.aggregate);
        }
        (grid.allowed_lateness_ms, grid.forward_fill_limit) = (lateness_ms(input.allowed_lateness_s)?, input.forward_fill_limit);
        Resampler::new(grid.clone())?;
        let monitor = MonitorConfig {
            variates: outputs.len(),
            horizon: meta.config.horizon,
            season: meta.config.linear_head.season.map(|season| season.period),
            coverage: output.coverage,
        };
        if !(output.coverage > 0.0 && output.coverage < 1.0) {
            return Err(ServiceError::Coverage { coverage: output.coverage });
        }
        let shape = if template.has_variate() {
            PayloadShape::Single(input.value.clone())
        } else {
            PayloadShape::Fields(inputs.clone())
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
        let time_of_point = || input.time_field.clone().unwrap_or_else(|| DEFAULT_TIME.to_owned());
        let known_ahead = known_ahead_template(config, &template, meta)?.map(|template| KnownAhead {
            template,
            decoder: decoder(PayloadShape::Single(input.value.clone()), Some(time_of_point())),
        });
        let decoder = decoder(shape, input.time_field.clone());
        let session = SessionOptions {
            host: broker.host.clone(),
            port: broker.port,
            client_id: broker.client_id.clone(),
            credentials: credentials(config)?,
            keep_alive_s: broker.keep_alive_s,
            filters: templates(&template, known_ahead.as_ref()).map(Template::filter).collect(),
            persistent: true,
            status_topic: Some(format!("{}/status", output.prefix)),
            max_payload: input.max_payload_bytes,
            tls: broker.tls.as_ref().map(|tls| tls.options()),
            record: state.session_record(),
        };
        session.check().map_err(|error| match error {
            SessionError::Tls(error) => ServiceError::Tls(error),
            error => ServiceError::Session(error),
        })?;
        let durability = state.path.as_ref().map(|path| Durability {
            path: path.clone(),
            readings: state.commit_every_readings,
            every: Duration::from_secs(state.commit_every_s.into()),
            history_rows: state.warmup_steps,
            evict_after: Duration::from_secs(state.idle_eviction_s.into()),
            resident_streams: state.max_streams_in_memory.unwrap_or(input.max_streams),
        });
        Ok(Service {
            fingerprint: Fingerprint::of(&bundle, grid.interval_ms),
            max_inflight: broker.max_inflight,
            forget_after: state.forget_after_s.map(Duration::from_secs),
            durability,
            http: http.as_ref().map(http_options).transpose()?,
            template,
            decoder,
            known_ahead,
            stream,
            streams: input.streams.clone(),
            inputs,
            outputs,
            prefix: output.prefix.clone(),
            grid,
            monitor,
            prior: schema::forecaster(meta, 0, output.coverage).initial_widths,
            max_streams: input.max_streams,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            session,
            bundle,
        })
    }

    /// The model.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What is shown over HTTP; `None`: nothing listens.
    pub fn http(&self) -> Option<&HttpOptions> {
        self.http.as_ref()
    }

    /// The filters that are subscribed to.
    pub fn filters(&self) -> &[String] {
        &self.session.filters
    }

    /// Sampling interval in milliseconds.
    pub fn interval_ms(&self) -> u64 {
        self.grid.interval_ms
    }

    /// The key of a stream in the state store.
    pub fn state_key(&self, stream: &str) -> String {
        self.fingerprint.key(stream)
    }

    /// Log entries of a stream that are kept to warm up another model.
    pub(crate) fn warmup_entries(&self) -> usize {
        let steps = self.durability.as_ref().map_or(0, |durability| durability.history_rows as usize);
        // A topic per variate gives an entry per variate and time step.
        steps.saturating_mul(if self.template.has_variate() { self.inputs.len() } else { 1 })
    }

    /// The retained topics of a stream.
    pub(crate) fn retained_topics(&self, stream: &str) -> Vec<String> {
        (0..self.outputs.len())
            .flat_map(|variate| [self.forecast_topic(stream, variate), self.metrics_topic(stream, variate)])
            .collect()
    }

    /// Whether the configuration lets `stream` in.
    pub(crate) fn serves(&self, stream: &str) -> bool {
        self.streams.as_ref().is_none_or(|streams| streams.iter().any(|s| s == stream))
    }

    /// Where the forecast of variate `variate` of `stream` is published.
    ///
    /// # Panics
    /// When the model forecasts no such variate.
    pub fn forecast_topic(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/forecast/{}", self.prefix, self.outputs[variate])
    }

    /// The topic of the live metrics of a variate.
    pub(crate) fn metrics_topic(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/metrics/{}", self.prefix, self.outputs[variate])
    }
}

fn stream_name(config: &Config, template: &Template) -> Result<Option<String>, ServiceError> {
    let input = &config.input;
    let text = || template.as_str().to_owned();
    let is_name = |name: &String| !name.is_empty() && topic_level(name) == *name;
    let bad = |key, name: &String| Err(ServiceError::StreamName { key, name: name.clone() });
    if let Some(name) = input.streams.iter().flatten().find(|name| !is_name(name)) {
        return bad("input.streams", name);
    }
    match (&input.stream, template.has_stream()) {
        (None, false) => Err(ServiceError::NoStream { template: text() }),
        (Some(_), true) => Err(ServiceError::TwoStreams { template: text() }),
        (Some(name), false) if !is_name(name) => bad("input.stream", name),
        (name, _) => Ok(name.clone()),
    }
}

/// The templates of all topics that are read.
fn templates<'s>(readings: &'s Template, known_ahead: Option<&'s KnownAhead>) -> impl Iterator<Item = &'s Template> {
    std::iter::once(readings).chain(known_ahead.map(|known_ahead| &known_ahead.template))
}

/// The template of what is known ahead, where the model needs it.
fn known_ahead_template(config: &Config, readings: &Template, meta: &Metadata) -> Result<Option<Template>, ServiceError> {
    let names: Vec<&str> = meta.future_covariates().iter().map(|variate| variate.name.as_str()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let text = config
        .input
        .future_covariates_topic
        .as_ref()
        .ok_or_else(|| ServiceError::NoKnownAhead {
            model: meta.name.clone(),
            variates: names.join(", "),
        })?;
    let template = Template::parse(text).map_err(ServiceError::KnownAhead)?;
    let lacks = |placeholder| ServiceError::KnownAheadOf {
        template: text.clone(),
        placeholder,
    };
    match (template.has_variate(), template.has_stream(), readings.has_stream()) {
        (false, ..) => return Err(lacks(TEMPLATE_VARIATE)),
        (_, false, true) => return Err(lacks(TEMPLATE_STREAM)),
        (_, true, false) => return Err(ServiceError::TwoStreams { template: text.clone() }),
        _ => {}
    }
    if template.overlaps(readings) {
        return Err(ServiceError::KnownAheadOverlaps {
            template: text.clone(),
            topic: readings.as_str().to_owned(),
        });
    }
    check_prefix(&config.output.prefix, &template, "input.future_covariates_topic")?;
    Ok(Some(template))
}

fn check_prefix(prefix: &str, template: &Template, key: &'static str) -> Result<(), ServiceError> {
    if prefix.split('/').any(|level| level.is_empty() || topic_level(level) != level) {
        return Err(ServiceError::Prefix { prefix: prefix.to_owned() });
    }
    for topic in ["stream/forecast/variate", "stream/metrics/variate", "status"].map(|rest| format!("{prefix}/{rest}")) {
        if template.capture(&topic).is_ok() {
            return Err(ServiceError::Loop {
                key,
                template: template.as_str().to_owned(),
                topic,
            });
        }
    }
    Ok(())
}

fn distinct(names: &[&str], used: &[String]) -> Result<(), ServiceError> {
    for (second, name) in used.iter().enumerate() {
        if let Some(first) = used[..second].iter().position(|other| other == name) {
            return Err(ServiceError::SameName {
                first: names[first].into(),
                second: names[second].into(),
                name: name.clone(),
            });
        }
    }
    Ok(())
}

fn interval_ms(meta: &Metadata, configured_s: Option<f64>) -> Result<u64, ServiceError> {
    let bundle_s = meta.interval_ms.map(|ms| ms as f64 / 1e3);
    for interval_s in [configured_s, bundle_s].into_iter().flatten() {
        if !(1e-3..=1e9).contains(&interval_s) {
            return Err(ServiceError::Interval { interval_s });
        }
    }
    let configured_ms = configured_s.map(|interval_s| (interval_s * 1e3).round() as u64);
    match (meta.interval_ms, configured_ms) {
        (Some(bundle), Some(configured)) if bundle != configured => Err(ServiceError::OtherInterval {
            interval_s: configured as f64 / 1e3,
            bundle_s: bundle as f64 / 1e3,
        }),
        (bundle, configured) => bundle
            .or(configured)
            .ok_or_else(|| ServiceError::NoInterval { name: meta.name.clone() }),
    }
}

fn lateness_ms(lateness_s: f64) -> Result<u64, ServiceError> {
    match (0.0..=1e9).contains(&lateness_s) {
        true => Ok((lateness_s * 1e3).round() as u64),
        false => Err(ServiceError::Lateness { lateness_s }),
    }
}

fn time_zone(input: &Input) -> Result<Option<TimeZone>, ServiceError> {
    let Some(name) = &input.time_zone else { return Ok(None) };
    if input.time_field.is_none() {
        return Err(ServiceError::ZoneWithoutTime);
    }
    let unknown = |_| ServiceError::TimeZone { name: name.clone() };
    TimeZone::get(name).map(Some).map_err(unknown)
}

fn credentials(config: &Config) -> Result<Option<(String, String)>, ServiceError> {
    let password = match &config.broker.password_file {
        None => String::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| ServiceError::Password {
                path: path.clone(),
                source,
            })?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    match &config.broker.username {
        Some(user) => Ok(Some((user.clone(), password))),
        None if config.broker.password_file.is_some() => Err(ServiceError::NoUser),
        None => Ok(None),
    }
}

fn http_options(http: &Http) -> Result<HttpOptions, ServiceError> {
    let token = match &http.token_file {
        None if http.listen.ip().is_loopback() => None,
        None => return Err(ServiceError::NoToken { listen: http.listen }),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| ServiceError::TokenFile {
                path: path.clone(),
                source,
            })?;
            let token = Token::new(&text).map_err(|source| ServiceError::WeakToken {
                path: path.clone(),
                source,
            })?;
            Some(token)
        }
    };
    Ok(HttpOptions {
        listen: http.listen,
        token,
    })
}
