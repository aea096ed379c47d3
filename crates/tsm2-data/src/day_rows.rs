//! Tables with a column for each time, as tables with a row for each time: a row a day with times of day, as meters export, and a row a
//! series with whole times, as Home Assistant's energy page does.

use std::collections::HashSet;

use crate::cells::trim;
use crate::dialect::Dialect;
use crate::error::{Error, list};
use crate::names::{self, Part};
use crate::rows::{Drops, Rows};
use crate::source::Source;
use crate::time::date::{ORDERS, Order};
use crate::time::formats::parse;
use crate::time::month;
use crate::unpack::most_made;

/// What the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Times of day, beside a date in another column.
    Day,
    /// Months, beside a year in another column.
    Year,
    /// Whole times.
    Series,
}

impl Kind {
    fn read(self, name: &str) -> Option<String> {
        match self {
            Kind::Day => clock(name),
            Kind::Year => month(name.trim().as_bytes()).map(|_| name.trim().to_owned()),
            Kind::Series => moment(name),
        }
    }

    /// Name of the column of times.
    fn column(self) -> &'static str {
        match self {
            Kind::Day => "time of day",
            Kind::Year => "month",
            Kind::Series => "time",
        }
    }
}

/// Times of day from which on the columns are a day.
const LEAST: usize = 12;

/// Times in columns.
pub(crate) struct DayRows {
    /// Columns, and the time of each as text.
    clocks: Vec<(usize, String)>,
    kind: Kind,
}

impl DayRows {
    pub fn find(dialect: &Dialect) -> Option<DayRows> {
        [Kind::Day, Kind::Year, Kind::Series].into_iter().find_map(|kind| {
            let named = dialect.header.names.iter().enumerate();
            let clocks: Vec<(usize, String)> = named.filter_map(|(c, name)| Some((c, kind.read(name)?))).collect();
            let others = dialect.header.names.len() - clocks.len();
            let has_year = || dialect.header.names.iter().any(|name| names::part(name) == Some(Part::Year));
            // Two columns of one time would be mixed.
            let are_unique = || clocks.iter().map(|(_, clock)| clock).collect::<HashSet<_>>().len() == clocks.len();
            let is_one = clocks.len() >= LEAST && (1..=LEAST).contains(&others) && (kind != Kind::Year || has_year()) && are_unique();
            is_one.then_some(DayRows { clocks, kind })
        })
    }

    /// What a user should know.
    pub fn note(&self, dialect: &Dialect) -> String {
        let (first, last) = (
            &dialect.header.names[self.clocks[0].0],
            &dialect.header.names[self.clocks[self.clocks.len() - 1].0],
        );
        match self.kind {
            Kind::Day => format!("a row a day: the columns `{first}` to `{last}` are times of day"),
            Kind::Year => format!("a row a year: the columns `{first}` to `{last}` are its months"),
            Kind::Series => format!("a row a series: the columns `{first}` to `{last}` are its times"),
        }
    }

    /// The table with a row for each time. `None` when times of day have no column of dates.
    pub fn read(&self, source: &Source<'_>, dialect: &Dialect) -> Result<Option<Table>, Error> {
        let others: Vec<usize> = (0..dialect.header.names.len())
            .filter(|c| self.clocks.iter().all(|(other, _)| other != c))
            .collect();
        let is_date = |cell: &[u8]| {
            ORDERS
                .iter()
                .any(|&order| parse(cell, order).is_some_and(|parsed| parsed.date.is_some()))
        };
        // The delimiter of the file, by which commas in numbers are read.
        let delimiter = if dialect.delimiter == b' ' { b'\t' } else { dialect.delimiter };
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        let mut rows = Rows::open(source, dialect)?;
        let (mut has_date, mut count) = (false, 0);
        let header = others
            .iter()
            .map(|&c| dialect.header.names[c].as_bytes())
            .chain([self.kind.column().as_bytes(), b"value"]);
        let failed = |error: std::io::Error| Error::Read {
            path: source.path.into(),
            source: error,
        };
        let too_long = |most: u64| {
            let columns = list(others.iter().map(|&c| dialect.header.names[c].as_str()));
            failed(std::io::Error::other(format!(
                "with its cells of {columns} repeated for each of {} times, the table has more than {most} bytes: remove the long ones of these columns",
                self.clocks.len()
            )))
        };
        let failed_record = |error: csv::Error| failed(error.into());
        writer.write_record(header).map_err(failed_record)?;
        let mut bytes = 0;
        while let Some((_, record)) = rows.next()? {
            count += 1;
            bytes += (record.all().len() + record.len()) as u64;
            let most = most_made(bytes);
            let cell = |c: usize| trim(record.get(c).unwrap_or_default());
            has_date |= others.iter().any(|&c| is_date(cell(c)));
            for (c, clock) in &self.clocks {
                let cells = others.iter().map(|&c| cell(c)).chain([clock.as_bytes(), cell(*c)]);
                writer.write_record(cells).map_err(failed_record)?;
                if writer.get_ref().len() as u64 > most {
                    return Err(too_long(most));
                }
            }
        }
        let csv = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok((has_date || self.kind != Kind::Day).then_some(Table {
            csv,
            delimiter,
            rows: count,
            drops: rows.drops,
        }))
    }
}

/// A table with a row for each time.
pub(crate) struct Table {
    /// The other columns, the time, and a column `value`.
    pub csv: Vec<u8>,
    pub delimiter: u8,
    /// Rows of the file.
    pub rows: u64,
    /// Rows of the file that are left out.
    pub drops: Drops,
}

/// The time of day that a name is: `07:15`, `07:15-07:30` (its beginning), `H7` and `HE7` (the hour that ends then).
fn clock(name: &str) -> Option<String> {
    let name = name.trim();
    let first = name.split(['-', '–']).next()?.trim();
    if first.contains(':') {
        let parsed = parse(first.as_bytes(), Order::Ymd)?;
        return (parsed.date.is_none() && parsed.nanoseconds.is_some()).then(|| first.to_owned());
    }
    let hour: u32 = ["HE", "Hour ", "Hour_", "Hour", "H"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?
        .trim()
        .parse()
        .ok()?;
    (1..=24).contains(&hour).then(|| format!("{:02}:00", hour - 1))
}

/// A name that is a date, with or without a time of day.
fn moment(name: &str) -> Option<String> {
    let name = name.trim();
    let is_date = |&order: &Order| parse(name.as_bytes(), order).is_some_and(|parsed| parsed.date.is_some());
    ORDERS.iter().any(is_date).then(|| name.to_owned())
}
