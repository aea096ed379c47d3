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
    /// Of all variates. `visit` hands every value to the function given, of each variate oldest first, as often as it is called; `rows` are
    /// those of each variate, `states` names the variates of states.
    pub fn of_all(rows: &[u64], states: &[bool], visit: impl Fn(&mut dyn FnMut(usize, f32))) -> Vec<Statistics> {
        let mut all: Vec<Accumulator> = rows.iter().map(|_| Accumulator::default()).collect();
        visit(&mut |variate, value| all[variate].add(value));
        let is_state = |variate: usize| states.get(variate).copied().unwrap_or(false);
        let mut statistics: Vec<Statistics> = all
            .into_iter()
            .enumerate()
            .map(|(variate, accumulator)| accumulator.finish(rows[variate], is_state(variate)))
            .collect();
        let mut parts: Vec<Parts> = rows.iter().map(|&rows| Parts::new(rows)).collect();
        visit(&mut |variate, value| {
            let sentinels = &statistics[variate].shape.sentinels;
            let is_sentinel = !sentinels.is_empty() && sentinels.iter().any(|&(code, _)| code as f32 == value);
            parts[variate].add(if is_sentinel { f32::NAN } else { value });
        });
        for (statistics, parts) in statistics.iter_mut().zip(parts) {
            statistics.shape.parts = parts.means();
        }
        statistics
    }
}

/// Gathers the facts of one variate.
struct Accumulator {
    ends: Ends,
    count: u64,
    previous: Option<f32>,
    rises: u64,
    falls: u64,
    resets: u64,
    run: u64,
    longest: u64,
    is_binary: bool,
    sample: Sample,
}

impl Default for Accumulator {
    fn default() -> Self {
        Accumulator {
            ends: Ends::default(),
            count: 0,
            previous: None,
            rises: 0,
            falls: 0,
            resets: 0,
            run: 0,
            longest: 0,
            is_binary: true,
            sample: Sample::default(),
        }
    }
}

impl Accumulator {
    fn add(&mut self, value: f32) {
        if value.is_nan() {
            self.run = 0;
            return;
        }
        self.count += 1;
        self.ends.add(value);
        self.sample.add(value);
        self.is_binary = self.is_binary && (value == 0.0 || value == 1.0);
        match self.previous {
            Some(before) if value > before => self.rises += 1,
            Some(before) if value < before => {
                self.falls += 1;
                self.resets += u64::from(value.abs() <= before.abs() * 0.1);
            }
            _ => {}
        }
        self.run = if self.previous == Some(value) && self.run > 0 {
            self.run + 1
        } else {
            1
        };
        // A code for no reading is no stretch of a value.
        if self.run > self.longest && !is_code(value) {
            self.longest = self.run;
        }
        self.previous = Some(value);
    }

    fn finish(self, rows: u64, is_state: bool) -> Statistics {
        let (min, max) = (self.ends.low.first().map(|end| end.0), self.ends.high.first().map(|end| end.0));
        let count = self.count;
        let rises = self.rises >= 20 && self.rises * 20 >= count;
        let is_counter = rises && count >= 20 && self.falls == self.resets && self.resets * 200 <= count && !self.is_binary;
        let kind = match (min, max) {
            (None, _) | (_, None) => Kind::Empty,
            _ if is_state => Kind::OnOff,
            (Some(min), Some(max)) if min == max => Kind::Constant,
            _ if self.is_binary => Kind::OnOff,
            _ if is_counter => Kind::Counter,
            _ => Kind::Number,
        };
        let sentinels = match kind {
            Kind::Number | Kind::Counter => sentinels(self.sample, &self.ends, count),
            _ => Vec::new(),
        };
        Statistics {
            missing: rows.saturating_sub(count),
            min: min.map(written),
            max: max.map(written),
            kind,
            shape: VariateShape {
                parts: Vec::new(),
                longest_constant: self.longest,
                sentinels,
            },
        }
    }
}

/// Values at even distances, up to a bounded number.
#[derive(Default)]
struct Sample {
    values: Vec<f32>,
    seen: u64,
    /// Values to one that is kept, as a power of two.
    thinning: u32,
}

const SAMPLE: usize = 4096;

impl Sample {
    fn add(&mut self, value: f32) {
        if self.seen & ((1 << self.thinning) - 1) == 0 {
            if self.values.len() == SAMPLE {
                let mut place = 0usize..;
                self.values.retain(|_| place.next().is_some_and(|place| place.is_multiple_of(2)));
                self.thinning += 1;
            }
            if self.seen & ((1 << self.thinning) - 1) == 0 {
                self.values.push(value);
            }
        }
        self.seen += 1;
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
fn sentinels(sample: Sample, ends: &Ends, count: u64) -> Vec<(f64, u64)> {
    let mut found: Vec<(f32, u64)> = Vec::new();
    let mut sample = sample.values;
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
struct Parts {
    sums: Vec<(f64, u64)>,
    rows: u64,
    row: u64,
}

impl Parts {
    fn new(rows: u64) -> Self {
        let parts = PARTS.min(rows as usize).max(1);
        Parts {
            sums: vec![(0.0, 0); parts],
            rows: rows.max(1),
            row: 0,
        }
    }

    fn add(&mut self, value: f32) {
        if !value.is_nan() {
            let last = self.sums.len() - 1;
            let part = (self.row as u128 * self.sums.len() as u128 / u128::from(self.rows)) as usize;
            let sum = &mut self.sums[part.min(last)];
            *sum = (sum.0 + f64::from(value), sum.1 + 1);
        }
        self.row += 1;
    }

    fn means(self) -> Vec<f32> {
        self.sums
            .into_iter()
            .map(|(sum, count)| if count > 0 { (sum / count as f64) as f32 } else { f32::NAN })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Statistics {
        Statistics::of_all(&[values.len() as u64], &[false], |take| {
            values.iter().for_each(|&value| take(0, value))
        })
        .remove(0)
    }

    fn sentinels_of(values: &[f32]) -> Vec<(f64, u64)> {
        of(values).shape.sentinels
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
        let kind = |value: fn(i32) -> f32| of(&(0..500).map(value).collect::<Vec<_>>()).kind;
        assert_eq!(kind(|_| 3.0), Kind::Constant);
        assert_eq!(kind(|at| (at % 2) as f32), Kind::OnOff);
        assert_eq!(kind(|at| (at % 7) as f32), Kind::Number);
        assert_eq!(kind(|at| 1000.0 + (at / 2) as f32), Kind::Counter);
        assert_eq!(kind(|_| f32::NAN), Kind::Empty);
    }
}
