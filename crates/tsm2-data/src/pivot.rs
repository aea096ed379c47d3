//! Long tables: a column of values, and columns that name their variates.

use std::collections::HashMap;

use crate::cells;
use crate::columns::MissingValues;
use crate::error::{Error, list};
use crate::long::{self, Long};
use crate::names;
use crate::reader::{File, Reader};
use crate::report::DroppedColumn;
use crate::rows::Rows;
use crate::table::{Plan, Table};

impl Reader<'_> {
    /// Reads a column of values by the names beside them.
    pub fn long(&self, long: &Long) -> Result<File, Error> {
        let device = self.device()?;
        let missing = MissingValues(&self.options.missing_values);
        let column = &self.census.columns[long.value];
        let values = missing.values(&self.names[long.value], self.decimals[long.value], column.states > 0);
        let plan = Plan {
            time: self.time,
            device,
            names: long.names.clone(),
            variates: vec![(long.value, values)],
            precise: if self.options.difference.is_empty() { Vec::new() } else { vec![0] },
            rows: self.census.rows,
        };
        let unit_column = (0..self.names.len()).find(|c| names::is_unit(&self.names[*c]) && *c != long.value && !long.names.contains(c));
        self.source.pass(if unit_column.is_some() { 0.5 } else { 1.0 });
        let table = Table::read(self.source, self.dialect, &plan)?;
        let units = match unit_column {
            Some(c) => {
                self.source.pass(1.0);
                self.units(c, &long.names)?
            }
            None => HashMap::new(),
        };
        let mut dropped = Vec::new();
        for c in 0..self.names.len() {
            let is_used = c == long.value
                || Some(c) == unit_column
                || long.names.contains(&c)
                || device == Some(c)
                || self.time.is_some_and(|time| time.columns.contains(&c));
            if !is_used {
                let reason = if self.census.columns[c].filled == 0 {
                    "all cells are empty"
                } else {
                    "beside the values of a long table"
                };
                dropped.push(DroppedColumn {
                    name: self.names[c].clone(),
                    reason: reason.into(),
                });
            }
        }
        let is_number = |name: &String| name.parse::<f64>().is_ok();
        let prefix = match self.dialect.header.has_names() && long.names.len() == 1 && table.names.names.iter().all(is_number) {
            true => format!("{}_", self.names[long.names[0]]),
            false => String::new(),
        };
        let unit = self.unit(long.value);
        let variates = table
            .names
            .names
            .iter()
            .map(|name| (format!("{prefix}{name}"), units.get(name).or(unit.as_ref()).cloned()))
            .collect();
        let states = vec![false; table.names.names.len()];
        let note = format!(
            "a long table: `{}` names the variate, `{}` holds its value; {} variates",
            list_names(&long.names, self.names),
            self.names[long.value],
            table.names.names.len()
        );
        let uncommon = column
            .missing
            .words
            .iter()
            .filter(|(word, ..)| !cells::is_common_missing(word.as_bytes()));
        let uncommon: Vec<String> = uncommon
            .map(|(word, count, line)| format!("`{word}` in {count} cells (first in line {line})"))
            .collect();
        let mut notes = vec![note];
        if !uncommon.is_empty() {
            notes.push(format!(
                "column `{}`: read as missing: {}",
                self.names[long.value],
                uncommon.join(", ")
            ));
        }
        let mut file = self.file(table, variates, states, dropped, notes);
        file.is_long = true;
        self.settle_names(&mut file)?;
        Ok(file)
    }

    /// The unit in column `c` of each name of a long table.
    fn units(&self, c: usize, names: &[usize]) -> Result<HashMap<String, String>, Error> {
        let (mut keys, mut spare, mut units) = (long::Keys::default(), Vec::new(), Vec::<Option<String>>::new());
        let mut rows = Rows::open(self.source, self.dialect)?;
        while let Some((line, record)) = rows.next()? {
            let unit = cells::name(cells::trim(record.get(c).unwrap_or_default()));
            let key = keys.number(names.iter().map(|&c| record.get(c).unwrap_or_default()), &mut spare);
            let Some(key) = key.filter(|_| !unit.is_empty()) else { continue };
            units.resize(units.len().max(key as usize + 1), None);
            match &units[key as usize] {
                None => units[key as usize] = Some(unit),
                Some(known) if *known != unit && !self.options.force => {
                    return Err(Error::MixedUnits {
                        path: self.source.path.into(),
                        line,
                        column: keys.names[key as usize].clone(),
                        unit,
                        other: known.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let named = keys.names.into_iter().zip(units);
        Ok(named.filter_map(|(name, unit)| Some((name, unit?))).collect())
    }

    /// Drops what a long table names but gives no number for, and orders as `--columns` does.
    fn settle_names(&self, file: &mut File) -> Result<(), Error> {
        let count = file.variates.len();
        let mut numbers = vec![0u64; count];
        let mut is_state = vec![true; count];
        for (&name, &value) in file.table.name.iter().zip(&file.table.values) {
            if !value.is_nan() {
                numbers[name as usize] += 1;
                is_state[name as usize] &= value == 0.0 || value == 1.0;
            }
        }
        let mut kept: Vec<usize> = Vec::new();
        for name in 0..count {
            let (words, example) = file.table.words.get(name).cloned().unwrap_or_default();
            let reason = match () {
                () if file.variates[name].0.starts_with("$RT_") => Some("a mark of WinCC".to_owned()),
                () if !self.options.columns.is_empty() && !self.options.columns.contains(&file.variates[name].0) => {
                    Some("not named by --columns".to_owned())
                }
                () if numbers[name] == 0 && words == 0 => Some("no cell holds a reading".to_owned()),
                () if words > numbers[name] => Some(format!("text, such as `{example}`")),
                () => None,
            };
            match reason {
                Some(reason) => file.dropped_columns.push(DroppedColumn {
                    name: file.variates[name].0.clone(),
                    reason,
                }),
                None => {
                    kept.push(name);
                    if words * 50 > words + numbers[name] && !self.options.force {
                        return Err(Error::NotANumber {
                            path: self.source.path.into(),
                            line: 0,
                            column: file.variates[name].0.clone(),
                            cell: example.clone(),
                            count: words,
                            rows: words + numbers[name],
                            words: example,
                        });
                    }
                    if words > 0 {
                        file.notes.push(format!(
                            "`{}`: {words} values such as `{example}` are no numbers and are read as missing",
                            file.variates[name].0
                        ));
                    }
                }
            }
        }
        if !self.options.columns.is_empty() {
            kept.sort_by_key(|&name| self.options.columns.iter().position(|column| *column == file.variates[name].0));
        }
        if kept.is_empty() {
            return Err(Error::no_numeric_column(self.source.path, &file.dropped_columns));
        }
        let place = |name: u32| kept.iter().position(|&known| known == name as usize);
        let places: Vec<Option<usize>> = (0..count as u32).map(place).collect();
        file.table.keep_names(&places);
        file.counters = vec![false; kept.len()];
        file.states = kept.iter().map(|&name| is_state[name]).collect();
        file.variates = kept.iter().map(|&name| file.variates[name].clone()).collect();
        for name in &self.options.difference {
            if !file.variates.iter().any(|(known, _)| known == name) {
                return Err(Error::MissingColumn {
                    path: self.source.path.into(),
                    option: "--difference",
                    column: name.clone(),
                    columns: list(file.variates.iter().map(|(name, _)| name.as_str())),
                });
            }
        }
        Ok(())
    }
}

fn list_names(columns: &[usize], names: &[String]) -> String {
    columns.iter().map(|&c| names[c].as_str()).collect::<Vec<_>>().join("` and `")
}
