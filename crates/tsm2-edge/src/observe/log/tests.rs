//! Lines as they come out.

use std::io;
use std::sync::{Arc, Mutex};

use crate::config::LogFormat;
use serde_json::Value;
use tracing::{debug, info, warn};
use tracing_subscriber::fmt::format::format;
use tracing_subscriber::fmt::writer::MakeWriter;

use super::{Clock, Limiter, Lines};

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
        limiter: Limiter::default(),
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

#[test]
fn a_flood_from_one_place_is_cut_short_and_silences_no_other() {
    let flood = |format| {
        lines(format, false, || {
            for _ in 0..500 {
                for kind in ["late", "not_json"] {
                    warn!(kind, "refused");
                }
                debug!("details");
            }
            info!("connected");
        })
    };
    let text = flood(LogFormat::Text);
    let count = |lines: &[String], what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count(&text, "kind=\"late\""), count(&text, "kind=\"not_json\"")), (50, 50));
    assert_eq!(
        (count(&text, "limited=true"), count(&text, "details"), count(&text, "connected")),
        (2, 500, 1)
    );

    assert_eq!(text.len(), 50 + 50 + 500 + 1);

    let limited: Vec<Value> = flood(LogFormat::Json)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["limited"] == true)
        .collect();
    assert_eq!(limited.len(), 2);
}
