//! How far a long task is, for another thread to show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What the whole of a stage counts as.
const WHOLE: f64 = (1_u64 << 40) as f64;
/// Time between two looks at a meter.
const PERIOD: Duration = Duration::from_millis(100);

/// The stage of a task, and the share of it that is done. Threads that work add to it.
#[derive(Debug, Default)]
pub struct Meter {
    stage: Mutex<&'static str>,
    done: AtomicU64,
}

impl Meter {
    /// A stage begins.
    pub fn begin(&self, stage: &'static str) {
        let mut name = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        self.done.store(0, Ordering::Relaxed);
        *name = stage;
    }

    /// A share of the stage has been done since the last call.
    pub fn add(&self, share: f64) {
        self.done.fetch_add((share * WHOLE) as u64, Ordering::Relaxed);
    }

    /// So much of the stage is done, or more.
    pub fn reach(&self, share: f64) {
        self.done.fetch_max((share * WHOLE) as u64, Ordering::Relaxed);
    }

    /// The stage, and the share that is done: from 0 to 1.
    pub fn now(&self) -> (&'static str, f64) {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        (*stage, (self.done.load(Ordering::Relaxed) as f64 / WHOLE).min(1.0))
    }

    /// Does `work` on a thread of its own. Meanwhile `show` gets the stage and the share that is done, ten times a second.
    pub fn watch<T: Send>(work: impl FnOnce(&Meter) -> T + Send, mut show: impl FnMut(&'static str, f64)) -> T {
        let (meter, watcher, ended) = (Meter::default(), thread::current(), AtomicBool::new(false));
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                // Also when the work panics.
                let _end = End(watcher, &ended);
                work(&meter)
            });
            let mut goes_on = true;
            while goes_on {
                thread::park_timeout(PERIOD);
                goes_on = !ended.load(Ordering::Acquire);
                let (stage, done) = meter.now();
                if !stage.is_empty() {
                    show(stage, done);
                }
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Tells a thread that waits of the end.
struct End<'a>(thread::Thread, &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_have_done_is_seen_while_they_work() {
        let mut seen = Vec::new();
        let done = Meter::watch(
            |meter| {
                meter.begin("first");
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| meter.add(0.125));
                    }
                });
                meter.reach(0.25); // has been
                thread::sleep(3 * PERIOD);
                meter.begin("second");
                meter.add(7.0);
                thread::sleep(3 * PERIOD);
                "done"
            },
            |stage, share| seen.push((stage, share)),
        );
        seen.dedup();
        assert_eq!((done, seen), ("done", vec![("first", 0.5), ("second", 1.0)]));
    }
}
