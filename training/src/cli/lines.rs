//! Lines of figures under one header, as a table for the terminal, as CSV and as JSON.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use comfy_table::Table as Printed;
use serde_json::{Map, Value};

/// An entry of a line.
#[derive(Clone, Debug)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number of things.
    Count(usize),
    /// A measurement: four decimals in a table, six in a file.
    Real(f64),
    /// No value.
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<f64>> for Cell {
    fn from(real: Option<f64>) -> Self {
        real.map_or(Self::Nothing, Self::Real)
    }
}

impl Cell {
    fn text(&self, decimals: usize) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Real(real) => format!("{real:.decimals$}"),
            Self::Nothing => String::new(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Count(count) => (*count).into(),
            Self::Real(real) => (*real).into(),
            Self::Nothing => Value::Null,
        }
    }
}

/// Writes lines as CSV, each as soon as it is there.
pub struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Csv<W> {
    /// Writes the header.
    pub fn new(header: &[&str], out: W) -> csv::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(header)?;
        writer.flush()?;
        Ok(Self(writer))
    }

    /// Writes a line.
    pub fn write(&mut self, line: &[Cell]) -> csv::Result<()> {
        self.0.write_record(line.iter().map(|cell| cell.text(6)))?;
        Ok(self.0.flush()?)
    }
}

/// Writes all lines as CSV.
pub fn csv(header: &[&str], lines: &[Vec<Cell>], out: impl Write) -> csv::Result<()> {
    let mut csv = Csv::new(header, out)?;
    lines.iter().try_for_each(|line| csv.write(line))
}

/// Writes all lines as CSV to a file, or to `out` where it is `-`.
pub fn csv_to(path: &Path, header: &[&str], lines: &[Vec<Cell>], out: impl Write) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return Ok(csv(header, lines, out)?);
    }
    let named = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let file = File::create(path).map_err(|error| named(&error))?;
    csv(header, lines, file).map_err(|error| named(&error))
}

/// Writes one JSON array, an object a line.
pub fn json(header: &[&str], lines: &[Vec<Cell>], out: &mut impl Write) -> anyhow::Result<()> {
    let object = |line: &Vec<Cell>| -> Map<String, Value> {
        let entries = header.iter().zip(line);
        entries.map(|(name, cell)| (name.to_string(), cell.json())).collect()
    };
    serde_json::to_writer(&mut *out, &lines.iter().map(object).collect::<Vec<_>>())?;
    writeln!(out)?;
    Ok(())
}

/// A table for the terminal, its first `left` columns aligned left.
pub fn table(header: &[&str], left: usize, lines: &[Vec<Cell>]) -> Printed {
    let mut printed = super::common::printed(header, left);
    for line in lines {
        printed.add_row(line.iter().map(|cell| cell.text(4)));
    }
    printed
}
