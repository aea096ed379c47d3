//! InfluxDB's line protocol: `weather,site=roof temperature=21.5,rain=t 1709510400000000000`.
//!
//! Source: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>.
//!
//! ```
//! let line = tsm2_line_protocol::Line::parse("weather,site=flat\\ roof temperature=21.5 1709510400").unwrap();
//! assert_eq!((line.measurement, line.time), ("weather", Some("1709510400")));
//! assert_eq!(line.fields, [("temperature", "21.5")]);
//! assert_eq!(tsm2_line_protocol::unescaped(line.tags[0].1), "flat roof");
//! ```

/// One line. All texts are as they stand there: names and tags [`unescaped`] are what they mean.
#[derive(Debug)]
pub struct Line<'a> {
    /// What was measured; never empty.
    pub measurement: &'a str,
    /// Names and values of the tags, by the order of the line.
    pub tags: Vec<(&'a str, &'a str)>,
    /// Names and values of the fields, by the order of the line; no name is empty.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Digits, perhaps behind a minus, in the unit of the sender: nanoseconds by default.
    pub time: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The parts of a line; none where it is not line protocol. Values of fields are not looked at.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let (key, rest) = split(line.trim(), ' ')?;
        let (fields, time) = match split(rest.trim_start(), ' ') {
            Some((fields, time)) => (fields, Some(time.trim())),
            None => (rest.trim_start(), None),
        };
        let is_time = |time: &str| time.strip_prefix('-').unwrap_or(time).bytes().all(|byte| byte.is_ascii_digit());
        let (measurement, tags) = split(key, ',').map_or((key, None), |(measurement, tags)| (measurement, Some(tags)));
        let line = Line {
            measurement,
            tags: tags.map_or(Some(Vec::new()), pairs)?,
            fields: pairs(fields)?,
            time,
        };
        let is_named = !measurement.is_empty() && line.fields.iter().all(|(name, _)| !name.is_empty());
        (is_named && time.is_none_or(is_time)).then_some(line)
    }
}

/// The truth value of a field.
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A name or the value of a tag without its backslashes.
#[must_use]
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_escape = c == '\\' && characters.peek().is_some_and(|next| matches!(next, ',' | '=' | ' ' | '\\'));
        plain.extend(if is_escape { characters.next() } else { Some(c) });
    }
    plain
}

/// The names and values of `a=1,b=2`.
fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (pair, after) = split(text, ',').map_or((text, None), |(pair, after)| (pair, Some(after)));
        pairs.push(split(pair, '=')?);
        rest = after;
    }
    Some(pairs)
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
