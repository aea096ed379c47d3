//! What the demo knows of each variate: recent readings, the newest forecast, and how past forecasts turned out.
//!
//! A forecast issued at `t` is settled when the readings of `t` and of its target minute are both there, in whatever order they and
//! the forecast arrived. Repeat-last, which says at `t` that nothing will change, is settled at the same moments, so that the two
//! errors are means over the same pairs.

use crate::simulator::{INTERVAL_MS, VARIATES};
use std::collections::VecDeque;

/// How far ahead forecasts are shown and settled, minutes; those beyond a model's horizon are left out.
pub const LEADS_MIN: [usize; 2] = [15, 60];

/// Readings kept: enough to settle the longest lead, and to draw.
const KEPT: usize = 240;

/// Running mean absolute errors at one lead, in the variate's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Skill {
    /// Settled forecasts.
    pub settled: u64,
    model_sum: f64,
    repeat_last_sum: f64,
}

impl Skill {
    fn settle(&mut self, forecast: f32, last: f32, truth: f32) {
        self.settled += 1;
        self.model_sum += f64::from((forecast - truth).abs());
        self.repeat_last_sum += f64::from((last - truth).abs());
    }

    /// Of the model's forecasts; `None` before the first is settled.
    pub fn model_mae(&self) -> Option<f64> {
        (self.settled > 0).then(|| self.model_sum / self.settled as f64)
    }

    /// Of repeat-last.
    pub fn repeat_last_mae(&self) -> Option<f64> {
        (self.settled > 0).then(|| self.repeat_last_sum / self.settled as f64)
    }

    /// The model's error as a part of repeat-last's; `None` while repeat-last makes none.
    pub fn ratio(&self) -> Option<f64> {
        (self.repeat_last_sum > 0.0).then(|| self.model_sum / self.repeat_last_sum)
    }
}

/// One variate's part of the board.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// Whether the model only reads it.
    pub is_exogenous: bool,
    /// Forecasts received.
    pub forecasts: u64,
    /// The newest forecast: when it was issued (milliseconds), and its values minute by minute.
    pub newest: Option<(i64, Vec<f32>)>,
    /// Errors at each of [`LEADS_MIN`].
    pub skill: [Skill; LEADS_MIN.len()],
    pending: [VecDeque<Promise>; LEADS_MIN.len()],
}

/// A forecast value that is not settled yet.
#[derive(Clone, Copy, Debug)]
struct Promise {
    issued_ms: i64,
    value: f32,
}

/// All variates.
#[derive(Clone, Debug)]
pub struct Board {
    /// In the order of [`crate::simulator::NAMES`].
    pub tracks: [Track; VARIATES],
    /// Readings minute by minute, the newest last.
    readings: VecDeque<[f32; VARIATES]>,
    newest_ms: i64,
    /// Forecasts issued before this are shown, not settled.
    settle_from_ms: i64,
}

impl Board {
    /// An empty board that settles forecasts issued at `settle_from_ms` or later.
    pub fn new(settle_from_ms: i64) -> Self {
        Self {
            tracks: Default::default(),
            readings: VecDeque::with_capacity(KEPT),
            newest_ms: i64::MIN,
            settle_from_ms,
        }
    }

    /// Time of the newest reading, once there is one.
    pub fn now_ms(&self) -> Option<i64> {
        (!self.readings.is_empty()).then_some(self.newest_ms)
    }

    /// The last `count` readings of a variate, oldest first; fewer if there are fewer.
    pub fn recent(&self, variate: usize, count: usize) -> Vec<f32> {
        self.readings
            .iter()
            .skip(self.readings.len().saturating_sub(count))
            .map(|row| row[variate])
            .collect()
    }

    /// Takes in a row of readings, the minute after the last; a second copy of a row is passed over.
    pub fn read(&mut self, time_ms: i64, values: [f32; VARIATES]) {
        if time_ms <= self.newest_ms {
            return;
        }
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(values);
        self.newest_ms = time_ms;
        for variate in 0..VARIATES {
            self.settle(variate);
        }
    }

    /// Takes in a forecast, minute by minute after `issued_ms`.
    pub fn forecast(&mut self, variate: usize, issued_ms: i64, values: Vec<f32>) {
        let track = &mut self.tracks[variate];
        track.forecasts += 1;
        if issued_ms >= self.settle_from_ms {
            for (pending, lead_min) in track.pending.iter_mut().zip(LEADS_MIN) {
                pending.extend(values.get(lead_min - 1).map(|value| Promise { issued_ms, value: *value }));
            }
        }
        track.newest = Some((issued_ms, values));
        self.settle(variate);
    }

    fn settle(&mut self, variate: usize) {
        let (readings, newest_ms) = (&self.readings, self.newest_ms);
        let reading = |time_ms: i64| {
            let age = usize::try_from((newest_ms - time_ms) / INTERVAL_MS).ok()?;
            readings.get(readings.len().checked_sub(age + 1)?).map(|row| row[variate])
        };
        let track = &mut self.tracks[variate];
        for ((skill, pending), lead_min) in track.skill.iter_mut().zip(&mut track.pending).zip(LEADS_MIN) {
            let lead_ms = lead_min as i64 * INTERVAL_MS;
            while let Some(promise) = pending.front().copied().filter(|promise| promise.issued_ms + lead_ms <= newest_ms) {
                pending.pop_front();
                if let (Some(last), Some(truth)) = (reading(promise.issued_ms), reading(promise.issued_ms + lead_ms)) {
                    skill.settle(promise.value, last, truth);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_772_409_600_000;

    fn at(minute: i64) -> i64 {
        START_MS + minute * INTERVAL_MS
    }

    /// A world in which every variate rises by its own slope each minute.
    fn ramp(minute: i64) -> [f32; VARIATES] {
        std::array::from_fn(|variate| (variate as i64 * minute) as f32)
    }

    #[test]
    fn errors_are_those_of_the_forecasts_whatever_arrives_first() {
        for readings_first in [true, false] {
            let mut board = Board::new(at(2));
            for minute in 0..200 {
                if readings_first {
                    board.read(at(minute), ramp(minute));
                }
                for variate in 0..VARIATES {
                    let off_by_a_half = (1..=60).map(|lead| ramp(minute + lead)[variate] + 0.5).collect();
                    board.forecast(variate, at(minute), off_by_a_half);
                }
                if !readings_first {
                    board.read(at(minute), ramp(minute));
                }
            }
            for (variate, track) in board.tracks.iter().enumerate() {
                for (skill, lead) in track.skill.iter().zip([15.0, 60.0]) {
                    assert_eq!(skill.settled, 200 - 2 - lead as u64);
                    assert_eq!(skill.model_mae(), Some(0.5));
                    assert_eq!(skill.repeat_last_mae(), Some(lead * variate as f64));
                    assert_eq!(skill.ratio(), (variate > 0).then(|| 0.5 / (lead * variate as f64)));
                }
                assert_eq!(track.forecasts, 200);
            }
        }
    }

    #[test]
    fn a_lead_beyond_the_horizon_is_left_out_and_a_second_copy_changes_nothing() {
        let mut board = Board::new(at(0));
        board.read(at(0), ramp(0));
        board.forecast(1, at(0), vec![1.0; 20]);
        for minute in 1..90 {
            board.read(at(minute), ramp(minute));
            board.read(at(minute), [f32::NAN; VARIATES]);
        }
        assert_eq!(board.tracks[1].skill[0].model_mae(), Some(14.0));
        assert_eq!(board.tracks[1].skill[1].model_mae(), None);
        assert_eq!(board.recent(2, 3), [174.0, 176.0, 178.0]);
        assert_eq!(board.now_ms(), Some(at(89)));
    }
}
