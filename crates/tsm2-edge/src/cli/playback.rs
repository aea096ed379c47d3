//! Playback of a recording to a broker, as sensors would send it.
//!
//! Invariant: messages leave in the order of the rows, at QoS 1; [`play`] returns when the broker has
//! acknowledged all of them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tsm2_data::{Recording, Series};
use tsm2_mqtt::{Message, Publisher, Template, rfc3339};

/// Field of the time in the payloads.
pub const TIME_FIELD: &str = "time";
/// Field of the value in the payloads of a topic per variate.
pub const VALUE_FIELD: &str = "value";

/// Rows between two messages of a future covariate, and rows that each covers.
const FUTURE_EVERY: usize = 60;
const FUTURE_ROWS: usize = 780;

/// Publishes the messages of each row at `speed` times real time; at 0 as fast as the broker
/// acknowledges. `progress` receives the number of rows published. False when the session ended
/// early.
pub async fn play(
    publisher: &Publisher,
    times_ms: &[i64],
    speed: f64,
    messages: impl Fn(usize) -> Vec<Message>,
    mut progress: impl FnMut(usize),
) -> bool {
    let start = Instant::now();
    for (row, time_ms) in times_ms.iter().enumerate() {
        if speed > 0.0 {
            let elapsed_s = time_ms.saturating_sub(times_ms[0]).max(0) as f64 / 1e3 / speed;
            let elapsed = Duration::try_from_secs_f64(elapsed_s).ok();
            if let Some(due) = elapsed.and_then(|elapsed| start.checked_add(elapsed)) {
                tokio::time::sleep_until(due).await;
            }
        }
        for message in messages(row) {
            if publisher.publish(message).await.is_err() {
                return false;
            }
        }
        progress(row + 1);
    }
    publisher.flush().await.is_ok()
}

/// The messages of one device of a recording.
#[derive(Debug)]
pub struct Messages<'r> {
    /// Topic template of the readings.
    pub topic: &'r Template,
    /// Topic template of the future covariates.
    pub future_topic: &'r Template,
    /// Name of the stream.
    pub stream: &'r str,
    /// The recording.
    pub recording: &'r Recording,
    /// Its device.
    pub series: &'r Series,
    /// Indices of the variates that are published ahead.
    pub future: Vec<usize>,
}

impl Messages<'_> {
    /// The messages of one row: future covariates now and then, then one object of all variates, or
    /// one message per variate when the topic names it.
    pub fn of_row(&self, row: usize) -> Vec<Message> {
        let time = || (TIME_FIELD.to_owned(), Value::String(rfc3339(self.series.times_ms[row])));
        let names = self.recording.variates.iter().map(|variate| variate.name.as_str());
        let readings = names.zip(self.values(row)).map(|(name, &value)| (name, number(value)));
        let message = |variate: &str, fields: Map<String, Value>| Message {
            topic: self.topic.fill(self.stream, variate),
            payload: Bytes::from(Value::Object(fields).to_string()),
            retain: false,
        };
        let mut messages: Vec<Message> = self.future.iter().filter_map(|&variate| self.future_of(variate, row)).collect();
        if self.topic.has_variate() {
            messages.extend(readings.map(|(name, value)| message(name, [time(), (VALUE_FIELD.to_owned(), value)].into_iter().collect())));
        } else {
            let readings = readings.map(|(name, value)| (name.to_owned(), value));
            messages.push(message("", std::iter::once(time()).chain(readings).collect()));
        }
        messages
    }

    fn values(&self, row: usize) -> &[f32] {
        self.series.row(row, self.recording.variates.len())
    }

    /// A retained message with the values of the next rows, every [`FUTURE_EVERY`] rows.
    fn future_of(&self, variate: usize, row: usize) -> Option<Message> {
        if !row.is_multiple_of(FUTURE_EVERY) {
            return None;
        }
        let rows = row..self.series.times_ms.len().min(row + FUTURE_ROWS);
        let points: Vec<Value> = rows
            .map(|row| {
                let time = rfc3339(self.series.times_ms[row]);
                serde_json::json!({ TIME_FIELD: time, VALUE_FIELD: number(self.values(row)[variate]) })
            })
            .collect();
        Some(Message {
            topic: self.future_topic.fill(self.stream, &self.recording.variates[variate].name),
            payload: Bytes::from(Value::Array(points).to_string()),
            retain: true,
        })
    }
}

/// The shortest decimal number that reads back as the same value; null for a missing reading.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tsm2_data::{Options, Steps, read_bytes};

    fn payloads(topic: &str, future: &[usize], row: usize) -> Vec<(String, String)> {
        let table = "time,a,b\n2026-03-02 00:00:00,21.4,0.1\n2026-03-02 00:01:00,,7\n2026-03-02 00:02:00,1,2\n";
        let options = Options {
            steps: Steps::AsWritten,
            ..Options::default()
        };
        let (recording, _) = read_bytes(Path::new("r.csv"), table.as_bytes(), &options).unwrap();
        let (topic, future_topic) = (
            Template::parse(topic).unwrap(),
            Template::parse("future/{stream}/{variate}").unwrap(),
        );
        let messages = Messages {
            topic: &topic,
            future_topic: &future_topic,
            stream: "s",
            recording: &recording,
            series: &recording.series[0],
            future: future.to_vec(),
        };
        let messages = messages.of_row(row).into_iter();
        messages
            .map(|message| (message.topic, String::from_utf8(message.payload.to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn a_row_is_one_object_or_a_message_per_variate() {
        let payload = r#"{"a":21.4,"b":0.1,"time":"2026-03-02T00:00:00Z"}"#;
        assert_eq!(payloads("p/{stream}", &[], 0), [("p/s".to_owned(), payload.to_owned())]);
        let by_variate = payloads("p/{stream}/{variate}", &[], 1);
        let expected = [
            ("p/s/a", r#"{"time":"2026-03-02T00:01:00Z","value":null}"#),
            ("p/s/b", r#"{"time":"2026-03-02T00:01:00Z","value":7.0}"#),
        ];
        assert_eq!(by_variate, expected.map(|(topic, payload)| (topic.to_owned(), payload.to_owned())));
    }

    #[test]
    fn a_future_covariate_precedes_its_rows() {
        let messages = payloads("p/{stream}", &[1], 0);
        assert_eq!((messages[0].0.as_str(), messages[1].0.as_str()), ("future/s/b", "p/s"));
        assert_eq!(messages[0].1.matches("value").count(), 3);
        assert_eq!(payloads("p/{stream}", &[1], 1).len(), 1, "not with every row");
    }
}
