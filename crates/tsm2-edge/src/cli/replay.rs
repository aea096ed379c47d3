//! Plays a table of readings to a broker as the sensors would have sent them.
//!
//! Invariant: messages leave in the table's order, at QoS 1, and [`play`] returns only when the broker has acknowledged all of them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tsm2_mqtt::{Message, Publisher, Template, rfc3339};

use crate::cli::table::{Record, Table};

/// Field of the time in the payloads.
pub const TIME_FIELD: &str = "time";
/// Field of the value in the payloads of a topic per variate.
pub const VALUE_FIELD: &str = "value";

/// How many rows lie between two messages of what is known ahead of a column, and how many rows each tells of.
const KNOWN_EVERY: usize = 60;
const KNOWN_ROWS: usize = 780;

/// Publishes `rows` at `speed` times real time, or as fast as the broker acknowledges when `speed` is 0: of each row, given by its number, what
/// `messages` makes of it. `progress` hears after each row how many have gone. False when the session ended before.
pub async fn play(
    publisher: &Publisher,
    rows: &[Record],
    speed: f64,
    messages: impl Fn(usize) -> Vec<Message>,
    mut progress: impl FnMut(usize),
) -> bool {
    let start = Instant::now();
    for (index, row) in rows.iter().enumerate() {
        if speed > 0.0 {
            let elapsed_s = row.time_ms.saturating_sub(rows[0].time_ms).max(0) as f64 / 1e3 / speed;
            if let Some(due) = Duration::try_from_secs_f64(elapsed_s)
                .ok()
                .and_then(|after| start.checked_add(after))
            {
                tokio::time::sleep_until(due).await;
            }
        }
        for message in messages(index) {
            if publisher.publish(message).await.is_err() {
                return false;
            }
        }
        progress(index + 1);
    }
    publisher.flush().await.is_ok()
}

/// What is known ahead of `column` from row `index` on, a retained message now and then: nothing at most rows.
pub fn known_ahead(template: &Template, stream: &str, (column, name): (usize, &str), rows: &[Record], index: usize) -> Option<Message> {
    if !index.is_multiple_of(KNOWN_EVERY) {
        return None;
    }
    let point = |row: &Record| {
        let value = row.values.get(column).map_or(Value::Null, |&value| Value::from(value));
        serde_json::json!({ TIME_FIELD: rfc3339(row.time_ms), VALUE_FIELD: value })
    };
    let points: Vec<Value> = rows[index..].iter().take(KNOWN_ROWS).map(point).collect();
    Some(Message {
        topic: template.fill(stream, name),
        payload: Bytes::from(Value::Array(points).to_string()),
        retain: true,
    })
}

/// The messages of one row: one object of all variates, or one message per variate when the template names them.
pub fn messages(template: &Template, stream: &str, names: &[String], row: &Record) -> Vec<Message> {
    let time = (TIME_FIELD.to_owned(), Value::String(rfc3339(row.time_ms)));
    let readings = names.iter().zip(&row.values).map(|(name, &value)| (name, Value::from(value)));
    let message = |variate: &str, fields: Map<String, Value>| Message {
        topic: template.fill(stream, variate),
        payload: Bytes::from(Value::Object(fields).to_string()),
        retain: false,
    };
    if template.has_variate() {
        readings
            .map(|(name, value)| message(name, [time.clone(), (VALUE_FIELD.to_owned(), value)].into_iter().collect()))
            .collect()
    } else {
        let fields = std::iter::once(time)
            .chain(readings.map(|(name, value)| (name.clone(), value)))
            .collect();
        vec![message("", fields)]
    }
}

impl Table {
    /// The part of the rows in a range, cut to what there is.
    pub fn slice(&self, range: std::ops::Range<usize>) -> &[Record] {
        let end = range.end.min(self.rows.len());
        &self.rows[range.start.min(end)..end]
    }
}
