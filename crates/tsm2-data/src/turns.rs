//! Whether the rows that a column names are of several devices, or of one with a state such as a mode or a place.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::error::Error;
use crate::reader::Reader;
use crate::rows::Rows;
use crate::time::moment::{Moment, TimeColumns};

/// Rows of a run, on the mean, from which on a name is no device that takes turns.
const RUN: usize = 8;

/// The time and the number of the name of each row, in the order of the file.
pub(crate) struct Turns(Vec<(i64, u32)>);

impl Turns {
    /// Reads this column.
    pub fn read(reader: &Reader<'_>, time: &TimeColumns, column: usize) -> Result<Turns, Error> {
        let (mut turns, mut names, state) = (Vec::new(), HashMap::new(), RandomState::new());
        let mut rows = Rows::open(reader.source, reader.dialect)?;
        while let Some((_, record)) = rows.next()? {
            let Some(Moment::Utc(ms) | Moment::Civil(ms)) = time.read(record) else {
                continue;
            };
            // By its hash: each row may have a name of its own.
            let next = names.len() as u32;
            let name = *names.entry(state.hash_one(record.get(column))).or_insert(next);
            turns.push((ms, name));
        }
        Ok(Turns(turns))
    }

    /// Whether the names come again: those of devices do, and the keys of rows do not.
    pub fn recur(&self) -> bool {
        let names = self.0.iter().map(|row| row.1 as usize + 1).max().unwrap_or(0);
        2 * names <= self.0.len()
    }

    /// Whether each name comes for many rows on end, as a mode or a product does.
    pub fn come_in_runs(&self) -> bool {
        let mut of_name: Vec<(usize, usize)> = Vec::new();
        for run in self.0.chunk_by(|a, b| a.1 == b.1) {
            let name = run[0].1 as usize;
            of_name.resize(of_name.len().max(name + 1), (0, 0));
            of_name[name].0 += 1;
            of_name[name].1 += run.len();
        }
        of_name.iter().all(|(runs, rows)| *rows >= RUN * runs)
    }

    /// Whether one clock gave all times: rows follow each other at one interval also where the name changes, and those of one name do not.
    pub fn have_one_clock(&self) -> bool {
        let steps: Vec<i64> = self.0.windows(2).map(|pair| (pair[1].0 - pair[0].0).abs()).collect();
        let interval = usual(steps.clone());
        let even = steps.iter().filter(|step| is_near(**step, interval)).count();
        if interval == 0 || even * 10 < steps.len() * 9 {
            return false;
        }
        // Of each name: its last row, and the steps between its rows; whether the name has changed since.
        let mut of_name: Vec<(usize, Vec<(i64, bool)>)> = Vec::new();
        for (row, &(ms, name)) in self.0.iter().enumerate() {
            of_name.resize_with(of_name.len().max(name as usize + 1), || (row, Vec::new()));
            let (last, own) = &mut of_name[name as usize];
            if *last < row {
                own.push(((ms - self.0[*last].0).abs(), *last + 1 < row));
            }
            *last = row;
        }
        let (mut changes, mut uneven) = (0, 0);
        for (_, own) in of_name.into_iter().filter(|(_, own)| own.len() > 1) {
            let interval = usual(own.iter().map(|(step, _)| *step).collect());
            let returns = own.iter().filter(|(_, has_changed)| *has_changed);
            changes += returns.clone().count();
            uneven += returns.filter(|(step, _)| !is_near(*step, interval)).count();
        }
        uneven * 4 > changes
    }

    /// Whether the times begin again where the name changes, as where the rows of one device follow those of another.
    pub fn begin_again(&self) -> bool {
        let step = |pair: &[(i64, u32)]| pair[1].0 - pair[0].0;
        let interval = usual(self.0.windows(2).map(|pair| step(pair).abs()).collect());
        let direction: i64 = self.0.windows(2).map(|pair| step(pair).signum()).sum();
        let mut changes = self.0.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        changes.any(|pair| step(pair) * direction.signum() < -2 * interval)
    }
}

/// The lower quartile: where the rows of a device lack some, most of its steps are one interval.
fn usual(mut steps: Vec<i64>) -> i64 {
    let at = steps.len() / 4;
    match steps.len() {
        0 => 0,
        _ => *steps.select_nth_unstable(at).1,
    }
}

fn is_near(step: i64, interval: i64) -> bool {
    (step - interval).abs() * 10 <= interval
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(name: impl Fn(i64) -> u32, ms: impl Fn(i64) -> i64) -> Turns {
        Turns((0..240).map(|row| (ms(row), name(row))).collect())
    }

    #[test]
    fn states_of_one_device_have_one_clock() {
        let every_minute = |row| 60_000 * row;
        assert!(turns(|row| (row / 3 % 2) as u32, every_minute).have_one_clock());
        assert!(turns(|row| (row / 2 % 2) as u32, |row| -60_000 * row).have_one_clock());
        // Numbers of a converter.
        assert!(turns(|row| ((row * 2_654_435_761) >> 9) as u32 % 101, |row| 60_000 * row + row % 3).have_one_clock());
    }

    #[test]
    fn devices_have_clocks_of_their_own() {
        // Asked one after the other; and each at a second of its own, or when it likes.
        assert!(!turns(|row| (row % 3) as u32, |row| 20_000 * row).have_one_clock());
        assert!(!turns(|row| (row % 2) as u32, |row| 60_000 * (row / 2) + 7000 * (row % 2)).have_one_clock());
        assert!(!turns(|row| (row * row % 7 % 2) as u32, |row| 60_000 * row + row * row * 7919 % 45_000).have_one_clock());
        assert!(!turns(|row| (row % 2) as u32, |_| 0).have_one_clock());
    }

    #[test]
    fn names_of_a_mode_come_in_runs_and_those_of_devices_recur() {
        let every_minute = |row| 60_000 * row;
        assert!(turns(|row| (row / 20 % 3) as u32, every_minute).come_in_runs());
        // A device that sends seldom.
        assert!(!turns(|row| u32::from(row % 20 == 7), every_minute).come_in_runs());
        assert!(turns(|row| (row % 120) as u32, every_minute).recur());
        assert!(!turns(|row| row as u32, every_minute).recur());
    }

    #[test]
    fn times_begin_again_where_the_next_device_follows() {
        assert!(turns(|row| (row / 120) as u32, |row| 60_000 * (row % 120)).begin_again());
        assert!(turns(|row| (row / 120) as u32, |row| -60_000 * (row % 120)).begin_again());
        assert!(!turns(|row| (row / 120) as u32, |row| -60_000 * row).begin_again());
        // A clock that was corrected, and rows that changed places.
        assert!(!turns(|row| u32::from(row > 60), |row| 60_000 * (row % 120)).begin_again());
        assert!(!turns(|row| u32::from(row > 60), |row| 60_000 * (row ^ 1)).begin_again());
    }
}
