//! One session's way through the model: a thread per core that takes its messages through an engine, and a committer.
//!
//! Invariants: the model never runs where the connection is polled; all messages of a stream go through the same thread, in order; a message
//! is acknowledged after its forecasts are handed over and the state that contains it is durable, so that one cut short by a stop comes again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};
use tsm2_mqtt::{Publisher, Receiver, Session, SessionState};

use crate::config::service::Service;
use crate::observe::{Component, Health, Heartbeat, InputMetrics, Metrics, Subscription};
use crate::runtime::committer::Committer;
use crate::runtime::daemon::{DaemonError, Observation};
use crate::runtime::fair::FairQueue;
use crate::runtime::shard::{Queue, Shard, shard_of};
use crate::state::shelf::{Changes, Shelf};

/// How often the daemon looks at itself.
const SECOND: Duration = Duration::from_secs(1);

/// What a pipeline is made of.
pub(crate) struct Pipeline {
    pub(crate) service: Arc<Service>,
    pub(crate) ends: (Session, Publisher, Receiver),
    pub(crate) shelf: Arc<dyn Shelf>,
    /// Streams on the shelf.
    pub(crate) known: Arc<AtomicUsize>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Arc<Health>,
    pub(crate) observer: Option<mpsc::UnboundedSender<Observation>>,
}

/// How a pipeline ended.
pub(crate) struct Ended {
    /// The streams, where nothing is durable.
    pub(crate) changes: Changes,
    /// Whether somebody had asked for it; otherwise the session ended by itself.
    pub(crate) asked: bool,
}

impl Pipeline {
    /// Runs until `shutdown` resolves or the session ends, and commits.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, DaemonError> {
        let Pipeline {
            service,
            ends: (session, publisher, receiver),
            shelf,
            known,
            metrics,
            health,
            observer,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let queues: Vec<Arc<Queue>> = (0..service.shards).map(|_| Arc::new(FairQueue::new())).collect();
        let (reports, reported) = std::sync::mpsc::channel();
        let mut shards = JoinSet::new();
        for ((number, queue), report) in queues.iter().enumerate().zip(metrics.workers(service.shards)) {
            let shard = Shard {
                heartbeat: health.watch(Component::Worker(number)),
                metrics: metrics.clone(),
                report,
                service: service.clone(),
                queue: queue.clone(),
                shelf: shelf.clone(),
                reports: service.durability.is_some().then(|| reports.clone()),
                publisher: publisher.clone(),
                stopped: stopped.clone(),
                runtime: Handle::current(),
                observer: observer.clone(),
                known: known.clone(),
            };
            shards.spawn_blocking(move || shard.run());
        }
        drop(reports);
        let committer = service.durability.clone().map(|limits| {
            let watched = (health.watch(Component::Writer), health.clone());
            let (queues, publisher) = (queues.clone(), publisher.clone());
            let committer = Committer::new(limits, shelf, queues, publisher, watched, metrics.state.clone(), Handle::current());
            tokio::task::spawn_blocking(move || committer.run(&reported))
        });
        let router = Router {
            service,
            queues: queues.clone(),
            metrics: metrics.input.clone(),
            heartbeat: health.watch(Component::Router),
        };
        let mut routing = tokio::spawn(router.run(receiver));
        health.started_up();
        let mut dropped = 0;

        let mut ends = Vec::new();
        let asked = tokio::select! {
            () = shutdown => true,
            _ = &mut routing => false,
            Some(end) = shards.join_next() => {
                ends.push(end);
                false
            }
            () = async {
                let mut second = tokio::time::interval(SECOND);
                loop {
                    second.tick().await;
                    metrics.broker.unacknowledged.set(publisher.unacknowledged() as i64);
                    count_dropped(&session, &metrics.input, &mut dropped);
                    metrics.broker.set_connected(session.is_connected());
                    health.set_subscription(match session.state() {
                        SessionState::Disconnected => Subscription::Disconnected,
                        SessionState::Pending => Subscription::Pending,
                        SessionState::Ready => Subscription::Granted,
                        SessionState::Refused { filter } => Subscription::Refused(filter),
                    });
                }
            } => false,
        };
        info!("stopping");
        routing.abort();
        stop.send_replace(true);
        for queue in &queues {
            queue.close();
        }
        while let Some(end) = shards.join_next().await {
            ends.push(end);
        }
        let committed = match committer {
            Some(committer) => committer.await,
            None => Ok(()),
        };
        count_dropped(&session, &metrics.input, &mut dropped);
        session.shutdown().await;
        metrics.broker.set_connected(false);
        health.set_subscription(Subscription::Disconnected);
        committed.map_err(|_| DaemonError::Panic)?;
        let mut ended = Ended {
            changes: Changes::new(),
            asked,
        };
        for end in ends {
            ended.changes.extend(end.map_err(|_| DaemonError::Panic)?);
        }
        Ok(ended)
    }
}

/// Counts the messages that the session has dropped since the last time.
fn count_dropped(session: &Session, metrics: &InputMetrics, counted: &mut u64) {
    let dropped = session.dropped();
    metrics.dropped_messages.inc_by(dropped - *counted);
    *counted = dropped;
}

/// Gives every message to the thread of its stream.
struct Router {
    service: Arc<Service>,
    queues: Vec<Arc<Queue>>,
    metrics: InputMetrics,
    heartbeat: Heartbeat,
}

impl Router {
    /// Runs until the session ends. What is at QoS 0 and finds its stream's lane full is dropped and counted; the others are as few as the
    /// broker lets be unacknowledged.
    async fn run(self, mut receiver: Receiver) {
        let mut is_overloaded = false;
        loop {
            let Some(incoming) = self.heartbeat.while_waiting(receiver.recv()).await else {
                break;
            };
            // A topic of no stream is refused by the engine, whichever it is.
            let stream = self.service.stream_of(&incoming.topic).unwrap_or_default().to_owned();
            let bounded = !incoming.ack.is_awaited();
            let queue = &self.queues[shard_of(&stream, self.queues.len())];
            if !queue.push(&stream, incoming, bounded) {
                if !is_overloaded {
                    warn!(stream, "messages at QoS 0 arrive faster than they are processed; dropping");
                }
                is_overloaded = true;
                self.metrics.dropped_messages.inc();
            }
        }
    }
}
