//! How often rows come: the interval, how regular it is, and where it changes.

/// The steps between rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cadence {
    /// The commonest step, or for irregular rows a round one that most steps do not exceed.
    pub interval_ms: u64,
    /// Share of steps that equal the interval within 5 %.
    pub regularity: f64,
    /// Where the interval changes: row before which it does, old and new interval.
    pub changes: Vec<(usize, u64, u64)>,
    /// Whether rows come irregularly.
    pub is_irregular: bool,
}

/// Steps of one kind that make an interval of their own.
const REGIME: usize = 20;
/// Changes up to which they are named one by one.
const CHANGES: usize = 8;

/// Round intervals in milliseconds.
const ROUND: [u64; 50] = [
    1,
    2,
    5,
    10,
    20,
    25,
    40,
    50,
    100,
    125,
    200,
    250,
    500,
    1_000,
    2_000,
    3_000,
    4_000,
    5_000,
    6_000,
    10_000,
    12_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    180_000,
    240_000,
    300_000,
    360_000,
    600_000,
    720_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    14_400_000,
    21_600_000,
    28_800_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
    1_209_600_000,
    2_419_200_000,
    2_592_000_000,
    7_776_000_000,
    31_536_000_000,
];

impl Cadence {
    /// Of increasing times, series after series, each with the rows' places in the file; `None` when no time follows another.
    pub fn of<'a>(series: impl Iterator<Item = &'a [i64]> + Clone) -> Option<Cadence> {
        let steps_of = |times: &'a [i64]| times.windows(2).map(|pair| pair[1].abs_diff(pair[0])).filter(|&step| step > 0);
        let mut steps: Vec<u64> = series.clone().flat_map(steps_of).collect();
        if steps.is_empty() {
            return None;
        }
        steps.sort_unstable();
        let median = steps[(steps.len() - 1) / 2];
        let commonest = commonest(&steps, median);
        let near = |step: u64, interval: u64| step.abs_diff(interval) * 20 <= interval;
        let share = |interval: u64| steps.iter().filter(|&&step| near(step, interval)).count() as f64 / steps.len() as f64;
        let rounded = ROUND
            .iter()
            .copied()
            .find(|round| commonest.abs_diff(*round) * 50 <= commonest)
            .unwrap_or(commonest);
        let mut cadence = Cadence {
            interval_ms: rounded,
            regularity: share(rounded),
            changes: Vec::new(),
            is_irregular: false,
        };
        let changes = series.clone().next().map(changes).unwrap_or_default();
        if (1..=CHANGES).contains(&changes.len()) {
            // The coarsest, so that no stretch is mostly missing.
            let coarsest = changes.iter().flat_map(|&(_, from, to)| [from, to]).max().unwrap_or(rounded);
            cadence.interval_ms = ROUND
                .iter()
                .copied()
                .find(|round| coarsest.abs_diff(*round) * 50 <= coarsest)
                .unwrap_or(coarsest);
            cadence.regularity = share(cadence.interval_ms);
            cadence.changes = changes;
            return Some(cadence);
        }
        if cadence.regularity < 0.5 {
            cadence.is_irregular = true;
            cadence.interval_ms = ROUND.iter().copied().find(|&round| round * 20 >= median * 19).unwrap_or(median);
        }
        Some(cadence)
    }
}

/// The commonest of the sorted steps near the median; the median for want of one.
fn commonest(steps: &[u64], median: u64) -> u64 {
    let (mut best, mut most) = (median, 0);
    for run in steps.chunk_by(|a, b| a == b) {
        let is_near = run[0].abs_diff(median) * 20 <= median;
        if is_near && run.len() > most {
            (best, most) = (run[0], run.len());
        }
    }
    best
}

/// Where another step becomes the usual one for long.
fn changes(times: &[i64]) -> Vec<(usize, u64, u64)> {
    let mut changes = Vec::new();
    let mut usual: Option<u64> = None;
    let (mut candidate, mut count, mut first) = (0, 0, 0);
    for (at, pair) in times.windows(2).enumerate() {
        let step = pair[1].abs_diff(pair[0]);
        let near = |other: u64| step.abs_diff(other) * 20 <= other;
        if step == 0 || usual.is_some_and(near) {
            count = 0;
            continue;
        }
        if count > 0 && near(candidate) {
            count += 1;
        } else {
            (candidate, count, first) = (step, 1, at + 1);
        }
        if count == REGIME {
            if let Some(usual) = usual {
                changes.push((first, usual, candidate));
            }
            usual = Some(candidate);
            count = 0;
            if changes.len() > CHANGES {
                return changes;
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(runs: &[(u64, usize)]) -> Vec<i64> {
        let mut times = vec![0];
        for &(step, count) in runs {
            for _ in 0..count {
                times.push(times[times.len() - 1] + step as i64);
            }
        }
        times
    }

    #[test]
    fn a_change_of_the_interval_is_found_with_its_row() {
        let times = times(&[(900_000, 899), (60_000, 800)]);
        let cadence = Cadence::of(std::iter::once(times.as_slice())).unwrap();
        assert_eq!((cadence.interval_ms, cadence.changes), (900_000, vec![(900, 900_000, 60_000)]));
    }

    #[test]
    fn jitter_keeps_the_round_interval_and_reports_on_change_get_one() {
        let jitter: Vec<i64> = (0..500).map(|at| at * 60_000 + (at * 7919) % 900).collect();
        assert_eq!(Cadence::of(std::iter::once(jitter.as_slice())).unwrap().interval_ms, 60_000);
        let mut time = 0;
        let on_change: Vec<i64> = (0..500i64)
            .map(|at| {
                time += 1_000 + (at * 7919) % 120_000;
                time
            })
            .collect();
        let cadence = Cadence::of(std::iter::once(on_change.as_slice())).unwrap();
        assert!(cadence.is_irregular);
        assert_eq!(cadence.interval_ms, 60_000);
    }
}
