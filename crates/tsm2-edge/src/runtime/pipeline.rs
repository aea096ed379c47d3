//! One session's way through the model: a thread per core that takes its messages through an engine, and a committer.
//!
//! Invariants: the model never runs where the connection is polled; all messages of a stream go through the same thread, in order; a message
//! is acknowledged after its forecasts are handed over and the state that contains it is durable, so that one cut short by a stop comes again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};
use tsm2_mqtt::{Publisher, Receiver, Session};

use crate::config::service::Service;
use crate::observe::vitals::{Part, Vitals};
use crate::runtime::committer::Committer;
use crate::runtime::daemon::{DaemonError, Observation};
use crate::runtime::fair::FairQueue;
use crate::runtime::report::Summary;
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
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) observer: Option<mpsc::UnboundedSender<Observation>>,
}

/// How a pipeline ended.
pub(crate) struct Ended {
    pub(crate) summary: Summary,
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
            vitals,
            observer,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let queues: Vec<Arc<Queue>> = (0..service.shards).map(|_| Arc::new(FairQueue::new())).collect();
        let (reports, reported) = std::sync::mpsc::channel();
        let mut shards = JoinSet::new();
        for (number, queue) in queues.iter().enumerate() {
            let shard = Shard {
                number,
                vitals: vitals.clone(),
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
            let committer = Committer::new(limits, shelf, queues.clone(), publisher.clone(), vitals.clone(), Handle::current());
            tokio::task::spawn_blocking(move || committer.run(&reported))
        });
        let router = Router {
            service,
            queues: queues.clone(),
            overload: Arc::default(),
            vitals: vitals.clone(),
        };
        let overload = router.overload.clone();
        let mut routing = tokio::spawn(router.run(receiver));
        vitals.restored();

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
                    vitals.unacknowledged_publishes(publisher.unacknowledged());
                    vitals.dropped(session.dropped() + overload.load(Ordering::Relaxed));
                    vitals.connected(session.is_connected());
                }
            } => false,
        };
        info!("stopping");
        routing.abort();
        vitals.ended(Part::Router);
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
        let dropped = session.dropped() + overload.load(Ordering::Relaxed);
        session.shutdown().await;
        vitals.connected(false);
        committed.map_err(|_| DaemonError::Panic)?;
        let mut ended = Ended {
            summary: Summary::default(),
            changes: Changes::new(),
            asked,
        };
        for end in ends {
            let (part, changes) = end.map_err(|_| DaemonError::Panic)?;
            ended.summary += &part;
            ended.changes.extend(changes);
        }
        if dropped > 0 {
            ended.summary.refused.insert("overload", dropped);
        }
        Ok(ended)
    }
}

/// Gives every message to the thread of its stream.
struct Router {
    service: Arc<Service>,
    queues: Vec<Arc<Queue>>,
    /// Messages dropped.
    overload: Arc<AtomicU64>,
    vitals: Arc<Vitals>,
}

impl Router {
    /// Runs until the session ends. What is at QoS 0 and finds its stream's lane full is dropped and counted; the others are as few as the
    /// broker lets be unacknowledged.
    async fn run(self, mut receiver: Receiver) {
        loop {
            self.vitals.beat(Part::Router);
            let incoming = match tokio::time::timeout(SECOND, receiver.recv()).await {
                Ok(Some(incoming)) => incoming,
                Ok(None) => break,
                Err(_) => continue,
            };
            // A topic of no stream is refused by the engine, whichever it is.
            let stream = self.service.stream_of(&incoming.topic).unwrap_or_default().to_owned();
            let bounded = !incoming.ack.is_awaited();
            let queue = &self.queues[shard_of(&stream, self.queues.len())];
            if !queue.push(&stream, incoming, bounded) && self.overload.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(stream, "messages at QoS 0 arrive faster than they are dealt with; dropping");
            }
        }
    }
}
