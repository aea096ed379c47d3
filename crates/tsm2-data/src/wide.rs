//! Tables with a column for each variate.

use crate::columns::{Role, Roles, Values};
use crate::error::{Error, list};
use crate::long::{self, Long};
use crate::names;
use crate::reader::{File, Reader};
use crate::report::DroppedColumn;
use crate::table::{Plan, Table};
use crate::time::is_second_time;
use crate::turns::Turns;

impl Reader<'_> {
    /// Reads the columns of numbers as variates.
    pub fn wide(&self) -> Result<File, Error> {
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
            if self.is_other_time(c) {
                dropped.push(DroppedColumn {
                    name: self.names[c].clone(),
                    reason: "another time (--time-column reads it in place of the first)".into(),
                });
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
        let others = dropped.iter().filter(|column| column.reason.starts_with("another time")).count();
        let is_time = |c: usize| self.time.is_some_and(|time| time.columns.contains(&c)) || self.is_other_time(c);
        let alternate = || (1..self.names.len()).all(|c| is_time(c) != is_time(c - 1));
        if let Some(time) = self.time.filter(|_| others > 0 && others + 1 == plan.len() && alternate()) {
            notes.push(format!(
                "each value has a time of its own, and all are read at those of `{}`: where they differ, read one by --time-column and --columns",
                self.names[time.columns[0]]
            ));
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
        self.source.pass(1.0);
        let table = Table::read(self.source, self.dialect, &plan)?;
        self.source.pass(0.0);
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
        if device.is_none() {
            self.check_identifiers(&plan.variates, &table)?;
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

    /// Refuses rows of several devices, whose readings would be mixed: a column of this name tells them apart, and they take turns or
    /// each begins again at an earlier time.
    fn check_identifiers(&self, plan: &[(usize, Values)], table: &Table) -> Result<(), Error> {
        let (times, options) = (&table.times_ms, self.options);
        if options.force {
            return Ok(());
        }
        let goes_back = !times.is_sorted() && !times.is_sorted_by(|a, b| a >= b);
        for c in 0..self.names.len() {
            let (column, name) = (&self.census.columns[c], &self.names[c]);
            let asked = [&options.keep, &options.columns, &options.ignore];
            let is_identifier = names::is_identifier(name);
            if asked.iter().any(|names| names.contains(name)) || !is_identifier && !names::is_device_name(name) {
                continue;
            }
            let (rise, texts) = (&column.rise, &column.texts);
            let are_numbers = is_identifier && plan.len() > 1 && plan.iter().any(|(variate, _)| *variate == c);
            let (may_be_devices, take_turns) = if are_numbers {
                let is_whole = column.is_whole && column.numbers == self.census.rows && column.min >= 0.0;
                (is_whole, rise.rises > 1 && rise.falls > 1)
            } else {
                let once = texts.words.iter().filter(|word| word.1 == 1).count();
                let recur = texts.words.len() > once + 1 && once as u64 * 10 <= texts.count - texts.others;
                let is_filled = texts.count == self.census.rows;
                (recur && is_filled, texts.changes >= 2 * texts.words.len() as u64)
            };
            if !may_be_devices || !take_turns && !goes_back {
                continue;
            }
            // The cells may be a mode or a place of one device, or its readings.
            let may_be_other = !is_identifier || are_numbers && names::is_thing(name);
            // Without times there is nothing else to judge by.
            let are_devices = match self.time.map(|time| Turns::read(self, time, c)).transpose()? {
                Some(turns) if !turns.recur() => false,
                Some(turns) => {
                    let is_other = may_be_other && (turns.have_one_clock() || turns.come_in_runs());
                    take_turns && !is_other || turns.begin_again()
                }
                None => true,
            };
            if are_devices {
                let cells: Vec<&str> = match are_numbers {
                    true => column.examples.iter().map(|(_, cell)| cell.as_str()).collect(),
                    false => texts.words.iter().take(3).map(|word| word.0.as_str()).collect(),
                };
                return Err(Error::MixedDevices {
                    path: self.source.path.into(),
                    column: name.clone(),
                    examples: list(cells),
                    option: if are_numbers { "--keep" } else { "--ignore" },
                    otherwise: if are_numbers {
                        "the numbers are readings"
                    } else {
                        "all rows are of one"
                    },
                });
            }
        }
        Ok(())
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

    /// Whether a column holds times beside those that are read.
    fn is_other_time(&self, c: usize) -> bool {
        let is_asked = |names: &[String]| names.contains(&self.names[c]);
        let options = self.options;
        self.time.is_some()
            && !is_asked(&options.keep)
            && !is_asked(&options.columns)
            && !is_asked(&options.ignore)
            && is_second_time(&self.census.columns[c], &self.names[c])
    }
}

/// Whether more than 2 % of the rows have the time of another.
fn share_times(table: &Table) -> bool {
    let mut times = table.times_ms.clone();
    times.sort_unstable();
    let distinct = times.chunk_by(|a, b| a == b).count();
    (times.len() - distinct) * 50 > times.len()
}
