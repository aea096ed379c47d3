//! Influx line protocol: `weather,site=roof temperature=21.5,rain=t 1709510400000000000`.
//!
//! Each line becomes a JSON object: its tags, its fields, `measurement` and `time` (a number of the
//! unit of the sender, nanoseconds by default).

use serde_json::{Map, Number, Value};
use tsm2_line_protocol::{Line, boolean, unescaped};

/// The lines of a text as objects; of a line that cannot be read its number, from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Value, usize>> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let numbered = text.lines().enumerate().filter(move |(_, line)| is_content(line));
    numbered.map(|(index, line)| object(line).ok_or(index + 1))
}

fn object(line: &str) -> Option<Value> {
    let line = Line::parse(line)?;
    let tags = line
        .tags
        .iter()
        .map(|(name, value)| (unescaped(name), Value::String(unescaped(value))));
    let mut object: Map<_, _> = tags.collect();
    object.insert("measurement".to_owned(), Value::String(unescaped(line.measurement)));
    for (name, value) in &line.fields {
        object.insert(unescaped(name), field_value(value)?);
    }
    if let Some(time) = line.time {
        object.insert("time".to_owned(), Value::Number(time.parse::<i64>().ok()?.into()));
    }
    Some(Value::Object(object))
}

fn field_value(text: &str) -> Option<Value> {
    if let Some(quoted) = text.strip_prefix('"') {
        return Some(Value::String(quoted.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\")));
    }
    if let Some(truth) = boolean(text) {
        return Some(Value::Bool(truth));
    }
    if let Some(integer) = text.strip_suffix('i') {
        return Some(Value::Number(integer.parse::<i64>().ok()?.into()));
    }
    if let Some(integer) = text.strip_suffix('u') {
        return Some(Value::Number(integer.parse::<u64>().ok()?.into()));
    }
    // A number beyond f64 is a missing reading, as in JSON.
    Some(Number::from_f64(text.parse().ok()?).map_or(Value::Null, Value::Number))
}

#[cfg(test)]
mod tests {
    use super::lines;
    use serde_json::json;

    #[test]
    fn lines_become_objects() {
        let text = "# a comment\nweather,site=roof\\ top temperature=21.5,count=3i,rain=t,note=\"a, \\\"b\\\" = c\" 1709510400000000000\n\nplain v=1\n";
        let expected = [
            json!({"measurement": "weather", "site": "roof top", "temperature": 21.5, "count": 3, "rain": true,
                "note": "a, \"b\" = c", "time": 1_709_510_400_000_000_000_i64}),
            json!({"measurement": "plain", "v": 1.0}),
        ];
        assert_eq!(lines(text).collect::<Vec<_>>(), expected.map(Ok));
        for bad in ["weather", "weather v=", ",a=b v=1", "w v=1 soon", "w v=\"open", "w =1", "w v=1x"] {
            assert_eq!(lines(bad).collect::<Vec<_>>(), [Err(1)], "{bad}");
        }
        assert_eq!(lines("w v=1\nnothing\n").last(), Some(Err(2)));
    }
}
