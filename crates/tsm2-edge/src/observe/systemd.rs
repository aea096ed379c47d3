//! Notifications to systemd, or to another manager that speaks sd_notify(3).
//!
//! 1. `READY=1` is sent once, when the start is complete, with or without a broker.
//! 2. Before that the start may take any time: the timeout is extended again and again.
//! 3. The watchdog is answered only while every thread is alive, so that a stuck daemon is
//!    restarted. A broker that is away shows in the status and is no reason for a restart.
//!
//! Without a manager nothing is sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::{Health, NotReady, Stalled};

/// How often the health is checked, unless the watchdog needs it more often.
const CHECK: Duration = Duration::from_secs(1);
/// By how much the start's timeout is extended, and how long before its end.
const EXTENSION: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Notice {
    Ready,
    Reloading,
    Stopping,
    Status(String),
    Watchdog,
    ExtendTimeout(Duration),
}

/// The configuration is being reloaded; [`ready`] ends this.
pub fn reloading() {
    send(&[Notice::Reloading]);
}

/// The daemon runs with its new configuration, or still with its old one.
pub fn ready() {
    send(&[Notice::Ready]);
}

/// The daemon is stopping.
pub fn stopping() {
    send(&[Notice::Stopping, Notice::Status("stopping".into())]);
}

/// Reports the health and answers the watchdog. Runs until dropped.
pub async fn run(health: Arc<Health>) -> Infallible {
    let mut policy = Policy::new(watchdog());
    loop {
        let now = Instant::now();
        send(&policy.next(now, health.is_alive(now), health.is_ready()));
        tokio::time::sleep(policy.check).await;
    }
}

/// What to send, given the health.
#[derive(Debug)]
struct Policy {
    /// Time between two checks.
    check: Duration,
    /// Longest time between two answers to the watchdog.
    answer_within: Option<Duration>,
    is_ready: bool,
    status: String,
    answered: Option<Instant>,
    extended: Option<Instant>,
}

impl Policy {
    fn new(watchdog: Option<Duration>) -> Self {
        let half = watchdog.map(|watchdog| watchdog / 2);
        Policy {
            check: half.map_or(CHECK, |half| half.min(CHECK)),
            answer_within: half,
            is_ready: false,
            status: String::new(),
            answered: None,
            extended: None,
        }
    }

    fn next(&mut self, now: Instant, alive: Result<(), Stalled>, ready: Result<(), NotReady>) -> Vec<Notice> {
        let mut notices = Vec::new();
        if !self.is_ready && ready == Err(NotReady::Starting) {
            if self.extended.is_none_or(|extended| now >= extended + EXTENSION / 2) {
                self.extended = Some(now);
                notices.push(Notice::ExtendTimeout(EXTENSION));
            }
        } else if !self.is_ready {
            self.is_ready = true;
            notices.push(Notice::Ready);
        }
        let status = match (&alive, &ready) {
            (Err(stalled), _) => format!("{} is stuck", stalled.component),
            (_, Err(why)) => why.to_string(),
            _ => "connected to the broker".to_owned(),
        };
        if status != self.status {
            self.status.clone_from(&status);
            notices.push(Notice::Status(status));
        }
        // An answer that cannot wait until the next check is sent now.
        let is_due = self
            .answer_within
            .is_some_and(|within| self.answered.is_none_or(|answered| now + self.check > answered + within));
        if is_due && alive.is_ok() {
            self.answered = Some(now);
            notices.push(Notice::Watchdog);
        }
        notices
    }
}

#[cfg(unix)]
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(not(unix))]
fn watchdog() -> Option<Duration> {
    None
}

#[cfg(unix)]
fn send(notices: &[Notice]) {
    use sd_notify::NotifyState;

    let mut states = Vec::new();
    for notice in notices {
        match notice {
            Notice::Ready => states.push(NotifyState::Ready),
            Notice::Reloading => {
                states.push(NotifyState::Reloading);
                states.extend(NotifyState::monotonic_usec_now().ok());
            }
            Notice::Stopping => states.push(NotifyState::Stopping),
            Notice::Status(status) => states.push(NotifyState::Status(status)),
            Notice::Watchdog => states.push(NotifyState::Watchdog),
            Notice::ExtendTimeout(by) => {
                states.push(NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX)));
            }
        }
    }
    if !states.is_empty()
        && let Err(error) = sd_notify::notify(&states)
    {
        tracing::debug!(%error, "cannot notify the service manager");
    }
}

#[cfg(not(unix))]
fn send(_: &[Notice]) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::health::{Component, STALLED_AFTER};

    const STALLED: Stalled = Stalled {
        component: Component::Worker(0),
        silent: STALLED_AFTER,
    };

    /// What is sent at so many seconds after the start.
    fn at(policy: &mut Policy, start: Instant, seconds: u64, alive: Result<(), Stalled>, ready: Result<(), NotReady>) -> Vec<Notice> {
        policy.next(start + Duration::from_secs(seconds), alive, ready)
    }

    #[test]
    fn ready_is_sent_once_when_the_start_is_complete_though_the_broker_is_away() {
        let (mut policy, start) = (Policy::new(None), Instant::now());
        assert!(!at(&mut policy, start, 0, Ok(()), Err(NotReady::Starting)).contains(&Notice::Ready));
        let away = Err(NotReady::Disconnected);
        let sent = at(&mut policy, start, 1, Ok(()), away.clone());
        assert_eq!(sent, [Notice::Ready, Notice::Status("there is no connection to the broker".into())]);
        assert_eq!(at(&mut policy, start, 2, Ok(()), away), [], "nothing new is sent twice");
        assert_eq!(
            at(&mut policy, start, 3, Ok(()), Ok(())),
            [Notice::Status("connected to the broker".into())]
        );
    }

    #[test]
    fn a_large_state_extends_the_timeout_of_the_start() {
        let (mut policy, start) = (Policy::new(None), Instant::now());
        let extensions = (0..600)
            .map(|second| at(&mut policy, start, second, Ok(()), Err(NotReady::Starting)))
            .filter(|sent| sent.contains(&Notice::ExtendTimeout(EXTENSION)))
            .count();
        assert_eq!(extensions, 20, "twice as often as needed");
        let sent = at(&mut policy, start, 600, Ok(()), Ok(()));
        assert_eq!(sent, [Notice::Ready, Notice::Status("connected to the broker".into())]);
    }

    #[test]
    fn the_watchdog_is_answered_only_while_every_thread_is_alive() {
        let (mut policy, start) = (Policy::new(Some(Duration::from_secs(20))), Instant::now());
        let mut answers = |seconds: std::ops::Range<u64>, alive: Result<(), Stalled>| {
            let sent = seconds.map(|second| at(&mut policy, start, second, alive, Ok(())));
            sent.filter(|sent| sent.contains(&Notice::Watchdog)).count()
        };
        assert_eq!(answers(0..20, Ok(())), 2, "each half of its period");
        assert_eq!(answers(20..100, Err(STALLED)), 0);
        assert_eq!(answers(100..101, Ok(())), 1, "answered as soon as the thread is alive again");
        let sent = at(&mut policy, start, 101, Err(STALLED), Ok(()));
        assert_eq!(sent, [Notice::Status("worker 0 is stuck".into())]);
    }

    #[test]
    fn a_short_watchdog_is_checked_more_often() {
        assert_eq!(Policy::new(Some(Duration::from_millis(20))).check, Duration::from_millis(10));
        assert_eq!(Policy::new(Some(Duration::from_secs(60))).check, CHECK);
    }
}
