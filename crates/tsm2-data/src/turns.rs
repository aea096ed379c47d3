//! Whether the rows that a column names are of several devices, or of one with a state such as a mode or a place.

use crate::error::Error;
use crate::long::Keys;
use crate::reader::Reader;
use crate::rows::Rows;
use crate::time::moment::{Moment, TimeColumns};

/// The time and the number of the name of each row, in the order of the file.
pub(crate) struct Turns(Vec<(i64, u32)>);

impl Turns {
    /// Reads this column; `None` when it has more different cells than devices can be.
    pub fn read(reader: &Reader<'_>, time: &TimeColumns, column: usize) -> Result<Option<Turns>, Error> {
        let (mut turns, mut keys, mut spare) = (Vec::new(), Keys::default(), Vec::new());
        reader.source.pass(0.0); // no share of the progress
        let mut rows = Rows::open(reader.source, reader.dialect)?;
        while let Some((_, record)) = rows.next()? {
            let Some(Moment::Utc(ms) | Moment::Civil(ms)) = time.read(record) else {
                continue;
            };
            let Some(name) = keys.number(record.get(column).into_iter(), &mut spare) else {
                return Ok(None);
            };
            turns.push((ms, name));
        }
        Ok(Some(Turns(turns)))
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
    fn times_begin_again_where_the_next_device_follows() {
        assert!(turns(|row| (row / 120) as u32, |row| 60_000 * (row % 120)).begin_again());
        assert!(turns(|row| (row / 120) as u32, |row| -60_000 * (row % 120)).begin_again());
        assert!(!turns(|row| (row / 120) as u32, |row| -60_000 * row).begin_again());
        // A clock that was corrected, and rows that changed places.
        assert!(!turns(|row| u32::from(row > 60), |row| 60_000 * (row % 120)).begin_again());
        assert!(!turns(|row| u32::from(row > 60), |row| 60_000 * (row ^ 1)).begin_again());
    }
}
