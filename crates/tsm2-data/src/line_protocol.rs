//! InfluxDB's line protocol as a long table of CSV: a row per field.
//!
//! `climate,room=hall temperature=21.5,open=t 1709510400000000000` becomes two rows of the columns `_time`, `measurement`, `tags`, `_field`,
//! `_value`. Lines are counted in this table.

use std::io::{self, BufRead, Read};

/// The header of the table.
const HEADER: &[u8] = b"_time,measurement,tags,_field,_value\n";

/// Whether the first lines of a text are line protocol.
pub(crate) fn is_line_protocol(head: &str) -> bool {
    let mut lines = head
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .take(5)
        .peekable();
    lines.peek().is_some() && lines.all(|line| Point::parse(line).is_some_and(|point| point.time.is_some()))
}

/// One line.
struct Point<'a> {
    measurement: &'a str,
    /// Values of the tags, by the order of the line.
    tags: Vec<&'a str>,
    fields: Vec<(&'a str, &'a str)>,
    time: Option<&'a str>,
}

impl<'a> Point<'a> {
    fn parse(line: &'a str) -> Option<Point<'a>> {
        let (key, rest) = split(line.trim(), ' ')?;
        let (fields, time) = match split(rest.trim_start(), ' ') {
            Some((fields, time)) => (fields, Some(time.trim())),
            None => (rest.trim_start(), None),
        };
        let mut parts = pieces(key, ',').into_iter();
        let measurement = parts.next().filter(|name| !name.is_empty())?;
        let tags = parts
            .map(|tag| split(tag, '=').map(|(_, value)| value))
            .collect::<Option<Vec<_>>>()?;
        let fields = pieces(fields, ',')
            .into_iter()
            .map(|field| split(field, '='))
            .collect::<Option<Vec<_>>>()?;
        let is_number = |time: &str| time.strip_prefix('-').unwrap_or(time).bytes().all(|byte| byte.is_ascii_digit());
        let is_value = |(_, value): &(&str, &str)| value.starts_with('"') || number(value).parse::<f64>().is_ok() || truth(value).is_some();
        (fields.iter().all(is_value) && time.is_none_or(is_number)).then_some(Point {
            measurement,
            tags,
            fields,
            time,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (field, value) in &self.fields {
            let value = match truth(value) {
                Some(true) => "true",
                Some(false) => "false",
                None => number(value),
            };
            let tags = self.tags.iter().map(|tag| unescaped(tag)).collect::<Vec<_>>().join(".");
            let cells = [
                self.time.unwrap_or_default().to_owned(),
                unescaped(self.measurement),
                tags,
                unescaped(field),
                value.trim_matches('"').to_owned(),
            ];
            let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            out.extend_from_slice(quoted.join(",").as_bytes());
            out.push(b'\n');
        }
    }
}

/// A number without the letter of its type.
fn number(value: &str) -> &str {
    value
        .strip_suffix(['i', 'u'])
        .filter(|digits| digits.ends_with(|c: char| c.is_ascii_digit()))
        .unwrap_or(value)
}

fn truth(value: &str) -> Option<bool> {
    match value {
        "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
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

fn pieces(mut text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    while let Some((piece, rest)) = split(text, separator) {
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

/// The table of a text in line protocol; lines that are none are rows without a time.
pub(crate) struct Table<R> {
    lines: R,
    ready: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Table<R> {
    pub fn new(lines: R) -> Self {
        Table {
            lines,
            ready: HEADER.to_vec(),
            at: 0,
        }
    }
}

impl<R: BufRead> Read for Table<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() {
            let mut line = Vec::new();
            if self.lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(0);
            }
            (self.at, self.ready) = (0, Vec::new());
            let line = String::from_utf8_lossy(&line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match Point::parse(&line) {
                Some(point) => point.write(&mut self.ready),
                None => self.ready.extend_from_slice(b",,,,not line protocol\n"),
            }
        }
        let length = (self.ready.len() - self.at).min(into.len());
        into[..length].copy_from_slice(&self.ready[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}
