//! Sources made ready: each `[[source]]`, or the short form in `[input]`, as a topic template, a
//! decoder, and the variates of its fields.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use tsm2_bundle::Metadata;
use tsm2_mqtt::{
    Condition, Decoder, DecoderOptions, Field, Path, PathError, PayloadFormat, PayloadShape, Template, TemplateError, TimeFormat,
    ValueRule, Words,
};

use super::input::Input;
use super::preset::{DEVICE, Preset};
use super::source::{Decimal, Format, OneOrMore, Source, Units, Value, ValueOrPath, Values};
use super::words::known_word;

/// Deepest nesting of JSON that is read.
pub(super) const MAX_DEPTH: usize = 32;

/// A source that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The short form and sections at once.
    #[error("{key} and [[source]] are both set; move {key} into a [[source]]")]
    TwoForms {
        /// The key of the short form.
        key: &'static str,
    },
    /// Neither a topic nor a preset with a device.
    #[error("{source_key}: no topic; set topic, or preset and device")]
    NoTopic {
        /// The source.
        source_key: String,
    },
    /// A device without a preset.
    #[error("{source_key}: device needs a preset; set preset, or topic instead of device")]
    DeviceWithoutPreset {
        /// The source.
        source_key: String,
    },
    /// The topic is not a template.
    #[error("{key}: {source}")]
    Template {
        /// The key.
        key: String,
        /// Why.
        source: TemplateError,
    },
    /// A path that cannot be used.
    #[error("{key}: {source}")]
    Path {
        /// The key.
        key: String,
        /// Why.
        source: PathError,
    },
    /// Several sources, and one that does not say which variates it has.
    #[error("{source_key}.values is missing; with several sources each lists its variates")]
    NoValues {
        /// The source.
        source_key: String,
    },
    /// The model does not have the variate.
    #[error("{key}.{name}: the model {model:?} has no variate {name:?}; it has {known}")]
    UnknownVariate {
        /// The key above it.
        key: String,
        /// The variate.
        name: String,
        /// The model.
        model: String,
        /// Its variates.
        known: String,
    },
    /// A variate with two sources.
    #[error("{source_key}: the variate {variate:?} has a source already, {first}; remove it from one of the two")]
    TwoSources {
        /// The source.
        source_key: String,
        /// The variate.
        variate: String,
        /// The other source.
        first: String,
    },
    /// Two variates that a source cannot tell apart.
    #[error("the variates {first:?} and {second:?} both use the name {name:?}; make them distinct in {source_key}.{key} or rename one")]
    SameName {
        /// The source.
        source_key: String,
        /// The key of the names.
        key: &'static str,
        /// One variate.
        first: String,
        /// The other.
        second: String,
        /// The name.
        name: String,
    },
    /// A key that the other keys do not allow.
    #[error("{key}: {why}")]
    Key {
        /// The key.
        key: String,
        /// What to do.
        why: &'static str,
    },
    /// The time zone does not exist.
    #[error("{key}: {name:?} is not an IANA time zone; write it as Europe/Berlin")]
    TimeZone {
        /// The key.
        key: String,
        /// The name.
        name: String,
    },
}

/// See the module's description.
#[derive(Debug, Clone)]
pub struct PreparedSource {
    /// The topics.
    pub template: Template,
    /// Reads the payloads.
    pub decoder: Decoder,
    /// For each field of the decoder its variate.
    pub variates: Vec<usize>,
    /// Whether the payloads are Sparkplug B, which becomes JSON before the decoder reads it.
    pub is_sparkplug: bool,
    /// Whether every variate of the topics is subscribed to, and not only those that are listed.
    pub(super) takes_all: bool,
    /// As messages name it: `input`, `source 2`.
    pub key: String,
}

impl PreparedSource {
    /// The filters to subscribe to.
    pub fn filters(&self) -> Vec<String> {
        if self.is_sparkplug {
            return sparkplug_filters(self.template.as_str());
        }
        match self.template.has_variate() && !self.takes_all {
            true => self
                .decoder
                .options()
                .fields
                .iter()
                .map(|field| self.template.fill("+", &field.name))
                .collect(),
            false => vec![self.template.filter()],
        }
    }

    /// The field that a topic names.
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.decoder.options().fields.iter().position(|field| field.name == name)
    }
}

/// Births of the node name the aliases of its devices, and sequence numbers run over all of its
/// messages: the node and all its devices.
fn sparkplug_filters(topic: &str) -> Vec<String> {
    let mut levels: Vec<&str> = topic.split('/').collect();
    levels.truncate(4);
    let node = levels.join("/").replace("{stream}", "+");
    vec![format!("{node}/+"), node]
}

/// Makes all sources of a configuration ready.
///
/// # Errors
/// Which key is wrong, and what to do.
pub(super) fn sources(input: &Input, sections: &[Source], meta: &Metadata) -> Result<Vec<PreparedSource>, SourceError> {
    let names: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
    let prepared = match sections {
        [] => vec![short_form(input, &names).prepare(input, meta, "input", true)?],
        sections => {
            for (key, is_set) in [
                ("input.topic", !input.topic.is_empty()),
                ("input.fields", !input.fields.is_empty()),
                ("input.time_field", input.time_field.is_some()),
            ] {
                // The points of future covariates have times too.
                if is_set && !(key == "input.time_field" && input.future_covariates_topic.is_some()) {
                    return Err(SourceError::TwoForms { key });
                }
            }
            let prepare = |(index, section): (usize, &Source)| {
                let key = format!("source {}", index + 1);
                let mut section = section.clone();
                if section.values == Values::default() {
                    if sections.len() > 1 {
                        return Err(SourceError::NoValues { source_key: key });
                    }
                    section.values = Values::Names(names.iter().map(|&name| name.to_owned()).collect());
                }
                section.prepare(input, meta, &key, false)
            };
            sections.iter().enumerate().map(prepare).collect::<Result<_, _>>()?
        }
    };
    for (index, source) in prepared.iter().enumerate() {
        for &variate in &source.variates {
            if let Some(first) = prepared[..index].iter().find(|first| first.variates.contains(&variate)) {
                return Err(SourceError::TwoSources {
                    source_key: source.key.clone(),
                    variate: names[variate].to_owned(),
                    first: first.key.clone(),
                });
            }
        }
    }
    Ok(prepared)
}

/// A time zone by its name.
pub(super) fn zone_of(key: &str, name: &str) -> Result<TimeZone, SourceError> {
    TimeZone::get(name).map_err(|_| SourceError::TimeZone {
        key: key.to_owned(),
        name: name.to_owned(),
    })
}

/// The short form as a section.
fn short_form(input: &Input, names: &[&str]) -> Source {
    let value = |&name: &&str| {
        let at = input.fields.get(name).map_or(name, String::as_str);
        (name.to_owned(), ValueOrPath::Text(at.to_owned()))
    };
    let unknown = input.fields.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    let unknown = unknown.map(|(name, at)| (name.clone(), ValueOrPath::Text(at.clone())));
    Source {
        topic: Some(input.topic.clone()),
        value: Some(input.value.clone()),
        values: Values::Table(names.iter().map(value).chain(unknown).collect()),
        time_field: input.time_field.clone(),
        time_format: Some(input.time_format),
        ..Source::default()
    }
}

impl Source {
    fn prepare(mut self, input: &Input, meta: &Metadata, key: &str, is_short: bool) -> Result<PreparedSource, SourceError> {
        let at = |name: &str| format!("{key}.{name}");
        let bad = |name: &str, why| SourceError::Key { key: at(name), why };
        let zone = self.time_zone.clone().or_else(|| input.time_zone.clone());
        let has_own_zone = self.time_zone.is_some() || is_short;
        // Makers leave the time out while a device does not know it.
        let mut time_or_arrival = self.preset.is_some() && self.time_field.is_none();
        match self.preset {
            Some(preset) => self.complete(preset, zone.is_some()),
            None if self.device.is_some() => {
                return Err(SourceError::DeviceWithoutPreset {
                    source_key: key.to_owned(),
                });
            }
            None => {}
        }
        let topic = self.topic.as_deref().ok_or_else(|| SourceError::NoTopic {
            source_key: key.to_owned(),
        })?;
        let template = Template::parse(topic).map_err(|source| SourceError::Template { key: at("topic"), source })?;
        let is_sparkplug = self.format == Format::Sparkplug;
        if is_sparkplug {
            if !(topic.starts_with("spBv1.0/") && (4..=5).contains(&topic.split('/').count()) && topic.split('/').nth(2) == Some("+")) {
                return Err(bad(
                    "topic",
                    "write Sparkplug's topics as spBv1.0/GROUP/+/NODE or spBv1.0/GROUP/+/NODE/DEVICE",
                ));
            }
            // What Sparkplug messages become: see tsm2_mqtt::Sparkplug.
            self.readings = Some("metrics".to_owned());
            self.variate_field = Some("name".to_owned());
            self.value = None;
            self.time_field = Some("timestamp".to_owned());
            self.time_format = Some(TimeFormat::UnixMs);
        }
        time_or_arrival |= self.format != Format::Json;
        if self.format == Format::Influx && self.time_field.is_none() {
            self.time_field = Some("time".to_owned());
            self.time_format.get_or_insert(TimeFormat::UnixNs);
        }
        if template.has_variate() && self.variate_field.is_some() {
            return Err(bad("variate_field", "the topic names the variate already; remove one of the two"));
        }
        let time_zone = match zone.filter(|_| self.time_field.is_some() || self.times_as_keys) {
            Some(name) => Some(zone_of(&at("time_zone"), &name)?),
            None if has_own_zone && self.time_zone.as_ref().or(input.time_zone.as_ref()).is_some() => {
                let why = match is_short {
                    true => "set input.time_field too: the time of arrival has no zone",
                    false => "set time_field too: the time of arrival has no zone",
                };
                return Err(bad("time_zone", why));
            }
            None => None,
        };
        let path = |name: &str, text: &str| Path::parse(text).map_err(|source| SourceError::Path { key: at(name), source });
        let optional = |name: &str, text: &Option<String>| text.as_ref().map(|text| path(name, text)).transpose();
        let shape = match (template.has_variate(), optional("variate_field", &self.variate_field)?) {
            (true, _) => PayloadShape::Topic,
            (false, Some(name)) => PayloadShape::Named(name),
            (false, None) => PayloadShape::Fields,
        };
        let conditions = self.r#where.iter().map(|(text, value)| {
            let any_of = match value {
                OneOrMore::AnyOf(values) => values.clone(),
                OneOrMore::One(value) => vec![value.clone()],
            };
            Ok(Condition {
                path: path(&format!("where.{text}"), text)?,
                any_of,
            })
        });
        let conditions = conditions.collect::<Result<_, _>>()?;
        let (fields, variates) = self.fields(meta, key, is_short, !matches!(shape, PayloadShape::Fields))?;
        let options = DecoderOptions {
            format: match self.format {
                Format::Json | Format::Sparkplug => PayloadFormat::Json,
                Format::Influx => PayloadFormat::Influx,
            },
            shape,
            fields,
            readings: optional("readings", &self.readings)?,
            times_as_keys: self.times_as_keys,
            conditions,
            time: optional("time_field", &self.time_field)?,
            time_or_arrival,
            time_format: self.time_format.unwrap_or_default(),
            time_zone,
            // The payload of a Sparkplug message was measured before it became JSON.
            max_payload: if is_sparkplug { usize::MAX } else { input.max_payload_bytes },
            max_depth: MAX_DEPTH,
        };
        Ok(PreparedSource {
            template,
            decoder: Decoder::new(options),
            variates,
            is_sparkplug,
            takes_all: is_short,
            key: key.to_owned(),
        })
    }

    /// Sets the keys that are not given.
    fn complete(&mut self, preset: Preset, has_zone: bool) {
        let text = |text: Option<&str>| text.map(str::to_owned);
        if self.topic.is_none() {
            self.topic = (self.device.clone().or(text(preset.device()))).map(|device| preset.topic().replace(DEVICE, &device));
        }
        self.readings = self.readings.take().or(text(preset.readings()));
        self.time_field = self.time_field.take().or(text(preset.time_field(has_zone)));
        self.value = self.value.take().or(text(preset.value()));
        if let (Some((field, any_of)), true) = (preset.condition(), self.r#where.is_empty()) {
            let any_of = OneOrMore::AnyOf(any_of.map(Into::into).to_vec());
            self.r#where.insert(field.to_owned(), any_of);
        }
    }

    /// The fields in the model's order, and their variates.
    fn fields(&self, meta: &Metadata, key: &str, is_short: bool, is_named: bool) -> Result<(Vec<Field>, Vec<usize>), SourceError> {
        let values: BTreeMap<&str, Value> = match &self.values {
            Values::Names(names) => names.iter().map(|name| (name.as_str(), Value::default())).collect(),
            Values::Table(table) => table.iter().map(|(name, value)| (name.as_str(), value.full(is_named))).collect(),
        };
        let values_key = if is_short { "fields" } else { "values" };
        let words = match self.words.is_empty() {
            true => KNOWN_WORDS.clone(),
            false => Arc::new(KNOWN_WORDS.with(self.words.iter().map(|(word, number)| (word.clone(), number.number())))),
        };
        let names: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
        if let Some(&name) = values.keys().find(|name| !names.contains(name)) {
            return Err(SourceError::UnknownVariate {
                key: format!("{key}.{values_key}"),
                name: name.to_owned(),
                model: meta.name.clone(),
                known: names.join(", "),
            });
        }
        let (mut fields, mut variates) = (Vec::<Field>::new(), Vec::<usize>::new());
        for (variate, &name) in names.iter().enumerate() {
            let Some(value) = values.get(name) else { continue };
            let at = |part: &str| format!("{key}.{values_key}.{name}{part}");
            let bad = |part: &str, why| SourceError::Key { key: at(part), why };
            let field = Field {
                name: value.name.clone().unwrap_or_else(|| name.to_owned()),
                path: {
                    let default = if is_named { self.value.as_deref().unwrap_or("value") } else { name };
                    let text = value.path.as_deref().unwrap_or(default);
                    Path::parse(text).map_err(|source| SourceError::Path { key: at(""), source })?
                },
                rule: ValueRule {
                    factor: value.factor,
                    offset: value.offset,
                    valid: value.valid,
                    units: match &value.unit {
                        None => Vec::new(),
                        Some(Units::One(unit)) => vec![(unit.clone(), 1.0)],
                        Some(Units::Table(units)) => {
                            let mut units: Vec<_> = units.iter().map(|(unit, factor)| (unit.clone(), *factor)).collect();
                            // Of `kW` and `W` the longer one is meant.
                            units.sort_by_key(|(unit, _)| std::cmp::Reverse(unit.len()));
                            units
                        }
                    },
                    decimal_comma: self.decimal == Decimal::Comma,
                    words: words.clone(),
                },
            };
            if value.name.is_some() && !is_named {
                return Err(bad(
                    ".name",
                    "nothing names the variate; use {variate} in the topic, or variate_field, or set path instead",
                ));
            }
            if !(value.factor.is_finite() && value.factor != 0.0 && value.offset.is_finite()) {
                return Err(bad("", "set factor to a number other than 0, and offset to a number"));
            }
            if value
                .valid
                .is_some_and(|(least, most)| least.partial_cmp(&most) != Some(Ordering::Less))
            {
                return Err(bad(".valid", "write the smaller number first"));
            }
            let same = |other: &Field| match is_named {
                true => other.name == field.name,
                false => other.path == field.path,
            };
            if let Some(first) = fields.iter().position(same) {
                return Err(SourceError::SameName {
                    source_key: key.to_owned(),
                    key: values_key,
                    first: names[variates[first]].to_owned(),
                    second: name.to_owned(),
                    name: if is_named { field.name } else { field.path.as_str().to_owned() },
                });
            }
            fields.push(field);
            variates.push(variate);
        }
        Ok((fields, variates))
    }
}

impl ValueOrPath {
    fn full(&self, is_named: bool) -> Value {
        match self {
            ValueOrPath::Text(name) if is_named => Value {
                name: Some(name.clone()),
                ..Value::default()
            },
            ValueOrPath::Text(path) => Value {
                path: Some(path.clone()),
                ..Value::default()
            },
            ValueOrPath::Value(value) => value.clone(),
        }
    }
}

/// Words that training reads in recordings, so that a model means the same on the device.
static KNOWN_WORDS: LazyLock<Arc<Words>> = LazyLock::new(|| Arc::new(Words::known(known_word)));
