//! InfluxDB's line protocol as a long table of CSV: a row per field.
//!
//! `climate,room=hall temperature=21.5,open=t 1709510400000000000` becomes two rows of the columns `_time`, `measurement`, `tags`, `_field`,
//! `_value`. Lines are counted in this table.

use std::io::{self, BufRead, Read};

use tsm2_line_protocol::{Line, boolean, unescaped};

/// The header of the table.
const HEADER: &[u8] = b"_time,measurement,tags,_field,_value\n";

/// Whether the first lines of a text are line protocol.
pub(crate) fn is_line_protocol(head: &str) -> bool {
    let mut lines = head
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .take(5)
        .peekable();
    lines.peek().is_some() && lines.all(|line| parse(line).is_some_and(|line| line.time.is_some()))
}

/// The line, where all its fields are numbers, texts or truth values.
fn parse(line: &str) -> Option<Line<'_>> {
    let is_value = |(_, value): &(&str, &str)| value.starts_with('"') || number(value).parse::<f64>().is_ok() || boolean(value).is_some();
    Line::parse(line).filter(|line| line.fields.iter().all(is_value))
}

fn write(line: &Line, out: &mut Vec<u8>) {
    let tags = line.tags.iter().map(|(_, value)| unescaped(value)).collect::<Vec<_>>().join(".");
    for (field, value) in &line.fields {
        let value = match boolean(value) {
            Some(true) => "true",
            Some(false) => "false",
            None => number(value),
        };
        let cells = [
            line.time.unwrap_or_default(),
            &unescaped(line.measurement),
            &tags,
            &unescaped(field),
            value.trim_matches('"'),
        ];
        let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        out.extend_from_slice(quoted.join(",").as_bytes());
        out.push(b'\n');
    }
}

/// A number without the letter of its type.
fn number(value: &str) -> &str {
    value
        .strip_suffix(['i', 'u'])
        .filter(|digits| digits.ends_with(|c: char| c.is_ascii_digit()))
        .unwrap_or(value)
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
            match parse(&line) {
                Some(line) => write(&line, &mut self.ready),
                None => self.ready.extend_from_slice(b",,,,not line protocol\n"),
            }
        }
        let length = (self.ready.len() - self.at).min(into.len());
        into[..length].copy_from_slice(&self.ready[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}
