//! Announcer: the task that publishes the devices of Home Assistant.
//!
//! - A stream is announced with its first time step, and again after Home Assistant has started and
//!   after each connection to the broker, which may have lost its retained messages.
//! - The broker hands over what earlier runs have announced. What is no longer wanted of it is removed.
//! - Memory is bounded by the number of streams; the rate by the session, and pauses between devices.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::info;
use tsm2_mqtt::{Closed, Message, Publisher};

use crate::config::{DiscoveryTopics, Prepared};
use crate::runtime::home_assistant::device::{Device, Earlier};

/// The longest pause before all devices are announced again: many daemons hear one birth message.
const JITTER: Duration = Duration::from_secs(3);
/// Pause after each device: a thousand of them must not fill Home Assistant's queue.
const BETWEEN: Duration = Duration::from_millis(5);
/// Home Assistant's birth message.
const ONLINE: &[u8] = b"online";

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Announcer {
    prepared: Arc<Prepared>,
    topics: DiscoveryTopics,
    publisher: Publisher,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Streams that are announced, or will be.
    known: BTreeSet<String>,
    /// Streams to announce now, with what was announced of them earlier.
    queue: BTreeMap<String, Earlier>,
    /// All of them are to be announced again, after a pause.
    again: Option<Duration>,
}

/// What to do next.
enum Next {
    All(Duration),
    Stream(String, Earlier),
}

impl Announcer {
    /// `None` without a section `home_assistant`.
    pub(crate) fn new(prepared: &Arc<Prepared>, publisher: Publisher) -> Option<Arc<Self>> {
        let topics = prepared.topics.discovery()?.clone();
        Some(Arc::new(Announcer {
            prepared: prepared.clone(),
            topics,
            publisher,
            waiting: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_enabled(&self) -> bool {
        self.prepared
            .home_assistant
            .as_ref()
            .is_some_and(|announcement| announcement.is_enabled)
    }

    /// Announces a stream.
    pub(crate) fn announce(&self, stream: &str) {
        let mut waiting = self.lock();
        waiting.known.insert(stream.to_owned());
        waiting.queue.entry(stream.to_owned()).or_default();
        drop(waiting);
        self.changed.notify_one();
    }

    fn announce_all(&self) {
        let mut waiting = self.lock();
        for stream in waiting.known.clone() {
            waiting.queue.entry(stream).or_default();
        }
    }

    /// Announces a stream no longer.
    pub(crate) fn forget(&self, stream: &str) {
        let mut waiting = self.lock();
        waiting.known.remove(stream);
        waiting.queue.remove(stream);
    }

    /// Announces everything: the broker may have lost it.
    pub(crate) fn connected(&self) {
        self.lock().again = Some(Duration::ZERO);
        self.changed.notify_one();
    }

    /// Takes a message of Home Assistant or of an earlier run; whether it was one.
    pub(crate) fn take(&self, topic: &str, payload: &[u8], is_retained: bool) -> bool {
        if topic == self.topics.birth() {
            if payload == ONLINE {
                let random = RandomState::new().hash_one(0u8);
                self.lock().again = Some(JITTER.mul_f64(random as f64 / u64::MAX as f64));
                self.changed.notify_one();
            }
            return true;
        }
        if !self.topics.is_stream(topic) {
            return false;
        }
        // What is not retained is an echo of this daemon.
        if is_retained
            && let Some((stream, earlier)) = Earlier::read(&self.prepared, payload)
            && self.topics.stream(&stream) == topic
        {
            let mut waiting = self.lock();
            if self.is_enabled() {
                waiting.known.insert(stream.clone());
            }
            waiting.queue.insert(stream, earlier);
            drop(waiting);
            self.changed.notify_one();
        }
        true
    }

    /// Publishes until the session ends.
    pub(crate) async fn run(&self) -> Closed {
        loop {
            let done = match self.next().await {
                Next::All(pause) => {
                    tokio::time::sleep(pause).await;
                    self.announce_all();
                    self.publish_daemon().await
                }
                Next::Stream(stream, earlier) => self.publish_stream(&stream, &earlier).await,
            };
            if let Err(closed) = done {
                return closed;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    async fn next(&self) -> Next {
        loop {
            let changed = self.changed.notified();
            {
                let mut waiting = self.lock();
                if let Some(pause) = waiting.again.take() {
                    return Next::All(pause);
                }
                if let Some((stream, earlier)) = waiting.queue.pop_first() {
                    return Next::Stream(stream, earlier);
                }
            }
            changed.await;
        }
    }

    async fn publish_daemon(&self) -> Result<(), Closed> {
        let device = Device::of_daemon(&self.prepared).filter(|_| self.is_enabled());
        let payload = device.map_or(Vec::new(), |device| device.json());
        self.publish(self.topics.daemon(), payload, true).await
    }

    async fn publish_stream(&self, stream: &str, earlier: &Earlier) -> Result<(), Closed> {
        let topic = self.topics.stream(stream);
        let is_wanted = self.is_enabled() && self.prepared.topics.serves(stream);
        let Some(device) = Device::of_stream(&self.prepared, stream).filter(|_| is_wanted) else {
            info!(stream, "removed from Home Assistant");
            self.lock().known.remove(stream);
            self.publish(topic, Vec::new(), true).await?;
            return self.empty(earlier.topics()).await;
        };
        let unread = device.unread(earlier);
        // Home Assistant removes an entity that is named without its settings, once.
        let removing = Device::of_stream(&self.prepared, stream).and_then(|device| device.without(earlier));
        if let Some(removing) = removing {
            self.publish(topic.clone(), removing.json(), false).await?;
        }
        self.publish(topic.clone(), device.json(), true).await?;
        self.empty(unread.iter()).await?;
        let is_gone = !self.lock().known.contains(stream);
        match is_gone {
            // Forgotten meanwhile.
            true => self.publish(topic, Vec::new(), true).await,
            false => Ok(()),
        }
    }

    async fn empty(&self, topics: impl Iterator<Item = &String>) -> Result<(), Closed> {
        for topic in topics {
            self.publish(topic.clone(), Vec::new(), true).await?;
        }
        Ok(())
    }

    async fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) -> Result<(), Closed> {
        let payload = Bytes::from(payload);
        self.publisher.publish(Message { topic, payload, retain }).await
    }
}
