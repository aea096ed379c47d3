//! Section `home_assistant`: streams as devices of Home Assistant, by MQTT discovery.

use std::collections::BTreeMap;
use std::time::Duration;

use tsm2_bundle::Metadata;
use tsm2_mqtt::topic_level;

use super::device_class::{self, DEVICE_CLASSES, DeviceClass};
use super::section::section;

section! {
    /// Home Assistant, by MQTT discovery: each stream becomes a device, with sensors for chosen steps,
    /// maximum and minimum of the horizon, thresholds of `output.thresholds`, how unusual the newest
    /// reading is, and the whole forecast. Nothing is announced without this section, which may be empty.
    HomeAssistant in "home_assistant" {
        /// `false` removes what was announced before, in Home Assistant and at the broker. Start the
        /// daemon once with `false` before you remove the section.
        enabled: bool = true;
        /// Prefix of the discovery topics, as Home Assistant's MQTT integration has it.
        discovery_prefix: String = "homeassistant".into();
        /// Name of the daemon's device. A new name keeps all entities.
        name: String = "TSM2 Edge".into();
        /// Steps of the horizon with a sensor each, from 1, ascending.
        steps: Vec<usize> = Vec::new() => "`output.steps`, else the last step";
        /// Units of variates, as Home Assistant writes them.
        units: BTreeMap<String, String> = BTreeMap::new() => "the model's";
        /// Device classes of variates, as `humidity` or `carbon_dioxide`.
        device_classes: BTreeMap<String, String> = BTreeMap::new() => "by the unit, where only one class has it";
        /// Least seconds between two messages with the whole forecast of a variate. Home Assistant stores
        /// each of them.
        forecast_every_s: u64 = 300;
    }
    example: r#"[home_assistant]
enabled = true
discovery_prefix = "homeassistant"
name = "TSM2 Edge in the cellar"
steps = [15, 60]
units = { "room 1" = "°C" }
device_classes = { "room 1" = "temperature" }
forecast_every_s = 300
"#
}

/// A section `home_assistant` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeAssistantError {
    /// The prefix is not a topic.
    #[error("home_assistant.discovery_prefix: {prefix:?} is not a topic; remove empty levels, `+`, `#` and control characters")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// Steps that the model does not forecast, or in no order.
    #[error("home_assistant.steps is {steps:?}; list steps from 1 to the model's horizon {horizon}, ascending")]
    Steps {
        /// The steps.
        steps: Vec<usize>,
        /// The horizon.
        horizon: usize,
    },
    /// A key for a variate that is not forecast.
    #[error("home_assistant.{key}.{name}: the model {model:?} does not forecast {name:?}; it forecasts {known}")]
    UnknownVariate {
        /// The key above it.
        key: &'static str,
        /// The variate.
        name: String,
        /// The model.
        model: String,
        /// Its targets.
        known: String,
    },
    /// A device class that Home Assistant does not have.
    #[error("home_assistant.device_classes.{variate}: there is no class {class:?}; the classes are {known}")]
    UnknownClass {
        /// The variate.
        variate: String,
        /// The class.
        class: String,
        /// All classes.
        known: String,
    },
    /// Home Assistant would refuse the sensor.
    #[error("home_assistant.device_classes.{variate}: {class} has the units {known}, not {unit:?}; set home_assistant.units.{variate}")]
    Unit {
        /// The variate.
        variate: String,
        /// The class.
        class: &'static str,
        /// The unit.
        unit: String,
        /// Its units.
        known: String,
    },
}

/// What is announced of each stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Whether; otherwise all is removed.
    pub is_enabled: bool,
    /// Name of the daemon's device.
    pub name: String,
    /// Steps with a sensor each, from 1.
    pub steps: Vec<usize>,
    /// For each target.
    pub quantities: Vec<Quantity>,
    /// Least time between two messages with the whole forecast of a variate.
    pub forecast_every: Duration,
}

/// What a target is to Home Assistant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantity {
    /// Its unit, as Home Assistant writes it.
    pub unit: Option<String>,
    /// Its class, which fits the unit.
    pub class: Option<&'static DeviceClass>,
}

impl HomeAssistant {
    /// What is announced of a model's forecasts, of which `published` are the steps of section `output`.
    pub(super) fn announcement(&self, meta: &Metadata, published: &[usize]) -> Result<Announcement, HomeAssistantError> {
        let prefix = &self.discovery_prefix;
        if prefix.split('/').any(|level| level.is_empty() || topic_level(level) != level) {
            return Err(HomeAssistantError::Prefix { prefix: prefix.clone() });
        }
        let horizon = meta.config.horizon;
        let steps = match (&*self.steps, published) {
            ([], []) => vec![horizon],
            ([], published) => published.to_vec(),
            (own, _) => own.to_vec(),
        };
        let ascends = steps.is_sorted_by(|one, next| one < next);
        if !ascends || steps.iter().any(|step| !(1..=horizon).contains(step)) {
            return Err(HomeAssistantError::Steps { steps, horizon });
        }
        let targets: Vec<&str> = meta.targets().iter().map(|variate| variate.name.as_str()).collect();
        let keys = self.units.keys().map(|name| ("units", name));
        for (key, name) in keys.chain(self.device_classes.keys().map(|name| ("device_classes", name))) {
            if !targets.contains(&name.as_str()) {
                return Err(HomeAssistantError::UnknownVariate {
                    key,
                    name: name.clone(),
                    model: meta.name.clone(),
                    known: targets.join(", "),
                });
            }
        }
        let quantities = meta.targets().iter().map(|variate| {
            let unit = self.units.get(&variate.name).or(variate.unit.as_ref());
            self.quantity(
                &variate.name,
                unit.map(|unit| device_class::spelled(unit)).filter(|unit| !unit.is_empty()),
            )
        });
        Ok(Announcement {
            is_enabled: self.enabled,
            name: self.name.clone(),
            steps,
            quantities: quantities.collect::<Result<_, _>>()?,
            forecast_every: Duration::from_secs(self.forecast_every_s),
        })
    }

    fn quantity(&self, variate: &str, unit: Option<String>) -> Result<Quantity, HomeAssistantError> {
        let Some(name) = self.device_classes.get(variate) else {
            let class = unit.as_deref().and_then(device_class::by_unit);
            return Ok(Quantity { unit, class });
        };
        let Some(class) = device_class::by_name(name) else {
            let names: Vec<&str> = DEVICE_CLASSES.iter().map(|class| class.name).collect();
            return Err(HomeAssistantError::UnknownClass {
                variate: variate.to_owned(),
                class: name.clone(),
                known: names.join(", "),
            });
        };
        let fits = match &unit {
            Some(unit) => class.units.contains(&unit.as_str()),
            None => class.units.is_empty(),
        };
        match fits {
            true => Ok(Quantity { unit, class: Some(class) }),
            false => Err(HomeAssistantError::Unit {
                variate: variate.to_owned(),
                class: class.name,
                unit: unit.unwrap_or_default(),
                known: match class.units {
                    [] => "none".to_owned(),
                    units => units.join(", "),
                },
            }),
        }
    }
}
