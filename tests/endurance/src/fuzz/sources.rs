//! Sources: a configuration with sections `[input]`, `[[source]]` and `[output]`, and after each NUL a
//! message: its topic, a line feed, its payload.

use std::path::Path;

use tsm2_e2e::engine::TestEngine;
use tsm2_edge::config::{Config, prepare};

/// 2026-01-15T12:00:00Z.
const NOON_MS: i64 = 1_768_478_400_000;
/// Most log entries of one message are as many as its payload has bytes.
const MAX_TEXT: usize = 2000;

/// Prepares the sources and takes the messages as the engine does.
///
/// # Panics
/// When the same messages have two outcomes, a fault of a configuration names no key, or more readings
/// are accepted than a payload has bytes.
pub fn sources(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == 0);
    let text = parts.next().unwrap_or_default();
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(parsed) = Config::parse(text, Path::new("edge.toml"), std::iter::empty()) else {
        return;
    };
    // Nothing here opens a file or allocates by a number of the text.
    let mut config = Config::default();
    (config.model.interval_s, config.model.horizon) = (Some(3600.0), 2);
    (config.input, config.sources, config.output) = (parsed.input, parsed.sources, parsed.output);
    config.input.max_gap = config.input.max_gap.min(4);
    config.input.max_ahead = config.input.max_ahead.min(4);
    config.input.allowed_lateness_s = config.input.allowed_lateness_s.min(7200.0);
    if config.input.variates.len() > 8 {
        return;
    }
    let prepared = match prepare(&config) {
        Ok(prepared) => prepared,
        Err(error) => {
            let text = error.to_string();
            let sections = ["input.", "input:", "source", "output.", "model."];
            assert!(sections.iter().any(|key| text.contains(key)), "a fault names its key: {text}");
            return;
        }
    };
    let messages: Vec<(String, &[u8])> = parts.filter(|part| part.len() <= MAX_TEXT).filter_map(message).collect();
    let take = || {
        let mut engine = TestEngine::new(&prepared);
        let mut rows = Vec::new();
        for ((topic, payload), index) in messages.iter().zip(0..) {
            let arrival_ms = NOON_MS + index * 600_000;
            let taken = engine.take(topic, payload, false, arrival_ms, |step| {
                rows.extend(step.values.iter().map(|value| value.to_bits()));
                rows.push(step.time_ms as u32);
                1
            });
            assert!(taken <= payload.len() as u64, "a reading takes a byte");
        }
        (rows, serde_json::to_string(&engine.summary()).ok())
    };
    assert_eq!(take(), take(), "the same messages give the same time steps");
}

fn message(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let topic = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((topic.to_owned(), &bytes[end + 1..]))
}
