//! What the daemon counts, and what it says of input that it cannot use.
//!
//! Invariant: each cause is said once and counted always; what is remembered of causes is bounded.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use tracing::warn;

/// Causes remembered as said; beyond, new ones are only counted.
const MAX_CAUSES: usize = 1000;

/// What a run of the daemon did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Messages that arrived.
    pub messages: u64,
    /// Readings taken.
    pub readings: u64,
    /// Rows with at least one reading.
    pub rows: u64,
    /// Rows of missing values that bridged gaps.
    pub gap_rows: u64,
    /// Forecasts published, one per variate.
    pub forecasts: u64,
    /// Streams seen.
    pub streams: u64,
    /// Restarts of streams after long silences.
    pub restarts: u64,
    /// What was refused, by kind: messages, fields or readings.
    pub refused: BTreeMap<&'static str, u64>,
}

/// Says each cause once.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    said: HashSet<(&'static str, String)>,
}

impl Reporter {
    /// Counts a refusal, and says it the first time that `kind` happens to `culprit` (a topic, a field, a stream).
    pub(crate) fn refuse(&mut self, summary: &mut Summary, kind: &'static str, culprit: &str, why: impl std::fmt::Display) {
        *summary.refused.entry(kind).or_default() += 1;
        if self.said.len() < MAX_CAUSES && self.said.insert((kind, culprit.to_owned())) {
            warn!(kind, "{why}; further ones of this kind are only counted");
            if self.said.len() == MAX_CAUSES {
                warn!(causes = MAX_CAUSES, "too many causes; new ones are only counted from now on");
            }
        }
    }
}
