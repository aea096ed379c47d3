//! A client that publishes readings, and receives what the daemon publishes.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;
use tsm2_mqtt::{Message, Publisher, Receiver, Session, SessionOptions};

use crate::TIMEOUT;

/// A client with a session of its own.
pub struct TestClient {
    session: Session,
    publisher: Publisher,
    receiver: Receiver,
    /// Messages from before the first call: retained ones.
    early: VecDeque<(String, Bytes)>,
}

/// A forecast as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Its topic.
    pub topic: String,
    /// Time of the last reading used.
    pub origin: String,
    /// The forecast.
    pub mean: Vec<f32>,
    /// The whole payload.
    pub payload: Value,
}

impl TestClient {
    /// Connects and subscribes.
    pub async fn connect(port: u16, filters: &[&str]) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("client-{}-{number}", std::process::id());
        let ready = format!("client/{name}");
        Self::connect_with(SessionOptions::new("127.0.0.1", port, name), &ready, filters).await
    }

    /// Connects with options of its own; it must be allowed to write and read the topic `ready`.
    pub async fn connect_with(options: SessionOptions, ready: &str, filters: &[&str]) -> Self {
        // The client's own `online` means that its subscriptions are granted.
        let options = SessionOptions {
            filters: filters.iter().map(|f| (*f).to_owned()).chain([ready.to_owned()]).collect(),
            status_topic: Some(ready.to_owned()),
            ..options
        };
        let (session, publisher, receiver) = Session::start(options).expect("valid options");
        let mut client = TestClient {
            session,
            publisher,
            receiver,
            early: VecDeque::new(),
        };
        let mut early = VecDeque::new();
        loop {
            let message = client.next().await;
            if message.0 == ready {
                break;
            }
            early.push_back(message);
        }
        client.early = early;
        client
    }

    /// The next message: topic and payload.
    pub async fn next(&mut self) -> (String, Bytes) {
        if let Some(early) = self.early.pop_front() {
            return early;
        }
        let incoming = tokio::time::timeout(TIMEOUT, self.receiver.recv())
            .await
            .expect("a message in time")
            .expect("a session");
        incoming.ack.done();
        (incoming.topic, incoming.payload)
    }

    /// Waits for a message with this topic and payload, skipping others.
    pub async fn wait_for(&mut self, topic: &str, payload: &str) {
        while self.next().await != (topic.to_owned(), Bytes::copy_from_slice(payload.as_bytes())) {}
    }

    /// The next forecast, skipping other messages.
    pub async fn forecast(&mut self) -> Forecast {
        loop {
            let (topic, payload) = self.next().await;
            if !topic.contains("/forecast/") {
                continue;
            }
            let payload: Value = serde_json::from_slice(&payload).expect("a forecast is JSON");
            let mean = numbers(&payload["mean"]);
            let origin = payload["origin"].as_str().expect("the origin is text").to_owned();
            return Forecast {
                topic,
                origin,
                mean,
                payload,
            };
        }
    }

    /// Publishes and waits until the broker has it.
    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes>) {
        self.send(topic, payload, false).await;
    }

    /// Publishes a retained message and waits until the broker has it.
    pub async fn publish_retained(&self, topic: &str, payload: impl Into<Bytes>) {
        self.send(topic, payload, true).await;
    }

    async fn send(&self, topic: &str, payload: impl Into<Bytes>, retain: bool) {
        let message = Message {
            topic: topic.to_owned(),
            payload: payload.into(),
            retain,
        };
        self.publisher.publish(message).await.expect("an open session");
        tokio::time::timeout(TIMEOUT, self.publisher.flush())
            .await
            .expect("acknowledged in time")
            .expect("an open session");
    }

    /// Disconnects.
    pub async fn end(self) {
        self.session.shutdown().await;
    }
}

/// The numbers of a JSON array.
pub fn numbers(array: &Value) -> Vec<f32> {
    let array = array.as_array().expect("an array");
    array.iter().map(|number| number.to_string().parse().expect("numbers")).collect()
}
