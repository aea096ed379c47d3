//! Sections `source`: topics, where values lie in their payloads, and how they become readings.

use std::collections::BTreeMap;

use serde::Deserialize;
use tsm2_mqtt::TimeFormat;

use super::preset::Preset;
use super::section::section;

section! {
    /// A source of readings: one topic template and how its payloads are read. Repeat the section for
    /// each kind of message. Several sources feed the variates of one stream; each variate has one
    /// source. `[input]` without `topic` has the keys that concern all sources.
    Source in "[source]" {
        /// What sends the messages: `zigbee2mqtt`, `tasmota`, `esphome`, `shelly`,
        /// `homeassistant-statestream` or `ttn`. It sets the keys that are not given.
        preset: Option<Preset> = None;
        /// With `preset`: the name of the device in its topics.
        device: Option<String> = None;
        /// Topic template. `{stream}` stands for the stream, `{variate}` for the name of the variate, `+`
        /// for a level that does not matter.
        topic: Option<String> = None => "required without `preset`";
        /// Language of the payload: `json` (also a bare number or word), `influx` (line protocol) or
        /// `sparkplug` (Sparkplug B; topic `spBv1.0/GROUP/+/NODE` or `spBv1.0/GROUP/+/NODE/DEVICE`).
        format: Format = Format::Json => "`json`";
        /// The variates of this source: a list of names, or for each variate the path of its value (its
        /// name in the topic or in `variate_field`, if there is one), or a table: see `[source.values]`.
        values: Values = Values::default() => "all variates, if there is one source";
        /// Path of the readings within the payload. An array there is a batch; text there is read as JSON.
        readings: Option<String> = None => "the payload";
        /// Whether the names in the object of the readings are times, and its values readings.
        times_as_keys: bool = false;
        /// Path of the name of the variate in a reading.
        variate_field: Option<String> = None;
        /// Path of the value in a reading of one variate. A bare payload is the value itself.
        value: Option<String> = None => "`value`";
        /// Values that a reading must have, by path: `{ id = 42 }`, `{ quality = [1, \"good\"] }`. Other
        /// readings are skipped.
        r#where: BTreeMap<String, OneOrMore> = BTreeMap::new() => "none";
        /// Path of the time in the reading, else in the payload. Without it the time of arrival counts.
        time_field: Option<String> = None;
        /// Format of that time: `rfc3339`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns` or `auto`.
        time_format: Option<TimeFormat> = None => "`auto`";
        /// IANA name of the time zone of times without an offset.
        time_zone: Option<String> = None => "`input.time_zone`";
        /// Numbers of words, without regard to case: `{ heating = 1, idle = 0, boot = \"missing\" }`. Words
        /// for states (`on`, `off`, `true`, `open`, ...) and for missing readings (`unavailable`,
        /// `unknown`, ...) are known, the same as in training.
        words: BTreeMap<String, Word> = BTreeMap::new() => "none";
        /// The character before the decimals in text: `.` or `,`.
        decimal: Decimal = Decimal::Point => "`.`";
    }
    example: r#"[[source]]                       # a Zigbee thermometer and a plug, by preset
preset = "zigbee2mqtt"
device = "living/sensor/0004"
values = { living_temperature = "temperature", living_humidity = "humidity" }

[[source]]                       # any JSON: a gateway that sends lists of tags
topic = "gateway/{stream}/data"
format = "json"
readings = "values"
times_as_keys = false
variate_field = "id"
value = "v"
where = { q = true }
time_field = "t"
time_format = "unix_ms"
time_zone = "Europe/Berlin"
words = { heating = 1, idle = 0 }
decimal = "."
values = { flow = { name = "PLC.Flow", factor = 0.001, valid = [0, 50] } }
"#
}

section! {
    /// One variate of a source, as a table. Text instead of the table is its `path`, or its `name` where
    /// the topic or `variate_field` names the variate.
    Value in "source.values.VARIATE" {
        /// Where the value lies in a reading: names joined by dots, a JSONPath (RFC 9535) that begins with
        /// `$.` or `$[`, or `$` for the reading itself.
        path: Option<String> = None => "the variate's name, or `value` of the source";
        /// The name of the variate in the topic or in `variate_field`.
        name: Option<String> = None => "the variate's name";
        /// The number is multiplied by this.
        factor: f64 = 1.0;
        /// This is added afterwards.
        offset: f64 = 0.0;
        /// The smallest and the largest number that counts, after factor and offset. Others are missing
        /// readings, counted as `out_of_range`.
        valid: Option<(f64, f64)> = None;
        /// Unit that may follow the number in text (`21.5 °C`), or several with their factors:
        /// `{ W = 1, kW = 1000 }`.
        unit: Option<Units> = None;
    }
    example: r#"[[source]]
topic = "site/{stream}/sensors"

[source.values.living_temperature]
path = "$.sensors[?@.name == 'living'].t"
factor = 0.1
offset = -40.0
valid = [-30, 60]
unit = "°C"
#name = "Living"                 # with {variate} in the topic, or variate_field
"#
}

/// The language of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// JSON, or a bare value.
    Json,
    /// Influx line protocol.
    Influx,
    /// Sparkplug B.
    Sparkplug,
}

/// The character before the decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub enum Decimal {
    /// `.`
    #[serde(rename = ".")]
    Point,
    /// `,`
    #[serde(rename = ",")]
    Comma,
}

/// The variates of a source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a list of names, or a table of paths")]
#[non_exhaustive]
pub enum Values {
    /// By their own names.
    Names(Vec<String>),
    /// Each with its path, its name, or a table.
    Table(BTreeMap<String, ValueOrPath>),
}

impl Default for Values {
    fn default() -> Self {
        Values::Names(Vec::new())
    }
}

/// A value of a source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a path, or a table with the keys path, name, factor, offset, valid, unit"
)]
#[non_exhaustive]
pub enum ValueOrPath {
    /// Its path or name.
    Text(String),
    /// A table.
    Value(Value),
}

/// Units with their factors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a unit, or a table of units and factors")]
#[non_exhaustive]
pub enum Units {
    /// One.
    One(String),
    /// Several.
    Table(BTreeMap<String, f64>),
}

/// One value or a list of values that are as good.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum OneOrMore {
    /// Any of these.
    AnyOf(Vec<serde_json::Value>),
    /// This one.
    One(serde_json::Value),
}

/// What a word stands for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number, or \"missing\"")]
#[non_exhaustive]
pub enum Word {
    /// A number.
    Number(f64),
    /// No reading.
    Missing(Missing),
}

/// The word `missing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// No reading.
    Missing,
}

impl Word {
    pub(super) fn number(&self) -> f64 {
        match self {
            Word::Number(number) => *number,
            Word::Missing(Missing::Missing) => f64::NAN,
        }
    }
}
