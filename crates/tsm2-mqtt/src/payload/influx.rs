//! Influx line protocol: `weather,site=roof temperature=21.5,rain=t 1709510400000000000`.
//!
//! Each line becomes a JSON object: its tags, its fields, `measurement` and `time` (a number of the
//! unit of the sender, nanoseconds by default).

use serde_json::{Map, Number, Value};

/// The lines of a text as objects; of a line that cannot be read its number, from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Value, usize>> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let numbered = text.lines().enumerate().filter(move |(_, line)| is_content(line));
    numbered.map(|(index, line)| object(line.trim()).ok_or(index + 1))
}

fn object(line: &str) -> Option<Value> {
    let (key, rest) = split(line, ' ')?;
    let (fields, time) = match split(rest.trim_start(), ' ') {
        Some((fields, time)) => (fields, Some(time.trim())),
        None => (rest.trim_start(), None),
    };
    let mut object = Map::new();
    let mut parts = pieces(key, ',');
    let measurement = parts.next().filter(|name| !name.is_empty())?;
    for tag in parts {
        let (name, value) = split(tag, '=')?;
        object.insert(unescaped(name), Value::String(unescaped(value)));
    }
    object.insert("measurement".to_owned(), Value::String(unescaped(measurement)));
    for field in pieces(fields, ',') {
        let (name, value) = split(field, '=').filter(|(name, _)| !name.is_empty())?;
        object.insert(unescaped(name), field_value(value)?);
    }
    if let Some(time) = time {
        object.insert("time".to_owned(), Value::Number(time.parse::<i64>().ok()?.into()));
    }
    Some(Value::Object(object))
}

fn field_value(text: &str) -> Option<Value> {
    if let Some(quoted) = text.strip_prefix('"') {
        return Some(Value::String(quoted.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\")));
    }
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
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

/// The text before and behind the first separator that is neither escaped nor in quotes.
fn split(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut is_escaped, mut is_quoted) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => return Some((&text[..at], &text[at + c.len_utf8()..])),
            _ => {}
        }
    }
    None
}

fn pieces(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = split(text, separator).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_escape = c == '\\' && characters.peek().is_some_and(|next| matches!(next, ',' | '=' | ' ' | '\\'));
        plain.extend(if is_escape { characters.next() } else { Some(c) });
    }
    plain
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
