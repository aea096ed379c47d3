//! What the daemon counts, and what it says of input that it cannot use.
//!
//! Invariant: each cause is said once and counted always; what is remembered of causes is bounded, kind by kind, so that a flood of one kind
//! does not silence another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use serde::Serialize;
use tracing::warn;

/// Culprits remembered of each kind of fault; beyond, new ones are only counted.
const MAX_CULPRITS: usize = 1000;

/// What a run of the daemon did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Messages that arrived.
    pub messages: u64,
    /// Readings taken.
    pub readings: u64,
    /// Those of them that were not the first of their variate in their row.
    pub further: u64,
    /// Rows with at least one reading.
    pub rows: u64,
    /// Rows without a reading that bridged gaps.
    pub gap_rows: u64,
    /// Values that repeat an earlier one of their variate.
    pub held: u64,
    /// Forecasts published, one per variate.
    pub forecasts: u64,
    /// Streams in memory.
    pub streams: u64,
    /// Restarts of streams after long silences, and steps back.
    pub restarts: u64,
    /// Those of them that went back to a right time from a wrong one.
    pub steps_back: u64,
    /// What was refused, by kind: messages, fields or readings.
    pub refused: BTreeMap<&'static str, u64>,
}

impl AddAssign<&Summary> for Summary {
    fn add_assign(&mut self, other: &Summary) {
        let Summary {
            messages,
            readings,
            further,
            rows,
            gap_rows,
            held,
            forecasts,
            streams,
            restarts,
            steps_back,
            refused,
        } = other;
        self.messages += messages;
        self.readings += readings;
        self.further += further;
        self.rows += rows;
        self.gap_rows += gap_rows;
        self.held += held;
        self.forecasts += forecasts;
        self.streams += streams;
        self.restarts += restarts;
        self.steps_back += steps_back;
        for (kind, count) in refused {
            *self.refused.entry(kind).or_default() += count;
        }
    }
}

/// Says each cause once.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    /// The culprits said, by kind.
    said: HashMap<&'static str, HashSet<String>>,
}

impl Reporter {
    /// Counts a refusal, and says it the first time that `kind` happens to `culprit` (a topic, a field, a stream; a short text).
    pub(crate) fn refuse(&mut self, summary: &mut Summary, kind: &'static str, culprit: &str, why: impl std::fmt::Display) {
        *summary.refused.entry(kind).or_default() += 1;
        if self.is_news(kind, culprit) {
            warn!(kind, "{why}; further ones of this kind are only counted");
        }
    }

    /// Whether this is to be said: it is new, and not too many of its kind were.
    fn is_news(&mut self, kind: &'static str, culprit: &str) -> bool {
        let said = self.said.entry(kind).or_default();
        if said.len() == MAX_CULPRITS || !said.insert(culprit.to_owned()) {
            return false;
        }
        if said.len() == MAX_CULPRITS {
            warn!(
                kind,
                culprits = MAX_CULPRITS,
                "too many culprits of this kind; new ones are only counted"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CULPRITS, Reporter};

    #[test]
    fn a_flood_of_one_kind_is_bounded_and_silences_no_other() {
        let mut reporter = Reporter::default();
        let news = (0..2 * MAX_CULPRITS)
            .filter(|topic| reporter.is_news("topic", &topic.to_string()))
            .count();
        assert_eq!(news, MAX_CULPRITS);
        assert!(reporter.is_news("not_json", "sensors/a"));
        assert!(!reporter.is_news("not_json", "sensors/a"), "said once");
        assert!(reporter.is_news("not_json", "sensors/b"));
    }
}
