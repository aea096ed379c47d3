//! Sparkplug B: the messages of edge nodes as JSON.
//!
//! `spBv1.0/GROUP/TYPE/NODE[/DEVICE]` with a protobuf payload becomes
//! `{"metrics": [{"name": "...", "value": 1.5, "timestamp": 1709510400000}]}`.
//!
//! 1. A birth (NBIRTH, DBIRTH) names the metrics of a node or device, their aliases and types. Data
//!    (NDATA, DDATA) may name a metric by its alias alone. Other message types have no readings.
//! 2. An unknown alias, or a gap in the node's sequence numbers, asks the node to send its births
//!    again, at most once in [`REBIRTH_PAUSE`].
//! 3. What is remembered is bounded: [`MAX_NODES`] nodes, [`MAX_METRICS`] metrics and devices of all
//!    nodes together, names of at most [`MAX_NAME`] bytes. The JSON is at most 200 times as long as
//!    the message.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::{Number, Value, json};

use crate::template::shortened;

/// First level of the topics.
const NAMESPACE: &str = "spBv1.0";
/// Shortest time between two requests to one node.
const REBIRTH_PAUSE: Duration = Duration::from_secs(30);
/// Most edge nodes that are remembered.
const MAX_NODES: usize = 1000;
/// Most metrics and devices of all nodes together that are remembered.
const MAX_METRICS: usize = 100_000;
/// Longest name of a group, node, device or metric, in bytes.
const MAX_NAME: usize = 256;

/// A message that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SparkplugError {
    /// Not protobuf of the expected form.
    #[error("topic {topic:?}: the payload is not Sparkplug B: {reason}")]
    NotSparkplug {
        /// Topic of the message.
        topic: String,
        /// The message of the parser.
        reason: String,
    },
    /// More nodes or metrics than are remembered.
    #[error("topic {topic:?}: more than {MAX_NODES} edge nodes, or more than {MAX_METRICS} metrics of all nodes; subscribe to fewer")]
    TooMany {
        /// Topic of the message.
        topic: String,
    },
    /// A name of a group, node or device that cannot be used.
    #[error("topic {topic:?}: a name there is longer than {MAX_NAME} bytes or has control characters; shorten it")]
    Name {
        /// Topic of the message.
        topic: String,
    },
}

/// A request to an edge node to send its births again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebirth {
    /// Where to publish it, not retained.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
}

/// What a message becomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Translated {
    /// The JSON; `None` for a message without readings.
    pub json: Option<Vec<u8>>,
    /// Metrics with an alias that no birth has named; they are left out.
    pub unknown_aliases: usize,
    /// Metrics whose name is longer than 256 bytes, is not UTF-8 or has control characters; they are
    /// left out.
    pub unusable_names: usize,
    /// A request that should be published.
    pub rebirth: Option<Rebirth>,
}

/// The metrics that births have named.
#[derive(Debug, Default)]
pub struct Sparkplug {
    nodes: HashMap<(String, String), Node>,
    /// Metrics and devices of all nodes.
    size: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// By device; none: the node itself.
    births: HashMap<Option<String>, Birth>,
    sequence: Option<u64>,
    asked: Option<Instant>,
}

/// The metrics of a node or device.
#[derive(Debug, Default)]
struct Birth {
    /// Name and data type by alias; no name: it cannot be used.
    aliases: HashMap<u64, (Option<String>, u32)>,
    /// Data types of metrics without an alias.
    types: HashMap<String, u32>,
}

#[derive(Clone, PartialEq, Message)]
struct PayloadB {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    /// As bytes, like all text: what is not UTF-8 must not cost the whole message.
    #[prost(bytes = "vec", optional, tag = "1")]
    name: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(bool, optional, tag = "7")]
    is_null: Option<bool>,
    #[prost(oneof = "MetricValue", tags = "10, 11, 12, 13, 14, 15")]
    value: Option<MetricValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum MetricValue {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(bytes = "vec", tag = "15")]
    Text(Vec<u8>),
}

/// Data type of a boolean.
const BOOLEAN: u32 = 11;

impl Sparkplug {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Sparkplug::default()
    }

    /// Whether the topic is in Sparkplug's namespace.
    pub fn is_its(topic: &str) -> bool {
        topic.strip_prefix(NAMESPACE).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Reads one message.
    ///
    /// # Errors
    /// The payload is not Sparkplug B, or names too much.
    pub fn translate(&mut self, topic: &str, payload: &[u8], now: Instant) -> Result<Translated, SparkplugError> {
        let levels: Vec<&str> = topic.split('/').collect();
        let (group, kind, node, device) = match *levels.as_slice() {
            [NAMESPACE, group, kind, node] => (group, kind, node, None),
            [NAMESPACE, group, kind, node, device] => (group, kind, node, Some(device.to_owned())),
            _ => return Ok(Translated::default()),
        };
        let is_birth = match kind {
            "NBIRTH" | "DBIRTH" => true,
            "NDATA" | "DDATA" | "DDEATH" => false,
            _ => return Ok(Translated::default()),
        };
        let payload = PayloadB::decode(payload).map_err(|error| SparkplugError::NotSparkplug {
            topic: shortened(topic),
            reason: error.to_string(),
        })?;
        if !levels.into_iter().all(is_name) {
            return Err(SparkplugError::Name { topic: shortened(topic) });
        }
        let key = (group.to_owned(), node.to_owned());
        let too_many = || SparkplugError::TooMany { topic: shortened(topic) };
        if self.nodes.len() >= MAX_NODES && !self.nodes.contains_key(&key) {
            return Err(too_many());
        }
        let state = self.nodes.entry(key).or_default();
        let mut is_whole = state.follows(payload.seq, kind == "NBIRTH");
        if is_birth {
            self.size -= state.forget(kind == "NBIRTH", &device);
            if self.size + 1 + payload.metrics.len() > MAX_METRICS {
                return Err(too_many());
            }
            let birth = Birth::of(&payload.metrics);
            self.size += birth.size();
            state.births.insert(device.clone(), birth);
        }
        let birth = state.births.get(&device);
        let (mut unknown_aliases, mut unusable_names) = (0, 0);
        let mut metrics = Vec::with_capacity(payload.metrics.len());
        for metric in &payload.metrics {
            let (name, datatype) = match metric.named(birth) {
                Ok(named) => named,
                Err(unnamed) => {
                    *match unnamed {
                        Unnamed::UnknownAlias => &mut unknown_aliases,
                        Unnamed::Unusable => &mut unusable_names,
                    } += 1;
                    continue;
                }
            };
            if let Some(value) = metric.value(datatype) {
                metrics.push(json!({"name": name, "value": value, "timestamp": metric.timestamp.or(payload.timestamp)}));
            }
        }
        is_whole &= unknown_aliases == 0;
        let is_due = state
            .asked
            .is_none_or(|asked| now.saturating_duration_since(asked) >= REBIRTH_PAUSE);
        let rebirth = (!is_whole && is_due).then(|| {
            state.asked = Some(now);
            rebirth(group, node)
        });
        Ok(Translated {
            json: (kind != "DDEATH").then(|| json!({ "metrics": metrics }).to_string().into_bytes()),
            unknown_aliases,
            unusable_names,
            rebirth,
        })
    }
}

impl Node {
    /// Whether no message of the node is missing before this one.
    fn follows(&mut self, sequence: Option<u64>, is_birth: bool) -> bool {
        let Some(sequence) = sequence else { return true };
        let before = self.sequence.replace(sequence);
        is_birth || before.is_some_and(|before| before.wrapping_add(1) % 256 == sequence || before == sequence)
    }

    /// Forgets a device, or the node and all its devices; returns their size.
    fn forget(&mut self, is_node: bool, device: &Option<String>) -> usize {
        match is_node {
            true => self.births.drain().map(|(_, birth)| birth.size()).sum(),
            false => self.births.remove(device).map_or(0, |birth| birth.size()),
        }
    }
}

impl Birth {
    fn of(metrics: &[Metric]) -> Self {
        let mut birth = Birth::default();
        for metric in metrics {
            let datatype = metric.datatype.unwrap_or_default();
            match (metric.own_name(), metric.alias) {
                (Ok(Some(name)), None) => drop(birth.types.insert(name.to_owned(), datatype)),
                (Ok(Some(name)), Some(alias)) => drop(birth.aliases.insert(alias, (Some(name.to_owned()), datatype))),
                (Err(_), Some(alias)) => drop(birth.aliases.insert(alias, (None, datatype))),
                (Ok(None), _) | (Err(_), None) => {}
            }
        }
        birth
    }

    /// Its metrics, and its device.
    fn size(&self) -> usize {
        self.aliases.len() + self.types.len() + 1
    }
}

/// A metric without a name.
enum Unnamed {
    /// No birth has named its alias.
    UnknownAlias,
    /// Its name cannot be used.
    Unusable,
}

impl Metric {
    /// The name in the message; `None`: it has an alias only.
    fn own_name(&self) -> Result<Option<&str>, Unnamed> {
        let Some(bytes) = self.name.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let name = std::str::from_utf8(bytes).ok().filter(|name| is_name(name));
        name.map(Some).ok_or(Unnamed::Unusable)
    }

    /// Its name and data type.
    fn named<'m>(&'m self, birth: Option<&'m Birth>) -> Result<(&'m str, u32), Unnamed> {
        let aliased = self.alias.zip(birth).and_then(|(alias, birth)| birth.aliases.get(&alias));
        let (name, known) = match (self.own_name()?, aliased) {
            (Some(name), Some((_, datatype))) => (name, Some(*datatype)),
            (Some(name), None) => (name, birth.and_then(|birth| birth.types.get(name)).copied()),
            (None, Some((Some(name), datatype))) => (name.as_str(), Some(*datatype)),
            (None, Some((None, _))) => return Err(Unnamed::Unusable),
            (None, None) => return Err(Unnamed::UnknownAlias),
        };
        Ok((name, self.datatype.or(known).unwrap_or_default()))
    }

    /// The value as JSON; `None` for what is no reading (a data set, a template, bytes).
    fn value(&self, datatype: u32) -> Option<Value> {
        if self.is_null == Some(true) {
            return Some(Value::Null);
        }
        let real = |number| Number::from_f64(number).map_or(Value::Null, Value::Number);
        Some(match self.value.as_ref()? {
            // Signed numbers are sent as two's complement.
            MetricValue::Int(bits) => match datatype {
                1 => json!(*bits as u8 as i8),
                2 => json!(*bits as u16 as i16),
                3 => json!(*bits as i32),
                _ => json!(bits),
            },
            MetricValue::Long(bits) if datatype == 4 => json!(*bits as i64),
            MetricValue::Long(number) => json!(number),
            MetricValue::Float(number) => real(f64::from(*number)),
            MetricValue::Double(number) => real(*number),
            MetricValue::Boolean(state) => Value::Bool(*state),
            MetricValue::Text(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
        })
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

fn rebirth(group: &str, node: &str) -> Rebirth {
    let metric = Metric {
        name: Some(b"Node Control/Rebirth".to_vec()),
        datatype: Some(BOOLEAN),
        value: Some(MetricValue::Boolean(true)),
        ..Metric::default()
    };
    let payload = PayloadB {
        metrics: vec![metric],
        ..PayloadB::default()
    };
    Rebirth {
        topic: format!("{NAMESPACE}/{group}/NCMD/{node}"),
        payload: payload.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: Option<&str>, alias: Option<u64>, datatype: Option<u32>, value: MetricValue) -> Metric {
        Metric {
            name: name.map(|name| name.as_bytes().to_vec()),
            alias,
            datatype,
            value: Some(value),
            ..Metric::default()
        }
    }

    fn bytes(seq: u64, metrics: Vec<Metric>) -> Vec<u8> {
        let (timestamp, seq) = (Some(1_709_510_400_000), Some(seq));
        PayloadB { timestamp, metrics, seq }.encode_to_vec()
    }

    fn read(translated: &Translated) -> Value {
        serde_json::from_slice::<Value>(translated.json.as_ref().unwrap()).unwrap()["metrics"].clone()
    }

    #[test]
    fn births_name_the_aliases_of_data_and_signed_numbers_keep_their_sign() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        let birth = bytes(
            0,
            vec![metric(Some("Inputs/Temp"), Some(7), Some(3), MetricValue::Int(-5_i32 as u32))],
        );
        let named = sparkplug.translate("spBv1.0/plant/NBIRTH/edge", &birth, now).unwrap();
        assert_eq!(
            read(&named),
            json!([{"name": "Inputs/Temp", "value": -5, "timestamp": 1_709_510_400_000_u64}])
        );
        let data = bytes(1, vec![metric(None, Some(7), None, MetricValue::Int(-6_i32 as u32))]);
        let data = sparkplug.translate("spBv1.0/plant/NDATA/edge", &data, now).unwrap();
        assert_eq!((read(&data)[0]["value"].clone(), data.rebirth), (json!(-6), None));
        // The same alias of a device is another one.
        let other = bytes(2, vec![metric(None, Some(7), None, MetricValue::Double(1.0))]);
        let other = sparkplug.translate("spBv1.0/plant/DDATA/edge/pump", &other, now).unwrap();
        assert_eq!((other.unknown_aliases, other.rebirth.is_some()), (1, true));
    }

    #[test]
    fn a_gap_in_the_sequence_asks_for_births_once() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        let message = |seq| bytes(seq, vec![metric(Some("t"), None, Some(10), MetricValue::Double(f64::NAN))]);
        let mut translate = |kind: &str, seq, at| {
            let topic = format!("spBv1.0/plant/{kind}/edge");
            sparkplug.translate(&topic, &message(seq), at).unwrap()
        };
        assert_eq!(translate("NBIRTH", 0, now).rebirth, None);
        assert_eq!(read(&translate("NDATA", 1, now))[0]["value"], Value::Null);
        let asked = translate("NDATA", 3, now).rebirth.expect("a request");
        assert_eq!(asked.topic, "spBv1.0/plant/NCMD/edge");
        assert_eq!(translate("NDATA", 9, now).rebirth, None, "not again at once");
        assert!(translate("NDATA", 12, now + REBIRTH_PAUSE).rebirth.is_some());
        assert_eq!(
            translate("NCMD", 0, now),
            Translated::default(),
            "what others command is no reading"
        );
    }

    #[test]
    fn the_sequence_begins_anew_after_255() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        for seq in (0..600).map(|seq| seq % 256) {
            let kind = if sparkplug.nodes.is_empty() { "NBIRTH" } else { "NDATA" };
            let translated = sparkplug
                .translate(&format!("spBv1.0/g/{kind}/n"), &bytes(seq, vec![]), now)
                .unwrap();
            assert_eq!(translated.rebirth, None, "{seq}");
        }
        let broken = sparkplug.translate("spBv1.0/g/NDATA/n", b"\xff\xff", now).unwrap_err();
        assert!(broken.to_string().contains("spBv1.0/g/NDATA/n"), "{broken}");
    }

    #[test]
    fn a_sequence_number_beyond_its_range_costs_nothing_but_a_request() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        sparkplug.translate("spBv1.0/g/NBIRTH/n", &bytes(u64::MAX, vec![]), now).unwrap();
        let next = sparkplug.translate("spBv1.0/g/NDATA/n", &bytes(7, vec![]), now).unwrap();
        assert!(next.rebirth.is_some());
    }

    #[test]
    fn one_odd_metric_name_costs_that_metric_only() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        let one = || MetricValue::Double(1.0);
        let latin = Metric {
            name: Some(b"Au\xdfen".to_vec()),
            ..metric(None, Some(3), Some(10), one())
        };
        let birth = bytes(
            0,
            vec![
                metric(Some(&"n".repeat(MAX_NAME + 1)), Some(1), Some(10), one()),
                metric(Some("line\nbreak"), None, Some(10), one()),
                latin,
                metric(Some("Inputs/Temp"), Some(2), Some(10), one()),
            ],
        );
        let born = sparkplug.translate("spBv1.0/g/NBIRTH/n", &birth, now).unwrap();
        assert_eq!((read(&born).as_array().map(Vec::len), born.unusable_names), (Some(1), 3));
        let data = bytes(1, (1..=3).map(|alias| metric(None, Some(alias), None, one())).collect());
        let data = sparkplug.translate("spBv1.0/g/NDATA/n", &data, now).unwrap();
        assert_eq!(read(&data)[0]["name"], "Inputs/Temp");
        // The births would bring the same names again.
        assert_eq!((data.unusable_names, data.unknown_aliases, data.rebirth), (2, 0, None));
    }

    #[test]
    fn a_text_that_is_not_utf_8_costs_no_message() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        let unit = metric(Some("unit"), None, Some(12), MetricValue::Text(b"\xb0C".to_vec()));
        let birth = bytes(0, vec![unit, metric(Some("t"), None, Some(10), MetricValue::Double(1.0))]);
        let born = sparkplug.translate("spBv1.0/g/NBIRTH/n", &birth, now).unwrap();
        assert_eq!(
            (&read(&born)[0]["value"], &read(&born)[1]["value"]),
            (&json!("\u{fffd}C"), &json!(1.0))
        );
    }

    #[test]
    fn a_hostile_node_takes_little_memory() {
        let (mut sparkplug, now) = (Sparkplug::new(), Instant::now());
        let named = |count: usize, name: &str| {
            let metrics = (0..count as u64).map(|alias| metric(Some(name), Some(alias), Some(11), MetricValue::Boolean(true)));
            bytes(0, metrics.collect())
        };
        let long = "n".repeat(60_000);
        let topic = format!("spBv1.0/g/DBIRTH/n/{long}");
        let error = sparkplug.translate(&topic, &named(1, "t"), now).unwrap_err();
        assert!(
            matches!(error, SparkplugError::Name { .. }) && error.to_string().len() < 400,
            "{error}"
        );
        let born = sparkplug.translate("spBv1.0/g/NBIRTH/n", &named(100, &long), now).unwrap();
        assert_eq!((born.unusable_names, sparkplug.nodes.len()), (100, 1));
        let births = sparkplug.nodes.values().flat_map(|node| node.births.values());
        assert!({ births }.flat_map(|birth| birth.aliases.values()).all(|(name, _)| name.is_none()));
        sparkplug.nodes.clear();
        sparkplug.size = 0;
        let message = named(10_000, &"n".repeat(MAX_NAME));
        let birth = |number| format!("spBv1.0/g/DBIRTH/n{number}/d");
        let known = |number| sparkplug.translate(&birth(number), &message, now).is_ok();
        assert_eq!((0..20).map(known).filter(|&is_known| is_known).count(), 9, "of all nodes together");
        for _ in 0..20 {
            sparkplug.translate(&birth(0), &message, now).unwrap();
        }
        assert_eq!(sparkplug.size, 9 * 10_001, "a birth replaces the earlier one");
        // Data by alias, the shortest message of the longest JSON.
        let data = bytes(
            1,
            (0..10_000)
                .map(|alias| metric(None, Some(alias), None, MetricValue::Boolean(true)))
                .collect(),
        );
        let json = sparkplug.translate("spBv1.0/g/DDATA/n0/d", &data, now).unwrap().json.unwrap();
        assert!(json.len() < 200 * data.len(), "{} of {}", json.len(), data.len());
    }
}
