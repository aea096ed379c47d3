//! The daemon's log: one line per event on standard error, for people or for machines.
//!
//! Invariants: an event is one line, whatever its texts hold; no cause can flood the log (see [`limiter`]); a log that nobody takes any more
//! ends nothing. Where the journal reads standard error, a line carries its priority, and the journal its time.

mod limiter;

use std::fmt::{self, Write};
use std::io::{self, IsTerminal};
use std::time::Instant;

use crate::config::{Log, LogFormat};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer, format};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use limiter::{Admitted, Limiter};

/// Sends events to standard error; `RUST_LOG` chooses which, those of the configured level and above unless it says otherwise.
pub fn to_stderr(log: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{},rumqttc=off", log.level)));
    let journal = is_journal();
    let ansi = log.format == LogFormat::Text && io::stderr().is_terminal();
    let lines = Lines {
        format: log.format,
        text: format().with_target(false).with_ansi(ansi).with_timer(Clock { journal }),
        json: format().with_target(false).with_timer(Clock { journal: false }).json(),
        priorities: journal,
        limiter: Limiter::default(),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .log_internal_errors(false) // they would be printed to the same place, and panic
        .event_format(lines)
        .init();
}

/// Whether the journal reads standard error, as systemd says it.
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

/// The time, except for the journal, which has its own.
struct Clock {
    journal: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        if self.journal { Ok(()) } else { SystemTime.format_time(w) }
    }
}

/// How an event becomes a line.
struct Lines {
    format: LogFormat,
    text: Format<tracing_subscriber::fmt::format::Full, Clock>,
    json: Format<tracing_subscriber::fmt::format::Json, Clock>,
    /// Whether lines begin with their priority, as sd-daemon(3) has it.
    priorities: bool,
    limiter: Limiter,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(Admitted { left_out, is_last }) = self.limiter.admit(event, Instant::now()) else {
            return Ok(());
        };
        let mut line = String::new();
        match self.format {
            LogFormat::Text => self.text.format_event(ctx, Writer::new(&mut line), event)?,
            LogFormat::Json => self.json.format_event(ctx, Writer::new(&mut line), event)?,
        }
        let mut line = line.trim().replace('\r', "\\r").replace('\n', "\\n");
        match self.format {
            LogFormat::Text => {
                if left_out > 0 {
                    write!(line, " left_out={left_out}")?;
                }
                if is_last {
                    line.push_str(" limited=true");
                }
            }
            LogFormat::Json => {
                let fields = line.strip_suffix('}').ok_or(fmt::Error)?;
                let left_out = if left_out > 0 {
                    format!(",\"left_out\":{left_out}")
                } else {
                    String::new()
                };
                let limited = if is_last { ",\"limited\":true" } else { "" };
                line = format!("{fields}{left_out}{limited}}}");
            }
        }
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
mod tests;
