//! Health of the daemon: heartbeats of its threads, and whether it is ready for readings.
//!
//! 1. A thread is alive while it sends a heartbeat at least every [`STALLED_AFTER`]. It sends one
//!    after each piece of work and while it waits, whatever it waits for.
//! 2. A thread is watched from its first heartbeat until its [`Heartbeat`] is dropped.
//! 3. A broker that is away and a full disk make the daemon not ready. They leave it alive: a
//!    restart would not mend them.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The longest pause between two heartbeats. A stalled SD card can delay a commit for many seconds.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How often a waiting thread sends a heartbeat.
const WAITING: Duration = Duration::from_secs(1);

/// A part of the daemon with a loop of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Hands the messages of the session to the workers.
    Router,
    /// Owns streams and runs the model. Numbered from 0.
    Worker(usize),
    /// Makes the state durable and acknowledges.
    Writer,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Component::Router => f.write_str("the router"),
            Component::Worker(number) => write!(f, "worker {number}"),
            Component::Writer => f.write_str("the writer"),
        }
    }
}

/// A component has not sent a heartbeat for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{component} has not sent a heartbeat for {} s", silent.as_secs())]
pub struct Stalled {
    /// The component.
    pub component: Component,
    /// Time since its last heartbeat.
    pub silent: Duration,
}

/// State of the subscriptions at the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Subscription {
    /// No connection.
    #[default]
    Disconnected,
    /// Connected; the broker has not answered the subscription yet.
    Pending,
    /// The broker granted every filter.
    Granted,
    /// The broker refused this filter.
    Refused(String),
}

/// Why readings do not become forecasts and durable state now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// The start is not complete.
    #[error("the stored state is being opened")]
    Starting,
    /// No connection to the broker.
    #[error("there is no connection to the broker")]
    Disconnected,
    /// Connected, not subscribed yet.
    #[error("the broker has not granted the subscription yet")]
    Subscribing,
    /// The broker's access list forbids a filter.
    #[error("the broker refused the subscription to {0:?}; allow it in the broker's access list")]
    SubscriptionRefused(String),
    /// The last commit failed.
    #[error("the last commit failed; readings stay unacknowledged")]
    CommitFailing,
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

/// See the module. Shared by `Arc`.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    beats: Mutex<Vec<Weak<Beat>>>,
    started_up: AtomicBool,
    stopping: AtomicBool,
    commit_failing: AtomicBool,
    subscription: Mutex<Subscription>,
}

#[derive(Debug)]
struct Beat {
    component: Component,
    origin: Instant,
    /// Time of the last heartbeat in milliseconds since `origin`, from 1; 0 before the first.
    last: AtomicU64,
}

impl Beat {
    fn set(&self, now: Instant) {
        let since = now.saturating_duration_since(self.origin).as_millis();
        self.last
            .store(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1), Ordering::Relaxed);
    }

    fn silent(&self, now: Instant) -> Duration {
        match self.last.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            last => now
                .saturating_duration_since(self.origin)
                .saturating_sub(Duration::from_millis(last - 1)),
        }
    }
}

/// Handle of one component. Dropping it ends the watch.
#[derive(Debug)]
pub struct Heartbeat(Arc<Beat>);

impl Heartbeat {
    /// Sends a heartbeat. Lock-free.
    pub fn beat(&self) {
        self.0.set(Instant::now());
    }

    /// Waits for `future` and sends a heartbeat each second meanwhile.
    pub async fn while_waiting<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            self.beat();
            if let Ok(done) = tokio::time::timeout(WAITING, &mut future).await {
                self.beat();
                return done;
            }
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// The health of a daemon that starts now.
    pub fn new() -> Self {
        Health {
            started: Instant::now(),
            beats: Mutex::default(),
            started_up: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            commit_failing: AtomicBool::new(false),
            subscription: Mutex::default(),
        }
    }

    /// The heartbeat of a component that is about to run.
    pub fn watch(&self, component: Component) -> Heartbeat {
        let beat = Arc::new(Beat {
            component,
            origin: self.started,
            last: AtomicU64::new(0),
        });
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|beat| beat.strong_count() > 0);
        beats.push(Arc::downgrade(&beat));
        Heartbeat(beat)
    }

    /// Whether every watched component has sent a heartbeat lately.
    pub fn is_alive(&self, now: Instant) -> Result<(), Stalled> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stalled = beats.iter().filter_map(Weak::upgrade).find_map(|beat| {
            let silent = beat.silent(now);
            (silent > STALLED_AFTER).then_some(Stalled {
                component: beat.component,
                silent,
            })
        });
        stalled.map_or(Ok(()), Err)
    }

    /// Whether readings that arrive now become forecasts and durable state.
    pub fn is_ready(&self) -> Result<(), NotReady> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(NotReady::Stopping);
        }
        if !self.started_up.load(Ordering::Relaxed) {
            return Err(NotReady::Starting);
        }
        match &*self.subscription.lock().unwrap_or_else(PoisonError::into_inner) {
            Subscription::Disconnected => return Err(NotReady::Disconnected),
            Subscription::Pending => return Err(NotReady::Subscribing),
            Subscription::Refused(filter) => return Err(NotReady::SubscriptionRefused(filter.clone())),
            Subscription::Granted => {}
        }
        match self.is_commit_failing() {
            true => Err(NotReady::CommitFailing),
            false => Ok(()),
        }
    }

    /// The stored state is open, or there is none.
    pub fn started_up(&self) {
        self.started_up.store(true, Ordering::Relaxed);
    }

    /// The daemon is stopping.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// State of the subscriptions.
    pub fn set_subscription(&self, subscription: Subscription) {
        *self.subscription.lock().unwrap_or_else(PoisonError::into_inner) = subscription;
    }

    /// Whether the last commit failed.
    pub fn set_commit_failing(&self, failing: bool) {
        self.commit_failing.store(failing, Ordering::Relaxed);
    }

    /// Whether the last commit failed.
    pub fn is_commit_failing(&self) -> bool {
        self.commit_failing.load(Ordering::Relaxed)
    }

    /// How long the daemon has been running.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_component_without_heartbeat_is_named() {
        let health = Health::new();
        let late = health.started + STALLED_AFTER + SECOND;
        let (router, worker) = (health.watch(Component::Router), health.watch(Component::Worker(1)));
        assert_eq!(health.is_alive(late), Ok(()), "a component is watched from its first heartbeat on");
        router.0.set(late);
        worker.0.set(health.started);
        let stalled = Stalled {
            component: Component::Worker(1),
            silent: STALLED_AFTER + SECOND,
        };
        assert_eq!(health.is_alive(late), Err(stalled));
        assert_eq!(stalled.to_string(), "worker 1 has not sent a heartbeat for 31 s");
        worker.0.set(late);
        assert_eq!(health.is_alive(late + STALLED_AFTER), Ok(()));
    }

    #[test]
    fn a_component_that_ended_is_not_missed() {
        let health = Health::new();
        let worker = health.watch(Component::Worker(0));
        worker.beat();
        drop(worker);
        assert_eq!(health.is_alive(health.started + 10 * STALLED_AFTER), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_waits_stays_alive() {
        let health = Health::new();
        let writer = health.watch(Component::Writer);
        let before = Instant::now();
        writer.while_waiting(tokio::time::sleep(10 * STALLED_AFTER)).await;
        assert!(writer.0.silent(before) < STALLED_AFTER && writer.0.last.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn ready_means_started_subscribed_and_durable() {
        let health = Health::new();
        assert_eq!(health.is_ready(), Err(NotReady::Starting));
        health.started_up();
        assert_eq!(health.is_ready(), Err(NotReady::Disconnected));
        health.set_subscription(Subscription::Pending);
        assert_eq!(health.is_ready(), Err(NotReady::Subscribing));
        health.set_subscription(Subscription::Granted);
        assert_eq!(health.is_ready(), Ok(()));
        health.set_commit_failing(true);
        assert_eq!(health.is_ready(), Err(NotReady::CommitFailing));
        health.set_commit_failing(false);
        health.stopping();
        assert_eq!(health.is_ready(), Err(NotReady::Stopping));
    }

    #[test]
    fn refused_subscription_is_not_ready() {
        let health = Health::new();
        health.started_up();
        health.set_subscription(Subscription::Refused("sensors/+".into()));
        let why = health.is_ready().unwrap_err();
        assert!(why.to_string().contains("\"sensors/+\""), "{why}");
    }
}
