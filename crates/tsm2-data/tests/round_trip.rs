//! A table written in any supported dialect is read back: the same numbers, times and missing cells.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use proptest::prelude::*;
use tsm2_data::{Options, read_bytes};

/// How a table is written.
#[derive(Debug, Clone)]
struct Dialect {
    delimiter: char,
    decimal_comma: bool,
    quoted: bool,
    ending: &'static str,
    encoding: Encoding,
    time: Time,
    missing: &'static str,
    title: &'static str,
    row_numbers: bool,
    trailing: bool,
    unit: &'static str,
    newest_first: bool,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Mark,
    Utf16,
    Latin1,
}

#[derive(Debug, Clone, Copy)]
enum Time {
    Iso,
    Zulu,
    German,
    American,
    Unix,
    UnixMs,
    TwoColumns,
    Compact,
    Parts,
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let layout = (
        prop::sample::select(vec![',', ';', '\t', '|']),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["\n", "\r\n"]),
        prop::sample::select(vec![Encoding::Utf8, Encoding::Mark, Encoding::Utf16, Encoding::Latin1]),
    );
    let times = prop::sample::select(vec![
        Time::Iso,
        Time::Zulu,
        Time::German,
        Time::American,
        Time::Unix,
        Time::UnixMs,
        Time::TwoColumns,
        Time::Compact,
        Time::Parts,
    ]);
    let rest = (
        prop::sample::select(vec!["", "NA", "null", "?", "NaN", "unavailable"]),
        prop::sample::select(vec!["", "Messwerte der Anlage Nord\n\n", "# a comment\n# another\n", "sep=X\n"]),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["", " °C", " kW", "%"]),
        any::<bool>(),
    );
    (layout, times, rest).prop_map(|(layout, time, rest)| {
        let (delimiter, decimal_comma, quoted, ending, encoding) = layout;
        let (missing, title, row_numbers, trailing, unit, newest_first) = rest;
        Dialect {
            delimiter,
            // Between commas a decimal comma needs quotes.
            decimal_comma: decimal_comma && (delimiter != ',' || quoted),
            quoted,
            ending,
            encoding,
            time,
            missing,
            title,
            row_numbers,
            trailing,
            unit,
            newest_first,
        }
    })
}

impl Dialect {
    fn write(&self, times: &[DateTime], values: &[Vec<Option<f32>>]) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut header: Vec<String> = match self.time {
            Time::TwoColumns => vec!["Date".into(), "Time".into()],
            Time::Parts => ["year", "month", "day", "hour", "minute"].map(str::to_owned).to_vec(),
            _ => vec!["Zeit".into()],
        };
        if self.row_numbers {
            header.insert(0, String::new());
        }
        header.extend((0..values[0].len()).map(|variate| format!("größe {variate}")));
        lines.push(self.line(header));
        let mut rows: Vec<String> = times
            .iter()
            .zip(values)
            .enumerate()
            .map(|(row, (time, values))| self.row(row, time, values))
            .collect();
        if self.newest_first {
            rows.reverse();
        }
        lines.extend(rows);
        let title = self.title.replace('X', &self.delimiter.to_string()).replace('\n', self.ending);
        let text = title + &lines.join(self.ending) + self.ending;
        match self.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Mark => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Encoding::Utf16 => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            Encoding::Latin1 => text.chars().map(|c| c as u8).collect(),
        }
    }

    fn row(&self, row: usize, time: &DateTime, values: &[Option<f32>]) -> String {
        let moment = || Offset::UTC.to_timestamp(*time).unwrap();
        let mut cells = match self.time {
            Time::Iso => vec![time.strftime("%Y-%m-%d %H:%M:%S").to_string()],
            Time::Zulu => vec![time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()],
            Time::German => vec![time.strftime("%d.%m.%Y %H:%M").to_string()],
            Time::American => vec![time.strftime("%m/%d/%Y %I:%M:%S %p").to_string()],
            Time::Unix => vec![moment().as_second().to_string()],
            Time::UnixMs => vec![moment().as_millisecond().to_string()],
            Time::TwoColumns => vec![time.strftime("%Y-%m-%d").to_string(), time.strftime("%H:%M").to_string()],
            Time::Compact => vec![time.strftime("%Y%m%d%H%M%S").to_string()],
            Time::Parts => [
                time.year(),
                time.month().into(),
                time.day().into(),
                time.hour().into(),
                time.minute().into(),
            ]
            .map(|part| part.to_string())
            .to_vec(),
        };
        if self.row_numbers {
            cells.insert(0, row.to_string());
        }
        for value in values {
            cells.push(match value {
                None => self.missing.to_owned(),
                Some(value) => {
                    let number = value.to_string();
                    let number = if self.decimal_comma { number.replace('.', ",") } else { number };
                    number + self.unit
                }
            });
        }
        self.line(cells)
    }

    fn line(&self, cells: Vec<String>) -> String {
        let quoted = |cell: &String| if self.quoted { format!("\"{cell}\"") } else { cell.clone() };
        let mut line = cells.iter().map(quoted).collect::<Vec<_>>().join(&self.delimiter.to_string());
        if self.trailing {
            line.push(self.delimiter);
        }
        line
    }
}

/// Numbers with few digits that no rule takes for a code, a count, a state or groups of thousands.
fn readings() -> impl Strategy<Value = f32> {
    (-5000i32..50_000).prop_map(|number| number as f32 / 100.0)
}

proptest! {
    #[test]
    fn a_table_in_any_dialect_is_read_back(
        dialect in dialects(),
        step in prop::sample::select(vec![1i64, 5, 10, 15, 60, 180]),
        variates in 1usize..5,
        rows in 30usize..200,
        seed in prop::collection::vec((readings(), 0u8..12), 64),
    ) {
        // From the 9th of a month on: days above 12 tell day and month apart.
        let start = DateTime::constant(2024, 5, 9, 0, 0, 0, 0);
        let days = if matches!(dialect.time, Time::American) { step.max(60) } else { step };
        let rows = if matches!(dialect.time, Time::American) { rows + 120 } else { rows };
        let times: Vec<DateTime> = (0..rows as i64).map(|row| start + jiff::SignedDuration::from_mins(row * days)).collect();
        let value = |row: usize, variate: usize| {
            let (value, missing) = seed[(row * 31 + variate * 17 + row * row) % seed.len()];
            (missing > 0 || row < 2).then_some(value + (row % 7) as f32 / 8.0)
        };
        let values: Vec<Vec<Option<f32>>> = (0..rows).map(|row| (0..variates).map(|variate| value(row, variate)).collect()).collect();
        let text = dialect.write(&times, &values);
        let read = read_bytes(Path::new("table.csv"), &text, &Options::default());
        let shown = || format!("{dialect:?}\n{}", String::from_utf8_lossy(&text[..text.len().min(600)]));
        let (recording, report) = read.map_err(|error| TestCaseError::fail(format!("{error}\n{}", shown())))?;
        prop_assert_eq!(report.rows as usize, rows, "{}", shown());
        prop_assert_eq!(recording.variates.len(), variates, "{:?}\n{}", report, shown());
        let series = &recording.series[0];
        let expected: Vec<i64> = times.iter().map(|time| Offset::UTC.to_timestamp(*time).unwrap().as_millisecond()).collect();
        prop_assert_eq!(&series.times_ms, &expected, "{:?}\n{}", report, shown());
        for (row, values) in values.iter().enumerate() {
            for (variate, value) in values.iter().enumerate() {
                let found = series.row(row, variates)[variate];
                prop_assert_eq!(found.is_nan().then_some(()), value.is_none().then_some(()), "row {}\n{}", row, shown());
                prop_assert!(value.is_none_or(|value| value == found), "row {row}: {value:?} {found}\n{}", shown());
            }
        }
    }
}
