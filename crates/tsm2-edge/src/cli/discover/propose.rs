//! Proposing: which number feeds which variate of a model, and the configuration that says so.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use tsm2_bundle::Metadata;

use super::recognise::{Device, Number};
use crate::config::Preset;

/// Words of a name that say nothing.
const IDLE_WORDS: [&str; 8] = ["sensor", "state", "value", "tele", "the", "of", "0", "params"];
/// Numbers about the device itself; they are listed but not read without a model.
const DIAGNOSTIC: [&str; 12] = [
    "linkquality",
    "battery",
    "rssi",
    "uptime",
    "wifi",
    "update",
    "heap",
    "signal",
    "snr",
    "voltage",
    "ram_free",
    "fs_free",
];

/// For each device its numbers, and the variate that each feeds.
pub(super) struct Proposal<'d> {
    devices: &'d [Device],
    /// By device and number.
    variates: BTreeMap<(usize, usize), String>,
    /// Variates of the model that nothing feeds.
    pub(super) unfed: Vec<String>,
}

impl<'d> Proposal<'d> {
    /// Without a model: a variate for each number that is not about the device itself.
    pub(super) fn of_all(devices: &'d [Device]) -> Self {
        let mut variates = BTreeMap::new();
        let mut taken = BTreeMap::<String, usize>::new();
        for (index, device) in devices.iter().enumerate() {
            for (at, number) in device.numbers.iter().enumerate() {
                if words(&number.path).iter().any(|word| DIAGNOSTIC.contains(&word.as_str())) {
                    continue;
                }
                let mut all = words(&device.name);
                all.extend(words(&number.path));
                all.dedup();
                let name = all.join("_");
                let count = taken.entry(name.clone()).or_insert(0);
                *count += 1;
                let name = if *count > 1 { format!("{name}_{count}") } else { name };
                variates.insert((index, at), name);
            }
        }
        Proposal {
            devices,
            variates,
            unfed: Vec::new(),
        }
    }

    /// The best assignment of numbers to the variates of a model, each to one at most: by words that
    /// their names share, the unit, and whether the number is usual for the variate.
    pub(super) fn of_model(devices: &'d [Device], meta: &Metadata) -> Self {
        let mut scored = Vec::new();
        for (variate, known) in meta.variates.iter().enumerate() {
            let wanted = words(&known.name);
            for (index, device) in devices.iter().enumerate() {
                for (at, number) in device.numbers.iter().enumerate() {
                    let mut names = words(&device.name);
                    names.extend(words(&number.path));
                    let shared: f64 = wanted.iter().map(|word| likeness(word, &names)).sum();
                    if shared == 0.0 {
                        continue;
                    }
                    let unused = names.iter().filter(|word| likeness(word, &wanted) == 0.0).count() as f64;
                    let is_unit = known.unit.as_deref().is_some_and(|unit| Some(unit) == number.unit);
                    let distance = ((number.example - f64::from(known.mean)) / f64::from(known.std).max(1e-9)).abs();
                    let score =
                        shared / wanted.len() as f64 - 0.05 * unused + f64::from(u8::from(is_unit)) * 0.2 - (distance / 100.0).min(0.2);
                    scored.push((score, variate, index, at));
                }
            }
        }
        scored.sort_by(|one, other| {
            other
                .0
                .total_cmp(&one.0)
                .then((one.1, one.2, one.3).cmp(&(other.1, other.2, other.3)))
        });
        let mut variates = BTreeMap::new();
        let mut fed = vec![false; meta.variates.len()];
        for (_, variate, index, at) in scored {
            if !fed[variate] && !variates.contains_key(&(index, at)) {
                fed[variate] = true;
                variates.insert((index, at), meta.variates[variate].name.clone());
            }
        }
        let unfed = meta.variates.iter().zip(&fed).filter(|(_, fed)| !**fed);
        Proposal {
            devices,
            variates,
            unfed: unfed.map(|(variate, _)| variate.name.clone()).collect(),
        }
    }

    /// Sections `[[source]]` with comments.
    pub(super) fn sections(&self) -> String {
        let mut text = String::new();
        for (index, device) in self.devices.iter().enumerate() {
            let fed = |at: usize| self.variates.get(&(index, at));
            let is_used = (0..device.numbers.len()).any(|at| fed(at).is_some());
            let make = device.preset.map_or("a topic of its own", Preset::name);
            let cadence = device
                .cadence_s
                .map_or("once or retained".to_owned(), |seconds| format!("every {seconds:.1} s"));
            let _ = writeln!(text, "\n# {}: {make}, {cadence}", one_line(&device.name));
            // A device that feeds nothing is a comment as a whole.
            let mark = if is_used { "" } else { "#" };
            let _ = writeln!(text, "{mark}[[source]]");
            match device.preset {
                Some(preset) => {
                    let _ = writeln!(
                        text,
                        "{mark}preset = {}\n{mark}device = {}",
                        quoted(preset.name()),
                        quoted(&device.name)
                    );
                }
                None => {
                    let _ = writeln!(text, "{mark}topic = {}", quoted(&device.name));
                }
            }
            if let Some(field) = &device.time_field {
                let _ = writeln!(text, "{mark}time_field = {}", quoted(field));
            }
            if device.has_local_time {
                let _ = writeln!(
                    text,
                    "# Its times have no offset. Name their zone to use them; until then the time of arrival counts:"
                );
                if device.preset.is_none() {
                    let _ = writeln!(text, "#time_field = \"time\"");
                }
                let _ = writeln!(text, "#time_zone = \"Europe/Berlin\"");
            }
            if is_used {
                let _ = writeln!(text, "[source.values]");
            }
            for (at, number) in device.numbers.iter().enumerate() {
                let (mark, name) = match fed(at) {
                    Some(name) => ("", quoted(name)),
                    None => ("#", quoted(&words(&number.path).join("_"))),
                };
                let unit = number.unit.map_or(String::new(), |unit| format!(" {unit}"));
                let Number { path, example, .. } = number;
                let _ = writeln!(text, "{mark}{name} = {}  # {example}{unit}", quoted(path));
            }
        }
        text
    }

    /// The devices with their numbers, and the variate that each number feeds.
    pub(super) fn json(&self) -> Value {
        let devices = self.devices.iter().enumerate().map(|(index, device)| {
            let values = device.numbers.iter().enumerate().map(|(at, number)| {
                let Number { path, example, unit } = number;
                json!({ "variate": self.variates.get(&(index, at)), "path": path, "example": example, "unit": unit })
            });
            json!({
                "name": device.name,
                "preset": device.preset.map(Preset::name),
                "cadence_s": device.cadence_s,
                "values": values.collect::<Vec<_>>(),
            })
        });
        devices.collect()
    }

    /// The slowest cadence of a device that feeds a variate, in seconds.
    pub(super) fn slowest_s(&self) -> Option<f64> {
        let used = self.variates.keys().filter_map(|(index, _)| self.devices[*index].cadence_s);
        used.reduce(f64::max)
    }

    /// Variates that are fed.
    pub(super) fn fed(&self) -> impl ExactSizeIterator<Item = &str> {
        self.variates.values().map(String::as_str)
    }
}

/// The words of a name in lower case: `living/sensor/0004` and `livingTemperature` have theirs.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let is_new = c.is_uppercase() && was_lower;
        if is_new || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty() && !IDLE_WORDS.contains(&word.as_str()));
    words
}

/// 1 for a word that is there, less for one that begins like it.
fn likeness(word: &str, words: &[String]) -> f64 {
    let alike = |other: &String| match other == word {
        true => 1.0,
        false if word.len() > 2 && other.len() > 2 && (other.starts_with(word) || word.starts_with(other.as_str())) => 0.7,
        false => 0.0,
    };
    words.iter().map(alike).fold(0.0, f64::max)
}

/// Text as TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name in a comment.
fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_words() {
        assert_eq!(words("living/sensor/0004"), ["living", "0004"]);
        assert_eq!(words("ENERGY.Power"), ["energy", "power"]);
        assert_eq!(words("livingTemperature"), ["living", "temperature"]);
        assert_eq!(words("switch:0.apower"), ["switch", "apower"]);
        assert_eq!(likeness("temp", &words("temperature")), 0.7);
    }
}
