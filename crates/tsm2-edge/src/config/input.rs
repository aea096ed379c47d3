//! Section `input`: where readings come from and how they are read.

use std::collections::BTreeMap;

use tsm2_mqtt::TimeFormat;
use tsm2_stream::{Aggregate, MAX_AHEAD};

use super::section::section;

section! {
    /// Where readings come from. With `topic` it is the short form of one source; `fields`, `value` and
    /// the keys of the time then say how its payloads are read. Without `topic` there are sections
    /// `[[source]]`, and the other keys concern all of them.
    Input in "input" {
        /// Topic template of the readings. `{stream}` stands for the stream, `+` for a level that does not
        /// matter. With `{variate}` each topic carries one value (a number, a word, or an object with it);
        /// without it each payload is a JSON object with a field per variate, or an array of such objects.
        topic: String = String::new() => "required without `[[source]]`";
        /// Topic template of the future covariates, with `{variate}`. Required by a model that has future
        /// covariates; unused by others.
        future_covariates_topic: Option<String> = None;
        /// Name of the stream, for a template without `{stream}`.
        stream: Option<String> = None;
        /// Names of the streams to serve. Readings of others are rejected.
        streams: Option<Vec<String>> = None => "any";
        /// Before a model exists, without `model.bundle`: the names of the variates. Write them as they will
        /// be trained, in the same order: then the model that follows warms up from the log.
        variates: Vec<String> = Vec::new() => "the model's";
        /// For each variate: the path of its field in the payload (`room1.temperature`, or a JSONPath that
        /// begins with `$`), or its name in the topic.
        fields: BTreeMap<String, String> = BTreeMap::new() => "the variate's name";
        /// Path of the value in an object that carries one value, and in each point of a future covariate.
        value: String = "value".into();
        /// Path of the time in the payload. Without it the time of arrival counts. In a point of a future
        /// covariate the default is `time`.
        time_field: Option<String> = None;
        /// Format of that time: `rfc3339`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns` or `auto`. `auto` reads
        /// text as RFC 3339, and a number below 10^11 as seconds, below 10^14 as milliseconds, below 10^17
        /// as microseconds, else as nanoseconds.
        time_format: TimeFormat = TimeFormat::default() => "`\"auto\"`";
        /// IANA name of the time zone of times without an offset. Without it such times are rejected.
        time_zone: Option<String> = None;
        /// How several readings of a variate in one time bin become one value: `last`, `mean`, `sum`, `min`
        /// or `max`.
        aggregate: Aggregate = Aggregate::default() => "`\"last\"`";
        /// The same for single variates.
        aggregates: BTreeMap<String, Aggregate> = BTreeMap::new() => "`input.aggregate`";
        /// Seconds for which a time bin waits for late readings, by the readings' own times. At most 4095
        /// intervals.
        allowed_lateness_s: f64 = 0.0;
        /// Number of time steps in which a variate without a reading repeats its last value. After that
        /// the value is missing.
        forward_fill_limit: u64 = 0;
        /// Largest payload in bytes. Larger ones are rejected.
        max_payload_bytes: usize = 64 * 1024;
        /// Longest gap in time steps that is bridged. A longer gap restarts the stream.
        max_gap: u64 = 1440;
        /// Number of time steps that one reading may skip at once. A reading further ahead counts when its
        /// time of arrival, another source or a second time step confirms its time.
        max_ahead: u64 = MAX_AHEAD;
        /// Largest number of streams, stored ones included. Readings of further streams are rejected.
        max_streams: usize = 1000;
    }
    example: r#"[input]
topic = "plant/{stream}/telemetry"
future_covariates_topic = "plant/{stream}/future/{variate}"
streams = ["boiler", "pump"]
variates = ["room 1", "pulses"]
value = "value"
time_field = "time"
time_format = "rfc3339"
time_zone = "Europe/Berlin"
aggregate = "mean"
allowed_lateness_s = 10.0
forward_fill_limit = 5
max_payload_bytes = 65536
max_gap = 1440
max_ahead = 3
max_streams = 100

[input.fields]
"room 1" = "room1.temperature"

[input.aggregates]
"pulses" = "sum"

# For a topic without {stream}: the name of the one stream
#stream = "boiler"
"#
}

impl Input {
    /// Readings on `topic`; all other keys at their defaults.
    pub fn new(topic: impl Into<String>) -> Self {
        Input {
            topic: topic.into(),
            ..Input::default()
        }
    }
}
