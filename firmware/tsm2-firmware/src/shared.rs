//! What the tasks share: station, retained memory, log, time; and waiting for a time.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use core::cell::{Cell, Ref, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use crate::payload::Rejected;
use crate::retained::Retained;
use crate::station::Station;

/// Most messages of the log that wait for the serial line.
const MAX_MESSAGES: usize = 8;

/// What the tasks share.
pub(crate) struct Shared<'s> {
    station: RefCell<Station<'s>>,
    retained: RefCell<Retained<'s>>,
    messages: RefCell<VecDeque<String>>,
    now_ms: Cell<u64>,
    is_busy: Cell<bool>,
    /// Restarts the watchdog's time.
    alive: &'s dyn Fn(),
}

impl<'s> Shared<'s> {
    pub(crate) fn new(station: Station<'s>, retained: Retained<'s>, now_ms: u64, alive: &'s dyn Fn()) -> Self {
        Shared {
            station: RefCell::new(station),
            retained: RefCell::new(retained),
            messages: RefCell::new(VecDeque::with_capacity(MAX_MESSAGES)),
            now_ms: Cell::new(now_ms),
            is_busy: Cell::new(false),
            alive,
        }
    }

    /// Milliseconds since the start, at the begin of this turn.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Begins a turn.
    pub(crate) fn begin_turn(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.is_busy.set(false);
    }

    /// Something is left to do: the next turn follows at once.
    pub(crate) fn keep_awake(&self) {
        self.is_busy.set(true);
    }

    /// Whether the next turn follows at once.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.get()
    }

    /// Takes a payload and saves the state; whether there is a new forecast.
    ///
    /// # Errors
    /// The payload cannot be read.
    pub(crate) fn take_or(&self, payload: &[u8]) -> Result<bool, Rejected> {
        let result = self.station.borrow_mut().take(payload, self.alive);
        if result.is_ok() && !self.retained.borrow_mut().save(&self.station.borrow().snapshot()) {
            self.log("the retained memory is too small for the state");
        }
        result
    }

    /// As [`Shared::take_or`]; a payload that cannot be read is reported.
    pub(crate) fn take(&self, payload: &[u8]) -> bool {
        self.take_or(payload).unwrap_or_else(|rejected| {
            self.log(&format!("rejected {}", rejected.reason()));
            false
        })
    }

    pub(crate) fn station(&self) -> Ref<'_, Station<'s>> {
        self.station.borrow()
    }

    /// Adds a message to the log; while too many wait it is dropped.
    pub(crate) fn log(&self, message: &str) {
        let mut messages = self.messages.borrow_mut();
        if messages.len() < MAX_MESSAGES {
            messages.push_back(message.to_string());
        }
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.borrow().is_empty()
    }

    pub(crate) fn next_message(&self) -> Option<String> {
        self.messages.borrow_mut().pop_front()
    }
}

/// Waiting for a time.
pub(crate) struct Timer;

impl Timer {
    /// Waits.
    pub(crate) async fn after(shared: &Shared<'_>, ms: u64) {
        let until = shared.now_ms().saturating_add(ms);
        poll_fn(|_| match shared.now_ms() >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// The output of `future`; `None` when it takes longer.
    pub(crate) async fn limit<F: Future>(shared: &Shared<'_>, ms: u64, future: F) -> Option<F::Output> {
        let until = shared.now_ms().saturating_add(ms);
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if shared.now_ms() >= until => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
