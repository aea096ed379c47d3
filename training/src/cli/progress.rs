//! Progress on stderr: a bar on a terminal. Where stderr is a file or a pipe there is none, or with
//! `--progress` lines: at the start of a task, at each quarter and now and then, and at its end.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tsm2_data::Meter;

/// Whether lines are printed where no bar can be drawn. Set once, before any command runs.
static PRINTS_LINES: AtomicBool = AtomicBool::new(false);

/// The option of every command.
#[derive(Args, Clone, Copy, Debug)]
pub struct ProgressArgs {
    /// Print progress also where standard error is a file or a pipe: a line at each quarter of a task, and every ten seconds
    #[arg(long, global = true)]
    progress: bool,
}

impl ProgressArgs {
    /// From now on progress is printed as asked.
    pub fn apply(self) {
        PRINTS_LINES.store(self.progress && !io::stderr().is_terminal(), Ordering::Relaxed);
    }
}

/// Most time between two lines.
const LINES: Duration = Duration::from_secs(10);
/// Units of a bar.
const UNITS: u64 = 1000;
/// Below this share the time that is left is not estimated.
const LEAST: f64 = 0.05;

/// Time that a task still takes if the rest goes on as what is done; `None` while too little is done.
fn left(elapsed: Duration, done: f64) -> Option<Duration> {
    (done >= LEAST).then(|| elapsed.mul_f64((1.0 - done).max(0.0) / done))
}

/// A time in words, to two digits.
fn words(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 3600.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Progress of one task after the other.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    task: String,
    begun: Instant,
    printed: Instant,
    /// Quarters of the task that are done.
    quarters: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Nothing to show yet.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            bar: ProgressBar::no_length(),
            task: String::new(),
            begun: now,
            printed: now,
            quarters: 0,
        }
    }

    /// Prints a note beside the progress.
    pub fn note(&self, text: impl Display) {
        self.bar.suspend(|| eprintln!("note: {text}"));
    }

    /// So much of a task is done.
    pub fn step(&mut self, task: &str, done: usize, total: usize, note: &str) {
        let separator = if note.is_empty() { "" } else { "; " };
        self.show(
            task,
            done as f64 / total.max(1) as f64,
            &format!("{done} of {total}{separator}{note}"),
        );
    }

    /// This share of a task is done, from 0 to 1.
    pub fn share(&mut self, task: &str, done: f64) {
        self.show(task, done, "");
    }

    fn show(&mut self, task: &str, done: f64, note: &str) {
        self.begin(task);
        let left = left(self.begun.elapsed(), done).map(|left| format!("{} left", words(left)));
        let parts = [left.as_deref().unwrap_or_default(), note]
            .into_iter()
            .filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join("; ");
        let quarters = (4.0 * done) as u32;
        if PRINTS_LINES.load(Ordering::Relaxed) && (quarters.min(3) > self.quarters || self.printed.elapsed() >= LINES) {
            self.printed = Instant::now();
            eprintln!("{task}: {:.0} %, {text}", 100.0 * done);
        }
        self.quarters = quarters;
        self.bar.set_length(UNITS);
        self.bar.set_position((UNITS as f64 * done) as u64);
        self.bar.set_message(text);
    }

    /// Begins the task, unless it is the present one.
    fn begin(&mut self, task: &str) {
        if self.task == task {
            return;
        }
        self.end();
        self.bar = ProgressBar::no_length().with_prefix(task.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {wide_bar} {percent} % {msg}") {
            self.bar.set_style(style);
        }
        if PRINTS_LINES.load(Ordering::Relaxed) {
            eprintln!("{task} ...");
        }
        (self.begun, self.printed, self.quarters) = (Instant::now(), Instant::now(), 0);
        task.clone_into(&mut self.task);
    }

    /// All is done.
    pub fn end(&mut self) {
        self.bar.finish_and_clear();
        if !self.task.is_empty() && PRINTS_LINES.load(Ordering::Relaxed) {
            eprintln!("{}: done after {}", self.task, words(self.begun.elapsed()));
        }
        self.task.clear();
    }
}

/// Shows how far work is while it is done.
pub fn metered<T: Send>(work: impl FnOnce(&Meter) -> T + Send) -> T {
    let mut progress = Progress::new();
    let done = Meter::watch(work, |task, done| progress.share(task, done));
    progress.end();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_average_rate_so_far() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(1), 0.01), None);
        assert_eq!(left(seconds(2), 0.25), Some(seconds(6)));
        assert_eq!(left(seconds(9), 0.9), Some(seconds(1)));
        assert_eq!(left(seconds(9), 1.5), Some(seconds(0)));
    }

    #[test]
    fn times_have_two_digits() {
        let of = |seconds: f64| words(Duration::from_secs_f64(seconds));
        assert_eq!([of(0.04), of(9.94), of(9.96), of(99.0)], ["0.0 s", "9.9 s", "10 s", "99 s"]);
        assert_eq!([of(150.0), of(3599.0), of(5400.0)], ["2 min", "60 min", "1.5 h"]);
    }
}
