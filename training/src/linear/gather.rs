//! The moments of every target, by part of the recording, in one pass over the rows.
//!
//! Training rows are divided in their order: their first half, then three sixths; the validation rows follow. Those of several devices
//! follow each other, so that the later parts are often those of other devices. An example belongs to the
//! part that holds all its steps. One whose steps lie in two parts of the training rows trains later parts and is not judged.

use std::ops::Range;
use std::time::Duration;

use tsm2_core::{Config, Preprocessor};

use super::LinearError;
use super::moments::Moments;
use crate::data::dataset::pass;
use crate::data::scale::Scaler;
use crate::data::table::Table;

/// Where the parts of the training rows end, in sixths.
const ENDS: [usize; 4] = [3, 4, 5, 6];

/// Parts: those of the training rows, and the validation rows.
pub(super) const PARTS: usize = ENDS.len() + 1;

/// Sets of moments of a target: one for each part, and one for what lies across the end of each but the last two.
pub(super) const SETS: usize = 2 * PARTS - 2;

/// Numbers that wait for their turn to enter the moments.
const WAITING: usize = 1 << 24;

/// Multiply-adds that a pass may cost: neighbouring origins are alike, and a long recording is thinned.
const BUDGET: f64 = 4e10;

/// Multiply-adds that a pass may cost for each second of a training: about a quarter of it on a slow core.
const BUDGET_PER_SECOND: f64 = 2.5e8;

/// Multiply-adds that a pass may cost in a training of this time; `None`: the time is not limited.
pub(super) fn allowed(time: Option<Duration>) -> f64 {
    time.map_or(BUDGET, |time| (BUDGET_PER_SECOND * time.as_secs_f64()).min(BUDGET))
}

/// Origins of forecasts (the row of the first step) and the set that their examples belong to, in ascending order.
pub(super) type Origins = Vec<(Range<usize>, usize)>;

/// The sets whose examples lie before part `part`, whose own set is `part`.
pub(super) fn before(part: usize) -> impl Iterator<Item = usize> {
    (0..part).chain((1..part).map(|later| PARTS - 1 + later))
}

/// Origins by set, from those of the training and of the validation pieces.
pub(super) fn by_part(
    training: impl Iterator<Item = Range<usize>>,
    validation: impl Iterator<Item = Range<usize>>,
    horizon: usize,
) -> Origins {
    let training: Vec<Range<usize>> = training.collect();
    let rows: usize = training.iter().map(|origins| origins.len() + horizon - 1).sum();
    let part = |row: usize| ENDS.iter().position(|&end| 6 * row < end * rows).unwrap_or(ENDS.len() - 1);
    let mut sets: Origins = Vec::new();
    let mut add = |origin: usize, set: usize| match sets.last_mut() {
        Some((origins, last)) if origins.end == origin && *last == set => origins.end += 1,
        _ => sets.push((origin..origin + 1, set)),
    };
    let mut first = 0;
    for origins in training {
        for origin in origins.clone() {
            let row = first + (origin - origins.start);
            let (from, to) = (part(row), part(row + horizon - 1));
            add(origin, if from == to { from } else { PARTS - 1 + to });
        }
        first += origins.len() + horizon - 1;
    }
    for origin in validation.flatten() {
        add(origin, PARTS - 1);
    }
    sets.sort_by_key(|(origins, _)| origins.start);
    sets
}

/// One of so many origins is used.
pub(super) fn stride(config: &Config, origins: &Origins, allowed: f64) -> usize {
    let (features, h) = (config.linear_head_features() as f64, config.horizon as f64);
    let count: usize = origins.iter().map(|(origins, _)| origins.len()).sum();
    let cost = count as f64 * config.targets() as f64 * features * (0.5 * features + h);
    (cost / allowed).ceil().max(1.0) as usize
}

/// The moments of every target at one of `stride` origins, `[targets][sets]`. `done` gets the shares of the work: together 1.
pub(super) fn gather(
    config: &Config,
    table: &Table,
    scaler: &Scaler,
    passes: &[Range<usize>],
    (origins, stride): (&Origins, usize),
    sets: usize,
    done: &(dyn Fn(f64) + Sync),
) -> Result<Vec<Vec<Moments>>, LinearError> {
    let (features, targets, h) = (config.linear_head_features(), config.targets(), config.horizon);
    let block = (WAITING / (targets * (features + h))).clamp(16, 1024);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(targets);
    let share = targets.div_ceil(jobs);
    let lags = config.linear_head.lags as u64;
    let examples: usize = origins.iter().map(|(origins, _)| origins.len()).sum();
    // Every thread makes its own of each example.
    let share_of_example = stride as f64 / examples.max(1) as f64 / targets.div_ceil(share) as f64;
    let some = |first: usize| -> Result<Vec<Vec<Moments>>, LinearError> {
        let variates = first..(first + share).min(targets);
        let mut gathering: Vec<Gathering> = variates.map(|variate| Gathering::new(variate, lags, (features, h), sets)).collect();
        pass(config, scaler, table, passes, |row, preprocessor, state| {
            let at = origins.partition_point(|(origins, _)| origins.end <= row + 1);
            match origins.get(at) {
                Some((origins, set)) if origins.contains(&(row + 1)) && row.is_multiple_of(stride) => {
                    done(share_of_example);
                    for of_variate in &mut gathering {
                        of_variate.take(row, *set, block, (table, scaler), (preprocessor, state));
                    }
                }
                _ => {}
            }
        })?;
        Ok(gathering.into_iter().map(Gathering::finish).collect())
    };
    // Each thread passes all rows for its own variates: the sums do not depend on the number of threads.
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..targets).step_by(share).map(|first| scope.spawn(move || some(first))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut moments = Vec::with_capacity(targets);
    for result in results {
        moments.extend(result?);
    }
    Ok(moments)
}

/// The moments of one target, and examples on their way into them.
struct Gathering {
    variate: usize,
    lags: u64,
    features: usize,
    horizon: usize,
    sets: Vec<Moments>,
    /// The set of the examples that wait.
    set: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Gathering {
    fn new(variate: usize, lags: u64, (features, horizon): (usize, usize), sets: usize) -> Self {
        Self {
            variate,
            lags,
            features,
            horizon,
            sets: vec![Moments::new(features, horizon); sets],
            set: 0,
            x: Vec::new(),
            y: Vec::new(),
        }
    }

    /// Takes the example of the forecast after `row`, unless all its readings are missing or the run has only begun: its lags
    /// then repeat the first sample, as they will once for each stream and never again.
    fn take(
        &mut self,
        row: usize,
        set: usize,
        block: usize,
        (table, scaler): (&Table, &Scaler),
        (preprocessor, state): (&Preprocessor<'_>, &[f32]),
    ) {
        let v = self.variate;
        if preprocessor.samples(state) <= self.lags {
            return;
        }
        if set != self.set || self.y.len() >= block * self.horizon {
            self.flush();
            self.set = set;
        }
        let (mean, deviation) = preprocessor.statistics(state, v);
        let anchor = preprocessor.anchor(state, v);
        let target = |row: usize| {
            let z = (table.row(row)[v] - scaler.mean[v]) / scaler.std[v];
            (z - mean) / deviation - anchor
        };
        let before = self.y.len();
        self.y.extend((row + 1..row + 1 + self.horizon).map(target));
        if self.y[before..].iter().all(|y| y.is_nan()) {
            self.y.truncate(before);
            return;
        }
        let start = self.x.len();
        self.x.resize(start + self.features, 0.0);
        preprocessor.features(state, v, &mut self.x[start..]);
    }

    fn flush(&mut self) {
        if !self.y.is_empty() {
            self.sets[self.set].add(&self.x, &self.y);
        }
        self.x.clear();
        self.y.clear();
    }

    fn finish(mut self) -> Vec<Moments> {
        self.flush();
        self.sets
    }
}

#[cfg(test)]
mod tests {
    use tsm2_core::LinearHead;

    use super::*;

    #[test]
    fn a_long_recording_is_thinned_and_a_short_one_is_not() {
        let config = Config {
            variates: 50,
            horizon: 96,
            linear_head: LinearHead {
                lags: 96,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        let of_rows = |rows, time| stride(&config, &vec![(0..rows, 0)], allowed(time));
        assert_eq!(of_rows(1000, None), 1);
        assert_eq!(of_rows(1_000_000, None), 18);
        // A short training thins more, a long one no less than one without a limit.
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of_rows(1_000_000, seconds(600)), 18);
        assert_eq!(of_rows(1_000_000, seconds(60)), 47);
        assert_eq!(of_rows(1000, seconds(60)), 1);
    }
}
