//! The values of a row that leaves: what was heard, and what is held of a variate that was not.
//!
//! Invariant: a value is repeated in at most `max_hold` rows after the one in which its variate was heard; a sum is never repeated, for a
//! silence adds nothing that is known, and neither is a reading that had nothing to tell.

use alloc::{vec, vec::Vec};

use crate::aggregate::Aggregate;
use crate::bytes::{Bytes, put};
use crate::time_bin::{Shape, TimeBin};

#[derive(Debug, Clone)]
pub(crate) struct ForwardFill {
    /// The row that leaves. Shape `[M]`.
    pub(crate) values: Vec<f32>,
    /// Per variate the newest reading, NaN where there is none to repeat, and the rows since.
    last: Vec<(f32, u64)>,
}

impl ForwardFill {
    pub(crate) fn new(variates: usize) -> Self {
        ForwardFill {
            values: vec![f32::NAN; variates],
            last: vec![(f32::NAN, 0); variates],
        }
    }

    /// Nothing is repeated any more.
    pub(crate) fn forget(&mut self) {
        self.last.fill((f32::NAN, 0));
    }

    /// Sets `values` to those of the next row, `None` being one without readings; returns how many are repeated.
    pub(crate) fn fill(&mut self, shape: &Shape, row: Option<&TimeBin>, forward_fill_limit: u64) -> u64 {
        let mut forward_filled = 0;
        for (variate, (value, (last, age))) in self.values.iter_mut().zip(&mut self.last).enumerate() {
            if let Some((row, newest)) = row.and_then(|row| Some((row, row.newest(variate)?))) {
                *value = row.value(shape, variate);
                (*last, *age) = (newest, 0);
                continue;
            }
            *age = age.saturating_add(1);
            let repeats = *age <= forward_fill_limit && !last.is_nan() && shape.aggregates[variate] != Aggregate::Sum;
            *value = if repeats { *last } else { f32::NAN };
            forward_filled += u64::from(repeats);
        }
        forward_filled
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for (last, age) in &self.last {
            put(out, last.to_le_bytes());
            put(out, age.to_le_bytes());
        }
    }

    pub(crate) fn restore(variates: usize, from: &mut Bytes<'_>) -> Option<Self> {
        let mut hold = ForwardFill::new(variates);
        for (last, age) in &mut hold.last {
            let value = f32::from_le_bytes(from.take()?);
            *last = if value.is_finite() { value } else { f32::NAN };
            *age = u64::from_le_bytes(from.take()?);
        }
        Some(hold)
    }
}
