//! Topics: what a topic that arrives names, and where forecasts are published.

use std::collections::BTreeSet;

use tsm2_bundle::Metadata;
use tsm2_mqtt::{TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, TopicError, topic_level};

use super::input::Input;

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
    #[error("input.topic: {template:?} has no {TEMPLATE_STREAM}; add it, or name the one stream with input.stream")]
    NoStream {
        /// The template.
        template: String,
    },
    /// Two sources for the stream's name.
    #[error("{key}: {template:?} has {TEMPLATE_STREAM}, and input.stream names a stream; remove one of the two")]
    TwoStreams {
        /// The key of the template.
        key: &'static str,
        /// The template.
        template: String,
    },
    /// A name that no topic can have.
    #[error("{key}: {name:?} cannot be the name of a stream; remove `/`, `+`, `#` and control characters")]
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
    #[error("input.future_covariates_topic: {template:?} also matches topics of input.topic {topic:?}; make them distinct")]
    Overlap {
        /// The template.
        template: String,
        /// The other.
        topic: String,
    },
    /// Two variates would read the same field or publish to the same topic.
    #[error("the variates {first:?} and {second:?} both use the name {name:?}; make them distinct in input.fields or rename one")]
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
        key: &'static str,
        /// The template.
        template: String,
        /// Topics published to.
        topic: String,
    },
}

/// What a topic names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'t> {
    /// The stream.
    pub stream: &'t str,
    /// What the payload contains.
    pub kind: Kind,
}

/// What a payload contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Readings of one variate, or of all when the topic names none.
    Readings {
        /// Index of the variate.
        variate: Option<usize>,
    },
    /// Future values of one variate.
    FutureCovariate {
        /// Index of the variate.
        variate: usize,
    },
}

/// A topic whose messages cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not match a template.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Neither the topic nor the configuration names a stream.
    #[error("the topic names no stream; set input.stream")]
    NoStream,
    /// The model does not have the variate.
    #[error("topic {topic:?}: the model has no variate {variate:?}")]
    UnknownVariate {
        /// The topic.
        topic: String,
        /// The variate.
        variate: String,
    },
    /// The stream is not served.
    #[error("stream {stream:?} is not in input.streams")]
    UnknownStream {
        /// The stream.
        stream: String,
    },
}

impl AddressError {
    /// The reason under which it is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            AddressError::Topic(_) | AddressError::NoStream => "topic",
            AddressError::UnknownVariate { .. } => "unknown_variate",
            AddressError::UnknownStream { .. } => "unknown_stream",
        }
    }

    /// The source that is logged once.
    pub fn source_name(&self) -> String {
        match self {
            AddressError::UnknownVariate { variate, .. } => variate.clone(),
            AddressError::UnknownStream { stream } => stream.clone(),
            other => other.to_string(),
        }
    }
}

/// Topics of the daemon, in and out.
#[derive(Debug, Clone, PartialEq)]
pub struct Topics {
    readings: Template,
    future_covariates: Option<Template>,
    /// The stream where the topic names none.
    stream: Option<String>,
    /// The streams to serve; any when absent.
    streams: Option<BTreeSet<String>>,
    /// For each variate its name in an input topic, or its field.
    inputs: Vec<String>,
    /// For each target its level in an output topic.
    outputs: Vec<String>,
    prefix: String,
}

impl Topics {
    /// # Errors
    /// Why no message could be read or published.
    pub(super) fn new(input: &Input, prefix: &str, meta: &Metadata) -> Result<Self, TopicsError> {
        const KEY: &str = "input.topic";
        let readings = Template::parse(&input.topic).map_err(|source| TopicsError::Template { key: KEY, source })?;
        let stream = stream_name(input, &readings)?;
        let names: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
        let inputs: Vec<String> = names
            .iter()
            .map(|&name| input.fields.get(name).map_or(name, String::as_str).to_owned())
            .collect();
        let outputs: Vec<String> = meta.targets().iter().map(|variate| topic_level(&variate.name)).collect();
        distinct(&names, &inputs)?;
        distinct(&names, &outputs)?;
        let topics = Topics {
            future_covariates: future_covariates(input, &readings, meta)?,
            readings,
            stream,
            streams: input.streams.as_ref().map(|streams| streams.iter().cloned().collect()),
            inputs,
            outputs,
            prefix: prefix.to_owned(),
        };
        topics.check_loop(KEY, &topics.readings)?;
        if let Some(template) = &topics.future_covariates {
            topics.check_loop("input.future_covariates_topic", template)?;
        }
        Ok(topics)
    }

    /// Whether the daemon would receive what it publishes.
    fn check_loop(&self, key: &'static str, template: &Template) -> Result<(), TopicsError> {
        let filter = template.filter();
        let streams: Vec<&str> = match (&self.stream, &self.streams) {
            (Some(stream), _) => vec![stream],
            (None, Some(streams)) => streams.iter().map(String::as_str).collect(),
            (None, None) => vec!["+"],
        };
        let by_variate = streams
            .iter()
            .flat_map(|stream| (0..self.outputs.len()).flat_map(|variate| [self.forecast(stream, variate), self.metrics(stream, variate)]));
        let published = by_variate.chain([self.status()]).find(|topic| overlap(&filter, topic));
        match published {
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
        let future = self.future_covariates.as_ref();
        if let Some(template) = future.filter(|template| template.capture(topic).is_ok()) {
            let (stream, variate) = self.capture(template, topic)?;
            let variate = variate.unwrap_or_default();
            return Ok(Address {
                stream,
                kind: Kind::FutureCovariate { variate },
            });
        }
        let (stream, variate) = self.capture(&self.readings, topic)?;
        Ok(Address {
            stream,
            kind: Kind::Readings { variate },
        })
    }

    fn capture<'t>(&'t self, template: &Template, topic: &'t str) -> Result<(&'t str, Option<usize>), AddressError> {
        let captured = template.capture(topic)?;
        let stream = captured.stream.or(self.stream.as_deref()).ok_or(AddressError::NoStream)?;
        let index = |variate: &str| {
            let found = self.inputs.iter().position(|input| input == variate);
            found.ok_or_else(|| AddressError::UnknownVariate {
                topic: topic.to_owned(),
                variate: variate.to_owned(),
            })
        };
        let variate = captured.variate.map(index).transpose()?;
        match self.serves(stream) {
            true => Ok((stream, variate)),
            false => Err(AddressError::UnknownStream { stream: stream.to_owned() }),
        }
    }

    /// Whether `input.streams` admits the stream.
    pub fn serves(&self, stream: &str) -> bool {
        self.streams.as_ref().is_none_or(|streams| streams.contains(stream))
    }

    /// Whether each topic carries the readings of one variate.
    pub fn has_variate(&self) -> bool {
        self.readings.has_variate()
    }

    /// For each variate its name in an input topic, or its field.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Number of target variates.
    pub fn targets(&self) -> usize {
        self.outputs.len()
    }

    /// The filters to subscribe to.
    pub fn filters(&self) -> Vec<String> {
        std::iter::once(&self.readings)
            .chain(&self.future_covariates)
            .map(Template::filter)
            .collect()
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

    /// Topic of the daemon's availability.
    pub fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// All topics with retained messages of a stream.
    pub fn retained_of(&self, stream: &str) -> Vec<String> {
        (0..self.outputs.len())
            .flat_map(|variate| [self.forecast(stream, variate), self.metrics(stream, variate)])
            .collect()
    }
}

/// Whether a topic can match both filters, which have `+` as their only wildcard.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('/').collect(), other.split('/').collect());
    one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| a == b || *a == "+" || *b == "+")
}

fn stream_name(input: &Input, template: &Template) -> Result<Option<String>, TopicsError> {
    let is_name = |name: &String| !name.is_empty() && topic_level(name) == *name;
    let bad = |key, name: &String| Err(TopicsError::StreamName { key, name: name.clone() });
    if let Some(name) = input.streams.iter().flatten().find(|name| !is_name(name)) {
        return bad("input.streams", name);
    }
    let text = template.as_str().to_owned();
    match (&input.stream, template.has_stream()) {
        (None, false) => Err(TopicsError::NoStream { template: text }),
        (Some(_), true) => Err(TopicsError::TwoStreams {
            key: "input.topic",
            template: text,
        }),
        (Some(name), false) if !is_name(name) => bad("input.stream", name),
        (name, _) => Ok(name.clone()),
    }
}

/// The template of the future covariates, where the model has some.
fn future_covariates(input: &Input, readings: &Template, meta: &Metadata) -> Result<Option<Template>, TopicsError> {
    const KEY: &str = "input.future_covariates_topic";
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
    let template = Template::parse(text).map_err(|source| TopicsError::Template { key: KEY, source })?;
    let lacks = |placeholder| TopicsError::NoPlaceholder {
        template: text.clone(),
        placeholder,
    };
    match (template.has_variate(), template.has_stream(), readings.has_stream()) {
        (false, ..) => return Err(lacks(TEMPLATE_VARIATE)),
        (_, false, true) => return Err(lacks(TEMPLATE_STREAM)),
        (_, true, false) => {
            return Err(TopicsError::TwoStreams {
                key: KEY,
                template: text.clone(),
            });
        }
        _ => {}
    }
    match template.overlaps(readings) {
        true => Err(TopicsError::Overlap {
            template: text.clone(),
            topic: readings.as_str().to_owned(),
        }),
        false => Ok(Some(template)),
    }
}

fn distinct(names: &[&str], used: &[String]) -> Result<(), TopicsError> {
    for (second, name) in used.iter().enumerate() {
        if let Some(first) = used[..second].iter().position(|other| other == name) {
            return Err(TopicsError::SameName {
                first: names[first].into(),
                second: names[second].into(),
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
        Topics::new(&input, "tsm2", &meta())
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
        let readings = |variate| Address {
            stream: "a",
            kind: Kind::Readings { variate: Some(variate) },
        };
        assert_eq!(topics.parse("sensors/a/OT"), Ok(readings(6)));
        assert_eq!(topics.parse("sensors/a/nothing").unwrap_err().reason(), "unknown_variate");
        assert_eq!(topics.parse("sensors/a").unwrap_err().reason(), "topic");
        assert_eq!(topics.forecast("a", 6), "tsm2/a/forecast/OT");
        assert_eq!(topics.retained_of("a").len(), 14);
    }
}
