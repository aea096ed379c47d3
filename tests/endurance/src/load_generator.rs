//! The sensors: rows of readings at a steady rate, straight to the broker, each until the broker has it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tsm2_mqtt::{Message, Session, SessionOptions};

use crate::readings::{STREAMS, VARIATES, payload, row, time_ms, topic};

/// Messages that go along with a row.
pub type Extra = Box<dyn FnMut(i64) -> Vec<(String, Bytes)> + Send>;

/// What to send.
pub struct Feed {
    /// The first row.
    pub from: i64,
    /// Where to end; else at [`LoadGenerator::stop`].
    pub until: Option<i64>,
    /// Rows of all streams, per second.
    pub rows_per_s: u32,
    /// How far the sensors' clock is off, in milliseconds.
    pub clock_ms: i64,
    /// What else to send with each row.
    pub extra: Option<Extra>,
}

impl Default for Feed {
    fn default() -> Self {
        Feed {
            from: 0,
            until: None,
            rows_per_s: 50,
            clock_ms: 0,
            extra: None,
        }
    }
}

/// Sensors at work.
pub struct LoadGenerator {
    stop: watch::Sender<bool>,
    task: JoinHandle<i64>,
}

impl LoadGenerator {
    /// Begins to send to the broker.
    pub fn start(port: u16, feed: Feed) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(send(port, feed, stopped));
        LoadGenerator { stop, task }
    }

    /// Ends after the present row; the row after the last that the broker has.
    pub async fn stop(self) -> i64 {
        self.stop.send_replace(true);
        self.task.await.expect("the sensors end")
    }

    /// Waits for the last row to be with the broker; the row after it.
    pub async fn done(self) -> i64 {
        self.task.await.expect("the sensors end")
    }
}

async fn send(port: u16, mut feed: Feed, stopped: watch::Receiver<bool>) -> i64 {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let options = SessionOptions::new("127.0.0.1", port, format!("sensors-{}-{number}", std::process::id()));
    let (session, publisher, _receiver) = Session::start(options).expect("valid options");
    session.connected().await;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / feed.rows_per_s);
    let mut index = feed.from;
    while !*stopped.borrow() && feed.until.is_none_or(|until| index < until) {
        pace.tick().await;
        let time = time_ms(index) + feed.clock_ms;
        let mut messages = feed.extra.as_mut().map(|extra| extra(index)).unwrap_or_default();
        for stream in STREAMS {
            let values = VARIATES.iter().zip(row(stream, index));
            messages.extend(values.map(|(variate, value)| (topic(stream, variate), payload(time, value))));
        }
        for (topic, payload) in messages {
            let message = Message {
                topic,
                payload,
                retain: false,
            };
            publisher.publish(message).await.expect("an open session");
        }
        index += 1;
    }
    publisher.flush().await.expect("an open session");
    session.shutdown().await;
    index
}
