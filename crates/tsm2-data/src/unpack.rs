//! JSON as a table: JSON lines, documents with arrays, and logs of messages (`TOPIC {..}`, `TIME TOPIC {..}`).
//!
//! Each object is a row; the members of nested objects are columns of their own, named by their path, or by its last part where that is
//! unique. Objects in an array under a key become rows with the key in a column `key`, or `date` where all keys are dates.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::names;
use crate::time::date::ORDERS;
use crate::time::formats::parse;

/// The share of the first pass, which finds the columns.
const FIRST: f64 = 0.5;

/// Columns beyond which the text is no recording.
const MOST_COLUMNS: usize = 20_000;

/// The most cells, or bytes, of a table made of a text of so many bytes: what is written for each row must have its share of the text.
pub(crate) fn most_made(bytes: u64) -> u64 {
    (1 << 26).max(50 * bytes)
}

/// The text as CSV; `None` when it is no JSON. `Err`: the line that is none, and what is wrong. `done` gets the shares of the work.
pub(crate) fn to_csv(text: &str, done: &dyn Fn(f64)) -> Option<Result<Vec<u8>, (usize, String)>> {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let document = match text.trim_start().as_bytes().first()? {
        b'[' | b'{' => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    };
    let shape = match &document {
        Some(document) => {
            done(FIRST);
            Shape::Document(document)
        }
        None => {
            let (prefix, object) = parts(first)?;
            serde_json::from_str::<Value>(object)
                .ok()?
                .is_object()
                .then_some(Shape::Lines(prefix.len()))?
        }
    };
    let mut columns = Columns::default();
    Some(
        rows(text, shape, &mut |row| columns.take(&row), &|part| done(FIRST * part)).and_then(|()| {
            if document.is_some() && columns.rows < 2 {
                return Err((1, "one object without rows".into()));
            }
            let cells = columns.rows.saturating_mul(columns.paths.len() as u64);
            if cells > most_made(text.len() as u64) {
                let (rows, columns) = (columns.rows, columns.paths.len());
                return Err((0, format!("{rows} rows with {columns} different members are too many cells")));
            }
            let mut writer = csv::Writer::from_writer(Vec::new());
            let names = columns.names();
            let mut write = |cells: &[String]| writer.write_record(cells).map_err(|error| (0, error.to_string()));
            write(&names)?;
            let mut cells = vec![String::new(); names.len()];
            let mut result = Ok(());
            let share = (1.0 - FIRST) / columns.rows.max(1) as f64;
            let take = &mut |row: Row| {
                done(share);
                cells.iter_mut().for_each(String::clear);
                for (path, value) in row {
                    if let Some(&at) = columns.places.get(&path) {
                        cells[at] = value;
                    }
                }
                if result.is_ok() {
                    result = write(&cells);
                }
                Ok(())
            };
            rows(text, shape, take, &|_| ())?;
            result?;
            writer.into_inner().map_err(|error| (0, error.to_string()))
        }),
    )
}

#[derive(Clone, Copy)]
enum Shape<'t> {
    /// One document.
    Document(&'t Value),
    /// An object in each line, with so many words before it.
    Lines(usize),
}

type Row = Vec<(String, String)>;

/// The words before an object in a line, at most a time and a topic, and the object.
fn parts(line: &str) -> Option<(Vec<&str>, &str)> {
    let at = line.find('{')?;
    let prefix: Vec<&str> = line[..at].split_whitespace().collect();
    (prefix.len() <= 3).then_some((prefix, line[at..].trim()))
}

/// Calls `take` with each row, and `done` with the share of each line.
fn rows(
    text: &str,
    shape: Shape<'_>,
    take: &mut dyn FnMut(Row) -> Result<(), (usize, String)>,
    done: &dyn Fn(f64),
) -> Result<(), (usize, String)> {
    let words = match shape {
        Shape::Document(document) => return document_rows(document, &[], take),
        Shape::Lines(words) => words,
    };
    let topics = |line: &str| parts(line).and_then(|(prefix, _)| prefix.last().map(|topic| (*topic).to_owned()));
    let first = topics(text.trim_start());
    // The messages of several topics become a long table: a row for each member.
    let several = words > 0 && text.lines().filter_map(topics).any(|topic| Some(&topic) != first.as_ref());
    let last = text.trim_end().lines().count();
    let all = text.len() as f64;
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        done(text.len() as f64 / all);
        let broken = |what: String| (line + 1, what);
        let (prefix, object) = parts(text).ok_or_else(|| broken("no object".into()))?;
        let object: Value = match serde_json::from_str(object) {
            Ok(object) => object,
            // A running logger leaves the last line cut.
            Err(error) if error.is_eof() && line + 1 == last => continue,
            Err(error) => return Err(broken(error.to_string())),
        };
        let mut row = Row::new();
        let (time, topic) = match prefix.as_slice() {
            [time @ .., topic] => (time.join(" "), *topic),
            [] => (String::new(), ""),
        };
        if !time.is_empty() {
            row.push(("time".into(), time));
        }
        if several {
            let mut members = Row::new();
            flatten(&object, topic, &mut members);
            if row.is_empty() {
                let own = object
                    .as_object()
                    .and_then(|members| members.iter().find(|(name, _)| names::is_time(name)));
                own.iter().for_each(|(_, time)| flatten(time, "time", &mut row));
            }
            for (name, value) in members {
                let cells = [("name".to_owned(), name), ("value".to_owned(), value)];
                take(row.iter().cloned().chain(cells).collect())?;
            }
            continue;
        }
        if !topic.is_empty() {
            row.push(("topic".into(), topic.to_owned()));
        }
        flatten(&object, "", &mut row);
        take(row)?;
    }
    Ok(())
}

/// The rows of a document: objects in arrays; the items of parallel arrays; `columns` with `values`, as InfluxDB writes them; `metric` with
/// `values`, as Prometheus does.
fn document_rows(
    value: &Value,
    above: &[(String, String)],
    take: &mut dyn FnMut(Row) -> Result<(), (usize, String)>,
) -> Result<(), (usize, String)> {
    let mut with_cells = |cells: &mut dyn Iterator<Item = (String, &Value)>| {
        let mut row = above.to_vec();
        cells.for_each(|(name, value)| flatten(value, &name, &mut row));
        take(row)
    };
    let members = match value {
        Value::Array(items) => return items.iter().try_for_each(|item| document_rows(item, above, take)),
        Value::Object(members) => members,
        scalar => return with_cells(&mut std::iter::once(("value".to_owned(), scalar))),
    };
    let array = |name: &str| members.get(name).and_then(Value::as_array);
    if let (Some(columns), Some(values)) = (array("columns"), array("values")) {
        let names: Vec<&str> = columns.iter().filter_map(Value::as_str).collect();
        return values
            .iter()
            .filter_map(Value::as_array)
            .try_for_each(|cells| with_cells(&mut names.iter().map(|name| (*name).to_owned()).zip(cells)));
    }
    if let (Some(metric), Some(values)) = (members.get("metric").and_then(Value::as_object), array("values")) {
        let labels: Vec<&str> = metric.values().filter_map(Value::as_str).collect();
        let name = Value::String(labels.join("."));
        return values.iter().filter_map(Value::as_array).try_for_each(|cells| {
            let names = ["time", "value"].map(str::to_owned);
            with_cells(&mut std::iter::once(("name".to_owned(), &name)).chain(names.into_iter().zip(cells)))
        });
    }
    // Serial numbers and days may be the keys of tables; arrays without times are vectors of a row.
    let is_row = |value: &Value| {
        let is_of_vectors = |members: &Map<String, Value>| parallel(members).is_some() && !members.keys().any(|name| names::is_time(name));
        !holds_rows(value) || value.as_object().is_some_and(is_of_vectors)
    };
    if are_keyed_by_time(members) && members.values().all(is_row) {
        return members.iter().try_for_each(|(key, value)| {
            let time = Value::String(key.clone());
            let cells = value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value));
            let scalar = (!value.is_object()).then(|| ("value".to_owned(), value));
            with_cells(&mut std::iter::once(("time".to_owned(), &time)).chain(cells).chain(scalar))
        });
    }
    if let Some(rows) = parallel(members) {
        let columns = || members.iter().filter_map(|(name, value)| Some((name, value.as_array()?)));
        return (0..rows).try_for_each(|row| with_cells(&mut columns().map(|(name, items)| (name.clone(), &items[row]))));
    }
    let holding: Vec<(&String, &Value)> = members.iter().filter(|(_, value)| holds_rows(value)).collect();
    if holding.is_empty() {
        return with_cells(&mut members.iter().map(|(name, value)| (name.clone(), value)));
    }
    let name = if holding.iter().all(|(key, _)| is_date(key)) {
        "date"
    } else {
        "key"
    };
    holding.iter().try_for_each(|(key, value)| {
        let mut above = above.to_vec();
        if holding.len() > 1 {
            above.push((name.into(), (*key).clone()));
        }
        document_rows(value, &above, take)
    })
}

/// Items of the arrays of an object of several arrays of one length, with no objects in them. Beside anything else they are cells of a row,
/// unless one of them, and nothing else, is called a time.
fn parallel(members: &Map<String, Value>) -> Option<usize> {
    let is_cell = |item: &Value| !item.is_object() && !item.is_array();
    let (arrays, others): (Vec<_>, Vec<_>) = members.iter().partition(|(_, value)| value.is_array());
    let columns: Vec<&Vec<Value>> = arrays.iter().filter_map(|(_, value)| value.as_array()).collect();
    let rows = columns.first()?.len();
    let are_columns = columns.iter().all(|items| items.len() == rows && items.iter().all(is_cell));
    let is_note = |(name, value): &(&String, &Value)| {
        let is_flat = value.as_object().is_none_or(|members| members.values().all(is_cell));
        is_flat && !names::is_time(name)
    };
    let are_notes = || arrays.iter().any(|(name, _)| names::is_time(name)) && others.iter().all(is_note);
    let is_table = columns.len() > 1 && rows > 1 && are_columns && (others.is_empty() || are_notes());
    is_table.then_some(rows)
}

/// Whether the keys of an object are times.
fn are_keyed_by_time(members: &Map<String, Value>) -> bool {
    let is_unix = |key: &str| matches!(key.len(), 10 | 13) && key.bytes().all(|byte| byte.is_ascii_digit());
    members.len() > 1 && members.keys().all(|key| is_unix(key) || is_date(key))
}

/// Whether a key is a date, with or without a time of day.
fn is_date(key: &str) -> bool {
    ORDERS
        .iter()
        .any(|&order| parse(key.as_bytes(), order).is_some_and(|time| time.date.is_some()))
}

/// Whether a value has rows in it rather than cells.
fn holds_rows(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| item.is_object() || holds_rows(item)),
        Value::Object(members) => are_keyed_by_time(members) || parallel(members).is_some() || members.values().any(holds_rows),
        _ => false,
    }
}

/// Adds the members of a value, each with its path.
fn flatten(value: &Value, path: &str, row: &mut Row) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(value, &below(name), row)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(at, item)| flatten(item, &below(&at.to_string()), row)),
        Value::Null => row.push((path.to_owned(), String::new())),
        Value::String(text) => row.push((path.to_owned(), text.clone())),
        other => row.push((path.to_owned(), other.to_string())),
    }
}

#[derive(Default)]
struct Columns {
    paths: Vec<String>,
    places: HashMap<String, usize>,
    /// Rows looked at.
    rows: u64,
}

impl Columns {
    fn take(&mut self, row: &Row) -> Result<(), (usize, String)> {
        self.rows += 1;
        for (path, _) in row {
            if !self.places.contains_key(path) {
                if self.paths.len() == MOST_COLUMNS {
                    return Err((0, format!("more than {MOST_COLUMNS} different members")));
                }
                self.places.insert(path.clone(), self.paths.len());
                self.paths.push(path.clone());
            }
        }
        Ok(())
    }

    /// The last part of each path, where no other path ends in it.
    fn names(&self) -> Vec<String> {
        fn last(path: &str) -> &str {
            path.rsplit('.').next().unwrap_or(path)
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        self.paths.iter().for_each(|path| *counts.entry(last(path)).or_default() += 1);
        let is_name = |name: &str| counts[name] == 1 && name.parse::<f64>().is_err();
        let name = |path: &String| if is_name(last(path)) { last(path).to_owned() } else { path.clone() };
        self.paths.iter().map(name).collect()
    }
}
