//! The discovery message of a device, and what an earlier one had announced.
//!
//! Invariants, as Home Assistant 2026.11 demands them: no key that its schema does not have; every
//! component has `platform` and `unique_id`; unit and device class fit ([`Quantity`]); no ID of a
//! component has a space. IDs depend on the prefix, the stream and the variate, and on nothing that
//! is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tsm2_mqtt::{MAX_NAME, topic_level};

use crate::config::{Prepared, Quantity, discovery_id};

/// Who announces.
const ORIGIN: &str = "TSM2 Edge";
/// Time steps after which a sensor without new values is unavailable, at least: a slow device is
/// not a dead one.
const LEAST_STEPS: u64 = 10;
/// The same in seconds.
const LEAST_EXPIRY_S: u64 = 60;

/// A discovery message.
#[derive(Debug, Serialize)]
pub(crate) struct Device {
    device: Info,
    origin: Origin,
    /// Where the daemon says `online` and `offline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_topic: Option<String>,
    qos: u8,
    components: BTreeMap<String, Component>,
}

#[derive(Debug, Serialize)]
struct Info {
    identifiers: [String; 1],
    name: String,
    manufacturer: &'static str,
    model: String,
    sw_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    via_device: Option<String>,
}

#[derive(Debug, Serialize)]
struct Origin {
    name: &'static str,
    sw_version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Component {
    Entity(Box<Entity>),
    /// Removes the entity that an earlier message announced.
    Removed {
        platform: String,
    },
}

/// An entity; keys without a value are absent.
#[derive(Debug, Default, Serialize)]
struct Entity {
    platform: &'static str,
    unique_id: String,
    name: String,
    state_topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_attributes_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_of_measurement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_on: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_off: Option<&'static str>,
}

/// What a message at the broker, of this daemon or an earlier run, announces of a stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// ID and platform of each component.
    components: BTreeMap<String, String>,
    /// Topics with its values.
    topics: BTreeSet<String>,
}

impl Device {
    /// The daemon: the device that the streams' devices are reached through.
    pub(crate) fn of_daemon(prepared: &Prepared) -> Option<Device> {
        let announcement = prepared.home_assistant.as_ref()?;
        let id = daemon_id(prepared);
        let connected = Entity {
            platform: "binary_sensor",
            unique_id: format!("{id}connected"),
            name: "Connected".to_owned(),
            state_topic: prepared.topics.status(),
            device_class: Some("connectivity"),
            entity_category: Some("diagnostic"),
            payload_on: Some("online"),
            payload_off: Some("offline"),
            ..Entity::default()
        };
        Some(Device {
            device: Info::new(prepared, id, announcement.name.clone(), None),
            origin: Origin::new(),
            availability_topic: None,
            qos: 1,
            components: BTreeMap::from([("connected".to_owned(), connected.into())]),
        })
    }

    /// A stream.
    pub(crate) fn of_stream(prepared: &Prepared, stream: &str) -> Option<Device> {
        prepared.home_assistant.as_ref()?;
        let id = daemon_id(prepared) + stream;
        let targets = 0..prepared.topics.targets();
        let components = targets.flat_map(|variate| entities(prepared, stream, &id, variate));
        Some(Device {
            device: Info::new(prepared, id.clone(), stream.to_owned(), Some(daemon_id(prepared))),
            origin: Origin::new(),
            availability_topic: Some(prepared.topics.status()),
            qos: 1,
            components: components.map(|(id, entity)| (id, entity.into())).collect(),
        })
    }

    /// This device with what an earlier message had announced in addition as removed; `None`: nothing.
    pub(crate) fn without(mut self, before: &Announced) -> Option<Device> {
        let gone: Vec<_> = before
            .components
            .iter()
            .filter(|(id, _)| !self.components.contains_key(*id))
            .collect();
        if gone.is_empty() {
            return None;
        }
        let removed = gone.into_iter().map(|(id, platform)| {
            (
                id.clone(),
                Component::Removed {
                    platform: platform.clone(),
                },
            )
        });
        self.components.extend(removed);
        Some(self)
    }

    /// Topics of an earlier message that no entity reads any more.
    pub(crate) fn unread(&self, before: &Announced) -> Vec<String> {
        let read: BTreeSet<&String> = { self.components.values() }
            .filter_map(|component| match component {
                Component::Entity(entity) => Some(entity),
                Component::Removed { .. } => None,
            })
            .flat_map(|entity| entity.json_attributes_topic.iter().chain([&entity.state_topic]))
            .collect();
        before.topics.iter().filter(|topic| !read.contains(topic)).cloned().collect()
    }

    /// The message.
    pub(crate) fn json(&self) -> Vec<u8> {
        // Text and numbers are always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl From<Entity> for Component {
    fn from(entity: Entity) -> Self {
        Component::Entity(Box::new(entity))
    }
}

impl Info {
    fn new(prepared: &Prepared, id: String, name: String, via_device: Option<String>) -> Self {
        Info {
            identifiers: [id],
            name,
            manufacturer: ORIGIN,
            model: prepared.bundle.meta().name.clone(),
            sw_version: env!("CARGO_PKG_VERSION"),
            via_device,
        }
    }
}

impl Origin {
    fn new() -> Self {
        Origin {
            name: ORIGIN,
            sw_version: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl Announced {
    /// Reads a discovery message of this daemon; the stream and what it announced. `None` for others.
    pub(crate) fn read(prepared: &Prepared, payload: &[u8]) -> Option<(String, Announced)> {
        #[derive(Deserialize)]
        struct Message {
            device: Identity,
            components: BTreeMap<String, Component>,
        }
        #[derive(Deserialize)]
        struct Identity {
            identifiers: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Component {
            platform: String,
            unique_id: Option<String>,
            state_topic: Option<String>,
            json_attributes_topic: Option<String>,
        }
        let message: Message = serde_json::from_slice(payload).ok()?;
        let stream = message.device.identifiers.first()?.strip_prefix(&daemon_id(prepared))?.to_owned();
        let is_level = |name: &str| !name.is_empty() && name.len() <= MAX_NAME && topic_level(name) == name;
        if !is_level(&stream) {
            return None;
        }
        // Nobody makes the daemon empty topics that are not its own.
        let own = format!("{}/{stream}/home_assistant/", prepared.topics.prefix());
        let is_own = |topic: &String| {
            let variate = topic.strip_prefix(&own).map(|rest| rest.strip_suffix("/forecast").unwrap_or(rest));
            variate.is_some_and(is_level)
        };
        let mut announced = Announced::default();
        for (id, component) in message.components {
            if component.unique_id.is_none() {
                continue;
            }
            let topics = component.state_topic.into_iter().chain(component.json_attributes_topic);
            announced.topics.extend(topics.filter(is_own));
            announced.components.insert(id, component.platform);
        }
        Some((stream, announced))
    }

    /// Topics with values.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &String> {
        self.topics.iter()
    }
}

/// The longest discovery message of a configuration, in bytes.
pub(crate) fn largest_device(prepared: &Prepared) -> usize {
    Device::of_stream(prepared, &"x".repeat(MAX_NAME)).map_or(0, |device| device.json().len())
}

/// The ID of the daemon; those of its streams begin with it. The last character is no part of a prefix:
/// the ID of a stream `a` of `tsm2` is not that of a daemon with the prefix `tsm2/a`.
fn daemon_id(prepared: &Prepared) -> String {
    format!("tsm2-edge:{}/", prepared.topics.prefix())
}

/// The entities of a target variate, with the IDs of their components.
fn entities(prepared: &Prepared, stream: &str, stream_id: &str, variate: usize) -> Vec<(String, Entity)> {
    let (meta, topics) = (prepared.bundle.meta(), &prepared.topics);
    let Some(announcement) = &prepared.home_assistant else {
        return Vec::new();
    };
    let (name, quantity) = (&meta.targets()[variate].name, &announcement.quantities[variate]);
    let level = discovery_id(name);
    let interval_ms = prepared.schema.resampler.interval_ms;
    let steps = (meta.config.horizon as u64).max(LEAST_STEPS);
    let expire_after = steps.saturating_mul(interval_ms).div_ceil(1000).max(LEAST_EXPIRY_S);
    let entity = |key: &str, name: String| Entity {
        platform: "sensor",
        unique_id: format!("{stream_id}/{level}/{key}"),
        name,
        state_topic: topics.sensor_values(stream, variate),
        value_template: Some(format!("{{{{ value_json['{key}'] }}}}")),
        expire_after: Some(expire_after),
        ..Entity::default()
    };
    let value = |key: &str, name: String| entity(key, name).of(quantity);
    let time = |key: &str, name: String| Entity {
        device_class: Some("timestamp"),
        ..entity(key, name)
    };
    let mut found = Vec::new();
    for &step in &announcement.steps {
        let after = span((step as u64).saturating_mul(interval_ms));
        let key = format!("step_{step}");
        found.push((key.clone(), value(&key, format!("{name} in {after}"))));
    }
    found.push(("maximum".into(), value("maximum", format!("{name} maximum"))));
    found.push(("maximum_time".into(), time("maximum_time", format!("{name} maximum at"))));
    found.push(("minimum".into(), value("minimum", format!("{name} minimum"))));
    found.push(("minimum_time".into(), time("minimum_time", format!("{name} minimum at"))));
    for threshold in &prepared.publication.thresholds[variate] {
        let key = format!("threshold_{threshold}");
        found.push((key.clone(), time(&key, format!("{name} reaches {threshold}"))));
    }
    let score = Entity {
        state_class: Some("measurement"),
        ..entity("score", format!("{name} anomaly score"))
    };
    found.push(("score".into(), score));
    let attributes = topics.sensor_attributes(stream, variate);
    let forecast = Entity {
        state_topic: attributes.clone(),
        json_attributes_topic: Some(attributes),
        expire_after: Some(expire_after.max(announcement.forecast_every.as_secs().saturating_mul(3))),
        ..time("origin", format!("{name} forecast"))
    };
    found.push(("origin".into(), forecast));
    found.into_iter().map(|(key, entity)| (format!("{level}_{key}"), entity)).collect()
}

impl Entity {
    /// As a value of this quantity.
    fn of(self, quantity: &Quantity) -> Self {
        let is_total = quantity.class.is_some_and(|class| !class.is_measurement);
        let is_direction = quantity.class.is_some_and(|class| class.name == "wind_direction");
        Entity {
            device_class: quantity.class.map(|class| class.name),
            unit_of_measurement: quantity.unit.clone(),
            state_class: match (is_total, is_direction) {
                // The forecast of a counter is no counter.
                (true, _) => None,
                (false, true) => Some("measurement_angle"),
                (false, false) => Some("measurement"),
            },
            ..self
        }
    }
}

/// A time span in the largest unit that divides it.
fn span(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match units.iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{} {unit}", ms / size),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_whole_units() {
        for (ms, text) in [
            (86_400_000, "1 d"),
            (5_400_000, "90 min"),
            (7_200_000, "2 h"),
            (1500, "1500 ms"),
            (15_000, "15 s"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
