//! Calendar: sine and cosine of harmonics of the time of day and of the time of the week. The week begins on Monday.
//!
//! The time is that of the model's time zone, so that habits stay at their hour in summer and in winter; see
//! [`crate::Model::step`].

use crate::config::Calendar;
use crate::math::sine_cosine;
use crate::slices::copy;

const DAY_MS: u32 = 86_400_000;

/// Unix time began on a Thursday, three days after a Monday.
const MONDAY_MS: i64 = 3 * DAY_MS as i64;

/// Stores the positions of a time within its day and its week, each in [0, 1).
pub(crate) fn store(fractions: &mut [f32], time_ms: i64) {
    let position = |time: i64, cycle: u32| (f64::from(time.rem_euclid(i64::from(cycle)) as u32) / f64::from(cycle)) as f32;
    let week = position(time_ms.wrapping_add(MONDAY_MS), 7 * DAY_MS);
    copy(&[position(time_ms, DAY_MS), week], fractions);
}

/// Writes sine and cosine of each harmonic, those of the day first; nothing into an empty `out`.
pub(crate) fn read(calendar: Calendar, fractions: &[f32], out: &mut [f32]) {
    let of_cycle = |(&fraction, count): (&f32, usize)| (1..=count).map(move |harmonic| fraction * harmonic as f32);
    let turns = fractions.iter().zip([calendar.day, calendar.week]).flat_map(of_cycle);
    for (pair, turns) in out.as_chunks_mut().0.iter_mut().zip(turns) {
        *pair = sine_cosine(turns);
    }
}
