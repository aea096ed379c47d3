//! Listening: what a broker carries, topic by topic.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use tsm2_mqtt::{Session, SessionOptions};

/// Most topics that are remembered.
const MAX_TOPICS: usize = 20_000;
/// Messages of a topic that are kept.
const KEPT: usize = 3;
/// Largest payload that is kept.
const MAX_PAYLOAD: usize = 64 * 1024;

/// The messages of one topic.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How many came, retained ones excepted.
    pub(super) live: u64,
    /// The newest payloads, with milliseconds since 1970-01-01 UTC.
    pub(super) payloads: Vec<(i64, Vec<u8>)>,
    first_ms: i64,
    last_ms: i64,
}

impl Heard {
    /// Seconds between messages, where more than one came.
    pub(super) fn cadence_s(&self) -> Option<f64> {
        (self.live > 1).then(|| (self.last_ms - self.first_ms) as f64 / 1e3 / (self.live - 1) as f64)
    }
}

/// Listens for a while.
///
/// # Errors
/// No connection, or the broker refuses the subscription.
pub(super) async fn listen(
    options: SessionOptions,
    duration: Duration,
    end: impl Future<Output = ()>,
) -> anyhow::Result<BTreeMap<String, Heard>> {
    let mut topics = BTreeMap::<String, Heard>::new();
    let (session, _publisher, mut receiver) = Session::start(options)?;
    let collect = async {
        while let Some(message) = receiver.recv().await {
            message.ack.done();
            if message.payload.len() > MAX_PAYLOAD || (topics.len() >= MAX_TOPICS && !topics.contains_key(&message.topic)) {
                continue;
            }
            let since = message.arrived.duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            let heard = topics.entry(message.topic).or_default();
            if !message.retain {
                if heard.live == 0 {
                    heard.first_ms = now_ms;
                }
                heard.live += 1;
                heard.last_ms = now_ms;
            }
            if heard.payloads.len() == KEPT {
                heard.payloads.remove(0);
            }
            heard.payloads.push((now_ms, message.payload.to_vec()));
        }
    };
    tokio::select! {
        () = collect => {}
        () = tokio::time::sleep(duration) => {}
        () = end => {}
    }
    let state = session.state();
    session.shutdown().await;
    match state {
        tsm2_mqtt::SessionState::Refused { filter } => anyhow::bail!("the broker refuses the subscription to {filter:?}"),
        tsm2_mqtt::SessionState::Disconnected => anyhow::bail!("no connection to the broker"),
        _ => Ok(topics),
    }
}
