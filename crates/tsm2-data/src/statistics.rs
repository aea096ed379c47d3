//! What the values of a variate look like: range, kind, values far outside that come again and again.

use crate::report::{Kind, VariateShape};

/// Facts of one variate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statistics {
    pub missing: u64,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub kind: Kind,
    pub shape: VariateShape,
}

/// Parts of the sparkline.
const PARTS: usize = 48;
/// Values at either end that are looked at.
const ENDS: usize = 5;

/// Codes that sensors and programs write for "no reading".
const CODES: [f64; 33] = [
    -9999.0, -9999.9, -999.0, -999.9, -999.99, -99.0, -99.9, -99.99, -200.0, -127.0, -100.0, -273.15, -32768.0, -3276.8, -327.68, -26240.0,
    -7999.0, -6999.0, -88888.0, -99999.0, -1e30, 85.0, 999.0, 999.9, 9999.0, 9999.9, 99999.0, 32767.0, 3276.7, 65535.0, 6553.5, 7999.0,
    1e30,
];

/// The number as it would be written, without the digits that `f32` adds.
pub(crate) fn written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Whether a value is one that sensors write for "no reading".
fn is_code(value: f32) -> bool {
    CODES.iter().any(|code| *code as f32 == value)
}

impl Statistics {
    /// Of values oldest first; `rows` rows in all, those without a value of the variate included.
    pub fn of(values: impl Iterator<Item = f32> + Clone, rows: u64, is_state: bool) -> Statistics {
        let mut ends = Ends::default();
        let (mut count, mut previous) = (0u64, None::<f32>);
        let (mut rises, mut falls, mut resets) = (0u64, 0u64, 0u64);
        let (mut run, mut longest) = (0u64, 0u64);
        let mut is_binary = true;
        for value in values.clone() {
            if value.is_nan() {
                run = 0;
                continue;
            }
            count += 1;
            ends.add(value);
            is_binary &= value == 0.0 || value == 1.0;
            match previous {
                Some(before) if value > before => rises += 1,
                Some(before) if value < before => {
                    falls += 1;
                    resets += u64::from(value.abs() <= before.abs() * 0.1);
                }
                _ => {}
            }
            run = if previous == Some(value) && run > 0 { run + 1 } else { 1 };
            // A code for no reading is no stretch of a value.
            longest = if is_code(value) { longest } else { longest.max(run) };
            previous = Some(value);
        }
        let (min, max) = (ends.low.first().map(|end| end.0), ends.high.first().map(|end| end.0));
        let is_counter = count >= 20 && falls == resets && resets * 200 <= count && rises >= 20 && rises * 20 >= count && !is_binary;
        let kind = match (min, max) {
            (None, _) | (_, None) => Kind::Empty,
            _ if is_state => Kind::OnOff,
            (Some(min), Some(max)) if min == max => Kind::Constant,
            _ if is_binary => Kind::OnOff,
            _ if is_counter => Kind::Counter,
            _ => Kind::Number,
        };
        let sentinels = if matches!(kind, Kind::Number | Kind::Counter) {
            sentinels(values.clone(), &ends, count)
        } else {
            Vec::new()
        };
        let is_sentinel = |value: f32| sentinels.iter().any(|&(code, _)| code as f32 == value);
        Statistics {
            missing: rows.saturating_sub(count),
            min: min.map(written),
            max: max.map(written),
            kind,
            shape: VariateShape {
                parts: parts(values.map(|value| if is_sentinel(value) { f32::NAN } else { value }), rows),
                longest_constant: longest,
                sentinels,
            },
        }
    }
}

/// The lowest and highest different values and how often they come.
#[derive(Default)]
struct Ends {
    low: Vec<(f32, u64)>,
    high: Vec<(f32, u64)>,
}

impl Ends {
    fn add(&mut self, value: f32) {
        insert(&mut self.low, value, |a, b| a < b);
        insert(&mut self.high, value, |a, b| a > b);
    }
}

fn insert(ends: &mut Vec<(f32, u64)>, value: f32, is_before: fn(f32, f32) -> bool) {
    if ends.len() == ENDS && is_before(ends[ENDS - 1].0, value) {
        return;
    }
    match ends.iter().position(|&(end, _)| !is_before(end, value)) {
        Some(at) if ends[at].0 == value => ends[at].1 += 1,
        Some(at) => {
            ends.insert(at, (value, 1));
            ends.truncate(ENDS);
        }
        None if ends.len() < ENDS => ends.push((value, 1)),
        None => {}
    }
}

/// Values far outside the others that come again exactly.
fn sentinels(values: impl Iterator<Item = f32> + Clone, ends: &Ends, count: u64) -> Vec<(f64, u64)> {
    let mut found: Vec<(f32, u64)> = Vec::new();
    // The first and the last of the others, in the middle 98 %.
    let step = (count / 2000).max(1) as usize;
    let mut sample: Vec<f32> = values.filter(|value| !value.is_nan()).step_by(step).collect();
    sample.sort_unstable_by(f32::total_cmp);
    for side in [&ends.low, &ends.high] {
        for pair in side.windows(2) {
            let ((value, times), (next, _)) = (pair[0], pair[1]);
            let others: Vec<f32> = sample
                .iter()
                .copied()
                .filter(|other| *other != value && !found.iter().any(|(known, _)| known == other))
                .collect();
            let distinct = others.chunk_by(|a, b| a == b).count();
            let (Some(&first), Some(&last)) = (
                others.get(others.len() / 100),
                others.get(others.len().saturating_sub(1 + others.len() / 100)),
            ) else {
                break;
            };
            let (gap, range) = (f64::from((next - value).abs()), f64::from(last - first));
            let is_beyond_zero = value < 0.0 && next >= 0.0;
            let is_far = match is_code(value) {
                true => (times >= 2 || gap > 5.0 * range) && (gap > 0.3 * range || is_beyond_zero && gap > 0.05 * range),
                false => times >= 3 && value != 0.0 && gap > 1.5 * range && range > 0.0 && times * 3 < count && distinct >= 20,
            };
            if !is_far {
                break;
            }
            found.push((value, times));
        }
    }
    found.into_iter().map(|(value, times)| (written(value), times)).collect()
}

/// Means of equal parts.
fn parts(values: impl Iterator<Item = f32>, rows: u64) -> Vec<f32> {
    let parts = PARTS.min(rows as usize).max(1);
    let mut sums = vec![(0.0f64, 0u64); parts];
    for (row, value) in values.enumerate() {
        if !value.is_nan() {
            let part = (row as u64 * parts as u64 / rows.max(1)).min(parts as u64 - 1);
            let sum = &mut sums[part as usize];
            *sum = (sum.0 + f64::from(value), sum.1 + 1);
        }
    }
    sums.into_iter()
        .map(|(sum, count)| if count > 0 { (sum / count as f64) as f32 } else { f32::NAN })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels_of(values: &[f32]) -> Vec<(f64, u64)> {
        Statistics::of(values.iter().copied(), values.len() as u64, false).shape.sentinels
    }

    #[test]
    fn codes_for_no_reading_are_named() {
        let temperature = |at: i32| 40.0 + (at % 97) as f32 * 0.1;
        let with = |code: f32, every: i32| {
            (0..1000)
                .map(|at| if at % every == 1 { code } else { temperature(at) })
                .collect::<Vec<_>>()
        };
        assert_eq!(sentinels_of(&with(-127.0, 100)), [(-127.0, 10)]);
        assert_eq!(sentinels_of(&with(85.0, 100)), [(85.0, 10)]);
        assert_eq!(sentinels_of(&with(-26240.0, 200)), [(-26240.0, 5)]);
        assert_eq!(sentinels_of(&with(-200.0, 2)), [(-200.0, 500)]);
        assert_eq!(sentinels_of(&with(41.0, 10)), []);
        let switched: Vec<f32> = (0..1000)
            .map(|at| if at % 3 == 0 { 0.0 } else { 2.0 + (at % 50) as f32 * 0.01 })
            .collect();
        assert_eq!(sentinels_of(&switched), []);
    }

    #[test]
    fn kinds_are_told_apart() {
        let kind = |value: fn(i32) -> f32| Statistics::of((0..500).map(value), 500, false).kind;
        assert_eq!(kind(|_| 3.0), Kind::Constant);
        assert_eq!(kind(|at| (at % 2) as f32), Kind::OnOff);
        assert_eq!(kind(|at| (at % 7) as f32), Kind::Number);
        assert_eq!(kind(|at| 1000.0 + (at / 2) as f32), Kind::Counter);
        assert_eq!(kind(|_| f32::NAN), Kind::Empty);
    }
}
