//! When the streams' state is committed, and which acknowledgements wait for it: one thread for all the model threads.
//!
//! Invariants: a message is acknowledged after a commit of state that contains it, and not before; forecasts are with the broker before the
//! rows that they were made from are committed, as long as there is a connection, for they would not come again; a commit that fails
//! acknowledges nothing, is said once and tried again; the broker is never left waiting for acknowledgements while nothing arrives; the model
//! threads go on while a commit is written.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tracing::{error, info};
use tsm2_mqtt::{Acknowledgement, Publisher};

use crate::config::service::Durability;
use crate::observe::{Health, Heartbeat, StateMetrics};
use crate::runtime::shard::Queue;
use crate::state::shelf::{Changes, Shelf};

/// How long nothing may arrive, once the broker may be waiting for acknowledgements.
const IDLE: Duration = Duration::from_millis(10);
/// How long a commit waits for the broker to have the forecasts.
const PUBLISHED_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the thread sleeps when nothing is to be done.
const NOTHING: Duration = Duration::from_secs(1);

/// What a model thread tells.
#[derive(Debug)]
pub(crate) enum Report {
    /// A message has been through the engine.
    Done {
        ack: Acknowledgement,
        /// Readings in it that changed their stream.
        readings: u64,
    },
    /// The thread ends; this is what changed since it was last asked.
    Last(Changes),
    /// The thread ends in the middle of a message: what it did since it was last asked comes again.
    Cut,
}

/// Asks a model thread for what changed.
#[derive(Debug)]
pub(crate) struct Collect {
    /// All streams, not only the changed ones.
    pub(crate) all: bool,
    /// Whether all that was given before is durable.
    pub(crate) durable: bool,
    reply: SyncSender<Changes>,
}

impl Collect {
    pub(crate) fn answer(self, changes: Changes) {
        // The committer waits for it as long as it lives.
        let _ = self.reply.send(changes);
    }
}

/// See the module's invariants.
pub(crate) struct Committer {
    limits: Durability,
    shelf: Arc<dyn Shelf>,
    queues: Vec<Arc<Queue>>,
    publisher: Publisher,
    heartbeat: Heartbeat,
    health: Arc<Health>,
    metrics: StateMetrics,
    runtime: Handle,
    /// In order of arrival.
    held: Vec<Acknowledgement>,
    /// Acknowledged here, and waiting for an earlier message that was still with a model thread.
    waiting: usize,
    /// Readings since the last commit.
    readings: u64,
    /// When the first and the last message since the last commit came.
    since: Option<(Instant, Instant)>,
    /// When the last commit failed.
    failed: Option<Instant>,
    /// Collected and not durable.
    pending: Changes,
    cut: bool,
}

impl Committer {
    /// Of model threads with these queues.
    pub(crate) fn new(
        limits: Durability,
        shelf: Arc<dyn Shelf>,
        queues: Vec<Arc<Queue>>,
        publisher: Publisher,
        (heartbeat, health): (Heartbeat, Arc<Health>),
        metrics: StateMetrics,
        runtime: Handle,
    ) -> Self {
        Committer {
            heartbeat,
            health,
            metrics,
            limits,
            shelf,
            queues,
            publisher,
            runtime,
            held: Vec::new(),
            waiting: 0,
            readings: 0,
            since: None,
            failed: None,
            pending: Changes::new(),
            cut: false,
        }
    }

    /// Runs until all model threads have ended, then commits a last time.
    pub(crate) fn run(mut self, reports: &Receiver<Report>) {
        loop {
            self.heartbeat.beat();
            self.metrics.uncommitted(self.readings, self.since.map(|(first, _)| first));
            let patience = self
                .due()
                .map_or(NOTHING, |due| due.saturating_duration_since(Instant::now()).min(NOTHING));
            match reports.recv_timeout(patience) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) if self.due().is_some_and(|due| due <= Instant::now()) => self.commit(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.is_full() {
                self.commit();
            }
        }
        if !self.cut {
            self.queues.clear();
            self.commit();
        }
        self.metrics.uncommitted(0, None);
        self.health.set_commit_failing(false);
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Done { ack, readings } => {
                let now = Instant::now();
                self.since = Some((self.since.map_or(now, |(first, _)| first), now));
                self.readings += readings;
                if ack.is_awaited() {
                    self.held.push(ack);
                }
            }
            Report::Last(changes) => self.add(changes),
            Report::Cut => self.cut = true,
        }
    }

    fn add(&mut self, changes: Changes) {
        for (name, later) in changes {
            match self.pending.get_mut(&name) {
                Some(change) => change.then(later),
                None => drop(self.pending.insert(name, later)),
            }
        }
    }

    /// When to commit if nothing arrives before; `None` when there is nothing to commit.
    fn due(&self) -> Option<Instant> {
        let (first, last) = self.since?;
        let due = self.failed.unwrap_or(first) + self.limits.every;
        let may_wait = self.failed.is_none() && self.held.len() + self.waiting >= self.limits.max_inflight;
        Some(if may_wait { due.min(last + IDLE) } else { due })
    }

    /// Whether to commit before the next report is looked at.
    fn is_full(&self) -> bool {
        let Some((first, last)) = self.since else { return false };
        match self.failed {
            Some(failed) => last >= failed + self.limits.every,
            None => self.readings >= self.limits.readings || last >= first + self.limits.every,
        }
    }

    /// Commits and acknowledges.
    fn commit(&mut self) {
        // Whoever reported them gives, when asked after that, state that contains them.
        let acknowledged = self.held.len();
        let again = self.failed.is_some();
        self.collect(again);
        if !self.pending.is_empty() {
            self.runtime.block_on(async {
                // Without a connection the state is what matters: forecasts of later rows will replace these.
                let _ = tokio::time::timeout(PUBLISHED_TIMEOUT, self.publisher.flush()).await;
            });
            let begun = Instant::now();
            match self.shelf.commit(&self.pending) {
                Ok(bytes) => {
                    self.metrics.commit_duration.observe(begun.elapsed().as_secs_f64());
                    self.metrics.checkpoints.inc_by(self.pending.len() as u64);
                    self.metrics.bytes.inc_by(bytes);
                    self.health.set_commit_failing(false);
                }
                Err(why) => {
                    self.metrics.commit_failures.inc();
                    self.health.set_commit_failing(true);
                    self.failed = Some(begun);
                    if !again {
                        error!("state is not durable, readings stay unacknowledged: {why}; trying again");
                    }
                    return;
                }
            }
            if again {
                info!("state is durable again");
            }
            self.pending.clear();
        }
        self.failed = None;
        self.readings = 0;
        self.since = None;
        for ack in self.held.drain(..acknowledged) {
            self.waiting = ack.done();
        }
    }

    /// Asks all model threads at once.
    fn collect(&mut self, all: bool) {
        let durable = self.pending.is_empty();
        let (reply, answers) = mpsc::sync_channel(self.queues.len());
        for queue in &self.queues {
            let reply = reply.clone();
            queue.push_urgent(Collect { all, durable, reply });
        }
        drop(reply);
        for changes in answers {
            self.add(changes);
        }
    }
}

/// The way to the committer; closed when there is none.
pub(crate) type Reports = Sender<Report>;
