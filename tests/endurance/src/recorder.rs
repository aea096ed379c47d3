//! The recorder: what passed between the daemon and the broker. Readings delivered and acknowledged,
//! forecasts published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;
use tsm2_mqtt_testkit::test_client::numbers;

use tsm2_mqtt_testkit::packets::{self, Packet, Publish};
use tsm2_mqtt_testkit::proxy::{self, Direction};

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
pub struct Recorder {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            seen: Arc::default(),
            changed: watch::channel(()).0,
        }
    }
}

impl Recorder {
    /// All that was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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

impl proxy::Recorder for Recorder {
    fn connection(&self) -> Box<dyn FnMut(Direction, Packet) + Send> {
        let recorder = self.clone();
        // The readings that packet identifiers of this connection stand for.
        let mut unacknowledged = HashMap::new();
        Box::new(move |direction, packet| {
            recorder.seen().record(&mut unacknowledged, direction, packet);
            recorder.changed.send_replace(());
        })
    }
}

impl Seen {
    fn record(&mut self, unacknowledged: &mut HashMap<u16, ReadingKey>, direction: Direction, packet: Packet) {
        match (direction, packet) {
            (Direction::ToClient, Packet::Publish(publish)) => match time_of(&publish.payload) {
                Some(time) => {
                    let key = (packets::topic(&publish), time);
                    *self.delivered.entry(key.clone()).or_default() += 1;
                    unacknowledged.insert(publish.pkid, key);
                }
                None => self.nonsense += 1,
            },
            (Direction::ToBroker, Packet::PubAck(puback)) => {
                if let Some(key) = unacknowledged.remove(&puback.pkid) {
                    *self.acknowledged.entry(key).or_default() += 1;
                }
            }
            (Direction::ToBroker, Packet::Publish(publish)) => self.published(&publish),
            _ => {}
        }
    }

    fn published(&mut self, publish: &Publish) {
        let topic = packets::topic(publish);
        if topic.ends_with("/status") {
            self.online += u64::from(&publish.payload[..] == b"online");
        // An empty message removes the retained one of a stream that is forgotten.
        } else if topic.contains("/forecast/") && !publish.payload.is_empty() {
            let payload: Value = serde_json::from_slice(&publish.payload).expect("a forecast is JSON");
            let origin = payload["origin"].as_str().expect("the origin is text").to_owned();
            self.forecasts.entry((topic, origin)).or_default().push(numbers(&payload["mean"]));
            self.moments.push(Instant::now());
        }
    }
}

fn time_of(payload: &[u8]) -> Option<String> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    Some(payload.get("time")?.as_str()?.to_owned())
}
