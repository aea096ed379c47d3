//! What a configuration reads: its sources, and what one message becomes.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::{Value, json};
use tsm2_mqtt::{Outcome, Payload, PayloadShape, Sparkplug, rfc3339};

use crate::config::{Kind, Prepared, PreparedSource};

/// One line for each source, and one for each of its variates.
pub(super) fn sources(prepared: &Prepared) -> Vec<String> {
    let variates = &prepared.bundle.meta().variates;
    let mut lines = Vec::new();
    for source in prepared.topics.sources() {
        let options = source.decoder.options();
        lines.push(format!("{:<17}  {}", source.key, source.template.as_str()));
        lines.push(format!("  {:<15}  {}", "time", time(source)));
        for (field, &variate) in options.fields.iter().zip(&source.variates) {
            let place = match &options.shape {
                PayloadShape::Fields => field.path.as_str().to_owned(),
                PayloadShape::Topic => format!("{} where the topic names {:?}", field.path.as_str(), field.name),
                PayloadShape::Named(name) => format!("{} where {} is {:?}", field.path.as_str(), name.as_str(), field.name),
            };
            let rule = &field.rule;
            let mut change = String::new();
            if rule.factor != 1.0 || rule.offset != 0.0 {
                change = format!(", times {} plus {}", rule.factor, rule.offset);
            }
            if let Some((least, most)) = rule.valid {
                change += &format!(", valid from {least} to {most}");
            }
            lines.push(format!("  {:<15}  {place}{change}", variates[variate].name));
        }
    }
    lines
}

fn time(source: &PreparedSource) -> String {
    let options = source.decoder.options();
    let zone = options.time_zone.as_ref().and_then(|zone| zone.iana_name());
    let zone = zone.map_or(String::new(), |zone| format!(", local times of {zone}"));
    match &options.time {
        _ if options.times_as_keys => format!("the names in the object{zone}"),
        Some(path) => format!("{}{zone}", path.as_str()),
        None => "of arrival".to_owned(),
    }
}

/// What a message becomes.
pub(super) struct Message {
    stream: Option<String>,
    /// Variate, time and value (none: missing).
    readings: Vec<(String, i64, Option<f32>)>,
    /// What is not used, and why.
    notes: Vec<String>,
}

impl Message {
    /// Reads a payload as the daemon would. `hex:` before it stands for bytes.
    pub(super) fn read(prepared: &Prepared, topic: &str, payload: &str) -> anyhow::Result<Self> {
        let mut bytes = match payload.strip_prefix("hex:") {
            Some(digits) => from_hex(digits).context("--message: the payload after hex: is not pairs of hexadecimal digits")?,
            None => payload.as_bytes().to_vec(),
        };
        let mut message = Message {
            stream: None,
            readings: Vec::new(),
            notes: Vec::new(),
        };
        let address = match prepared.topics.parse(topic) {
            Ok(address) => address,
            Err(error) => {
                message.notes.push(error.to_string());
                return Ok(message);
            }
        };
        message.stream = Some(address.stream.to_owned());
        if prepared.topics.has_sparkplug() && Sparkplug::is_its(topic) {
            let translated = Sparkplug::new().translate(topic, &bytes, Instant::now());
            match translated {
                Ok(translated) if translated.unknown_aliases > 0 => {
                    message
                        .notes
                        .push("aliases need the birth of the node, which this command does not have".to_owned());
                    bytes = translated.json.unwrap_or_default();
                }
                Ok(translated) => bytes = translated.json.unwrap_or_default(),
                Err(error) => message.notes.push(error.to_string()),
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut payload = Payload {
            topic,
            bytes: &bytes,
            arrival_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            retained: false,
            newest_ms: None,
            field: None,
        };
        let name = |variate: usize| prepared.bundle.meta().variates[variate].name.clone();
        match address.kind {
            Kind::FutureCovariate { variate } => match prepared.schema.future_covariates.points(&payload) {
                Ok(points) => {
                    let points = points.into_iter();
                    message
                        .readings
                        .extend(points.map(|(time_ms, value)| (name(variate), time_ms, known(value))));
                }
                Err(error) => message.notes.push(error.to_string()),
            },
            Kind::Readings(routes) => {
                for route in routes {
                    let source = &prepared.topics.sources()[route.source];
                    payload.field = route.field;
                    let Message { readings, notes, .. } = &mut message;
                    let before = (readings.len(), notes.len());
                    let decoded = source.decoder.decode(&payload, |outcome| match outcome {
                        Outcome::Value { time_ms, field, value } => readings.push((name(source.variates[field]), time_ms, known(value))),
                        Outcome::Absent { field } => {
                            let path = source.decoder.options().fields[field].path.as_str();
                            notes.push(format!(
                                "{}: {} is absent: no field {path:?}",
                                source.key,
                                name(source.variates[field])
                            ));
                        }
                        Outcome::Fault(error) => notes.push(format!("{}: {error}", source.key)),
                    });
                    notes.extend(decoded.err().map(|error| format!("{}: {error}", source.key)));
                    if before == (readings.len(), notes.len()) {
                        notes.push(format!("{}: no reading meets its conditions and names", source.key));
                    }
                }
            }
        }
        Ok(message)
    }

    pub(super) fn text(&self) -> String {
        let stream = self.stream.iter().map(|stream| format!("stream             {stream}"));
        let readings = self.readings.iter().map(|(variate, time_ms, value)| {
            let value = value.map_or("missing".to_owned(), |value| value.to_string());
            format!("{variate:<17}  {value} at {}", rfc3339(*time_ms))
        });
        let notes = self.notes.iter().map(|note| format!("not used           {note}"));
        stream.chain(readings).chain(notes).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn json(&self) -> Value {
        let reading =
            |(variate, time_ms, value): &(String, i64, Option<f32>)| json!({"variate": variate, "time": rfc3339(*time_ms), "value": value});
        json!({
            "stream": self.stream,
            "readings": self.readings.iter().map(reading).collect::<Vec<_>>(),
            "not_used": self.notes,
        })
    }
}

fn known(value: f32) -> Option<f32> {
    (!value.is_nan()).then_some(value)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2))
        .then(|| digits.chunks(2).map(pair).collect())
        .flatten()
}
