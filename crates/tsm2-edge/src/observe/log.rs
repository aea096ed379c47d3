//! The log: one line per event on standard error, as text or JSON.
//!
//! 1. An event is one line, whatever its texts contain.
//! 2. A closed standard error ends nothing.
//! 3. Where the journal reads standard error, a line has its priority and no time of its own.

use std::fmt;
use std::io::{self, IsTerminal};

use crate::config::{Log, LogFormat};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer, format};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Sends events to standard error: those of the configured level and above, unless `RUST_LOG` is
/// set.
pub fn to_stderr(log: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{},rumqttc=off", log.level)));
    let journal = is_journal();
    let ansi = log.format == LogFormat::Text && io::stderr().is_terminal();
    let lines = Lines {
        format: log.format,
        text: format().with_target(false).with_ansi(ansi).with_timer(Clock { journal }),
        json: format().with_target(false).with_timer(Clock { journal: false }).json(),
        priorities: journal,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .log_internal_errors(false) // they would be printed to the same place, and panic
        .event_format(lines)
        .init();
}

/// Whether the journal reads standard error, by systemd's `JOURNAL_STREAM`.
#[cfg(unix)]
fn is_journal() -> bool {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let metadata = stderr.and_then(|stderr| stderr.metadata());
    metadata.is_ok_and(|metadata| named == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn is_journal() -> bool {
    false
}

/// The time, except for the journal, which adds its own.
struct Clock {
    journal: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        if self.journal { Ok(()) } else { SystemTime.format_time(w) }
    }
}

/// Formats an event as one line.
struct Lines {
    format: LogFormat,
    text: Format<tracing_subscriber::fmt::format::Full, Clock>,
    json: Format<tracing_subscriber::fmt::format::Json, Clock>,
    /// Whether lines begin with their priority, see sd-daemon(3).
    priorities: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        match self.format {
            LogFormat::Text => self.text.format_event(ctx, Writer::new(&mut line), event)?,
            LogFormat::Json => self.json.format_event(ctx, Writer::new(&mut line), event)?,
        }
        let line = line.trim().replace('\r', "\\r").replace('\n', "\\n");
        if self.priorities {
            write!(writer, "<{}>", priority(*event.metadata().level()))?;
        }
        writeln!(writer, "{line}")
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::{debug, info, warn};
    use tracing_subscriber::fmt::format::format;
    use tracing_subscriber::fmt::writer::MakeWriter;

    use super::{Clock, Lines};
    use crate::config::LogFormat;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The lines of what `work` logs.
    fn lines(format_as: LogFormat, journal: bool, work: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let lines = Lines {
            format: format_as,
            text: format().with_target(false).with_ansi(false).with_timer(Clock { journal }),
            json: format().with_target(false).with_timer(Clock { journal }).json(),
            priorities: journal,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(written.clone())
            .event_format(lines)
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_texts_hold() {
        let topic = "a\n2026-01-01T00:00:00Z ERROR all is lost";
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = lines(format, false, || warn!(kind = "topic", "cannot read {topic}"));
            assert_eq!(lines.len(), 1, "{lines:?}");
        }
    }

    #[test]
    fn text_is_for_people_and_json_for_machines() {
        let text = lines(LogFormat::Text, false, || info!(streams = 3, file = "a b", "state restored"));
        assert!(text[0].ends_with("INFO state restored streams=3 file=\"a b\""), "{text:?}");
        let json = lines(LogFormat::Json, false, || info!(streams = 3, file = "a \"b\"", "state restored"));
        let event: Value = serde_json::from_str(&json[0]).unwrap();
        assert_eq!(event["level"], "INFO");
        let expected = serde_json::json!({ "message": "state restored", "streams": 3, "file": "a \"b\"" });
        assert_eq!(event["fields"], expected);
        assert!(event["timestamp"].is_string(), "{event}");
    }

    #[test]
    fn the_journal_gets_priorities_and_keeps_the_time_itself() {
        let text = lines(LogFormat::Text, true, || {
            warn!("no connection");
            info!("connected");
            debug!("subscribed");
        });
        assert_eq!(text, ["<4>WARN no connection", "<6>INFO connected", "<7>DEBUG subscribed"]);
    }
}
