//! Calendar: sine and cosine of the time of day and of the day of the week, in UTC. The week begins on Monday.

const DAY_MS: i64 = 86_400_000;

/// Unix time began on a Thursday, three days after a Monday.
const MONDAY_MS: i64 = 3 * DAY_MS;

/// Stores the positions of a Unix time within its day and its week, each in [0, 1).
pub(crate) fn store(fractions: &mut [f32], time_ms: i64) {
    let position = |time: i64, cycle: i64| (time.rem_euclid(cycle) as f64 / cycle as f64) as f32;
    fractions[0] = position(time_ms, DAY_MS);
    fractions[1] = position(time_ms.wrapping_add(MONDAY_MS), 7 * DAY_MS);
}

/// Writes sine and cosine of each position; nothing into an empty `out`.
pub(crate) fn read(fractions: &[f32], out: &mut [f32]) {
    for (pair, fraction) in out.chunks_exact_mut(2).zip(fractions) {
        let angle = core::f32::consts::TAU * fraction;
        pair[0] = libm::sinf(angle);
        pair[1] = libm::cosf(angle);
    }
}
