//! The readings that are sent: every value follows from its stream, row and variate, no two rows alike.

use bytes::Bytes;
use serde_json::json;
use tsm2_e2e::site::{MINUTE, START};
use tsm2_mqtt::rfc3339;

use crate::recorder::{ForecastKey, ReadingKey};
use tsm2_mqtt_testkit::rng::Rng;

/// The streams.
pub const STREAMS: [&str; 3] = ["a", "b", "c"];
/// The variates of each.
pub const VARIATES: [&str; 2] = ["temp", "power"];
/// Where they are published.
pub const TOPIC: &str = "sensors/{stream}/{variate}";

/// Time of row `index`, milliseconds.
pub fn time_ms(index: i64) -> i64 {
    START + index * MINUTE
}

/// The readings of row `index` of a stream.
pub fn row(stream: &str, index: i64) -> [f32; 2] {
    let seed = stream
        .bytes()
        .fold(index as u64, |seed, byte| seed.wrapping_mul(257) + u64::from(byte));
    let mut rng = Rng::new(seed);
    std::array::from_fn(|_| rng.below(1000) as f32 / 100.0)
}

/// A reading as a message.
pub fn payload(time_ms: i64, value: f32) -> Bytes {
    json!({ "time": rfc3339(time_ms), "value": value }).to_string().into()
}

/// A reading's topic.
pub fn topic(stream: &str, variate: &str) -> String {
    format!("sensors/{stream}/{variate}")
}

/// By what the recorder knows a reading.
pub fn reading_key(stream: &str, variate: &str, time_ms: i64) -> ReadingKey {
    (topic(stream, variate), rfc3339(time_ms))
}

/// By what the recorder knows a forecast.
pub fn forecast_key(stream: &str, variate: &str, time_ms: i64) -> ForecastKey {
    (format!("tsm2/{stream}/forecast/{variate}"), rfc3339(time_ms))
}
