//! Stop signal: asked once, with a deadline for the work that is left.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Tells all parts to stop. Dropping it tells them to stop at once.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Option<Instant>>);

/// What a part holds of a [`Stop`].
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Option<Instant>>);

impl Stop {
    pub(crate) fn new() -> (Stop, StopSignal) {
        let (sender, receiver) = watch::channel(None);
        (Stop(sender), StopSignal(receiver))
    }

    /// Asks for the end. What is not finished within `grace` is given up.
    pub(crate) fn ask(&self, grace: Duration) {
        self.0.send_replace(Some(Instant::now() + grace));
    }
}

impl StopSignal {
    /// Whether the time for unfinished work is over.
    pub(crate) fn is_over(&self) -> bool {
        match *self.0.borrow() {
            Some(deadline) => deadline <= Instant::now(),
            None => self.0.has_changed().is_err(),
        }
    }

    /// Waits until the time for unfinished work is over.
    pub(crate) async fn over(&self) {
        let mut receiver = self.0.clone();
        let deadline = match receiver.wait_for(Option::is_some).await {
            Ok(deadline) => *deadline,
            Err(_) => None,
        };
        if let Some(deadline) = deadline {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }

    /// The result of `work`, or `None` when the time is over first.
    pub(crate) async fn or_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.over() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_has_until_the_deadline() {
        let (stop, signal) = Stop::new();
        assert!(!signal.is_over());
        stop.ask(Duration::from_secs(3));
        assert!(!signal.is_over());
        assert_eq!(signal.or_over(async { 1 }).await, Some(1));
        assert_eq!(signal.or_over(std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_dropped_stop_is_over_at_once() {
        let (stop, signal) = Stop::new();
        drop(stop);
        assert!(signal.is_over());
        signal.over().await;
    }
}
