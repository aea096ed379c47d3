//! The newest log messages of rejected input, for the page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// Messages that are kept.
const KEPT: usize = 20;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct RecentRejections(Arc<Mutex<VecDeque<Rejection>>>);

/// One log message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// When it was logged, milliseconds since 1970-01-01 UTC.
    time_ms: i64,
    /// One of the reasons of `tsm2_edge_rejected_total`.
    reason: &'static str,
    /// What was wrong, and what to do.
    message: String,
}

impl RecentRejections {
    pub(super) fn push(&self, reason: &'static str, message: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front(Rejection {
            time_ms: Timestamp::now().as_millisecond(),
            reason,
            message,
        });
    }

    /// The newest first.
    pub fn list(&self) -> Vec<Rejection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
