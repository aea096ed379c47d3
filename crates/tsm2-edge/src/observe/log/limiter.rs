//! What keeps one cause from flooding the log.
//!
//! Every place in the program that logs has a bucket of lines, one per `kind` where the event has such a field; a bucket refills slowly. The
//! line that takes the last one says so (`limited`), and the next that finds one says how many were left out in between. Details (debug and
//! trace) are not limited: somebody asked for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Lines in a full bucket.
const BURST: u32 = 50;
/// How long a bucket takes for another line.
const REFILL: Duration = Duration::from_secs(10);
/// Buckets; beyond, kinds share the bucket of their place.
const MAX_BUCKETS: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    buckets: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: Identifier,
    kind: String,
}

#[derive(Debug)]
struct Bucket {
    lines: u32,
    /// Up to when it has been refilled.
    refilled: Instant,
    left_out: u64,
}

/// A line may be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// How many lines were left out before this one.
    pub(super) left_out: u64,
    /// Whether those that follow at once will be left out.
    pub(super) is_last: bool,
}

impl Limiter {
    pub(super) fn admit(&self, event: &Event<'_>, now: Instant) -> Option<Admitted> {
        if *event.metadata().level() > Level::INFO {
            return Some(Admitted {
                left_out: 0,
                is_last: false,
            });
        }
        let mut kind = Kind::default();
        event.record(&mut kind);
        let mut key = Key {
            place: event.metadata().callsite(),
            kind: kind.0,
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&key) {
            key.kind.clear();
        }
        let bucket = buckets.entry(key).or_insert_with(|| Bucket {
            lines: BURST,
            refilled: now,
            left_out: 0,
        });
        bucket.take(now)
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> Option<Admitted> {
        let since = now.saturating_duration_since(self.refilled);
        let fresh = u32::try_from(since.as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(fresh);
        if self.lines >= BURST {
            (self.lines, self.refilled) = (BURST, now);
        } else {
            self.refilled += REFILL * fresh;
        }
        let Some(lines) = self.lines.checked_sub(1) else {
            self.left_out += 1;
            return None;
        };
        self.lines = lines;
        Some(Admitted {
            left_out: std::mem::take(&mut self.left_out),
            is_last: lines == 0,
        })
    }
}

/// The text of an event's field `kind`.
#[derive(Default)]
struct Kind(String);

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "kind" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::{Admitted, BURST, Bucket, REFILL};
    use std::time::{Duration, Instant};

    #[test]
    fn a_bucket_says_its_last_line_and_then_what_was_left_out() {
        let start = Instant::now();
        let mut bucket = Bucket {
            lines: BURST,
            refilled: start,
            left_out: 0,
        };
        let taken: Vec<_> = (0..BURST + 7).map_while(|_| bucket.take(start)).collect();
        assert_eq!(taken.len(), BURST as usize);
        assert_eq!(taken.iter().position(|taken| taken.is_last), Some(BURST as usize - 1));
        for _ in 0..4 {
            assert_eq!(bucket.take(start + REFILL / 2), None);
        }
        let next = Admitted {
            left_out: 5, // the one that ended the loop too
            is_last: true,
        };
        assert_eq!(bucket.take(start + REFILL), Some(next));
        assert_eq!(
            bucket.take(start + REFILL * 3 / 2),
            None,
            "what has begun to refill is not lost, nor counted twice"
        );
        assert_eq!(bucket.take(start + REFILL * 2).map(|taken| taken.left_out), Some(1));

        let rested = start + Duration::from_secs(1_000_000);
        assert_eq!(
            (0..1000).map_while(|_| bucket.take(rested)).count(),
            BURST as usize,
            "it never holds more"
        );
    }
}
