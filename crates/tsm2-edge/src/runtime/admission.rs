//! Admission: which streams exist, and whether one more may begin.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The names of all streams of a daemon, in memory or stored, at most a fixed number.
///
/// A stream counts once, however often it leaves the memory and returns.
#[derive(Debug)]
pub(crate) struct Admission {
    max: usize,
    known: Mutex<HashSet<String>>,
}

impl Admission {
    /// Admits `max` streams.
    pub(crate) fn new(max: usize) -> Self {
        Admission {
            max,
            known: Mutex::default(),
        }
    }

    /// The largest number of streams.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Whether `stream` is known or may begin. It is known afterwards if so.
    pub(crate) fn admit(&self, stream: &str) -> bool {
        let mut known = self.lock();
        known.contains(stream) || (known.len() < self.max && known.insert(stream.to_owned()))
    }

    /// Makes room for another stream.
    pub(crate) fn forget(&self, stream: &str) {
        self.lock().remove(stream);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;

    #[test]
    fn a_known_stream_counts_once() {
        let admission = Admission::new(2);
        assert!(admission.admit("a") && admission.admit("b"));
        assert!(admission.admit("a") && admission.admit("b"), "known streams are always admitted");
        assert!(!admission.admit("c"));
        admission.forget("a");
        assert!(admission.admit("c") && !admission.admit("a"));
    }
}
