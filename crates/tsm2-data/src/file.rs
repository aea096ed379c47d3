//! One file: from its layout to rows of times and numbers, oldest first.

use std::collections::HashMap;
use std::path::Path;

use crate::cells::{self, Decimal};
use crate::census::Census;
use crate::columns::{MissingValues, Role, Roles, Values, unique_names};
use crate::day_rows::DayRows;
use crate::dialect::Dialect;
use crate::encoding::Encoding;
use crate::error::{Error, list};
use crate::long::{self, Long};
use crate::names;
use crate::options::Options;
use crate::report::DroppedColumn;
use crate::rows::{Reason, Rows};
use crate::source::Source;
use crate::table::{Plan, Table};
use crate::time::columns::Finder;
use crate::time::moment::TimeColumns;

/// A file as it was read.
pub(crate) struct File {
    pub table: Table,
    /// Names of the variates, and their units.
    pub variates: Vec<(String, Option<String>)>,
    /// Whether a variate is of states.
    pub states: Vec<bool>,
    /// Whether the digits of a variate only rise.
    pub counters: Vec<bool>,
    pub time: Option<TimeColumns>,
    pub time_names: Vec<String>,
    pub is_long: bool,
    pub dropped_columns: Vec<DroppedColumn>,
    pub notes: Vec<String>,
    pub sha256: String,
    /// Rows used, those dropped left out.
    pub rows: u64,
}

impl File {
    pub fn read(path: &Path, bytes: Option<&[u8]>, options: &Options) -> Result<File, Error> {
        let mut source = Source::open(path, bytes, options.encoding.as_deref())?;
        let mut dialect = Dialect::find(&source, options)?;
        let mut day_rows = None;
        if let Some(found) = DayRows::find(&dialect)
            && let Some(table) = found.to_csv(&source, &dialect)?
        {
            day_rows = Some(format!(
                "a row a day: the columns `{}` to `{}` are times of day",
                found.first(&dialect),
                found.last(&dialect)
            ));
            source = source.with_table(table);
            dialect = Dialect::find(
                &source,
                &Options {
                    delimiter: None,
                    ..options.clone()
                },
            )?;
        }
        let census = Census::take(&source, &dialect)?;
        let mut notes = dialect.notes.clone();
        notes.extend(day_rows);
        if source.encoding != Encoding::Utf8 {
            notes.push(format!("the text is read as {}", source.encoding.name()));
        }
        if census.rows == 0 {
            return Err(Error::HeaderOnly { path: path.into() });
        }
        notes.extend(census.drops.check(path, census.rows, options.force)?);
        let (decimals, note) = census.decimals(options.decimal, dialect.delimiter);
        notes.extend(note);
        let has_header = dialect.header.is_some();
        let plain_names = unique_names(&dialect.names, has_header, &[], &mut Vec::new());
        let finder = Finder {
            source: &source,
            census: &census,
            names: &plain_names,
            has_header,
            options,
        };
        let time = finder.find()?;
        let time_at = time.as_ref().map_or(Vec::new(), |time| time.columns.clone());
        let names = unique_names(&dialect.names, has_header, &time_at, &mut notes);
        let reader = Reader {
            source: &source,
            dialect: &dialect,
            census: &census,
            names: &names,
            decimals: &decimals,
            options,
            time: time.as_ref(),
        };
        let long = long::by_names(&source, &census, &names, &time_at, options)?;
        let mut file = match long {
            Some(long) => reader.long(&long)?,
            None => reader.wide()?,
        };
        file.notes.splice(0..0, notes);
        if let Some(time) = &time {
            file.notes.extend(time.notes.iter().cloned());
        }
        file.time_names = time_at.iter().map(|&c| names[c].clone()).collect();
        file.time = time;
        file.sha256 = source.sha256.clone();
        let mut drops = census.drops.clone();
        drops.take_back(Reason::Empty, file.table.blank);
        drops.append(&file.table.drops);
        file.notes
            .extend(file.table.drops.check(path, file.table.rows() as u64, options.force)?);
        file.table.drops = drops;
        file.rows = file.table.rows() as u64;
        if file.rows == 0 {
            return Err(Error::HeaderOnly { path: path.into() });
        }
        Ok(file)
    }
}

/// What reading the rows needs to know.
struct Reader<'a> {
    source: &'a Source<'a>,
    dialect: &'a Dialect,
    census: &'a Census,
    names: &'a [String],
    decimals: &'a [Decimal],
    options: &'a Options,
    time: Option<&'a TimeColumns>,
}

impl Reader<'_> {
    fn position(&self, name: &str, option: &'static str) -> Result<usize, Error> {
        self.names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| Error::MissingColumn {
                path: self.source.path.into(),
                option,
                column: name.into(),
                columns: list(self.names.iter().map(String::as_str)),
            })
    }

    fn device(&self) -> Result<Option<usize>, Error> {
        self.options.series.as_ref().map(|name| self.position(name, "--series")).transpose()
    }

    fn file(
        &self,
        table: Table,
        variates: Vec<(String, Option<String>)>,
        states: Vec<bool>,
        dropped_columns: Vec<DroppedColumn>,
        notes: Vec<String>,
    ) -> File {
        File {
            notes: notes.into_iter().chain(table.notes.iter().cloned()).collect(),
            table,
            counters: vec![false; variates.len()],
            variates,
            states,
            time: None,
            time_names: Vec::new(),
            is_long: false,
            dropped_columns,
            sha256: String::new(),
            rows: 0,
        }
    }

    fn wide(&self) -> Result<File, Error> {
        let device = self.device()?;
        for name in &self.options.ignore {
            self.position(name, "--ignore")?;
        }
        let roles = Roles {
            source: self.source,
            census: self.census,
            names: self.names,
            decimals: self.decimals,
            options: self.options,
        };
        let (mut plan, mut dropped, mut notes) = (Vec::<(usize, Values)>::new(), Vec::new(), Vec::new());
        for c in 0..self.names.len() {
            if self.time.is_some_and(|time| time.columns.contains(&c)) || device == Some(c) {
                continue;
            }
            match roles.of(c, &mut notes)? {
                Role::Variate(values) => plan.push((c, values)),
                Role::Dropped(reason) => dropped.push(DroppedColumn {
                    name: self.names[c].clone(),
                    reason,
                }),
            }
        }
        if !self.options.columns.is_empty() {
            let mut order = Vec::new();
            for name in &self.options.columns {
                let at = self.position(name, "--columns")?;
                order.extend(plan.iter().position(|(c, _)| *c == at));
            }
            plan = order.into_iter().map(|at| plan[at].clone()).collect();
        }
        if plan.is_empty() {
            return Err(Error::no_numeric_column(self.source.path, &dropped));
        }
        if self.time.is_none() && device.is_none() && !self.options.force && plan.len() == 1 {
            self.check_names(plan[0].0)?;
        }
        let precise = self.differences(&plan)?;
        let states = plan.iter().map(|(_, values)| values.has_states).collect();
        let variates: Vec<(String, Option<String>)> = plan.iter().map(|(c, _)| (self.names[*c].clone(), self.unit(*c))).collect();
        let variate_columns: Vec<usize> = plan.iter().map(|(c, _)| *c).collect();
        let plan = Plan {
            time: self.time,
            device,
            names: Vec::new(),
            variates: plan,
            precise,
            rows: self.census.rows,
        };
        let table = Table::read(self.source, self.dialect, &plan)?;
        if let (Some(time), None) = (self.time, device)
            && share_times(&table)
            && let Some(found) = long::discriminator(self.source, self.dialect, self.census, time)?
        {
            let others: Vec<usize> = variate_columns.iter().copied().filter(|&c| c != found.column).collect();
            if let [value] = others[..] {
                let mut file = self.long(&Long {
                    names: vec![found.column],
                    value,
                })?;
                file.notes.push(format!(
                    "each time comes {} times: column `{}` names the variate ({}) and `{}` holds its value",
                    found.values, self.names[found.column], found.examples, self.names[value]
                ));
                return Ok(file);
            }
            if !self.options.force {
                return Err(Error::SeveralDevices {
                    path: self.source.path.into(),
                    times: found.values,
                    column: self.names[found.column].clone(),
                    examples: found.examples,
                    long: String::new(),
                });
            }
        }
        let mut file = self.file(table, variates, states, dropped, notes);
        file.counters = variate_columns.iter().map(|&c| self.census.columns[c].rise.is_counter()).collect();
        Ok(file)
    }

    /// Refuses a column of names beside the only column of numbers, in rows without times: they are of several sensors.
    fn check_names(&self, value: usize) -> Result<(), Error> {
        let is_topic = |word: &str| word.contains('/') || word.contains('.') && !word.contains(' ');
        let is_names = |&c: &usize| {
            let texts = &self.census.columns[c].texts;
            let recurs =
                texts.words.len() > 1 && texts.others == 0 && texts.count == self.census.rows && texts.words.iter().all(|word| word.1 > 1);
            c != value && recurs && (names::is_series_name(&self.names[c]) || texts.words.iter().all(|word| is_topic(&word.0)))
        };
        match (0..self.names.len()).find(is_names) {
            None => Ok(()),
            Some(c) => Err(Error::NamesWithoutTime {
                path: self.source.path.into(),
                column: self.names[c].clone(),
                examples: list(self.census.columns[c].texts.words.iter().take(4).map(|word| word.0.as_str())),
            }),
        }
    }

    /// Places of the counters whose increase is wanted.
    fn differences(&self, plan: &[(usize, Values)]) -> Result<Vec<usize>, Error> {
        let mut precise = Vec::new();
        for name in &self.options.difference {
            let at = self.position(name, "--difference")?;
            match plan.iter().position(|(c, _)| *c == at) {
                Some(at) => precise.push(at),
                None => {
                    return Err(Error::Option {
                        option: "--difference",
                        value: name.clone(),
                        problem: format!("{}: the column is not read; name it by --keep", self.source.path.display()),
                    });
                }
            }
        }
        Ok(precise)
    }

    fn unit(&self, c: usize) -> Option<String> {
        let of_cells = self.census.columns[c].units.words.first().map(|(unit, ..)| unit.clone());
        of_cells.or_else(|| self.dialect.units.get(c).cloned().flatten())
    }

    fn long(&self, long: &Long) -> Result<File, Error> {
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
        let table = Table::read(self.source, self.dialect, &plan)?;
        let unit_column = (0..self.names.len()).find(|c| names::is_unit(&self.names[*c]) && *c != long.value && !long.names.contains(c));
        let units = match unit_column {
            Some(c) => self.units(c, &long.names)?,
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
        let prefix = match self.dialect.header.is_some() && long.names.len() == 1 && table.names.names.iter().all(is_number) {
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
            let columns = file
                .dropped_columns
                .iter()
                .map(|column| format!("`{}` ({})", column.name, column.reason))
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Error::NoNumericColumn {
                path: self.source.path.into(),
                columns,
            });
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

/// Whether more than 2 % of the rows have the time of another.
fn share_times(table: &Table) -> bool {
    let mut times = table.times_ms.clone();
    times.sort_unstable();
    let distinct = times.chunk_by(|a, b| a == b).count();
    (times.len() - distinct) * 50 > times.len()
}

/// Whether a column of this name is called after a part of a date.
pub(crate) fn is_date_part(name: &str) -> bool {
    names::part(name).is_some()
}
