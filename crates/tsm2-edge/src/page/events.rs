//! Server-sent events: a line for each new time step of a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::recent::Recent;

/// How often a stream is looked at. A burst of time steps gives one event.
const PERIOD: Duration = Duration::from_millis(500);
/// A comment is sent after so many periods without an event, so that a lost client is noticed.
const COMMENT_AFTER: u32 = 20;

/// The body of an answer that does not end: `data: TIME_MS` for each new time step.
#[derive(Debug)]
pub(crate) struct Events {
    recent: Arc<Recent>,
    stream: String,
    period: Interval,
    last_ms: Option<i64>,
    silent: u32,
}

impl Events {
    /// Events of one stream. The first is sent at once when the stream is known.
    pub(crate) fn new(recent: Arc<Recent>, stream: String) -> Self {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Events {
            recent,
            stream,
            period,
            last_ms: None,
            silent: 0,
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            ready!(self.period.poll_tick(context));
            let time_ms = self.recent.time_ms(&self.stream);
            let line = if let Some(time_ms) = time_ms.filter(|_| time_ms != self.last_ms) {
                format!("data: {time_ms}\n\n")
            } else if self.silent == COMMENT_AFTER {
                ":\n\n".to_owned()
            } else {
                self.silent += 1;
                continue;
            };
            self.last_ms = time_ms;
            self.silent = 0;
            return Poll::Ready(Some(Ok(Frame::data(line.into()))));
        }
    }
}
