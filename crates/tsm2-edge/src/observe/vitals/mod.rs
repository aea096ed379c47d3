//! How the daemon is, told by its parts while they work and asked for by those who watch: the metrics, the health pages, the service manager.
//!
//! Invariants: telling never waits for asking for longer than a copy takes, and what is told of every message (beats, latencies) takes no lock
//! and no memory; what is kept grows with shards, kinds of refusal, variates and three leads, and never with streams.

mod histogram;
mod skill;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use histogram::{BOUNDS_S, Durations};
pub use skill::{Score, Shown};

use crate::runtime::report::Summary;
use histogram::Histogram;

/// The longest that a part may be silent. A stalled SD card may hold up a commit for many seconds; a part that is silent for longer is stuck.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A part of the daemon that has a loop of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Takes messages from the session and hands them to their shards.
    Router,
    /// Makes the state durable and acknowledges.
    Committer,
    /// A model thread, by its number from 0.
    Shard(usize),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Router => f.write_str("the router"),
            Part::Committer => f.write_str("the committer"),
            Part::Shard(number) => write!(f, "model thread {number}"),
        }
    }
}

/// A part is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part} has not been heard of for {} s", silent.as_secs())]
pub struct Stalled {
    /// Which one.
    pub part: Part,
    /// For how long it has been silent.
    pub silent: Duration,
}

/// Why the daemon cannot do its work now, though it may be in order itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// It starts.
    #[error("the stored state is not restored yet")]
    Restoring,
    /// The session has no connection.
    #[error("there is no connection to the broker")]
    Disconnected,
    /// The state's file cannot be written.
    #[error("the last commit failed: readings stay unacknowledged")]
    CommitFailing,
    /// It ends.
    #[error("the daemon is stopping")]
    Stopping,
}

/// See the module's invariants. Shared by `Arc`.
#[derive(Debug)]
pub struct Vitals {
    started: Instant,
    longest_silence: Duration,
    /// Router, committer, then the shards: when each was heard of last, in milliseconds since `started` and from 1; 0 before its first beat.
    beats: Box<[AtomicU64]>,
    shards: Box<[Mutex<Reported>]>,
    /// What shards counted that have ended.
    past: Mutex<Summary>,
    shown: Mutex<Shown>,
    latency: Histogram,
    commits: Histogram,
    committed_streams: AtomicU64,
    committed_bytes: AtomicU64,
    failed_commits: AtomicU64,
    commit_failing: AtomicBool,
    uncommitted: AtomicU64,
    /// When the oldest uncommitted reading came, counted as in `beats`; 0 when there is none.
    oldest_uncommitted: AtomicU64,
    restored: AtomicBool,
    stopping: AtomicBool,
    connected: AtomicBool,
    connections: AtomicU64,
    unacknowledged_publishes: AtomicUsize,
    dropped: AtomicU64,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
}

/// What one shard told last.
#[derive(Debug, Default)]
struct Reported {
    summary: Summary,
    streams: usize,
    scores: Vec<Score>,
    drifting: usize,
}

/// All that was told, at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Counts since the start, over all shards.
    pub summary: Summary,
    /// Streams in memory now.
    pub streams: usize,
    /// Streams that drift.
    pub drifting: usize,
    /// Which variates and leads `scores` are of.
    pub shown: Shown,
    /// Shape `[M][L]`; empty while no shard has told any.
    pub scores: Vec<Score>,
    /// From the arrival of messages to their forecasts handed over.
    pub latency: Durations,
    /// Commits that succeeded, by how long they took.
    pub commits: Durations,
    /// Streams' snapshots written.
    pub committed_streams: u64,
    /// Bytes of these snapshots.
    pub committed_bytes: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Whether the last commit failed.
    pub commit_failing: bool,
    /// Readings in the state that are not durable yet.
    pub uncommitted: u64,
    /// Age of the oldest of these.
    pub oldest_uncommitted: Duration,
    /// Whether the connection to the broker stands.
    pub connected: bool,
    /// Connections that stood so far.
    pub connections: u64,
    /// Messages that the broker has not acknowledged yet.
    pub unacknowledged_publishes: usize,
    /// Messages dropped because the daemon did not keep up.
    pub dropped: u64,
    /// Configurations taken over while running.
    pub reloads: u64,
    /// Configurations refused while running.
    pub failed_reloads: u64,
}

impl Vitals {
    /// The vitals of a daemon with this many model threads, that starts now.
    pub fn new(shards: usize) -> Self {
        Vitals {
            started: Instant::now(),
            longest_silence: LONGEST_SILENCE,
            beats: (0..shards + 2).map(|_| AtomicU64::new(0)).collect(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            past: Mutex::default(),
            shown: Mutex::default(),
            latency: Histogram::default(),
            commits: Histogram::default(),
            committed_streams: AtomicU64::new(0),
            committed_bytes: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            commit_failing: AtomicBool::new(false),
            uncommitted: AtomicU64::new(0),
            oldest_uncommitted: AtomicU64::new(0),
            restored: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            unacknowledged_publishes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
        }
    }

    /// Vitals that do not take silence for long.
    #[cfg(test)]
    pub(crate) fn impatient(shards: usize, longest_silence: Duration) -> Self {
        Vitals {
            longest_silence,
            ..Vitals::new(shards)
        }
    }

    /// A part's loop goes round: to be told after every piece of work, and at least once a second while it waits, whatever it waits for (a
    /// message, room at the broker, another part). A part is watched from its first beat on, so long work before that is no silence; work
    /// of more than a few seconds after it, such as a long gap, beats on its way. What is told of a shard that does not exist is nothing.
    pub fn beat(&self, part: Part) {
        self.beat_at(part, Instant::now());
    }

    /// The part has ended as it should: nothing is expected of it until its next beat. A shard's counts stay, and the next one of its number
    /// begins anew.
    pub fn ended(&self, part: Part) {
        self.set_beat(part, 0);
        match part {
            Part::Router => {}
            Part::Committer => {
                self.uncommitted(0, None);
                self.commit_failing.store(false, Ordering::Relaxed);
            }
            Part::Shard(number) => {
                let Some(shard) = self.shards.get(number) else { return };
                let mut past = lock(&self.past);
                *past += &std::mem::take(&mut *lock(shard)).summary;
                past.streams = 0;
            }
        }
    }

    fn beat_at(&self, part: Part, now: Instant) {
        self.set_beat(part, self.stamp(now));
    }

    fn set_beat(&self, part: Part, stamp: u64) {
        let index = match part {
            Part::Router => 0,
            Part::Committer => 1,
            Part::Shard(number) => number.saturating_add(2),
        };
        if let Some(beat) = self.beats.get(index) {
            beat.store(stamp, Ordering::Relaxed);
        }
    }

    /// A shard's counts since it began, and the streams that it has in memory now; about once a second and at the end.
    pub fn report(&self, shard: usize, summary: &Summary, streams: usize) {
        if let Some(shard) = self.shards.get(shard) {
            let mut reported = lock(shard);
            reported.summary.clone_from(summary);
            reported.streams = streams;
        }
    }

    /// A shard's scores over its streams, shape `[M - X][L]` as in [`Shown`], and how many of its streams drift; every now and then.
    pub fn skill(&self, shard: usize, scores: &[Score], drifting: usize) {
        if let Some(shard) = self.shards.get(shard) {
            let mut reported = lock(shard);
            reported.scores.clear();
            reported.scores.extend_from_slice(scores);
            reported.drifting = drifting;
        }
    }

    /// Which model it is, at the start and after another one has taken its place; scores of an earlier one are forgotten.
    pub fn model(&self, shown: Shown) {
        *lock(&self.shown) = shown;
        for shard in &self.shards {
            lock(shard).scores.clear();
        }
    }

    /// Which variates and leads scores are wanted of.
    pub fn shown(&self) -> Shown {
        lock(&self.shown).clone()
    }

    /// How long a message took from its arrival to its forecasts handed over.
    pub fn forecast_latency(&self, took: Duration) {
        self.latency.observe(took);
    }

    /// A commit of this many snapshots succeeded; so failing has an end.
    pub fn committed(&self, streams: u64, bytes: u64, took: Duration) {
        self.commits.observe(took);
        self.committed_streams.fetch_add(streams, Ordering::Relaxed);
        self.committed_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.commit_failing.store(false, Ordering::Relaxed);
    }

    /// A commit failed, again or for the first time.
    pub fn commit_failed(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.commit_failing.store(true, Ordering::Relaxed);
    }

    /// How many readings in the state are not durable, and when the oldest of them came.
    pub fn uncommitted(&self, readings: u64, oldest: Option<Instant>) {
        self.uncommitted.store(readings, Ordering::Relaxed);
        let oldest = oldest.map_or(0, |oldest| self.stamp(oldest));
        self.oldest_uncommitted.store(oldest, Ordering::Relaxed);
    }

    /// All that was stored is in memory, or there is nothing stored.
    pub fn restored(&self) {
        self.restored.store(true, Ordering::Relaxed);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the connection to the broker stands; told at every change, and harmless when told again.
    pub fn connected(&self, connected: bool) {
        let before = self.connected.swap(connected, Ordering::Relaxed);
        if connected && !before {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many messages the broker has not acknowledged yet.
    pub fn unacknowledged_publishes(&self, messages: usize) {
        self.unacknowledged_publishes.store(messages, Ordering::Relaxed);
    }

    /// How many messages were dropped since the start because the daemon did not keep up.
    pub fn dropped(&self, messages: u64) {
        self.dropped.store(messages, Ordering::Relaxed);
    }

    /// A new configuration was asked for, and taken over or refused.
    pub fn reloaded(&self, ok: bool) {
        let count = if ok { &self.reloads } else { &self.failed_reloads };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether every part that was ever heard of has been heard of lately. A broker that is away or a full disk is no reason to be dead.
    pub fn is_alive(&self, now: Instant) -> Result<(), Stalled> {
        let now = self.stamp(now);
        for (index, beat) in self.beats.iter().enumerate() {
            let beat = beat.load(Ordering::Relaxed);
            let silent = Duration::from_millis(now.saturating_sub(beat));
            if beat > 0 && silent > self.longest_silence {
                let part = match index {
                    0 => Part::Router,
                    1 => Part::Committer,
                    _ => Part::Shard(index - 2),
                };
                return Err(Stalled { part, silent });
            }
        }
        Ok(())
    }

    /// Whether readings that arrive now become forecasts and durable state.
    pub fn is_ready(&self) -> Result<(), NotReady> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if is(&self.stopping) {
            Err(NotReady::Stopping)
        } else if !is(&self.restored) {
            Err(NotReady::Restoring)
        } else if !is(&self.connected) {
            Err(NotReady::Disconnected)
        } else if is(&self.commit_failing) {
            Err(NotReady::CommitFailing)
        } else {
            Ok(())
        }
    }

    /// All that was told until now.
    pub fn figures(&self, now: Instant) -> Figures {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let shown = self.shown();
        let mut figures = Figures {
            summary: Summary::default(),
            streams: 0,
            drifting: 0,
            scores: Vec::new(),
            latency: self.latency.durations(),
            commits: self.commits.durations(),
            committed_streams: count(&self.committed_streams),
            committed_bytes: count(&self.committed_bytes),
            failed_commits: count(&self.failed_commits),
            commit_failing: self.commit_failing.load(Ordering::Relaxed),
            uncommitted: count(&self.uncommitted),
            oldest_uncommitted: match count(&self.oldest_uncommitted) {
                0 => Duration::ZERO,
                oldest => Duration::from_millis(self.stamp(now).saturating_sub(oldest)),
            },
            connected: self.connected.load(Ordering::Relaxed),
            connections: count(&self.connections),
            unacknowledged_publishes: self.unacknowledged_publishes.load(Ordering::Relaxed),
            dropped: count(&self.dropped),
            reloads: count(&self.reloads),
            failed_reloads: count(&self.failed_reloads),
            shown,
        };
        let places = figures.shown.variates.len() * figures.shown.leads.len();
        // What moves from a shard to the past meanwhile counts once.
        let past = lock(&self.past);
        figures.summary += &past;
        for shard in &self.shards {
            let reported = lock(shard);
            figures.summary += &reported.summary;
            figures.streams += reported.streams;
            figures.drifting += reported.drifting;
            // Scores of another shape are of another model, told in the moment of the change.
            if reported.scores.len() == places {
                figures.scores.resize(places, Score::default());
                for (sum, score) in figures.scores.iter_mut().zip(&reported.scores) {
                    *sum += *score;
                }
            }
        }
        figures
    }

    /// How long the daemon has been running.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    fn stamp(&self, time: Instant) -> u64 {
        let since = self.uptime(time).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
