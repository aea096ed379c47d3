//! Second pass: the rows as times and numbers.

use jiff::tz::TimeZone;

use crate::columns::{Value, Values};
use crate::dialect::Dialect;
use crate::error::{Error, shown};
use crate::long::Keys;
use crate::rows::{Drops, Reason, Rows};
use crate::source::Source;
use crate::time::moment::{Moment, TimeColumns};
use crate::time::zone;

/// Which columns are read.
pub(crate) struct Plan<'a> {
    pub time: Option<&'a TimeColumns>,
    /// Columns that name the device of a row.
    pub device: Option<usize>,
    /// Columns that name the variate of a row, in a long table.
    pub names: Vec<usize>,
    /// The columns of readings, and how they are read; one in a long table.
    pub variates: Vec<(usize, Values)>,
    /// Which of them, by their place in `variates`, are wanted with the digits of an `f64`.
    pub precise: Vec<usize>,
    /// Rows to come.
    pub rows: u64,
}

/// The rows of a file.
#[derive(Default)]
pub(crate) struct Table {
    /// In UTC, in the order of the file; empty without times.
    pub times_ms: Vec<i64>,
    pub lines: Vec<u32>,
    /// Number of the device of each row; empty without a device column.
    pub device: Vec<u32>,
    pub devices: Keys,
    /// Number of the variate of each row; empty unless the table is long.
    pub name: Vec<u32>,
    pub names: Keys,
    /// Row-major `[rows][variates]`, NaN where a reading is missing.
    pub values: Vec<f32>,
    /// Columns with all digits, as `Plan::precise` names them.
    pub precise: Vec<Vec<f64>>,
    pub drops: Drops,
    /// Rows of empty cells that are time steps without a reading, in a table without times.
    pub blank: u64,
    /// Rows with words where numbers are read, per name of a long table.
    pub words: Vec<(u64, String)>,
    pub notes: Vec<String>,
}

impl Table {
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Adds `count` rows without a reading above the row at `line`.
    fn add_blank(&mut self, count: usize, line: u64, variates: usize) {
        self.blank += count as u64;
        let lines = self.lines.len() + count;
        self.lines.resize(lines, line.min(u64::from(u32::MAX)) as u32);
        self.values.resize(self.values.len() + count * variates, f32::NAN);
        for column in &mut self.precise {
            column.resize(column.len() + count, f64::NAN);
        }
    }

    pub fn read(source: &Source<'_>, dialect: &Dialect, plan: &Plan<'_>) -> Result<Table, Error> {
        let mut table = Table::default();
        // What was counted is trusted up to a size that costs nothing; beyond, the vectors grow as they fill.
        let rows_to_come = plan.rows as usize;
        table.lines.reserve_exact(rows_to_come);
        table.values.reserve_exact(rows_to_come * plan.variates.len());
        table.times_ms.reserve_exact(if plan.time.is_some() { rows_to_come } else { 0 });
        table.precise = vec![Vec::new(); plan.precise.len()];
        let mut civil = Civil::default();
        let mut spare = Vec::new();
        let mut bad_times = 0;
        let mut rows = Rows::open(source, dialect)?;
        let mut drops = Drops::default();
        let is_plain = plan.time.is_none() && plan.device.is_none() && plan.names.is_empty();
        while let Some((line, _)) = rows.next()? {
            if is_plain {
                table.add_blank(rows.blank_before, line, plan.variates.len());
            }
            let record = rows.record();
            let cell = |c: usize| record.get(c).unwrap_or_default();
            if let Some(time) = plan.time {
                match time.read(record) {
                    Some(moment) => civil.take(moment, &mut table.times_ms),
                    None => {
                        let is_empty = time.columns.iter().any(|&c| cell(c).trim_ascii().is_empty());
                        drops.add(if is_empty { Reason::NoTime } else { Reason::BadTime }, line);
                        bad_times += 1;
                        if bad_times <= 2 && !is_empty {
                            let example = shown(&String::from_utf8_lossy(cell(time.columns[0])));
                            table
                                .notes
                                .push(format!("line {line}: `{example}` is no time; the row is left out"));
                        }
                        continue;
                    }
                }
            }
            let too_many = |option: &'static str, c: usize| Error::Option {
                option,
                value: dialect.header.names.get(c).cloned().unwrap_or_default(),
                problem: format!("{}: the column has more than 2000 different names", source.path.display()),
            };
            if let Some(c) = plan.device {
                let number = table
                    .devices
                    .number(std::iter::once(cell(c)), &mut spare)
                    .ok_or_else(|| too_many("--series", c))?;
                table.device.push(number);
            }
            let mut name = 0;
            if let Some(&c) = plan.names.first() {
                let number = table
                    .names
                    .number(plan.names.iter().map(|&c| cell(c)), &mut spare)
                    .ok_or_else(|| too_many("--name-column", c))?;
                table.name.push(number);
                name = number as usize;
            }
            table.lines.push(line.min(u64::from(u32::MAX)) as u32);
            for (at, (c, values)) in plan.variates.iter().enumerate() {
                let value = match values.read(cell(*c)) {
                    Value::Number(number) => number,
                    Value::Missing => f64::NAN,
                    Value::Other => {
                        if !plan.names.is_empty() {
                            count_word(&mut table.words, name, cell(*c));
                        }
                        f64::NAN
                    }
                };
                table.values.push(value as f32);
                if let Some(precise) = plan.precise.iter().position(|&precise| precise == at) {
                    table.precise[precise].push(value);
                }
            }
        }
        table.drops = drops;
        if let Some(time) = plan.time {
            table.settle_zone(time, civil);
        }
        Ok(table)
    }

    /// Gives the variates of a long table these new places; rows of those without one are removed.
    pub fn keep_names(&mut self, places: &[Option<usize>]) {
        let is_kept: Vec<bool> = self.name.iter().map(|&name| places[name as usize].is_some()).collect();
        retain(&mut self.times_ms, &is_kept);
        retain(&mut self.lines, &is_kept);
        retain(&mut self.device, &is_kept);
        retain(&mut self.values, &is_kept);
        self.precise.iter_mut().for_each(|precise| retain(precise, &is_kept));
        self.name = self
            .name
            .iter()
            .filter_map(|&name| places[name as usize])
            .map(|place| place as u32)
            .collect();
    }

    /// Local times to UTC.
    fn settle_zone(&mut self, time: &TimeColumns, civil: Civil) {
        if civil.rows.is_empty() {
            return;
        }
        if civil.has_utc {
            // Times with and without an offset: those without are local times of their own.
            for &row in &civil.rows {
                let time_ms = &mut self.times_ms[row as usize];
                *time_ms = zone::to_utc(*time_ms, &time.zone).unwrap_or(*time_ms);
            }
            return;
        }
        if self.device.is_empty() && self.name.is_empty() {
            let moved = zone::move_midnights(&mut self.times_ms);
            if moved > 0 {
                self.notes.push(format!(
                    "{moved} rows of 00:00 stand at the end of their day and are read as 24:00 of it"
                ));
            }
        }
        if time.zone == TimeZone::UTC {
            return;
        }
        let (device, name) = (&self.device, &self.name);
        let names = self.names.names.len().max(1);
        let series = |row: usize| {
            let of = |numbers: &[u32]| numbers.get(row).map_or(0, |number| *number as usize);
            of(device) * names + of(name)
        };
        let irregular = zone::all_to_utc(&mut self.times_ms, &time.zone, series);
        if irregular.never > 0 {
            let zone = time.zone.iana_name().unwrap_or("the zone");
            self.notes.push(format!(
                "{} times lie in the hour that the clocks skip in spring in {zone}: is the time zone right?",
                irregular.never
            ));
        }
    }
}

/// Keeps the marked items; a list without an item for each mark is left alone.
fn retain<T>(items: &mut Vec<T>, is_kept: &[bool]) {
    if items.len() == is_kept.len() {
        let mut marks = is_kept.iter();
        items.retain(|_| marks.next().is_some_and(|mark| *mark));
    }
}

/// Rows with local times.
#[derive(Default)]
struct Civil {
    rows: Vec<u32>,
    has_utc: bool,
}

impl Civil {
    fn take(&mut self, moment: Moment, times_ms: &mut Vec<i64>) {
        match moment {
            Moment::Utc(ms) => {
                self.has_utc = true;
                times_ms.push(ms);
            }
            Moment::Civil(ms) => {
                self.rows.push(times_ms.len() as u32);
                times_ms.push(ms);
            }
        }
    }
}

fn count_word(words: &mut Vec<(u64, String)>, name: usize, cell: &[u8]) {
    if words.len() <= name {
        words.resize(name + 1, (0, String::new()));
    }
    words[name].0 += 1;
    if words[name].1.is_empty() {
        words[name].1 = shown(&String::from_utf8_lossy(cell));
    }
}
