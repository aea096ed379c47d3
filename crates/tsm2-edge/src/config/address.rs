//! Address: what a topic that arrives names.

use tsm2_mqtt::TopicError;

/// What a topic names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'t> {
    /// The stream.
    pub stream: &'t str,
    /// What the payload contains.
    pub kind: Kind,
}

/// What a payload contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Readings, for each of these sources. At least one.
    Readings(Vec<Route>),
    /// Future values of one variate.
    FutureCovariate {
        /// Index of the variate.
        variate: usize,
    },
}

/// A source that a topic belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Index of the source.
    pub source: usize,
    /// Index of the field that the topic names.
    pub field: Option<usize>,
}

/// A topic whose messages cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not match a template.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// It matches the template of no source.
    #[error("topic {topic:?} does not match the topic of any source")]
    NoSource {
        /// The topic, shortened.
        topic: String,
    },
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
            AddressError::Topic(_) | AddressError::NoSource { .. } | AddressError::NoStream => "topic",
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
