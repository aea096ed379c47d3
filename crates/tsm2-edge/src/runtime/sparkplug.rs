//! Sparkplug B before the router: its messages become JSON, and nodes are asked for their births.
//!
//! Messages that no source of the configuration reads are used for what they tell about the node,
//! and acknowledged here.

use std::sync::Arc;

use tracing::info;
use tsm2_mqtt::{Message as Published, Publisher, Sparkplug, Translated};

use crate::config::Prepared;
use crate::observe::{InputMetrics, RejectionLog};
use crate::runtime::source::{Acknowledge, Message, Source};

/// A source whose Sparkplug messages are JSON.
pub(crate) struct Translating<S> {
    source: S,
    /// None: the configuration has no source of Sparkplug messages.
    sparkplug: Option<Sparkplug>,
    prepared: Arc<Prepared>,
    publisher: Publisher,
    metrics: InputMetrics,
    rejections: RejectionLog,
}

impl<S: Source> Translating<S> {
    pub(crate) fn new(source: S, prepared: Arc<Prepared>, publisher: Publisher, metrics: InputMetrics) -> Self {
        Translating {
            source,
            sparkplug: prepared.topics.has_sparkplug().then(Sparkplug::new),
            prepared,
            publisher,
            rejections: RejectionLog::new(metrics.clone()),
            metrics,
        }
    }

    /// The message with a JSON payload; `None` when there is nothing more to do with it.
    fn translated(&mut self, mut message: Message<S::Ack>) -> Option<Message<S::Ack>> {
        let Some(sparkplug) = self.sparkplug.as_mut().filter(|_| Sparkplug::is_its(&message.topic)) else {
            return Some(message);
        };
        let translated = match sparkplug.translate(&message.topic, &message.payload, message.arrived_at) {
            Ok(translated) => translated,
            Err(error) => {
                self.rejections.reject("not_sparkplug", &message.topic, &error);
                Translated::default()
            }
        };
        for _ in 0..translated.unknown_aliases {
            let why = format_args!("topic {:?}: an alias that no birth has named", message.topic);
            self.rejections.reject("unknown_alias", &message.topic, why);
        }
        if let Some(rebirth) = translated.rebirth {
            info!(topic = rebirth.topic, "asking an edge node for its births");
            let publisher = self.publisher.clone();
            let request = Published {
                topic: rebirth.topic,
                payload: rebirth.payload.into(),
                retain: false,
            };
            // Not awaited here: the session may be waiting for this very router.
            tokio::spawn(async move { publisher.publish(request).await });
        }
        match translated.json.filter(|_| self.prepared.topics.parse(&message.topic).is_ok()) {
            Some(json) => {
                message.payload = json.into();
                Some(message)
            }
            None => {
                self.metrics.messages.inc();
                message.ack.done();
                None
            }
        }
    }
}

impl<S: Source> Source for Translating<S> {
    type Ack = S::Ack;

    async fn recv(&mut self) -> Option<Message<S::Ack>> {
        loop {
            let message = self.source.recv().await?;
            if let Some(message) = self.translated(message) {
                return Some(message);
            }
        }
    }
}
