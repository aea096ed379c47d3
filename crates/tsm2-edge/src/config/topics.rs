//! Topics: what a topic that arrives names, and where forecasts are published.

use std::collections::{BTreeSet, HashMap};

use tsm2_bundle::Metadata;
use tsm2_mqtt::{MAX_NAME, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, topic_level};

use super::address::{Address, AddressError, Kind, Route};
use super::discovery_topics::DiscoveryTopics;
use super::input::Input;
use super::sources::PreparedSource;

/// Topics that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicsError {
    /// The topic is not a template.
    #[error("{key}: {source}")]
    Template {
        /// The key.
        key: &'static str,
        /// Why.
        source: TemplateError,
    },
    /// The template names no stream, and no key does.
    #[error("{key}: {template:?} has no {TEMPLATE_STREAM}; add it, or name the one stream with input.stream")]
    NoStream {
        /// The key of the template.
        key: String,
        /// The template.
        template: String,
    },
    /// Two sources for the stream's name.
    #[error("{key}: {template:?} has {TEMPLATE_STREAM}, and input.stream names a stream; remove one of the two")]
    TwoStreams {
        /// The key of the template.
        key: String,
        /// The template.
        template: String,
    },
    /// Topics that name their stream at different places.
    #[error("{key}: one topic can match {template:?} and {other:?}, which have {TEMPLATE_STREAM} at different levels; make them distinct")]
    Crossed {
        /// The key of the template.
        key: String,
        /// The template.
        template: String,
        /// The template of the other source.
        other: String,
    },
    /// A name that no topic can have.
    #[error(
        "{key}: {name:?} cannot be the name of a stream; remove `/`, `+`, `#` and control characters, and shorten it to {MAX_NAME} bytes"
    )]
    StreamName {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// The model has future covariates, and there is no topic for them.
    #[error("set input.future_covariates_topic: the model {model:?} has the future covariates {variates}")]
    NoFutureCovariates {
        /// The model.
        model: String,
        /// The variates.
        variates: String,
    },
    /// The topic of the future covariates lacks a placeholder.
    #[error("input.future_covariates_topic: {template:?} has no {placeholder}; add it")]
    NoPlaceholder {
        /// The template.
        template: String,
        /// What is missing.
        placeholder: &'static str,
    },
    /// Readings and future covariates would have the same topics.
    #[error("input.future_covariates_topic: {template:?} also matches topics of {key} {topic:?}; make them distinct")]
    Overlap {
        /// The template.
        template: String,
        /// The key of the other.
        key: String,
        /// The other.
        topic: String,
    },
    /// Two variates would publish to the same topic.
    #[error(
        "the forecasts of {first:?} and {second:?} would have the same topic level {name:?}; rename one in input.variates or in the model"
    )]
    SameName {
        /// One variate.
        first: String,
        /// The other.
        second: String,
        /// The name.
        name: String,
    },
    /// The daemon would read its own forecasts.
    #[error("{key}: {template:?} also matches {topic:?}, where this daemon publishes; change it or output.prefix")]
    Loop {
        /// The template's key.
        key: String,
        /// The template.
        template: String,
        /// Topics published to.
        topic: String,
    },
}

/// Topics of the daemon, in and out.
#[derive(Debug, Clone)]
pub struct Topics {
    sources: Vec<PreparedSource>,
    /// The sources of topics without wildcards.
    exact: HashMap<String, Vec<usize>>,
    /// The other sources.
    patterns: Vec<usize>,
    future_covariates: Option<Template>,
    /// The stream where the topics name none.
    stream: Option<String>,
    /// The streams to serve; any when absent.
    streams: Option<BTreeSet<String>>,
    /// The variates, in the model's order.
    variates: Vec<String>,
    /// For each target its level in an output topic.
    outputs: Vec<String>,
    prefix: String,
    /// Home Assistant, where it is announced to.
    discovery: Option<DiscoveryTopics>,
}

impl Topics {
    /// # Errors
    /// Why no message could be read or published.
    pub(super) fn new(
        input: &Input,
        sources: &[PreparedSource],
        prefix: &str,
        discovery: Option<DiscoveryTopics>,
        meta: &Metadata,
    ) -> Result<Self, TopicsError> {
        let stream = stream_name(input, sources)?;
        let variates: Vec<String> = meta.variates.iter().map(|variate| variate.name.clone()).collect();
        let outputs: Vec<String> = meta.targets().iter().map(|variate| topic_level(&variate.name)).collect();
        distinct(&variates, &outputs)?;
        let mut exact = HashMap::<String, Vec<usize>>::new();
        let mut patterns = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            match source.template.filter().contains('+') {
                true => patterns.push(index),
                false => exact.entry(source.template.as_str().to_owned()).or_default().push(index),
            }
        }
        let topics = Topics {
            exact,
            patterns,
            future_covariates: future_covariates(input, sources, meta)?,
            sources: sources.to_vec(),
            stream,
            streams: input.streams.as_ref().map(|streams| streams.iter().cloned().collect()),
            variates,
            outputs,
            prefix: prefix.to_owned(),
            discovery,
        };
        for source in sources {
            topics.check_loop(format!("{}.topic", source.key), &source.template)?;
        }
        if let Some(template) = &topics.future_covariates {
            topics.check_loop(FUTURE_KEY.to_owned(), template)?;
        }
        Ok(topics)
    }

    /// Whether the daemon would receive what it publishes.
    fn check_loop(&self, key: String, template: &Template) -> Result<(), TopicsError> {
        let filter = template.filter();
        let streams: Vec<&str> = match (&self.stream, &self.streams) {
            (Some(stream), _) => vec![stream],
            (None, Some(streams)) => streams.iter().map(String::as_str).collect(),
            (None, None) => vec!["+"],
        };
        let by_stream = |stream: &&str| {
            let residuals = (0..self.outputs.len()).map(|variate| self.residual(stream, variate));
            residuals.chain(self.retained_of(stream)).collect::<Vec<_>>()
        };
        let published = streams.iter().flat_map(by_stream).chain([self.status()]);
        match { published }.find(|topic| overlap(&filter, topic)) {
            None => Ok(()),
            Some(topic) => Err(TopicsError::Loop {
                key,
                template: template.as_str().to_owned(),
                topic,
            }),
        }
    }

    /// What a topic names.
    ///
    /// # Errors
    /// Why its message cannot be used.
    pub fn parse<'t>(&'t self, topic: &'t str) -> Result<Address<'t>, AddressError> {
        if let Some(template) = &self.future_covariates
            && let Ok(captured) = template.capture(topic)
        {
            let name = captured.variate.unwrap_or_default();
            let variate = self.variates.iter().position(|variate| variate == name);
            return Ok(Address {
                stream: self.served(captured.stream)?,
                kind: Kind::FutureCovariate {
                    variate: variate.ok_or_else(|| unknown(topic, name))?,
                },
            });
        }
        let (mut stream, mut routes, mut last) = (None, Vec::new(), None);
        for &source in self.exact.get(topic).into_iter().flatten() {
            routes.push(Route { source, field: None });
        }
        for &source in &self.patterns {
            let captured = match self.sources[source].template.capture(topic) {
                Ok(captured) => captured,
                Err(error) => {
                    last = Some(error.into());
                    continue;
                }
            };
            let field = captured.variate.map(|name| self.sources[source].field(name).ok_or(name));
            match field.transpose() {
                Ok(field) => {
                    stream = captured.stream;
                    routes.push(Route { source, field });
                }
                Err(name) => last = Some(unknown(topic, name)),
            }
        }
        match (routes.is_empty(), last) {
            (false, _) => Ok(Address {
                stream: self.served(stream)?,
                kind: Kind::Readings(routes),
            }),
            (true, Some(error)) if self.sources.len() == 1 => Err(error),
            (true, _) => Err(AddressError::NoSource {
                topic: topic.chars().take(120).collect(),
            }),
        }
    }

    fn served<'t>(&'t self, captured: Option<&'t str>) -> Result<&'t str, AddressError> {
        let stream = captured.or(self.stream.as_deref()).ok_or(AddressError::NoStream)?;
        match self.serves(stream) {
            true => Ok(stream),
            false => Err(AddressError::UnknownStream { stream: stream.to_owned() }),
        }
    }

    /// The sources of readings.
    pub fn sources(&self) -> &[PreparedSource] {
        &self.sources
    }

    /// Whether any source is Sparkplug B.
    pub fn has_sparkplug(&self) -> bool {
        self.sources.iter().any(|source| source.is_sparkplug)
    }

    /// Messages that one time step may take at most: a log entry each.
    pub fn messages_per_step(&self) -> usize {
        // A Sparkplug node reports each metric when it changes.
        let by_source = self
            .sources
            .iter()
            .map(|source| match source.template.has_variate() || source.is_sparkplug {
                true => source.variates.len(),
                false => 1,
            });
        by_source.sum()
    }

    /// Whether `input.streams` admits the stream.
    pub fn serves(&self, stream: &str) -> bool {
        self.streams.as_ref().is_none_or(|streams| streams.contains(stream))
    }

    /// Number of variates.
    pub fn variates(&self) -> usize {
        self.variates.len()
    }

    /// Number of target variates.
    pub fn targets(&self) -> usize {
        self.outputs.len()
    }

    /// The filters to subscribe to, none within another one: a broker may send a message once for
    /// each.
    pub fn filters(&self) -> Vec<String> {
        let of_sources = self.sources.iter().flat_map(PreparedSource::filters);
        let of_discovery = self.discovery.iter().flat_map(DiscoveryTopics::filters);
        let all: Vec<String> = of_sources
            .chain(self.future_covariates.as_ref().map(Template::filter))
            .chain(of_discovery)
            .collect();
        let is_needed = |(index, filter): &(usize, &String)| {
            let others = all.iter().enumerate();
            !{ others }.any(|(other, by)| covers(by, filter) && (by != *filter || other < *index))
        };
        all.iter().enumerate().filter(is_needed).map(|(_, filter)| filter.clone()).collect()
    }

    /// Topic of the forecasts of a target variate of a stream.
    ///
    /// # Panics
    /// When there is no such target.
    pub fn forecast(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/forecast/{}", self.prefix, self.outputs[variate])
    }

    /// Topic of the live metrics of a target variate of a stream.
    ///
    /// # Panics
    /// When there is no such target.
    pub fn metrics(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/metrics/{}", self.prefix, self.outputs[variate])
    }

    /// Topic of the residuals of a target variate of a stream.
    ///
    /// # Panics
    /// When there is no such target.
    pub fn residual(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/residual/{}", self.prefix, self.outputs[variate])
    }

    /// Topic of the daemon's availability.
    pub fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// First levels of the published topics.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Topics of Home Assistant, where section `home_assistant` is.
    pub fn discovery(&self) -> Option<&DiscoveryTopics> {
        self.discovery.as_ref()
    }

    /// Topic of the values of a target variate for Home Assistant's sensors.
    ///
    /// # Panics
    /// When there is no such target.
    pub fn sensor_values(&self, stream: &str, variate: usize) -> String {
        format!("{}/{stream}/home_assistant/{}", self.prefix, self.outputs[variate])
    }

    /// Topic of the whole forecast of a target variate, as attributes of a Home Assistant sensor.
    ///
    /// # Panics
    /// When there is no such target.
    pub fn sensor_attributes(&self, stream: &str, variate: usize) -> String {
        format!("{}/forecast", self.sensor_values(stream, variate))
    }

    /// All topics with retained messages of a stream. The device of Home Assistant comes first: its
    /// sensors end before their topics are emptied.
    pub fn retained_of(&self, stream: &str) -> Vec<String> {
        let device = self.discovery.iter().map(|discovery| discovery.stream(stream));
        let by_variate = |variate| {
            let sensors = self
                .discovery
                .is_some()
                .then(|| [self.sensor_values(stream, variate), self.sensor_attributes(stream, variate)]);
            let all = sensors.into_iter().flatten();
            all.chain([self.forecast(stream, variate), self.metrics(stream, variate)])
        };
        device.chain((0..self.outputs.len()).flat_map(by_variate)).collect()
    }
}

/// Whether a topic can match both filters, which have `+` as their only wildcard.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('/').collect(), other.split('/').collect());
    one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| a == b || *a == "+" || *b == "+")
}

/// Whether every topic of a filter matches another filter; `+` is their only wildcard.
fn covers(by: &str, filter: &str) -> bool {
    let (by, filter): (Vec<&str>, Vec<&str>) = (by.split('/').collect(), filter.split('/').collect());
    by.len() == filter.len() && by.iter().zip(&filter).all(|(by, level)| by == level || *by == "+")
}

fn unknown(topic: &str, variate: &str) -> AddressError {
    AddressError::UnknownVariate {
        topic: topic.to_owned(),
        variate: variate.to_owned(),
    }
}

fn stream_name(input: &Input, sources: &[PreparedSource]) -> Result<Option<String>, TopicsError> {
    let is_name = |name: &String| !name.is_empty() && name.len() <= MAX_NAME && topic_level(name) == *name;
    let bad = |key, name: &String| Err(TopicsError::StreamName { key, name: name.clone() });
    if let Some(name) = input.streams.iter().flatten().find(|name| !is_name(name)) {
        return bad("input.streams", name);
    }
    if let Some(name) = input.stream.as_ref().filter(|name| !is_name(name)) {
        return bad("input.stream", name);
    }
    let level = |template: &Template| template.as_str().split('/').position(|level| level == TEMPLATE_STREAM);
    for (index, source) in sources.iter().enumerate() {
        let (key, template) = (format!("{}.topic", source.key), source.template.as_str().to_owned());
        match (&input.stream, source.template.has_stream()) {
            (None, false) => return Err(TopicsError::NoStream { key, template }),
            (Some(_), true) => return Err(TopicsError::TwoStreams { key, template }),
            _ => {}
        }
        let crosses =
            |other: &&PreparedSource| other.template.overlaps(&source.template) && level(&other.template) != level(&source.template);
        if let Some(other) = sources[..index].iter().find(crosses) {
            let other = other.template.as_str().to_owned();
            return Err(TopicsError::Crossed { key, template, other });
        }
    }
    Ok(input.stream.clone())
}

const FUTURE_KEY: &str = "input.future_covariates_topic";

/// The template of the future covariates, where the model has some.
fn future_covariates(input: &Input, sources: &[PreparedSource], meta: &Metadata) -> Result<Option<Template>, TopicsError> {
    let names: Vec<&str> = meta.future_covariates().iter().map(|variate| variate.name.as_str()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let text = input
        .future_covariates_topic
        .as_ref()
        .ok_or_else(|| TopicsError::NoFutureCovariates {
            model: meta.name.clone(),
            variates: names.join(", "),
        })?;
    let template = Template::parse(text).map_err(|source| TopicsError::Template { key: FUTURE_KEY, source })?;
    let lacks = |placeholder| TopicsError::NoPlaceholder {
        template: text.clone(),
        placeholder,
    };
    match (template.has_variate(), template.has_stream(), input.stream.is_none()) {
        (false, ..) => return Err(lacks(TEMPLATE_VARIATE)),
        (_, false, true) => return Err(lacks(TEMPLATE_STREAM)),
        (_, true, false) => {
            return Err(TopicsError::TwoStreams {
                key: FUTURE_KEY.to_owned(),
                template: text.clone(),
            });
        }
        _ => {}
    }
    match sources.iter().find(|source| template.overlaps(&source.template)) {
        Some(source) => Err(TopicsError::Overlap {
            template: text.clone(),
            key: format!("{}.topic", source.key),
            topic: source.template.as_str().to_owned(),
        }),
        None => Ok(Some(template)),
    }
}

fn distinct(names: &[String], used: &[String]) -> Result<(), TopicsError> {
    for (second, name) in used.iter().enumerate() {
        if let Some(first) = used[..second].iter().position(|other| other == name) {
            return Err(TopicsError::SameName {
                first: names[first].clone(),
                second: names[second].clone(),
                name: name.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tsm2_bundle::Bundle;

    fn meta() -> Metadata {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/etth1/model.safetensors");
        Bundle::open(&path).unwrap().meta().clone()
    }

    fn topics(topic: &str, stream: Option<&str>) -> Result<Topics, TopicsError> {
        let mut input = Input::new(topic);
        input.stream = stream.map(str::to_owned);
        let sources = super::super::sources::sources(&input, &[], &meta()).expect("valid sources");
        Topics::new(&input, &sources, "tsm2", None, &meta())
    }

    #[test]
    fn a_daemon_that_would_read_its_own_forecasts_is_refused() {
        for (topic, stream) in [
            ("tsm2/{stream}/forecast/{variate}", None),
            ("{stream}/status", None),
            ("tsm2/boiler/forecast/{variate}", Some("boiler")),
            ("tsm2/boiler/metrics/{variate}", Some("boiler")),
            ("tsm2/boiler/forecast/OT", Some("boiler")),
        ] {
            let error = topics(topic, stream).expect_err(topic);
            assert!(matches!(error, TopicsError::Loop { .. }), "{topic}: {error}");
        }
        for (topic, stream) in [
            ("tsm2/pump/forecast/{variate}", Some("boiler")),
            ("tsm2/boiler/forecast/other", Some("boiler")),
            ("tsm2/{stream}/telemetry", None),
        ] {
            assert!(topics(topic, stream).is_ok(), "{topic}");
        }
    }

    #[test]
    fn a_topic_names_stream_and_variate() {
        let topics = topics("sensors/{stream}/{variate}", None).unwrap();
        let route = Route { source: 0, field: Some(6) };
        let address = Address {
            stream: "a",
            kind: Kind::Readings(vec![route]),
        };
        assert_eq!(topics.parse("sensors/a/OT"), Ok(address));
        assert_eq!(topics.parse("sensors/a/nothing").unwrap_err().reason(), "unknown_variate");
        assert_eq!(topics.parse("sensors/a").unwrap_err().reason(), "topic");
        assert_eq!(topics.forecast("a", 6), "tsm2/a/forecast/OT");
        assert_eq!(topics.retained_of("a").len(), 14);
    }
}
