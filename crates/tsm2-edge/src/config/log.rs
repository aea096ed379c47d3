//! Section `log`: what is logged, and how.

use serde::Deserialize;

use super::section::section;

section! {
    /// The log, on standard error. A change takes effect at the next start.
    Log in "log" {
        /// `text`: a sentence and key=value pairs; `json`: one object per line.
        format: LogFormat = LogFormat::default() => "`\"text\"`";
        /// Least severe events that are logged: `error`, `warn`, `info`, `debug` or `trace`. `RUST_LOG` in
        /// the environment overrides it.
        level: LogLevel = LogLevel::default() => "`\"info\"`";
    }
    example: r#"[log]
format = "json"
level = "warn"
"#
}

impl Log {
    /// Text of this level and above.
    pub fn text(level: LogLevel) -> Self {
        Log { level, ..Log::default() }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A sentence and key=value pairs.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Severity of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A failure.
    Error,
    /// A possible problem.
    Warn,
    /// Normal operation.
    #[default]
    Info,
    /// Details for fault-finding.
    Debug,
    /// Everything.
    Trace,
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        })
    }
}
