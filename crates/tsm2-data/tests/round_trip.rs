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
    units_below: bool,
    order: RowOrder,
    damage: Damage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum RowOrder {
    OldestFirst,
    NewestFirst,
    /// The later half first.
    Halves,
}

/// What restarts and power cuts leave, and costs no row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    None,
    HeaderAgain,
    BlankLines,
    CutLastLine,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Mark,
    Utf16,
    Utf16BigEndian,
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
    UnixUs,
    UnixNs,
    UnixDecimals,
    Excel,
    Offset,
    TwoColumns,
    Compact,
    Parts,
    DateAndHour,
    MonthName,
    ShortGerman,
    HalfDays,
    EndOfDay,
    Japanese,
}

const TIMES: [Time; 20] = [
    Time::Iso,
    Time::Zulu,
    Time::German,
    Time::American,
    Time::Unix,
    Time::UnixMs,
    Time::UnixUs,
    Time::UnixNs,
    Time::UnixDecimals,
    Time::Excel,
    Time::Offset,
    Time::TwoColumns,
    Time::Compact,
    Time::Parts,
    Time::DateAndHour,
    Time::MonthName,
    Time::ShortGerman,
    Time::HalfDays,
    Time::EndOfDay,
    Time::Japanese,
];

fn dialects() -> impl Strategy<Value = Dialect> {
    let layout = (
        prop::sample::select(vec![',', ';', '\t', '|']),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["\n", "\r\n"]),
        prop::sample::select(vec![
            Encoding::Utf8,
            Encoding::Mark,
            Encoding::Utf16,
            Encoding::Utf16BigEndian,
            Encoding::Latin1,
        ]),
    );
    let times = prop::sample::select(TIMES.to_vec());
    let rest = (
        prop::sample::select(vec!["", "NA", "null", "?", "NaN", "unavailable", "unknown", "-", "#N/A"]),
        prop::sample::select(vec!["", "Messwerte der Anlage Nord\n\n", "# a comment\n# another\n", "sep=X\n"]),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["", " °C", " kW", "%"]),
        any::<bool>(),
        prop::sample::select(vec![RowOrder::OldestFirst, RowOrder::NewestFirst, RowOrder::Halves]),
        prop::sample::select(vec![Damage::None, Damage::HeaderAgain, Damage::BlankLines, Damage::CutLastLine]),
    );
    (layout, times, rest).prop_map(|(layout, time, rest)| {
        let (delimiter, decimal_comma, quoted, ending, encoding) = layout;
        let (missing, title, row_numbers, trailing, unit, units_below, order, damage) = rest;
        // Characters of Japan need a Unicode text, and their own unit would be spoiled with them.
        let encoding = if matches!((time, encoding), (Time::Japanese, Encoding::Latin1)) {
            Encoding::Utf8
        } else {
            encoding
        };
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
            units_below,
            order,
            damage,
        }
    })
}

impl Dialect {
    fn write(&self, times: &[DateTime], values: &[Vec<Option<f32>>]) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut header: Vec<String> = match self.time {
            Time::TwoColumns => vec!["Date".into(), "Time".into()],
            Time::Parts => ["year", "month", "day", "hour", "minute"].map(str::to_owned).to_vec(),
            Time::DateAndHour => vec!["YYYYMMDD".into(), "HH".into()],
            _ => vec!["Zeit".into()],
        };
        if self.row_numbers {
            header.insert(0, String::new());
        }
        header.extend((0..values[0].len()).map(|variate| format!("größe {variate}")));
        let width = header.len();
        lines.push(self.line(header));
        if self.units_below {
            let units = (0..width).map(|c| if c + values[0].len() < width { String::new() } else { "kWh".into() });
            lines.push(self.line(units.collect()));
        }
        let mut rows: Vec<String> = times
            .iter()
            .zip(values)
            .enumerate()
            .map(|(row, (time, values))| self.row(row, time, values))
            .collect();
        match self.order {
            RowOrder::OldestFirst => {}
            RowOrder::NewestFirst => rows.reverse(),
            RowOrder::Halves => {
                let half = rows.len() / 2;
                rows.rotate_left(half);
            }
        }
        match self.damage {
            Damage::None => {}
            Damage::HeaderAgain => rows.insert(rows.len() / 2, lines[0].clone()),
            Damage::BlankLines => (0..3).for_each(|_| rows.insert(rows.len() / 2, String::new())),
            Damage::CutLastLine => {
                let cut = rows[0].split(self.delimiter).next().unwrap_or_default().to_owned();
                rows.push(cut.trim_matches('"').to_owned());
            }
        }
        lines.extend(rows);
        let title = self.title.replace('X', &self.delimiter.to_string()).replace('\n', self.ending);
        let text = title + &lines.join(self.ending) + self.ending;
        match self.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Mark => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Encoding::Utf16 => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16BigEndian => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
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
            Time::UnixUs => vec![moment().as_microsecond().to_string()],
            Time::UnixNs => vec![moment().as_nanosecond().to_string()],
            Time::UnixDecimals => vec![self.number(format!("{}.000", moment().as_second()))],
            // Minutes are no round part of a day: the reader rounds to seconds.
            Time::Excel => vec![self.number(format!("{:.9}", moment().as_second() as f64 / 86_400.0 + 25_569.0))],
            Time::Offset => vec![
                (*time + jiff::SignedDuration::from_hours(2))
                    .strftime("%Y-%m-%dT%H:%M:%S+02:00")
                    .to_string(),
            ],
            Time::DateAndHour => vec![time.strftime("%Y%m%d").to_string(), time.hour().to_string()],
            Time::MonthName => vec![time.strftime("%d-%b-%Y %H:%M:%S").to_string()],
            Time::ShortGerman => vec![time.strftime("%-d.%-m.%y %-H:%M").to_string()],
            Time::HalfDays => vec![time.strftime("%-m/%-d/%Y %-I:%M %p").to_string()],
            Time::EndOfDay if time.hour() + time.minute() == 0 => {
                let day_before = *time - jiff::SignedDuration::from_hours(24);
                vec![day_before.strftime("%d.%m.%Y 24:00").to_string()]
            }
            Time::EndOfDay => vec![time.strftime("%d.%m.%Y %H:%M").to_string()],
            Time::Japanese => vec![time.strftime("%Y年%-m月%-d日 %-H時%M分").to_string()],
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
                Some(value) => self.number(value.to_string()) + self.unit,
            });
        }
        self.line(cells)
    }

    fn number(&self, number: String) -> String {
        if self.decimal_comma { number.replace('.', ",") } else { number }
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
        let (is_american, is_hourly) = (matches!(dialect.time, Time::American | Time::HalfDays), matches!(dialect.time, Time::DateAndHour));
        let minutes = if is_american || is_hourly { step.max(60) } else { step };
        let rows = if is_american { rows + 120 } else { rows };
        let times: Vec<DateTime> = (0..rows as i64).map(|row| start + jiff::SignedDuration::from_mins(row * minutes)).collect();
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

/// How a table with a value a row is written.
#[derive(Debug, Clone, Copy)]
enum Long {
    HomeAssistant,
    Grafana,
    Ids,
    Influx,
    LineProtocol,
    JsonLines,
}

impl Long {
    fn write(self, rows: &[(i64, usize, Option<f32>)]) -> String {
        let head = match self {
            Long::HomeAssistant => "entity_id,state,last_changed",
            Long::Grafana => "sep=;\n\"Series\";\"Time\";\"Value\"",
            Long::Ids => "unique_id,ds,y",
            Long::Influx => "#group,false,false,false,true\n#datatype,string,dateTime:RFC3339,double,string\n,result,_time,_value,_field",
            Long::LineProtocol | Long::JsonLines => "",
        };
        let row = |&(second, name, value): &(i64, usize, Option<f32>)| {
            let time = jiff::Timestamp::from_second(second).unwrap();
            let number = value.map_or(String::new(), |value| value.to_string());
            match self {
                Long::HomeAssistant if value.is_none() => format!("sensor.{name},unavailable,{time}"),
                Long::HomeAssistant => format!("sensor.{name},{number},{time}"),
                Long::Grafana => format!("\"sensor.{name}\";\"{time}\";\"{number}\""),
                Long::Ids => format!("sensor.{name},{},{number}", time.strftime("%Y-%m-%d %H:%M:%S")),
                Long::Influx => format!(",mean,{time},{number},sensor.{name}"),
                Long::LineProtocol if value.is_none() => String::new(),
                Long::LineProtocol => format!("plant sensor.{name}={number} {}", time.as_nanosecond()),
                Long::JsonLines => {
                    let value = value.map_or("null".into(), |value| value.to_string());
                    format!("{{\"time\":\"{time}\",\"name\":\"sensor.{name}\",\"value\":{value}}}")
                }
            }
        };
        let rows: Vec<String> = rows.iter().map(row).filter(|row| !row.is_empty()).collect();
        format!("{head}\n{}\n", rows.join("\n")).trim_start().to_owned()
    }
}

proptest! {
    #[test]
    fn a_long_table_is_read_back(
        kind in prop::sample::select(vec![Long::HomeAssistant, Long::Grafana, Long::Ids, Long::Influx, Long::LineProtocol, Long::JsonLines]),
        by_name in any::<bool>(),
        names in 2usize..5,
        seed in prop::collection::vec((readings(), 0u8..12), 64),
        rows in 30usize..120,
    ) {
        let value = |row: usize, name: usize| {
            let (value, missing) = seed[(row * 31 + name * 17 + row * row) % seed.len()];
            (missing > 0 || row < 2).then_some(value + (row % 7) as f32 / 8.0)
        };
        let mut table: Vec<(i64, usize, Option<f32>)> = (0..rows)
            .flat_map(|row| (0..names).map(move |name| (row, name)))
            .map(|(row, name)| (1_715_212_800 + 600 * row as i64, name, value(row, name)))
            .collect();
        if by_name {
            table.sort_by_key(|row| row.1);
        }
        let text = kind.write(&table);
        let read = read_bytes(Path::new("table.csv"), text.as_bytes(), &Options::default());
        let shown = || format!("{kind:?}\n{}", &text[..text.len().min(600)]);
        let (recording, report) = read.map_err(|error| TestCaseError::fail(format!("{error}\n{}", shown())))?;
        prop_assert_eq!(recording.variates.len(), names, "{:?}\n{}", report, shown());
        let series = &recording.series[0];
        prop_assert_eq!(series.times_ms[0], 1_715_212_800_000);
        for row in 0..series.rows(names) {
            for name in 0..names {
                let found = series.row(row, names)[name];
                let expected = value(row, name).unwrap_or(f32::NAN);
                prop_assert!(found == expected || found.is_nan() && expected.is_nan(), "row {row}: {expected} {found}\n{}", shown());
            }
        }
    }
}
