//! Sparkplug B before the router: its messages become JSON, and nodes are asked for their births.
//!
//! Messages that no source of the configuration reads are used for what they tell about the node,
//! and acknowledged here.

use std::sync::Arc;

use tracing::info;
use tsm2_mqtt::{Message as Published, PayloadError, Publisher, Sparkplug, Translated};

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
        let max_payload = self.prepared.session.max_payload;
        let translated = if message.payload.len() > max_payload {
            let topic = message.topic.clone();
            let error = PayloadError::TooLarge { topic, max_payload };
            self.rejections.reject(error.reason(), &message.topic, &error);
            Translated::default()
        } else {
            match sparkplug.translate(&message.topic, &message.payload, message.arrived_at) {
                Ok(translated) => translated,
                Err(error) => {
                    self.rejections.reject("not_sparkplug", &message.topic, &error);
                    Translated::default()
                }
            }
        };
        for _ in 0..translated.unknown_aliases {
            let why = format_args!("topic {:?}: an alias that no birth has named", message.topic);
            self.rejections.reject("unknown_alias", &message.topic, why);
        }
        for _ in 0..translated.unusable_names {
            let why = format_args!(
                "topic {:?}: the name of a metric is longer than 256 bytes, is not UTF-8 or has control characters; rename it",
                message.topic
            );
            self.rejections.reject("metric_name", &message.topic, why);
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
                if let Some(budget) = &mut message.budget {
                    budget.replace_payload(message.payload.len(), json.len());
                }
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use tsm2_mqtt::{Payload, Sparkplug};

    use crate::config::{Config, Prepared, prepare};

    /// With a Sparkplug source of two variates.
    fn prepared() -> Prepared {
        let folder = env!("CARGO_MANIFEST_DIR");
        let text = format!(
            "model.bundle = '{folder}/../../models/etth1/model.safetensors'\ninput.stream = 's'\n\
             [[source]]\nformat = 'sparkplug'\ntopic = 'spBv1.0/g/+/n'\nvalues = ['HUFL', 'OT']\n"
        );
        prepare(&Config::parse(&text, Path::new("edge.toml"), []).unwrap()).unwrap()
    }

    #[test]
    fn a_birth_whose_json_is_longer_than_a_payload_may_be_is_read() {
        let prepared = prepared();
        let metric = |name: String| {
            let fields = [&[0x0a, name.len() as u8], name.as_bytes(), &[0x20, 9, 0x65, 0, 0, 0x20, 0x41]].concat();
            [&[0x12, fields.len() as u8], &fields[..]].concat()
        };
        let others = (0..2000).map(|number| metric(format!("Inputs/{number}")));
        let timestamp = vec![0x08, 1];
        let birth: Vec<u8> = [timestamp]
            .into_iter()
            .chain(others)
            .chain([metric("OT".to_owned())])
            .flatten()
            .collect();
        assert!(birth.len() < prepared.session.max_payload);
        let translated = Sparkplug::new().translate("spBv1.0/g/NBIRTH/n", &birth, Instant::now()).unwrap();
        let payload = Payload {
            topic: "spBv1.0/g/NBIRTH/n",
            bytes: &translated.json.unwrap(),
            arrival_ms: 0,
            retained: false,
            newest_ms: None,
            field: None,
        };
        let mut values = Vec::new();
        let read = prepared.topics.sources()[0]
            .decoder
            .decode(&payload, |outcome| values.push(outcome));
        assert_eq!(read, Ok(()));
        assert_eq!(values.len(), 1, "{values:?}");
    }

    #[test]
    fn a_source_that_names_its_variates_may_send_a_message_for_each() {
        assert_eq!(prepared().topics.messages_per_step(), 2);
    }
}
