//! Section `output`: where forecasts go.

use tsm2_mqtt::topic_level;

use super::section::section;

section! {
    /// Where forecasts go: `PREFIX/<stream>/forecast/<variate>`, `PREFIX/<stream>/metrics/<variate>` and
    /// `PREFIX/status`.
    Output in "output" {
        /// First levels of the published topics.
        prefix: String = "tsm2".into();
        /// Fraction of the readings that the prediction intervals (`lower`, `upper`) should contain,
        /// between 0 and 1.
        coverage: f32 = 0.9;
    }
    example: r#"[output]
prefix = "site/forecasts"
coverage = 0.95
"#
}

/// A section `output` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The prefix is not a topic.
    #[error("output.prefix: {prefix:?} is not a topic; remove empty levels, `+`, `#` and control characters")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// No interval can have this coverage.
    #[error("output.coverage is {coverage}; set it between 0 and 1")]
    Coverage {
        /// The coverage.
        coverage: f32,
    },
}

impl Output {
    pub(super) fn check(&self) -> Result<(), OutputError> {
        let prefix = &self.prefix;
        if prefix.split('/').any(|level| level.is_empty() || topic_level(level) != level) {
            return Err(OutputError::Prefix { prefix: prefix.clone() });
        }
        match self.coverage > 0.0 && self.coverage < 1.0 {
            true => Ok(()),
            false => Err(OutputError::Coverage { coverage: self.coverage }),
        }
    }
}
