//! Long tables: one value a row, and columns that name the variate.

use std::collections::{HashMap, HashSet};

use crate::cells::{self, trim};
use crate::census::{Census, Column};
use crate::dialect::Dialect;
use crate::error::{Error, list};
use crate::names;
use crate::options::Options;
use crate::rows::Rows;
use crate::source::Source;
use crate::time::moment::{Moment, TimeColumns};

/// The columns of a long table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Long {
    /// Columns whose cells together name the variate.
    pub names: Vec<usize>,
    pub value: usize,
}

/// Different values that a column may have and still name variates or devices.
const MOST: usize = 2000;

/// Finds the columns of a long table by the options and the columns' names.
pub(crate) fn by_names(
    source: &Source<'_>,
    census: &Census,
    columns: &[String],
    time: &[usize],
    options: &Options,
) -> Result<Option<Long>, Error> {
    let position = |name: &String, option| {
        columns.iter().position(|known| known == name).ok_or_else(|| Error::MissingColumn {
            path: source.path.into(),
            option,
            column: name.clone(),
            columns: list(columns.iter().map(String::as_str)),
        })
    };
    let asked_name = options
        .name_column
        .as_ref()
        .map(|name| position(name, "--name-column"))
        .transpose()?;
    let asked_value = options
        .value_column
        .as_ref()
        .map(|name| position(name, "--value-column"))
        .transpose()?;
    let series = options.series.as_ref().map(|name| position(name, "--series")).transpose()?;
    let free = |c: &usize| !time.contains(c) && Some(*c) != series;
    let is_number = |column: &Column| column.filled > 0 && column.all_numbers() * 2 > column.filled;
    let is_constant = |column: &Column| column.is_constant || column.filled == 0;
    let named_values: Vec<usize> = (0..columns.len())
        .filter(free)
        .filter(|&c| names::is_value_name(&columns[c]))
        .collect();
    let others = |id: usize| {
        (0..columns.len())
            .filter(free)
            .filter(|&c| c != id && is_number(&census.columns[c]) && !is_constant(&census.columns[c]))
            .collect::<Vec<_>>()
    };
    let value = |id: usize| match (asked_value, &named_values[..], &others(id)[..]) {
        (Some(value), ..) => Some(value),
        (None, [value], _) if *value != id => Some(*value),
        (None, _, [only]) => Some(*only),
        _ => None,
    };
    if let Some(id) = asked_name {
        let value = value(id).ok_or_else(|| Error::Option {
            option: "--name-column",
            value: columns[id].clone(),
            problem: format!("{}: which column holds the values? Give --value-column", source.path.display()),
        })?;
        return Ok(Some(Long { names: vec![id], value }));
    }
    if time.is_empty() {
        return Ok(None);
    }
    let influx = columns.iter().position(|name| name == "_field");
    let id = influx.or_else(|| {
        let named = (0..columns.len()).filter(free).filter(|&c| names::is_series_name(&columns[c]));
        named
            .filter(|&c| Some(c) != asked_value && census.columns[c].filled > 0)
            .find(|&c| {
                let column = &census.columns[c];
                let is_name =
                    !is_number(column) || column.is_whole && column.numbers == column.filled && column.rise.stays + column.rise.falls > 0;
                let is_key =
                    column.texts.count > 2 && column.texts.count == column.filled && column.texts.words.iter().all(|word| word.1 == 1);
                !is_key && is_name && (!is_constant(column) || !named_values.is_empty() && columns[c].to_lowercase().ends_with("_id"))
            })
    });
    let Some(id) = id else { return Ok(None) };
    // With several columns of numbers it names devices rather than variates.
    let is_named = !named_values.is_empty() && !names::is_device_name(&columns[id]);
    let exact = others(id).len() <= 1 || influx.is_some() || is_named;
    let Some(value) = value(id).filter(|_| exact) else {
        return Ok(None);
    };
    let mut ids = vec![id];
    if influx.is_some() {
        let tags = (0..columns.len())
            .filter(free)
            .filter(|&c| c != id && c != value && !columns[c].starts_with('_') && columns[c] != "result" && columns[c] != "table");
        ids = tags
            .filter(|&c| !is_number(&census.columns[c]) && !is_constant(&census.columns[c]))
            .chain([id])
            .collect();
    }
    Ok(Some(Long { names: ids, value }))
}

/// Names of devices or variates, numbered in the order in which they come.
#[derive(Debug, Default, Clone)]
pub(crate) struct Keys {
    numbers: HashMap<Vec<u8>, u32>,
    pub names: Vec<String>,
}

impl Keys {
    /// The number of the name in these cells; `None` when there are too many.
    pub fn number<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]>, spare: &mut Vec<u8>) -> Option<u32> {
        spare.clear();
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                spare.push(b'.');
            }
            spare.extend_from_slice(trim(cell));
        }
        if let Some(number) = self.numbers.get(spare.as_slice()) {
            return Some(*number);
        }
        if self.names.len() == MOST {
            return None;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(spare.clone(), number);
        self.names.push(cells::name(spare));
        Some(number)
    }
}

/// A column that tells rows of one time apart: each of its values comes at most once at a time, and at several times.
pub(crate) struct Discriminator {
    pub column: usize,
    pub examples: String,
    pub values: usize,
}

/// A column, the times and names seen in it, and the names.
type Candidate = (usize, HashSet<(i64, u32)>, Keys);

/// Looks for such a column when many rows share their time.
pub(crate) fn discriminator(
    source: &Source<'_>,
    dialect: &Dialect,
    census: &Census,
    time: &TimeColumns,
) -> Result<Option<Discriminator>, Error> {
    let may_name = |column: &Column| {
        let is_text = column.texts.count * 2 > column.filled && column.texts.others == 0;
        let is_number = column.is_whole && column.numbers == column.filled && column.rise.rises + column.rise.falls > 0;
        column.filled == census.rows && !column.is_constant && (is_text || is_number)
    };
    let mut candidates: Vec<Candidate> = (0..census.columns.len())
        .filter(|c| !time.columns.contains(c) && may_name(&census.columns[*c]))
        .map(|c| (c, HashSet::new(), Keys::default()))
        .collect();
    let mut spare = Vec::new();
    let mut rows = Rows::open(source, dialect)?;
    while let Some((_, record)) = rows.next()? {
        if candidates.is_empty() {
            break;
        }
        let Some(Moment::Utc(ms) | Moment::Civil(ms)) = time.read(record) else {
            continue;
        };
        candidates.retain_mut(|(c, seen, keys)| {
            let cell = record.get(*c).unwrap_or_default();
            let Some(key) = keys.number(std::iter::once(cell), &mut spare) else {
                return false;
            };
            seen.insert((ms, key))
        });
    }
    // Fewer different values name better.
    let best = candidates.into_iter().min_by_key(|(c, _, keys)| (keys.names.len(), *c));
    Ok(best
        // The values of a counter do not come again.
        .filter(|(_, seen, keys)| keys.names.len() > 1 && seen.len() >= 2 * keys.names.len())
        .map(|(column, _, keys)| Discriminator {
            column,
            values: keys.names.len(),
            examples: list(keys.names.iter().take(4).map(String::as_str)),
        }))
}
