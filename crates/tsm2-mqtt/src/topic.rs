//! Topic templates: `sensors/{stream}/telemetry`, `plant/{stream}/{variate}/state`.
//!
//! A template gives the filter to subscribe to (a placeholder becomes `+`) and reads stream and variate out of a topic that arrives.
//! Invariant: a captured stream name is one non-empty topic level of at most [`MAX_NAME`] bytes without control characters, so it may stand in
//! a topic, a file name or a log line as it is.

/// The placeholder for the stream's name.
pub const TEMPLATE_STREAM: &str = "{stream}";
/// The placeholder for the variate's name.
pub const TEMPLATE_VARIATE: &str = "{variate}";

/// The longest stream or variate name taken from a topic, in bytes.
const MAX_NAME: usize = 128;

/// A template that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is nothing, or an empty level.
    #[error("topic {template:?} has an empty level")]
    EmptyLevel {
        /// The template.
        template: String,
    },
    /// A wildcard or a control character.
    #[error("topic {template:?} contains {character:?}; placeholders are written {{stream}} and {{variate}}")]
    Character {
        /// The template.
        template: String,
        /// The character that may not stand there.
        character: char,
    },
    /// Braces that are no placeholder, or a placeholder that shares its level with other text.
    #[error("topic {template:?}: level {level:?} is neither plain text nor exactly {{stream}} or {{variate}}")]
    Level {
        /// The template.
        template: String,
        /// The offending level.
        level: String,
    },
    /// The same placeholder twice.
    #[error("topic {template:?} names {placeholder} twice")]
    Twice {
        /// The template.
        template: String,
        /// The placeholder.
        placeholder: &'static str,
    },
}

/// A topic from which no names can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The broker sent a topic that the template does not describe.
    #[error("topic {topic:?} does not match the template {template:?}")]
    NoMatch {
        /// The topic.
        topic: String,
        /// The template.
        template: String,
    },
    /// A name that is empty, too long, or not printable.
    #[error("topic {topic:?}: a name of {bytes} bytes there is empty, longer than {MAX_NAME} bytes, or has control characters")]
    Name {
        /// The topic, shortened.
        topic: String,
        /// Length of the name.
        bytes: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(String),
    Stream,
    Variate,
}

/// What a topic says of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured<'t> {
    /// The stream's name, when the template has `{stream}`.
    pub stream: Option<&'t str>,
    /// The variate's name, when the template has `{variate}`.
    pub variate: Option<&'t str>,
}

/// A parsed topic template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    levels: Vec<Level>,
}

impl Template {
    /// Parses a template; a placeholder takes a whole level.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let text = template.to_owned();
        if let Some(character) = template.chars().find(|c| matches!(c, '+' | '#') || c.is_control()) {
            return Err(TemplateError::Character { template: text, character });
        }
        let mut levels = Vec::new();
        for level in template.split('/') {
            let level = match level {
                "" => return Err(TemplateError::EmptyLevel { template: text }),
                TEMPLATE_STREAM => Level::Stream,
                TEMPLATE_VARIATE => Level::Variate,
                other if other.contains(['{', '}']) => {
                    return Err(TemplateError::Level {
                        template: text,
                        level: other.to_owned(),
                    });
                }
                other => Level::Text(other.to_owned()),
            };
            let placeholder = match &level {
                Level::Text(_) => None,
                Level::Stream => Some(TEMPLATE_STREAM),
                Level::Variate => Some(TEMPLATE_VARIATE),
            };
            if let Some(placeholder) = placeholder.filter(|_| levels.contains(&level)) {
                return Err(TemplateError::Twice {
                    template: text,
                    placeholder,
                });
            }
            levels.push(level);
        }
        Ok(Template { text, levels })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `{stream}` stands in it.
    pub fn has_stream(&self) -> bool {
        self.levels.contains(&Level::Stream)
    }

    /// Whether `{variate}` stands in it.
    pub fn has_variate(&self) -> bool {
        self.levels.contains(&Level::Variate)
    }

    /// The filter to subscribe to.
    pub fn filter(&self) -> String {
        self.fill("+", "+")
    }

    /// The topic with the placeholders replaced.
    pub fn fill(&self, stream: &str, variate: &str) -> String {
        let levels: Vec<&str> = self
            .levels
            .iter()
            .map(|level| match level {
                Level::Text(text) => text.as_str(),
                Level::Stream => stream,
                Level::Variate => variate,
            })
            .collect();
        levels.join("/")
    }

    /// Whether a topic may match both.
    pub fn overlaps(&self, other: &Template) -> bool {
        let meet = |(own, other): (&Level, &Level)| match (own, other) {
            (Level::Text(own), Level::Text(other)) => own == other,
            _ => true,
        };
        self.levels.len() == other.levels.len() && self.levels.iter().zip(&other.levels).all(meet)
    }

    /// Reads the names out of a topic.
    pub fn capture<'t>(&self, topic: &'t str) -> Result<Captured<'t>, TopicError> {
        let no_match = || TopicError::NoMatch {
            topic: shortened(topic),
            template: self.text.clone(),
        };
        let mut captured = Captured::default();
        let mut rest = topic.split('/');
        for level in &self.levels {
            let got = rest.next().ok_or_else(no_match)?;
            match level {
                Level::Text(text) if text == got => continue,
                Level::Text(_) => return Err(no_match()),
                Level::Stream => captured.stream = Some(got),
                Level::Variate => captured.variate = Some(got),
            }
            if got.is_empty() || got.len() > MAX_NAME || got.chars().any(char::is_control) {
                return Err(TopicError::Name {
                    topic: shortened(topic),
                    bytes: got.len(),
                });
            }
        }
        if rest.next().is_some() {
            return Err(no_match());
        }
        Ok(captured)
    }
}

/// A name as one level of a topic: `/`, `+`, `#`, NUL and other control characters become `_`.
pub fn topic_level(name: &str) -> String {
    name.chars()
        .map(|c| if matches!(c, '/' | '+' | '#') || c.is_control() { '_' } else { c })
        .collect()
}

/// At most 120 characters of a topic, for messages.
pub(crate) fn shortened(topic: &str) -> String {
    let mut short: String = topic.chars().take(120).collect();
    if short.len() < topic.len() {
        short.push('…');
    }
    short
}
