//! The readings of past seasons, for the seasonal-naive forecast: each variate's reading at the same time of the last season before the origin.
//!
//! Invariant: `rows` holds the last `seasons * period` rows, NaN where there was none yet.

use alloc::{vec, vec::Vec};

use crate::bytes::{Bytes, put, put_all};

#[derive(Debug, Clone)]
pub(crate) struct Seasons {
    variates: usize,
    period: usize,
    /// A ring, `[rows][M]`.
    rows: Vec<f32>,
    /// The row of the ring that is overwritten next.
    next: usize,
}

/// Rows that a season of `period` rows needs under a horizon.
pub(crate) fn rows(period: usize, horizon: usize) -> usize {
    period * horizon.div_ceil(period)
}

impl Seasons {
    pub(crate) fn new(variates: usize, period: usize, horizon: usize) -> Self {
        Seasons {
            variates,
            period,
            rows: vec![f32::NAN; rows(period, horizon) * variates],
            next: 0,
        }
    }

    /// The seasonal-naive forecast at `lead` (from 0) of the row that comes next; NaN when that season was not seen.
    pub(crate) fn seasonal(&self, variate: usize, step: usize) -> f32 {
        let len = self.rows.len() / self.variates;
        let back = self.period * (step / self.period + 1);
        self.rows[(self.next + len - back) % len * self.variates + variate]
    }

    /// Takes the row that has come.
    pub(crate) fn push(&mut self, row: &[f32]) {
        self.rows[self.next * self.variates..][..self.variates].copy_from_slice(row);
        self.next = (self.next + 1) % (self.rows.len() / self.variates);
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.rows.fill(f32::NAN);
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put(out, (self.next as u64).to_le_bytes());
        put_all(out, &self.rows);
    }

    pub(crate) fn restore(&mut self, from: &mut Bytes<'_>) -> Option<()> {
        let len = self.rows.len() / self.variates;
        self.next = usize::try_from(from.count()?).ok().filter(|&next| next < len)?;
        from.fill(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_season_that_was_known_at_the_origin_is_repeated() {
        let (period, horizon) = (3, 7);
        let mut history = Seasons::new(1, period, horizon);
        for row in 0..40_usize {
            for step in 0..horizon {
                // The origin is the row `lead + 1` before this one.
                let newest = (1..).map(|season| row as isize - (season * period) as isize);
                let known = newest.into_iter().find(|&seen| seen < row as isize - step as isize).unwrap();
                let seasonal = history.seasonal(0, step);
                assert!(if known < 0 { seasonal.is_nan() } else { seasonal == known as f32 });
            }
            history.push(&[row as f32]);
        }
    }
}
