//! What passed between the daemon and the broker, as evidence: readings delivered and acknowledged, forecasts published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;
use tsm2_e2e::watcher::numbers;

use crate::packets::Packet;
use crate::proxy::Way;

/// A reading: its topic and its time as it was written.
pub type ReadingKey = (String, String);
/// A forecast: its topic and its origin.
pub type ForecastKey = (String, String);

/// All that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often each reading came to the daemon.
    pub delivered: HashMap<ReadingKey, u32>,
    /// Messages that came and are no reading.
    pub nonsense: u64,
    /// How often the daemon acknowledged a reading.
    pub acknowledged: HashMap<ReadingKey, u32>,
    /// The forecasts published, each as often as it was.
    pub forecasts: HashMap<ForecastKey, Vec<Vec<f32>>>,
    /// When each of them passed.
    pub moments: Vec<Instant>,
    /// How often the daemon said `online`.
    pub online: u64,
}

/// Hears every connection.
#[derive(Debug, Clone)]
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
}

impl Default for Witness {
    fn default() -> Self {
        Witness {
            seen: Arc::default(),
            changed: watch::channel(()).0,
        }
    }
}

/// One connection: what its packet identifiers stand for.
#[derive(Debug)]
pub struct Connection {
    witness: Witness,
    unacknowledged: HashMap<u16, ReadingKey>,
}

impl Witness {
    /// All that was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection.
    pub fn connection(&self) -> Connection {
        Connection {
            witness: self.clone(),
            unacknowledged: HashMap::new(),
        }
    }

    /// Waits until `is_so`; false when it is not so after `patience`.
    pub async fn wait(&self, patience: Duration, mut is_so: impl FnMut(&Seen) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        tokio::time::timeout(patience, async {
            while !is_so(&self.seen()) {
                // The sender lives in `self`.
                let _ = changed.changed().await;
                // Not after every packet: looking takes time.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .is_ok()
    }
}

impl Connection {
    /// A packet has passed.
    pub fn hear(&mut self, way: Way, packet: Packet) {
        let mut seen = self.witness.seen();
        match (way, packet) {
            (Way::ToDaemon, Packet::Publish { id, topic, payload }) => match time_of(&payload) {
                Some(time) => {
                    let key = (topic, time);
                    *seen.delivered.entry(key.clone()).or_default() += 1;
                    self.unacknowledged.insert(id, key);
                }
                None => seen.nonsense += 1,
            },
            (Way::ToBroker, Packet::Puback(id)) => {
                if let Some(key) = self.unacknowledged.remove(&id) {
                    *seen.acknowledged.entry(key).or_default() += 1;
                }
            }
            (Way::ToBroker, Packet::Publish { topic, payload, .. }) if topic.ends_with("/status") => {
                seen.online += u64::from(payload == b"online");
            }
            (Way::ToBroker, Packet::Publish { topic, payload, .. }) if topic.contains("/forecast/") => {
                let payload: Value = serde_json::from_slice(&payload).expect("a forecast is JSON");
                let origin = payload["origin"].as_str().expect("the origin is text").to_owned();
                seen.forecasts.entry((topic, origin)).or_default().push(numbers(&payload["mean"]));
                seen.moments.push(Instant::now());
            }
            _ => {}
        }
        drop(seen);
        self.witness.changed.send_replace(());
    }
}

fn time_of(payload: &[u8]) -> Option<String> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    Some(payload.get("time")?.as_str()?.to_owned())
}
