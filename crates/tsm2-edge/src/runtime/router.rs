//! Router: parses the topic of each message once and hands it to the worker of its stream.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use tsm2_mqtt::InFlight;

use crate::config::Prepared;
use crate::observe::{Heartbeat, InputMetrics, RejectionLog};
use crate::runtime::queue::RoundRobinQueue;
use crate::runtime::source::{Acknowledge, Source};
use crate::runtime::worker::{Routed, worker_of};

/// How often the router sends a heartbeat while nothing arrives.
const IDLE: Duration = Duration::from_secs(1);

/// See the module's description.
pub(crate) struct Router<A> {
    pub(crate) prepared: Arc<Prepared>,
    /// One per worker.
    pub(crate) queues: Vec<Arc<RoundRobinQueue<Routed<A>>>>,
    pub(crate) in_flight: InFlight,
    pub(crate) metrics: InputMetrics,
    pub(crate) heartbeat: Heartbeat,
}

impl<A: Acknowledge> Router<A> {
    /// Runs until the source ends. A message that no broker waits for is dropped and counted when
    /// its stream's queue is full; the broker limits the others.
    pub(crate) async fn run(self, mut source: impl Source<Ack = A>) {
        let mut rejections = RejectionLog::new(self.metrics.clone());
        let mut is_dropping = false;
        loop {
            self.heartbeat.beat();
            let message = match tokio::time::timeout(IDLE, source.recv()).await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => continue,
            };
            let (stream, kind) = match self.prepared.topics.parse(&message.topic) {
                Ok(address) => (address.stream.to_owned(), address.kind),
                Err(error) => {
                    self.metrics.messages.inc();
                    rejections.reject(error.reason(), &error.source_name(), &error);
                    message.ack.done();
                    continue;
                }
            };
            let is_limited = !message.ack.is_awaited();
            let queue = &self.queues[worker_of(&stream, self.queues.len())];
            let name = stream.clone();
            let is_taken = queue.push(&name, Routed { stream, kind, message }, is_limited);
            if !is_taken && is_limited {
                self.metrics.dropped_messages.inc();
                if !std::mem::replace(&mut is_dropping, true) {
                    warn!(stream = name, "messages at QoS 0 arrive faster than they are processed; dropping");
                }
            }
            // The broker may stop sending, and every worker may hold what it waits for.
            if self.in_flight.count() >= self.prepared.max_inflight {
                self.queues.iter().for_each(|queue| queue.wake());
            }
        }
    }
}
