//! Progress on stderr: a bar on a terminal. Where stderr is a file or a pipe there is none, or with
//! `--progress` a line now and then.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

/// Whether lines are printed where no bar can be drawn. Set once, before any command runs.
static PRINTS_LINES: AtomicBool = AtomicBool::new(false);

/// The option of every command.
#[derive(Args, Clone, Copy, Debug)]
pub struct ProgressArgs {
    /// Print progress also where standard error is a file or a pipe: a line every ten seconds
    #[arg(long, global = true)]
    progress: bool,
}

impl ProgressArgs {
    /// From now on progress is printed as asked.
    pub fn apply(self) {
        PRINTS_LINES.store(self.progress && !io::stderr().is_terminal(), Ordering::Relaxed);
    }
}

/// Time between two lines.
const LINES: Duration = Duration::from_secs(10);

/// Progress of one task after the other.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    task: String,
    printed: Instant,
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
        Self {
            bar: ProgressBar::no_length(),
            task: String::new(),
            printed: Instant::now(),
        }
    }

    /// Prints a note beside the progress.
    pub fn note(&self, text: impl Display) {
        self.bar.suspend(|| eprintln!("note: {text}"));
    }

    /// A task without a measure begins.
    pub fn task(&mut self, task: &str) {
        if self.begin(task, "{spinner} {prefix} {elapsed}") {
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// So much of a task is done.
    pub fn step(&mut self, task: &str, done: usize, total: usize, note: &str) {
        self.begin(task, "{prefix:>12} {wide_bar} {pos}/{len} {msg} {eta} left");
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(note.to_owned());
        if PRINTS_LINES.load(Ordering::Relaxed) && self.printed.elapsed() >= LINES {
            self.printed = Instant::now();
            let separator = if note.is_empty() { "" } else { "; " };
            eprintln!("{task}: {done} of {total}{separator}{note}");
        }
    }

    /// Whether the task is a new one.
    fn begin(&mut self, task: &str, template: &str) -> bool {
        if self.task == task {
            return false;
        }
        self.bar.finish_and_clear();
        self.bar = ProgressBar::no_length().with_prefix(task.to_owned());
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        if PRINTS_LINES.load(Ordering::Relaxed) {
            self.printed = Instant::now();
            eprintln!("{task} ...");
        }
        task.clone_into(&mut self.task);
        true
    }

    /// All is done.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows a task without a measure while it is done.
pub fn during<T>(task: &str, work: impl FnOnce() -> T) -> T {
    let mut progress = Progress::new();
    progress.task(task);
    let done = work();
    progress.end();
    done
}

/// Progress of one task that several threads work on.
#[derive(Debug)]
pub struct Counter {
    task: &'static str,
    total: usize,
    done: AtomicUsize,
    progress: Mutex<Progress>,
}

impl Counter {
    /// Of `total` pieces of work.
    #[must_use]
    pub fn new(task: &'static str, total: usize) -> Self {
        Self {
            task,
            total,
            done: AtomicUsize::new(0),
            progress: Mutex::default(),
        }
    }

    /// One more is done.
    pub fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.step(self.task, done, self.total, "");
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.progress.get_mut().unwrap_or_else(PoisonError::into_inner).end();
    }
}
