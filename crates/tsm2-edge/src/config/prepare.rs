//! A configuration checked and made ready: the model opened, the topics parsed, every name resolved.
//!
//! Invariant: whatever is wrong with a configuration is found here, before anything connects.

use std::path::PathBuf;
use std::time::Duration;

use tsm2_bundle::BundleError;
use tsm2_mqtt::SessionOptions;

use super::broker::BrokerError;
use super::discovery_topics::DiscoveryTopics;
use super::file::Config;
use super::home_assistant::{Announcement, HomeAssistantError};
use super::http::HttpSectionError;
use super::memory::{self, TooLarge};
use super::model::ModelError;
use super::output::{OutputError, Publication};
use super::schema::{Schema, SchemaError};
use super::secret::Warnings;
use super::sources::{self, SourceError};
use super::state::{Durability, StateError};
use super::topics::{Topics, TopicsError};
use crate::model::OpenModel;
use crate::observe::http::HttpOptions;
use crate::runtime::record::Fingerprint;

/// A configuration whose parts do not fit together. Each message begins with the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Section `broker`.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Section `model`.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Sections `source`, or the topic and fields of section `input`.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Topics of the sections `input`, `source` and `output`.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// The other keys of section `input`.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Section `output`.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Section `home_assistant`.
    #[error(transparent)]
    HomeAssistant(#[from] HomeAssistantError),
    /// Section `state`.
    #[error(transparent)]
    State(#[from] StateError),
    /// Section `http`.
    #[error(transparent)]
    Http(#[from] HttpSectionError),
    /// The streams do not fit into memory.
    #[error(transparent)]
    Memory(#[from] TooLarge),
    /// The bundle has no fingerprint.
    #[error("model.bundle: {0}")]
    Bundle(#[from] BundleError),
}

/// What each part of the daemon needs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared {
    /// The model.
    pub bundle: OpenModel,
    /// Topics in and out.
    pub topics: Topics,
    /// What of a forecast is published.
    pub publication: Publication,
    /// What is announced to Home Assistant; `None`: nothing, and nothing is removed.
    pub home_assistant: Option<Announcement>,
    /// Payloads to readings to time steps to forecasts.
    pub schema: Schema,
    /// The session with the broker.
    pub session: SessionOptions,
    /// Where and when state becomes durable; `None`: it ends with the process.
    pub state: Option<Durability>,
    /// Folder of the recordings; `None`: nothing is recorded.
    pub recordings: Option<PathBuf>,
    /// Whether forecasts and live metrics are published.
    pub publishes: bool,
    /// Metrics and health over HTTP; `None`: nothing listens.
    pub http: Option<HttpOptions>,
    /// Unacknowledged messages at which the broker may stop sending.
    pub max_inflight: usize,
    /// Largest number of streams.
    pub max_streams: usize,
    /// Time without a reading after which a stream is forgotten; `None`: never.
    pub forget_after: Option<Duration>,
    /// Bytes of memory for each stream.
    pub bytes_per_stream: u64,
    /// Number of workers: one per core.
    pub workers: usize,
    /// Which stored state the model can use.
    pub fingerprint: Fingerprint,
    /// Weaknesses that do not prevent a start.
    pub warnings: Warnings,
}

/// Checks a configuration and opens what it names.
///
/// # Errors
/// Which key is wrong, and what to do.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    let Config {
        broker,
        model,
        input,
        sources,
        output,
        home_assistant,
        state,
        record,
        http,
        log: _,
    } = config;
    let mut warnings = Warnings::default();
    output.check()?;
    if input.max_streams == 0 {
        return Err(SchemaError::Zero { key: "input.max_streams" }.into());
    }
    // What is not in a row yet must outlive the process.
    let mut state = state.clone();
    if let (Some(record), None) = (record, &state.path) {
        state.path = Some(record.path.join("state"));
    }
    let durability = state.durability(input.max_streams, &mut warnings)?;
    let bundle = model.open(&input.variates)?;
    let meta = bundle.meta();
    let interval_ms = model.interval_ms(meta)?;
    let publication = output.publication(meta)?;
    let announcement = home_assistant
        .as_ref()
        .map(|section| section.announcement(meta, &output.steps))
        .transpose()?;
    let sources = sources::sources(input, sources, meta)?;
    let unread = meta.variates.iter().enumerate();
    let unread = unread.filter(|(variate, _)| !sources.iter().any(|source| source.variates.contains(variate)));
    warnings
        .0
        .extend(unread.map(|(_, variate)| format!("no source has the variate {:?}; the model never sees it", variate.name)));
    let discovery = home_assistant
        .as_ref()
        .map(|section| DiscoveryTopics::new(&section.discovery_prefix, &output.prefix));
    let topics = Topics::new(input, &sources, &output.prefix, discovery, meta)?;
    let mut schema = Schema::new(input, &sources, meta, interval_ms, output.coverage)?;
    schema.forecaster.naive = model.naive(interval_ms)?;
    let bytes_per_stream = memory::per_stream(&bundle, &schema.resampler, &schema.forecaster);
    let in_memory = durability
        .as_ref()
        .map_or(input.max_streams, |durability| durability.max_streams_in_memory);
    memory::check(in_memory, bytes_per_stream)?;
    let session = SessionOptions {
        filters: topics.filters(),
        status_topic: Some(topics.status()),
        max_payload: input.max_payload_bytes,
        record: state.session_record(),
        ..broker.session(&mut warnings)?
    };
    Ok(Prepared {
        fingerprint: Fingerprint::of(&bundle, interval_ms),
        http: http.as_ref().map(|http| http.options(&mut warnings)).transpose()?,
        state: durability,
        recordings: record.as_ref().map(|record| record.path.clone()),
        publishes: true,
        max_inflight: broker.max_inflight,
        max_streams: input.max_streams,
        forget_after: state.forget_after(),
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        topics,
        publication,
        home_assistant: announcement,
        schema,
        session,
        bytes_per_stream,
        warnings,
        bundle,
    })
}

impl Prepared {
    /// The key of a stream in the state store.
    pub fn state_key(&self, stream: &str) -> String {
        self.fingerprint.key(stream)
    }

    /// Log entries of a stream that are kept to warm up another model.
    pub(crate) fn warmup_entries(&self) -> usize {
        let steps = self.state.as_ref().map_or(0, |state| state.warmup_steps as usize);
        steps.saturating_mul(self.topics.messages_per_step())
    }
}
