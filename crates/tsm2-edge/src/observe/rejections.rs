//! Counters and log messages for rejected input.
//!
//! Each rejection is counted. Each source of a reason is logged once; at most [`MAX_SOURCES`]
//! sources of a reason are remembered, so that a flood of one reason hides no other. Memory does not
//! grow with the length of names.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};

use tracing::{info, warn};

use super::groups::InputMetrics;

/// Sources remembered per reason. Further ones are only counted.
const MAX_SOURCES: usize = 1000;
/// Characters of a message; a topic alone may have 65,535.
const MAX_MESSAGE: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct RejectionLog {
    metrics: InputMetrics,
    /// Hashes of the sources that were logged, by reason.
    logged: HashMap<&'static str, HashSet<u64>>,
    hashes: RandomState,
}

impl RejectionLog {
    /// A log that counts in these metrics.
    pub fn new(metrics: InputMetrics) -> Self {
        RejectionLog {
            metrics,
            logged: HashMap::new(),
            hashes: RandomState::new(),
        }
    }

    /// Counts a rejection, and logs the first one of each `source` (a topic, field or stream).
    pub fn reject(&mut self, reason: &'static str, source: &str, why: impl Display) {
        self.metrics.rejected(reason).inc();
        if self.is_first(reason, source) {
            let why = shortened(&why);
            warn!(reason, "{why}; further ones are only counted");
            self.metrics.recent_rejections.push(reason, why);
        }
    }

    /// Logs once for each `source` what may be intended, without counting it.
    pub fn note(&mut self, source: &str, what: impl Display) {
        if self.is_first("note", source) {
            info!("{}", shortened(&what));
        }
    }

    fn is_first(&mut self, reason: &'static str, source: &str) -> bool {
        let logged = self.logged.entry(reason).or_default();
        if logged.len() == MAX_SOURCES || !logged.insert(self.hashes.hash_one(source)) {
            return false;
        }
        if logged.len() == MAX_SOURCES {
            warn!(
                reason,
                sources = MAX_SOURCES,
                "too many sources of this rejection; further ones are only counted"
            );
        }
        true
    }
}

/// At most [`MAX_MESSAGE`] characters: the beginning and the end, which says what to do.
fn shortened(message: &impl Display) -> String {
    let message = message.to_string();
    let boundary = |count: usize| message.char_indices().nth(count).map(|(at, _)| at);
    match (
        boundary(MAX_MESSAGE),
        boundary(MAX_MESSAGE / 2),
        message.char_indices().nth_back(MAX_MESSAGE / 2),
    ) {
        (Some(_), Some(head), Some((tail, _))) => format!("{} ... {}", &message[..head], &message[tail..]),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_SOURCES, RejectionLog};
    use crate::observe::Metrics;

    #[test]
    fn a_flood_of_one_reason_is_bounded_and_hides_no_other() {
        let metrics = Metrics::new();
        let mut log = RejectionLog::new(metrics.input.clone());
        let first = (0..2 * MAX_SOURCES)
            .filter(|topic| log.is_first("topic", &topic.to_string()))
            .count();
        assert_eq!(first, MAX_SOURCES);
        assert!(log.is_first("not_json", "sensors/a"));
        assert!(!log.is_first("not_json", "sensors/a"), "logged once");
        assert!(log.is_first("not_json", "sensors/b"));
        log.reject("not_json", "sensors/a", "not JSON");
        log.reject("not_json", "sensors/a", "not JSON");
        assert_eq!(metrics.summary().rejected, [("not_json".to_owned(), 2)].into());
        log.reject("late", "sensors/a", "late");
        log.reject("late", "sensors/a", "late");
        assert_eq!(metrics.input.recent_rejections.list().len(), 1, "logged once");
    }

    #[test]
    fn long_names_take_little_memory() {
        let metrics = Metrics::new();
        let mut log = RejectionLog::new(metrics.input.clone());
        let topic = "t".repeat(60_000);
        log.reject("topic", &topic, format_args!("topic {topic:?}: unusable"));
        let page = serde_json::to_string(&metrics.input.recent_rejections.list()).unwrap();
        assert!(page.contains("topic") && page.contains("unusable") && page.len() < 2000, "{page}");
    }
}
