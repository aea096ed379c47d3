//! Forward-fill: the values of a time step that is emitted, with the last value of a variate that
//! sent nothing.
//!
//! Invariants: a value is repeated in at most `forward_fill_limit` time steps after its own. A sum
//! is never repeated, since a silence adds nothing that is known; neither is a reading without a
//! number.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::aggregate::Aggregate;
use crate::time_bin::{Shape, TimeBin};

/// The newest reading of a variate, for repetition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Last {
    /// NaN where there is nothing to repeat.
    value: f32,
    /// Time steps since.
    age: u64,
}

const NOTHING: Last = Last { value: f32::NAN, age: 0 };

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForwardFill {
    /// The time step that is emitted. Shape `[M]`.
    #[serde(skip)]
    pub(crate) values: Vec<f32>,
    /// Shape `[M]`.
    last: Vec<Last>,
}

impl ForwardFill {
    pub(crate) fn new(variates: usize) -> Self {
        ForwardFill {
            values: vec![f32::NAN; variates],
            last: vec![NOTHING; variates],
        }
    }

    /// Nothing is repeated any more.
    pub(crate) fn forget(&mut self) {
        self.last.fill(NOTHING);
    }

    /// Sets `values` to those of the next time step, `None` for a bin without readings; returns how
    /// many are repeated.
    pub(crate) fn fill(&mut self, shape: &Shape, bin: Option<&TimeBin>, limit: u64) -> u64 {
        let mut filled = 0;
        for (variate, (value, last)) in self.values.iter_mut().zip(&mut self.last).enumerate() {
            if let Some((bin, newest)) = bin.and_then(|bin| Some((bin, bin.newest(variate)?))) {
                *value = bin.value(shape, variate);
                *last = Last { value: newest, age: 0 };
                continue;
            }
            last.age = last.age.saturating_add(1);
            let repeats = last.age <= limit && !last.value.is_nan() && shape.aggregates[variate] != Aggregate::Sum;
            *value = if repeats { last.value } else { f32::NAN };
            filled += u64::from(repeats);
        }
        filled
    }

    /// What was saved; `None` where it is of another number of variates.
    pub(crate) fn restored(variates: usize, saved: ForwardFill) -> Option<Self> {
        let mut restored = ForwardFill::new(variates);
        if saved.last.len() != variates {
            return None;
        }
        for (place, saved) in restored.last.iter_mut().zip(saved.last) {
            let value = if saved.value.is_finite() { saved.value } else { f32::NAN };
            *place = Last { value, ..saved };
        }
        Some(restored)
    }
}
