//! Recognising: which make a topic belongs to, which numbers its payloads have, and their time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::listen::Heard;
use crate::config::{Preset, known_word};

/// Deepest objects that are looked into.
const MAX_DEPTH: usize = 5;
/// Most numbers of one topic.
const MAX_NUMBERS: usize = 100;
/// How far a time may be from its arrival to be a time of the reading.
const NEAR_MS: i64 = 2 * 24 * 3600 * 1000;

/// What becomes one `[[source]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Device {
    /// None: `name` is the topic.
    pub(super) preset: Option<Preset>,
    /// The device in the preset's topics, or the topic.
    pub(super) name: String,
    pub(super) time_field: Option<String>,
    /// Whether a time was seen that has no offset.
    pub(super) has_local_time: bool,
    pub(super) cadence_s: Option<f64>,
    pub(super) numbers: Vec<Number>,
}

/// A number in the messages of a device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// Its path, or the name in the topic.
    pub(super) path: String,
    pub(super) example: f64,
    pub(super) unit: Option<&'static str>,
}

/// The devices behind topics, by make and name.
pub(super) fn devices(topics: &BTreeMap<String, Heard>) -> Vec<Device> {
    let mut devices = BTreeMap::<(String, String), Device>::new();
    for (topic, heard) in topics {
        let Some(found) = device(topic, heard) else { continue };
        let key = (found.preset.map_or("", Preset::name).to_owned(), found.name.clone());
        match devices.get_mut(&key) {
            None => drop(devices.insert(key, found)),
            Some(device) => {
                device.numbers.extend(found.numbers);
                let cadences = [device.cadence_s, found.cadence_s].into_iter().flatten();
                device.cadence_s = cadences.reduce(f64::max);
            }
        }
    }
    devices.into_values().collect()
}

fn device(topic: &str, heard: &Heard) -> Option<Device> {
    let payloads: Vec<(i64, Value)> = heard.payloads.iter().filter_map(|(ms, bytes)| Some((*ms, value(bytes)?))).collect();
    let (arrival_ms, newest) = payloads.last()?;
    let levels: Vec<&str> = topic.split('/').collect();
    let device = |preset, name: &str, numbers: Vec<Number>| {
        (!numbers.is_empty()).then(|| Device {
            preset,
            name: name.to_owned(),
            time_field: None,
            has_local_time: false,
            cadence_s: heard.cadence_s(),
            numbers,
        })
    };
    // Numbers that any of the payloads has: many devices send only what has changed.
    let numbers_at = |place: &[&str]| {
        let inner = payloads
            .iter()
            .filter_map(|(_, value)| place.iter().try_fold(value, |at, name| at.get(name)));
        let mut all = Vec::<Number>::new();
        for number in inner.flat_map(numbers) {
            match all.iter_mut().find(|known| known.path == number.path) {
                Some(known) => *known = number,
                None => all.push(number),
            }
        }
        all
    };
    match levels.as_slice() {
        // What Home Assistant is told about devices, and what is told to devices.
        [
            ..,
            "config" | "set" | "get" | "command" | "cmnd" | "availability" | "LWT" | "INFO1" | "INFO2" | "INFO3",
        ] => None,
        ["zigbee2mqtt", "bridge", ..] | ["cmnd", ..] | ["stat", ..] | ["spBv1.0", ..] => None,
        [.., "forecast" | "metrics" | "residual", _] => None,
        ["zigbee2mqtt", name @ ..] if newest.is_object() => device(Some(Preset::Zigbee2Mqtt), &name.join("/"), numbers_at(&[])),
        ["tele", name, "SENSOR"] => {
            let mut found = device(Some(Preset::Tasmota), name, numbers_at(&[]))?;
            found.has_local_time = newest.get("Time").is_some_and(Value::is_string);
            Some(found)
        }
        ["tele", ..] => None,
        [name @ .., "events", "rpc"] => device(Some(Preset::Shelly), &name.join("/"), numbers_at(&["params"])),
        ["v3", _, "devices", name, "up"] => device(Some(Preset::Ttn), name, numbers_at(&["uplink_message", "decoded_payload"])),
        ["v3", ..] => None,
        [prefix @ .., "sensor" | "binary_sensor", name, "state"] if !prefix.is_empty() && is_bare(newest) => {
            let number = Number {
                path: (*name).to_owned(),
                ..numbers(newest).pop()?
            };
            let preset = match prefix {
                ["homeassistant"] => Preset::StateStream,
                _ => Preset::EspHome,
            };
            let unit = unit(name);
            device(Some(preset), &prefix.join("/"), vec![Number { unit, ..number }])
        }
        _ if topic.starts_with("homeassistant/") => None,
        _ => {
            let mut found = device(None, topic, numbers_at(&[]))?;
            let time = times(newest).find(|(_, time)| is_near(time, *arrival_ms));
            found.time_field = time.map(|(name, _)| name.to_owned());
            found.has_local_time = found.time_field.is_none() && times(newest).any(|(_, time)| time.is_string());
            let of_time = |number: &Number| TIME_NAMES.contains(&number.path.to_lowercase().as_str());
            found.numbers.retain(|number| !of_time(number));
            (!found.numbers.is_empty()).then_some(found)
        }
    }
}

/// A payload as JSON: bare numbers and words included.
fn value(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_matches(['\0', '\u{feff}', ' ', '\n', '\r', '\t']);
    let depth = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    match serde_json::from_str(text) {
        Ok(value) if depth <= 10_000 => Some(value),
        _ if text.is_empty() || text.starts_with(['{', '[', '"']) => None,
        _ => Some(Value::String(text.to_owned())),
    }
}

fn is_bare(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// The numbers in a value, with their paths.
fn numbers(value: &Value) -> Vec<Number> {
    let mut found = Vec::new();
    collect(value, &mut Vec::new(), &mut found);
    found
}

fn collect<'v>(value: &'v Value, names: &mut Vec<&'v str>, found: &mut Vec<Number>) {
    if names.len() > MAX_DEPTH || found.len() >= MAX_NUMBERS {
        return;
    }
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            names.push(name);
            collect(value, names, found);
            names.pop();
        }
        return;
    }
    if let Some(example) = number(value)
        && names.last().is_none_or(|name| *name != "id")
    {
        found.push(Number {
            path: path(names),
            example,
            unit: names.last().and_then(|name| unit(name)),
        });
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(state) => Some(f64::from(u8::from(*state))),
        Value::String(text) => {
            let text = text.trim();
            let state = || known_word(text).filter(|number| number.is_finite());
            text.parse().ok().filter(|number: &f64| number.is_finite()).or_else(state)
        }
        _ => None,
    }
}

/// Names joined by dots, or a JSONPath where a name has a dot.
fn path(names: &[&str]) -> String {
    let is_plain = |name: &&str| !name.is_empty() && !name.contains(['.', '[', '\'', '"']) && !name.starts_with('$');
    match names {
        [] => "$".to_owned(),
        names if names.iter().all(is_plain) => names.join("."),
        names => {
            let quoted = names
                .iter()
                .map(|name| format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")));
            format!("${}", quoted.collect::<String>())
        }
    }
}

const TIME_NAMES: [&str; 12] = [
    "time",
    "timestamp",
    "ts",
    "t",
    "date",
    "datetime",
    "dt",
    "at",
    "last_seen",
    "received_at",
    "measured_at",
    "created_at",
];

fn times(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| TIME_NAMES.contains(&name.to_lowercase().as_str()))
}

/// Whether a value is a time near this one.
fn is_near(time: &Value, arrival_ms: i64) -> bool {
    tsm2_mqtt::TimeFormat::Auto
        .read(time, None, None)
        .is_some_and(|ms| ms.abs_diff(arrival_ms) < NEAR_MS as u64)
}

/// The usual unit of a quantity.
fn unit(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let units = [
        ("temp", "°C"),
        ("tc", "°C"),
        ("dewpoint", "°C"),
        ("humid", "%"),
        ("battery", "%"),
        ("power", "W"),
        ("apower", "W"),
        ("energy", "kWh"),
        ("voltage", "V"),
        ("current", "A"),
        ("pressure", "hPa"),
        ("co2", "ppm"),
        ("illuminance", "lx"),
        ("rh", "%"),
    ];
    let found = units
        .iter()
        .find(|(word, _)| name == *word || (word.len() > 2 && name.contains(word)));
    found.map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_have_paths_that_find_them_again() {
        let payload = json!({"a": {"b.c": 1, "d": "2.5"}, "state": "ON", "mode": "auto", "list": [1], "e": true, "id": 7});
        let found = numbers(&payload);
        let paths: Vec<(&str, f64)> = found.iter().map(|number| (number.path.as_str(), number.example)).collect();
        assert_eq!(paths, [("$['a']['b.c']", 1.0), ("a.d", 2.5), ("e", 1.0), ("state", 1.0)]);
        for number in &found {
            assert!(
                tsm2_mqtt::Path::parse(&number.path).unwrap().find(&payload).unwrap().is_some(),
                "{}",
                number.path
            );
        }
    }
}
