//! Topic templates: `sensors/{stream}/telemetry`, `plant/{stream}/+/{variate}/state`. `+` is a level
//! whose name does not matter. Levels may be empty, so a topic may begin with `/`.
//!
//! Invariant: a captured name is one non-empty topic level of at most [`MAX_NAME`] bytes without
//! control characters. It can stand in a topic, a file name or a log line unchanged.

/// The placeholder for the stream's name.
pub const TEMPLATE_STREAM: &str = "{stream}";
/// The placeholder for the variate's name.
pub const TEMPLATE_VARIATE: &str = "{variate}";

/// The longest stream or variate name taken from a topic, in bytes.
pub const MAX_NAME: usize = 128;

/// Text that is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The text is empty.
    #[error("the topic is empty; write its levels, with placeholders as {{stream}} and {{variate}}")]
    Empty,
    /// A wildcard of several levels, a `+` that is not a whole level, or a control character.
    #[error("topic {template:?} contains {character:?}; a level that does not matter is +, placeholders are {{stream}} and {{variate}}")]
    Character {
        /// The template.
        template: String,
        /// The character.
        character: char,
    },
    /// A level with braces that is not exactly one placeholder.
    #[error("topic {template:?}: level {level:?} must be plain text, {{stream}} or {{variate}}")]
    Level {
        /// The template.
        template: String,
        /// The level.
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

/// A topic from which no names can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The topic has other levels than the template.
    #[error("topic {topic:?} does not match the template {template:?}")]
    NoMatch {
        /// The topic.
        topic: String,
        /// The template.
        template: String,
    },
    /// A name is empty, too long, or has control characters.
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
    /// `+`: any name.
    Any,
    Stream,
    Variate,
}

/// The names in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured<'t> {
    /// The stream's name, when the template has `{stream}`.
    pub stream: Option<&'t str>,
    /// The variate's name, when the template has `{variate}`.
    pub variate: Option<&'t str>,
}

/// A topic with placeholders.
///
/// ```
/// use tsm2_mqtt::Template;
///
/// let template = Template::parse("plant/{stream}/{variate}/state")?;
/// assert_eq!(template.filter(), "plant/+/+/state"); // the filter to subscribe to
///
/// let names = template.capture("plant/boiler/temp/state")?;
/// assert_eq!((names.stream, names.variate), (Some("boiler"), Some("temp")));
///
/// assert_eq!(template.fill("boiler", "power"), "plant/boiler/power/state");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    levels: Vec<Level>,
}

impl Template {
    /// Parses a template. A placeholder takes a whole level.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let text = template.to_owned();
        if template.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut levels = Vec::new();
        for level in template.split('/') {
            let is_bad = |c: &char| matches!(c, '+' | '#') || c.is_control();
            if let Some(character) = level.chars().find(is_bad).filter(|_| level != "+") {
                return Err(TemplateError::Character { template: text, character });
            }
            let level = match level {
                "+" => Level::Any,
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
                Level::Text(_) | Level::Any => None,
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

    /// The text of the template.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has `{stream}`.
    pub fn has_stream(&self) -> bool {
        self.levels.contains(&Level::Stream)
    }

    /// Whether it has `{variate}`.
    pub fn has_variate(&self) -> bool {
        self.levels.contains(&Level::Variate)
    }

    /// Whether it has a level whose name does not matter.
    pub fn has_any(&self) -> bool {
        self.levels.contains(&Level::Any)
    }

    /// The filter to subscribe to: each placeholder becomes `+`.
    pub fn filter(&self) -> String {
        self.fill("+", "+")
    }

    /// The topic of a stream and a variate; a filter where the template has `+`.
    pub fn fill(&self, stream: &str, variate: &str) -> String {
        let levels: Vec<&str> = self
            .levels
            .iter()
            .map(|level| match level {
                Level::Text(text) => text.as_str(),
                Level::Any => "+",
                Level::Stream => stream,
                Level::Variate => variate,
            })
            .collect();
        levels.join("/")
    }

    /// The template with `{stream}` replaced by a name.
    ///
    /// ```
    /// # use tsm2_mqtt::Template;
    /// let forecasts = Template::parse("tsm2/{stream}/forecast/{variate}")?.with_stream("boiler");
    /// assert!(forecasts.overlaps(&Template::parse("tsm2/boiler/forecast/{variate}")?));
    /// assert!(!forecasts.overlaps(&Template::parse("tsm2/pump/forecast/{variate}")?));
    /// # Ok::<(), tsm2_mqtt::TemplateError>(())
    /// ```
    pub fn with_stream(&self, stream: &str) -> Self {
        let levels = self.levels.iter().map(|level| match level {
            Level::Stream => Level::Text(stream.to_owned()),
            level => level.clone(),
        });
        Template {
            text: self.text.replace(TEMPLATE_STREAM, stream),
            levels: levels.collect(),
        }
    }

    /// Whether one topic can match both templates.
    pub fn overlaps(&self, other: &Template) -> bool {
        let meet = |(own, other): (&Level, &Level)| match (own, other) {
            (Level::Text(own), Level::Text(other)) => own == other,
            _ => true,
        };
        self.levels.len() == other.levels.len() && self.levels.iter().zip(&other.levels).all(meet)
    }

    /// Reads the names out of a topic.
    ///
    /// # Errors
    /// The topic does not match, or a name in it is not valid.
    pub fn capture<'t>(&self, topic: &'t str) -> Result<Captured<'t>, TopicError> {
        let no_match = || TopicError::NoMatch {
            topic: shortened(topic),
            template: self.text.clone(),
        };
        let mut captured = Captured::default();
        let mut rest = topic.split('/');
        for (index, level) in self.levels.iter().enumerate() {
            let got = rest.next().ok_or_else(no_match)?;
            match level {
                Level::Text(text) if text == got => continue,
                Level::Text(_) => return Err(no_match()),
                // The broker's own topics match no wildcard.
                Level::Any if index == 0 && got.starts_with('$') => return Err(no_match()),
                Level::Any => continue,
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

/// A name as one topic level: `/`, `+`, `#` and control characters become `_`.
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
