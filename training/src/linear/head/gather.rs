//! Second moments of the widest features worth trying, per variate, in one pass over training and validation rows.
//!
//! Invariants: work and memory are bounded whatever the size of the table; a forecast belongs to the part that holds all of its rows.

use std::ops::Range;

use tsm2_core::{Config, LinearHead, SEASON_RATES, Season};

use super::error::LinearError;
use super::features::{CROSS_LAGS, LAGS};
use crate::data::dataset::pass;
use crate::data::runs::{Part, Pieces};
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::linear::ridge::Moments;

/// Numbers of lags that are tried whatever the number of rows.
const LEAST_LAGS: usize = 4;

/// Largest number of features of the other variates or of seasons.
const WIDEST: usize = 600;

/// Multiply-adds that one pass over the data may cost.
const BUDGET: f64 = 6e10;

/// Numbers that the moments of all variates may hold.
const MEMORY: f64 = 8e7;

/// Rows gathered before they enter the moments.
const BLOCK: usize = 512;

/// Number of consecutive parts of the validation rows; a better map must be better in each.
pub(super) const PARTS: usize = 2;

/// Moments of every variate under one normalizer, for the widest features.
pub(super) struct Gathered {
    pub(super) widest: LinearHead,
    /// `[M]`.
    pub(super) train: Vec<Moments>,
    /// `[M]`, each by consecutive part of the rows.
    pub(super) validation: Vec<[Moments; PARTS]>,
    /// Validation examples of all variates; one whose readings are missing in part counts in part. (Their weights are in units of the normalizer.)
    pub(super) examples: f64,
}

/// Moments of one variate.
struct Gathering {
    targets: Targets,
    train: Moments,
    validation: [Moments; PARTS],
    examples: f64,
    block: Block,
}

/// The targets of one variate, in units of z.
///
/// A forecast is compared with all of its rows or with none. A missing reading is therefore interpolated, and a forecast
/// counts by the share of its readings that are there.
struct Targets {
    values: Vec<f32>,
    /// Readings before each row.
    known: Vec<u32>,
}

impl Targets {
    /// Missing readings are interpolated within their piece.
    fn new(z: &[f32], variate: usize, variates: usize, parts: [&Pieces; 2]) -> Self {
        let z: Vec<f32> = z.iter().skip(variate).step_by(variates).copied().collect();
        let count = |sum: &mut u32, z: &f32| {
            *sum += u32::from(!z.is_nan());
            Some(*sum)
        };
        let known = std::iter::once(0).chain(z.iter().scan(0, count)).collect();
        let mut values = vec![0.0; z.len()];
        for piece in parts.into_iter().flat_map(Pieces::iter) {
            values[piece.rows.clone()].copy_from_slice(&interpolated(&z[piece.rows.clone()]));
        }
        Self { values, known }
    }

    /// The share of these rows' readings that are there.
    fn share(&self, rows: Range<usize>) -> f32 {
        (self.known[rows.end] - self.known[rows.start]) as f32 / rows.len() as f32
    }
}

/// The values with missing ones interpolated: on a line between neighbours, constant at the ends, zero without any value.
fn interpolated(z: &[f32]) -> Vec<f32> {
    let known: Vec<usize> = (0..z.len()).filter(|&row| !z[row].is_nan()).collect();
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else {
        return vec![0.0; z.len()];
    };
    let mut values = vec![z[first]; z.len()];
    values[last..].fill(z[last]);
    for pair in known.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        for (row, value) in values[from..to].iter_mut().enumerate() {
            *value = z[from] + (z[to] - z[from]) * row as f32 / (to - from) as f32;
        }
    }
    values
}

/// The widest features worth trying within the budget, and the distance in rows between two examples.
fn widest(config: &Config, rows: usize, period: Option<usize>) -> (LinearHead, usize) {
    let (m, h) = (config.targets() as f64, config.horizon as f64);
    let others = config.variates - 1;
    let features = |linear_head| Config { linear_head, ..*config }.linear_head_features() as f64;
    let cost = |linear_head| rows as f64 * m * features(linear_head) * (0.5 * features(linear_head) + h);
    let small = |linear_head| m * features(linear_head) * (features(linear_head) + h) <= MEMORY;
    let with_lags = |lags, season, cross_lags| LinearHead {
        lags,
        season,
        cross_lags,
        calendar: config.network.is_some_and(|network| network.calendar),
        future_covariates: config.future_covariates > 0,
        per_variate: true,
        ..LinearHead::default()
    };
    let cross_lags = CROSS_LAGS
        .into_iter()
        .rev()
        .find(|&c| others > 0 && c * others <= WIDEST / 2 && small(with_lags(LAGS[0], None, c)))
        .unwrap_or(0);
    let season = period
        .filter(|t| t * SEASON_RATES.len() <= WIDEST)
        .map(|period| Season {
            period,
            bins: None,
            rate: None,
        })
        .filter(|&season| small(with_lags(LAGS[0], Some(season), cross_lags)));
    let possible: Vec<LinearHead> = LAGS
        .into_iter()
        .filter(|&lags| lags == LAGS[0] || lags <= rows / 4)
        .map(|lags| with_lags(lags, season, cross_lags))
        .filter(|&linear_head| linear_head.lags == LAGS[0] || small(linear_head))
        .collect();
    let affordable = possible.iter().rev().find(|&&linear_head| cost(linear_head) <= BUDGET);
    // A long recording is thinned rather than fitted with few features: neighbouring rows are alike.
    let linear_head = *affordable.unwrap_or(&possible[possible.len().min(LEAST_LAGS) - 1]);
    (linear_head, (cost(linear_head) / BUDGET).ceil().max(1.0) as usize)
}

/// One pass over the rows, on two threads that share the variates out.
pub(super) fn gather(
    config: &Config,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    period: Option<usize>,
) -> Result<Gathered, LinearError> {
    let (widest, stride) = widest(config, split.train, period);
    let config = &Config {
        linear_head: widest,
        ..*config
    };
    let variates: Vec<usize> = (0..config.targets()).collect();
    let share = variates.len().div_ceil(2);
    let results: Vec<Result<Vec<Gathering>, tsm2_core::Error>> = std::thread::scope(|scope| {
        let gather = |variates| scope.spawn(move || gather_some(config, table, split, scaler, variates, stride));
        let threads: Vec<_> = variates.chunks(share).map(gather).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut gathered = Gathered {
        widest,
        train: Vec::new(),
        validation: Vec::new(),
        examples: 0.0,
    };
    for result in results {
        for variate in result? {
            gathered.train.push(variate.train);
            gathered.validation.push(variate.validation);
            gathered.examples += variate.examples;
        }
    }
    if gathered.train.iter().all(|train| train.weight() <= 0.0) {
        return Err(LinearError::NoReading {
            part: "training",
            rows: table.part(split, Part::Train).hull(),
        });
    }
    if gathered.validation.iter().flatten().all(|part| part.weight() <= 0.0) {
        return Err(LinearError::NoReading {
            part: "validation",
            rows: table.part(split, Part::Validation).hull(),
        });
    }
    Ok(gathered)
}

/// The moments of some variates.
fn gather_some(
    config: &Config,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    variates: &[usize],
    stride: usize,
) -> Result<Vec<Gathering>, tsm2_core::Error> {
    let (features, h, m) = (config.linear_head_features(), config.horizon, config.targets());
    let z = scaler.standardise_targets(table);
    let [train_part, validation_part] = [Part::Train, Part::Validation].map(|part| table.part(split, part));
    let moments = || Moments::new(features, h);
    let start = |&v: &usize| Gathering {
        targets: Targets::new(&z, v, m, [&train_part, &validation_part]),
        train: moments(),
        validation: std::array::from_fn(|_| moments()),
        examples: 0.0,
        block: Block::default(),
    };
    let mut gathering: Vec<Gathering> = variates.iter().map(start).collect();
    let mut phi = vec![0.0; features];
    // Origins whose forecasts lie wholly in one piece, with the part of validation: each piece is divided in time.
    let training = train_part.origins(h).map(|origins| (origins, None));
    let mut origins: Vec<(Range<usize>, Option<usize>)> = training.collect();
    for piece in validation_part.origins(h) {
        let boundary = |part: usize| piece.start + (part * piece.len()).div_ceil(PARTS);
        origins.extend((0..PARTS).map(|part| (boundary(part)..boundary(part + 1), Some(part))));
    }
    origins.sort_by_key(|(origins, _)| origins.start);
    let passes = table.runs.training_and_validation(split).passes();
    pass(config, scaler, table, &passes, |row, preprocessor, state| {
        let at = origins.partition_point(|(origins, _)| origins.end <= row + 1);
        let Some(&(_, part)) = origins.get(at).filter(|(origins, _)| origins.contains(&(row + 1))) else {
            return;
        };
        for (&v, of_variate) in variates.iter().zip(&mut gathering) {
            let Gathering {
                targets,
                train,
                validation,
                examples,
                block,
            } = of_variate;
            let share = targets.share(row + 1..row + 1 + h);
            if block.part != part {
                block.flush(train, validation);
                block.part = part;
            }
            if share > 0.0 && row.is_multiple_of(stride) {
                let (mu, sd) = preprocessor.statistics(state, v);
                preprocessor.features(state, v, &mut phi);
                block.x.extend_from_slice(&phi);
                block.y.extend(targets.values[row + 1..row + 1 + h].iter().map(|z| (z - mu) / sd));
                block.weight.push(sd * sd * share);
                *examples += if part.is_some() { f64::from(share) } else { 0.0 };
            }
            if block.weight.len() == BLOCK {
                block.flush(train, validation);
            }
        }
    })?;
    for of_variate in &mut gathering {
        of_variate.block.flush(&mut of_variate.train, &mut of_variate.validation);
    }
    Ok(gathering)
}

/// Examples of one variate on their way into the moments.
#[derive(Default)]
struct Block {
    /// Part of validation, or training.
    part: Option<usize>,
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Vec<f32>,
}

impl Block {
    fn flush(&mut self, train: &mut Moments, validation: &mut [Moments; PARTS]) {
        if self.weight.is_empty() {
            return;
        }
        let moments = self.part.map_or(train, |part| &mut validation[part]);
        moments.add(&self.x, &self.y, Some(&self.weight));
        self.x.clear();
        self.y.clear();
        self.weight.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_targets_are_interpolated_within_their_part_and_counted() {
        let nan = f32::NAN;
        let z = [nan, 1.0, nan, nan, 4.0, nan, nan, 8.0, nan];
        let targets = Targets::new(&z, 0, 1, [&Pieces::from(0..6), &Pieces::from(6..9)]);
        assert_eq!(targets.values, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 8.0, 8.0, 8.0]);
        assert_eq!((targets.share(1..5), targets.share(5..7)), (0.5, 0.0));
        assert_eq!(interpolated(&[nan, nan]), [0.0, 0.0]);
    }

    #[test]
    fn the_work_and_the_memory_are_bounded_whatever_the_size() {
        for (variates, rows, horizon, period) in [
            (20, 350_000, 24, Some(200)),
            (1_000, 100_000, 24, Some(24)),
            (3_000, 2_000, 96, Some(200)),
            (7, 8_640, 720, None),
            (1, 9, 1, None),
        ] {
            let config = Config {
                variates,
                horizon,
                ..Config::default()
            };
            let (linear_head, stride) = widest(&config, rows, period);
            let features = Config { linear_head, ..config }.linear_head_features();
            let examples = rows.div_ceil(stride);
            assert!((examples * variates * features) as f64 * (0.5 * features as f64 + horizon as f64) < 1.1 * BUDGET);
            assert!((variates * features * (features + horizon)) as f64 <= MEMORY);
            assert!(
                examples >= rows.min(4 * features),
                "{variates} {rows}: {examples} examples of {features}"
            );
        }
    }
}
