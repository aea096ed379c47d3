//! What is known of the rows to come: of each variate that is known ahead the next H + 1 values as they were last told, moved up by every row.
//!
//! Its part of the state holds, variate by variate: where what is known begins and ends `[2]`, the values, scaled `[H + 1]`, and what network and
//! read-out see of them `[B]`: means over bands of leads, relative to the newest sample. They are in training standard deviations whatever the normaliser, for
//! a schedule that stood still for a while has no other deviation.
//! Invariants: zeros say that nothing was told. A lead before what is known stands at the newest sample, one beyond it at the last value that is
//! known; so where nothing is, zero is seen throughout. The work per row is constant.

use core::ops::Range;

use crate::Config;

/// The B bands of leads over which what is known ahead is averaged: single leads at first, then as wide as half of what lies before them, for the
/// further ahead the less it matters when exactly.
pub fn ahead_bands(horizon: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    core::iter::from_fn(move || {
        let end = (start + (start / 2).max(1)).min(horizon);
        let band = start..end;
        start = end;
        (!band.is_empty()).then_some(band)
    })
}

/// Where the parts lie, and the arithmetic on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    variates: usize,
    horizon: usize,
    bands: usize,
}

impl Ahead {
    pub fn new(config: &Config) -> Self {
        Self {
            variates: config.known_ahead,
            horizon: config.horizon,
            bands: ahead_bands(config.horizon).count(),
        }
    }

    /// K.
    pub fn variates(&self) -> usize {
        self.variates
    }

    /// Values that can be known of a variate: the next row's, and those of the H rows after it.
    pub fn most(&self) -> usize {
        self.horizon + 1
    }

    /// Numbers in its part of the state.
    pub fn state_len(&self) -> usize {
        self.variates * self.width()
    }

    fn width(&self) -> usize {
        2 + self.horizon + 1 + self.bands
    }

    /// Replaces what is known of the `k`-th variate: the next values, scaled, NaN where one is not known, which then stands at the one before it.
    pub fn tell(&self, state: &mut [f32], k: usize, values: impl Iterator<Item = f32>) {
        let (extent, known, _) = self.parts(state, k);
        let (mut held, mut begin, mut end) = (f32::NAN, 0, 0);
        for (i, (place, value)) in known.iter_mut().zip(values).enumerate() {
            if !value.is_nan() {
                begin = if end == 0 { i } else { begin };
                (held, end) = (value, i + 1);
            }
            // Numbers before the first known one are never looked at, and the state holds no NaN.
            *place = if held.is_nan() { 0.0 } else { held };
        }
        (extent[0], extent[1]) = (begin as f32, end as f32);
    }

    /// What was told of the `k`-th variate's next sample, if anything was.
    pub fn next(&self, state: &[f32], k: usize) -> Option<f32> {
        let of_variate = &state[k * self.width()..];
        (of_variate[0] < 1.0 && of_variate[1] >= 1.0).then_some(of_variate[2])
    }

    /// Moves what is known of the `k`-th variate up by the row just read, in which it stood at `now`.
    pub fn advance(&self, state: &mut [f32], k: usize, now: f32) {
        let horizon = self.horizon;
        let (extent, known, seen) = self.parts(state, k);
        // Whatever a state from elsewhere holds, what is known stays within the values.
        let moved = |place: f32| (place as usize).min(horizon + 1).saturating_sub(1);
        let (begin, end) = (moved(extent[0]), moved(extent[1]));
        (extent[0], extent[1]) = (begin as f32, end as f32);
        known.copy_within(1.., 0);
        let value = |lead: usize| match end {
            0 => now,
            _ if lead < begin => now,
            _ => known[lead.min(end - 1)],
        };
        for (seen, band) in seen.iter_mut().zip(ahead_bands(horizon)) {
            let width = band.len() as f32;
            *seen = band.map(|lead| value(lead) - now).sum::<f32>() / width;
        }
    }

    /// Writes what is seen of all variates, `[K, B]`.
    pub fn seen(&self, state: &[f32], out: &mut [f32]) {
        for (out, of_variate) in out.chunks_exact_mut(self.bands).zip(state.chunks_exact(self.width())) {
            out.copy_from_slice(&of_variate[self.width() - self.bands..]);
        }
    }

    /// Of the `k`-th variate where what is known begins and ends, the values, and what is seen of them.
    fn parts<'s>(&self, state: &'s mut [f32], k: usize) -> (&'s mut [f32], &'s mut [f32], &'s mut [f32]) {
        let (extent, rest) = state[k * self.width()..][..self.width()].split_at_mut(2);
        let (known, seen) = rest.split_at_mut(self.horizon + 1);
        (extent, known, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_lead_once_and_widen() {
        for horizon in [1, 2, 3, 24, 60, 720, 65_536] {
            let mut next = 0;
            for band in ahead_bands(horizon) {
                assert_eq!(band.start, next);
                assert!(!band.is_empty() && band.len() <= (band.start / 2).max(1), "{band:?}");
                next = band.end;
            }
            assert_eq!(next, horizon);
        }
        assert_eq!(ahead_bands(60).count(), 11);
        assert!(ahead_bands(65_536).count() < 32);
    }
}
