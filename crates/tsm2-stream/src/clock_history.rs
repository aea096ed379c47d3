//! What a grid knows of times outside of the line of rows it is on.
//!
//! Invariant: a slot that had a row is never in the silence, and a time that was found wrong is not believed when it comes again.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};

/// The slots that the stream leapt over when its present line began; none of them ever had a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// The newest slot before it; the lowest number where there was none.
    pub(crate) before: i64,
    /// Rows of the line that ended there.
    pub(crate) rows: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct ClockHistory {
    /// `None` after a step back: then no other can follow before another leap.
    pub(crate) silence: Option<Gap>,
    /// First and last slot of the line that the latest step back left.
    pub(crate) abandoned: Option<(i64, i64)>,
    /// The slot of the latest leap that a reading of the line disproved.
    pub(crate) dropped: Option<i64>,
}

impl ClockHistory {
    /// Of a stream that begins.
    pub(crate) fn new() -> Self {
        ClockHistory {
            silence: Some(Gap { before: i64::MIN, rows: 0 }),
            abandoned: None,
            dropped: None,
        }
    }

    pub(crate) fn disproves(&self, bin: i64) -> bool {
        self.dropped == Some(bin) || self.abandoned.is_some_and(|(first, last)| (first..=last).contains(&bin))
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let silence = self.silence.map(|Gap { before, rows }| (before, rows as i64));
        for pair in [silence, self.abandoned, self.dropped.map(|bin| (bin, 0))] {
            put(out, [u8::from(pair.is_some())]);
            let (one, other) = pair.unwrap_or_default();
            put(out, one.to_le_bytes());
            put(out, other.to_le_bytes());
        }
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let mut pair = || {
            let is_some = from.flag()?;
            let pair = (i64::from_le_bytes(from.take()?), i64::from_le_bytes(from.take()?));
            Some(is_some.then_some(pair))
        };
        let (silence, abandoned, dropped) = (pair()?, pair()?, pair()?);
        let rows_fit = silence.is_none_or(|(_, rows)| rows >= 0);
        rows_fit.then_some(ClockHistory {
            silence: silence.map(|(before, rows)| Gap { before, rows: rows as u64 }),
            abandoned,
            dropped: dropped.map(|(bin, _)| bin),
        })
    }
}
