//! Address: the stream and the variate that a topic names. Parsed once per message, by the router.

use tsm2_mqtt::{Template, TopicError};

use crate::config::service::Service;

/// What a topic names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'t> {
    /// The stream.
    pub stream: &'t str,
    /// What the payload holds.
    pub kind: Kind,
}

/// What a payload holds.
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

/// Why a topic names nothing that is served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not match a template.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The topic names no stream and the configuration names none.
    #[error("the topic names no stream; set input.stream")]
    NoStream,
    /// It names a variate that the model does not have.
    #[error("topic {topic:?}: the model has no variate {variate:?}")]
    UnknownVariate {
        /// The topic.
        topic: String,
        /// The variate.
        variate: String,
    },
    /// The configuration names the streams, and this is none of them.
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

    /// What is named in the log once.
    pub fn source_name(&self) -> String {
        match self {
            AddressError::UnknownVariate { variate, .. } => variate.clone(),
            AddressError::UnknownStream { stream } => stream.clone(),
            other => other.to_string(),
        }
    }
}

impl Service {
    /// The address that a topic names.
    ///
    /// # Errors
    /// Why its message cannot be used.
    pub fn address<'t>(&'t self, topic: &'t str) -> Result<Address<'t>, AddressError> {
        let future = self.known_ahead.as_ref().map(|future| &future.template);
        if let Some(template) = future.filter(|template| template.capture(topic).is_ok()) {
            let (stream, variate) = self.capture(template, topic)?;
            let variate = variate.unwrap_or_default();
            return Ok(Address {
                stream,
                kind: Kind::FutureCovariate { variate },
            });
        }
        let (stream, variate) = self.capture(&self.template, topic)?;
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
}
