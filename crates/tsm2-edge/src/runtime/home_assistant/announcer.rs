//! Announcer: the task that publishes the devices of Home Assistant.
//!
//! - A stream is announced with its first time step, and again after Home Assistant has started and
//!   after a connection to a broker that does not have it.
//! - With the subscription the broker hands over the devices of earlier runs. Nothing is announced
//!   before: what they have and the present ones lack is removed.
//! - Memory is bounded by `input.max_streams`; the rate by the session, and pauses between devices.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::{debug, info};
use tsm2_mqtt::{Closed, Message, Publisher};

use crate::config::{DiscoveryTopics, Prepared};
use crate::runtime::home_assistant::device::{Announced, Device};

/// The longest pause before all devices are announced again: many daemons hear one birth message.
const JITTER: Duration = Duration::from_secs(3);
/// Pause before all devices are announced after a connection: the broker hands over what it has.
const HANDED_OVER: Duration = Duration::from_millis(250);
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
    /// Of those, the ones that the broker has handed over as they are.
    at_broker: BTreeSet<String>,
    /// Streams to announce now, with what the broker has of them.
    queue: BTreeMap<String, Announced>,
    /// All of them are to be announced again, after a pause.
    again: Option<Duration>,
    /// Whether the broker has answered the first subscription.
    is_subscribed: bool,
}

/// What to do next.
enum Next {
    All(Duration),
    Stream(String, Announced),
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

    /// Whether streams are announced; otherwise devices are only removed.
    pub(crate) fn is_enabled(&self) -> bool {
        self.prepared
            .home_assistant
            .as_ref()
            .is_some_and(|announcement| announcement.is_enabled)
    }

    /// Announces a stream, unless it is or will be announced already.
    pub(crate) fn announce(&self, stream: &str) {
        let mut waiting = self.lock();
        if waiting.known.insert(stream.to_owned()) {
            waiting.queue.entry(stream.to_owned()).or_default();
        }
        drop(waiting);
        self.changed.notify_one();
    }

    fn announce_all(&self) {
        let mut waiting = self.lock();
        let at_broker = std::mem::take(&mut waiting.at_broker);
        for stream in waiting.known.difference(&at_broker).cloned().collect::<Vec<_>>() {
            waiting.queue.entry(stream).or_default();
        }
    }

    /// Announces a stream no longer.
    pub(crate) fn forget(&self, stream: &str) {
        let mut waiting = self.lock();
        waiting.known.remove(stream);
        waiting.queue.remove(stream);
    }

    /// Another broker, or one without a memory, may come next.
    pub(crate) fn disconnected(&self) {
        self.lock().at_broker.clear();
    }

    /// The broker has answered the subscription. Announces what the broker has not.
    pub(crate) fn subscribed(&self) {
        let mut waiting = self.lock();
        (waiting.is_subscribed, waiting.again) = (true, Some(HANDED_OVER));
        drop(waiting);
        self.changed.notify_one();
    }

    /// Takes a message of Home Assistant, or a device that the broker hands over; whether it was one.
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
            && let Some((stream, announced)) = Announced::read(&self.prepared, payload)
            && self.topics.stream(&stream) == topic
        {
            self.handed_over(stream, announced, payload);
        }
        true
    }

    fn handed_over(&self, stream: String, announced: Announced, payload: &[u8]) {
        let wanted = self.wanted(&stream);
        let mut waiting = self.lock();
        let is_known = waiting.known.contains(&stream) || waiting.queue.contains_key(&stream);
        if !is_known && waiting.known.len().max(waiting.queue.len()) >= self.prepared.max_streams {
            debug!(
                stream,
                "the broker has more devices than input.max_streams; this one stays as it is"
            );
            return;
        }
        if wanted.is_some() {
            waiting.known.insert(stream.clone());
        }
        match wanted.is_some_and(|device| device.json() == payload) {
            true => drop(waiting.at_broker.insert(stream)),
            false => drop(waiting.queue.insert(stream, announced)),
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// The device of a stream; `None`: it is not to be announced.
    fn wanted(&self, stream: &str) -> Option<Device> {
        let is_wanted = self.is_enabled() && self.prepared.topics.serves(stream);
        Device::of_stream(&self.prepared, stream).filter(|_| is_wanted)
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
                Next::Stream(stream, before) => self.publish_stream(&stream, &before).await,
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
                if waiting.is_subscribed
                    && let Some((stream, before)) = waiting.queue.pop_first()
                {
                    return Next::Stream(stream, before);
                }
            }
            changed.await;
        }
    }

    async fn publish_daemon(&self) -> Result<(), Closed> {
        let device = Device::of_daemon(&self.prepared).filter(|_| self.is_enabled());
        let payload = device.map_or(Vec::new(), |device| device.json());
        self.publish(self.topics.daemon().to_owned(), payload, true).await
    }

    async fn publish_stream(&self, stream: &str, before: &Announced) -> Result<(), Closed> {
        let topic = self.topics.stream(stream);
        let Some(device) = self.wanted(stream) else {
            info!(stream, "removed from Home Assistant");
            self.lock().known.remove(stream);
            self.publish(topic, Vec::new(), true).await?;
            return self.empty(before.topics()).await;
        };
        let (unread, json) = (device.unread(before), device.json());
        // Home Assistant removes an entity that is named without its settings, once.
        if let Some(removing) = device.without(before) {
            self.publish(topic.clone(), removing.json(), false).await?;
        }
        self.publish(topic.clone(), json, true).await?;
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
