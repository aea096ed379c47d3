//! The linear read-out: which normaliser, which features and which ridge, decided on validation from second moments.
//!
//! For each candidate normaliser one pass over the training and validation rows gathers the moments of the widest feature vector,
//! per variate; every narrower set of features, shared or per-variate weights, and every ridge is then decided without touching the
//! data again (TSM2.md section 5). All errors are in units of z, so candidates of different normalisers compare.

use std::ops::Range;

use ndarray::Array2;
use tsm2_core::{Config, Normaliser, Readout, SEASON_RATES, Season};

use crate::dataset::pass;
use crate::ridge::{Moments, RidgeError, bands, fit_bands};
use crate::scale::Scaler;
use crate::split::Split;
use crate::table::Table;

/// Ridges tried, relative to the mean diagonal of the features' second moments.
const LAMBDAS: [f64; 6] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];

/// Numbers of lags tried.
const LAGS: [usize; 6] = [4, 12, 24, 96, 256, 512];

/// How many of them are tried however long the data.
const LEAST_LAGS: usize = 3;

/// Numbers of the other variates' samples tried.
const CROSS_LAGS: [usize; 3] = [2, 8, 24];

/// More features than this of other variates or of seasons are not tried.
const WIDEST: usize = 600;

/// Multiply-adds that one pass over the data may cost.
const BUDGET: f64 = 6e10;

/// Multiply-adds that solving one candidate for every variate may cost.
const SOLVING: f64 = 1e10;

/// Numbers that the moments of all variates may hold.
const MEMORY: f64 = 1.2e8;

/// By what share the more particular must be better, for validation rows are few, and such a model is the first to fail on the rows to come:
/// weights per variate rather than shared.
const OWN_MARGIN: f64 = 0.01;

/// The same, for weights of the other variates' samples.
const CROSS_MARGIN: f64 = 0.02;

/// The same, for samples as they are, which trusts that the level of the training rows stays.
const LEVEL_MARGIN: f64 = 0.02;

/// Rows gathered before they enter the moments.
const BLOCK: usize = 512;

/// A linear model with the normaliser it goes with.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The normaliser.
    pub normaliser: Normaliser,
    /// The features.
    pub readout: Readout,
    /// `readout.weight` as in the model file.
    pub weights: Vec<f32>,
    /// Mean squared error on validation per lead, in units of z, over all variates.
    pub mse: Vec<f64>,
}

impl Choice {
    /// Mean over leads of the validation error.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mse.iter().sum::<f64>() / self.mse.len() as f64
    }
}

/// Errors of choosing a read-out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadoutError {
    /// The moments cannot be solved.
    #[error("the linear read-out: {0}")]
    Ridge(#[from] RidgeError),
    /// A fault of the configuration or the scaler.
    #[error("the linear read-out: {0}")]
    Model(#[from] tsm2_core::Error),
    /// A part without readings.
    #[error("the {part} part, rows {}..{}, has no reading to compare a forecast with", rows.start, rows.end)]
    NoReading {
        /// `training` or `validation`.
        part: &'static str,
        /// Its rows.
        rows: Range<usize>,
    },
}

/// Moments of every variate under one normaliser, for the widest features.
struct Gathered {
    widest: Readout,
    train: Vec<Moments>,
    validation: Vec<Moments>,
    /// Validation examples of all variates; one whose readings are missing in part counts in part.
    examples: f64,
}

/// Moments of one variate.
struct Gathering {
    targets: Targets,
    train: Moments,
    validation: Moments,
    examples: f64,
    block: Block,
}

/// What is to be forecast of one variate, in units of z. A forecast is compared with all of its rows or not at all, so a missing reading is
/// interpolated, and a forecast counts by the share of its readings that are there.
struct Targets {
    values: Vec<f32>,
    /// Readings before each row.
    known: Vec<u32>,
}

impl Targets {
    /// Each part's missing readings are interpolated within that part.
    fn new(z: &[f32], variate: usize, variates: usize, parts: [Range<usize>; 2]) -> Self {
        let z: Vec<f32> = z.iter().skip(variate).step_by(variates).copied().collect();
        let count = |sum: &mut u32, z: &f32| {
            *sum += u32::from(!z.is_nan());
            Some(*sum)
        };
        let known = std::iter::once(0).chain(z.iter().scan(0, count)).collect();
        let values = parts.into_iter().flat_map(|part| interpolated(&z[part])).collect();
        Self { values, known }
    }

    /// The share of these rows' readings that are there.
    fn share(&self, rows: Range<usize>) -> f32 {
        (self.known[rows.end] - self.known[rows.start]) as f32 / rows.len() as f32
    }
}

/// The values, what is missing between two of them on the line from one to the other, at the ends equal to the next, and zero if there are none.
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

/// The best linear read-out on validation for forecasts of `config.horizon` rows under each candidate normaliser, the best of them first; `period`
/// adds seasonal averages. `report` is told each as it is found.
///
/// # Errors
/// Too little data for any linear model.
pub fn choose(
    config: &Config,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    period: Option<usize>,
    mut report: impl FnMut(&Choice),
) -> Result<Vec<Choice>, ReadoutError> {
    let window = 512.min(split.train / 8).max(2);
    let normalisers = [
        Normaliser::Global,
        Normaliser::Window { length: window },
        Normaliser::Exponential {
            half_life: (window as f32 / 4.0).max(1.0),
        },
    ];
    let mut choices = Vec::with_capacity(normalisers.len());
    for normaliser in normalisers {
        let gathered = gather(&Config { normaliser, ..*config }, table, split, scaler, period)?;
        let choice = best_of(&gathered, normaliser, config)?;
        report(&choice);
        choices.push(choice);
    }
    let judged = |choice: &Choice| {
        choice.mean()
            / if choice.normaliser == Normaliser::Global {
                1.0 - LEVEL_MARGIN
            } else {
                1.0
            }
    };
    choices.sort_by(|a, b| judged(a).total_cmp(&judged(b)));
    Ok(choices)
}

/// The widest features worth trying within the budget, and every how manieth row is an example.
fn widest(config: &Config, rows: usize, period: Option<usize>) -> (Readout, usize) {
    let (m, h) = (config.variates as f64, config.horizon as f64);
    let others = config.variates - 1;
    let features = |readout| Config { readout, ..*config }.readout_features() as f64;
    let cost = |readout| rows as f64 * m * features(readout) * (0.5 * features(readout) + h);
    let small = |readout| m * features(readout) * (features(readout) + h) <= MEMORY;
    let with_lags = |lags, season, cross_lags| Readout {
        lags,
        season,
        cross_lags,
        per_variate: true,
    };
    let cross_lags = CROSS_LAGS
        .into_iter()
        .rev()
        .find(|&c| others > 0 && c * others <= WIDEST / 2 && small(with_lags(LAGS[0], None, c)))
        .unwrap_or(0);
    let season = period
        .filter(|t| t * SEASON_RATES.len() <= WIDEST)
        .map(|period| Season { period })
        .filter(|&season| small(with_lags(LAGS[0], Some(season), cross_lags)));
    let possible: Vec<Readout> = LAGS
        .into_iter()
        .filter(|&lags| lags == LAGS[0] || lags <= rows / 4)
        .map(|lags| with_lags(lags, season, cross_lags))
        .filter(|&readout| readout.lags == LAGS[0] || small(readout))
        .collect();
    let affordable = possible.iter().rev().find(|&&readout| cost(readout) <= BUDGET);
    // Rather than with too few features, what is too long is learned from fewer of its rows, which resemble their neighbours.
    let readout = *affordable.unwrap_or(&possible[possible.len().min(LEAST_LAGS) - 1]);
    (readout, (cost(readout) / BUDGET).ceil().max(1.0) as usize)
}

/// One pass over the rows, on two threads that share the variates out.
fn gather(config: &Config, table: &Table, split: &Split, scaler: &Scaler, period: Option<usize>) -> Result<Gathered, ReadoutError> {
    let (widest, stride) = widest(config, split.train, period);
    let config = &Config {
        readout: widest,
        ..*config
    };
    let variates: Vec<usize> = (0..config.variates).collect();
    let share = config.variates.div_ceil(2);
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
        return Err(ReadoutError::NoReading {
            part: "training",
            rows: split.train_range(),
        });
    }
    if gathered.examples <= 0.0 {
        return Err(ReadoutError::NoReading {
            part: "validation",
            rows: split.validation_range(),
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
    let (features, h, m) = (config.readout_features(), config.horizon, config.variates);
    let z = scaler.standardise(table);
    let moments = || Moments::new(features, h);
    let start = |&v: &usize| Gathering {
        targets: Targets::new(&z, v, m, [split.train_range(), split.validation_range()]),
        train: moments(),
        validation: moments(),
        examples: 0.0,
        block: Block::default(),
    };
    let mut gathering: Vec<Gathering> = variates.iter().map(start).collect();
    let (boundary, end) = (split.train, split.train + split.validation);
    let mut phi = vec![0.0; features];
    pass(config, scaler, table, end, |row, front, state| {
        let validates = row + 1 >= boundary;
        // A forecast belongs to the part that holds all of its rows.
        let last = if validates { end } else { boundary };
        if row + 1 + h > last {
            return;
        }
        for (
            &v,
            Gathering {
                targets,
                train,
                validation,
                examples,
                block,
            },
        ) in variates.iter().zip(&mut gathering)
        {
            let share = targets.share(row + 1..row + 1 + h);
            if share > 0.0 && row.is_multiple_of(stride) {
                let (mu, sd) = front.statistics(state, v);
                front.features(state, v, &mut phi);
                block.x.extend_from_slice(&phi);
                block.y.extend(targets.values[row + 1..row + 1 + h].iter().map(|z| (z - mu) / sd));
                block.weight.push(sd * sd * share);
                *examples += if validates { f64::from(share) } else { 0.0 };
            }
            if block.weight.len() == BLOCK || (row + 1 + h == last && !block.weight.is_empty()) {
                block.flush(if validates { validation } else { train });
            }
        }
    })?;
    Ok(gathering)
}

/// Examples of one variate on their way into the moments.
#[derive(Default)]
struct Block {
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Vec<f32>,
}

impl Block {
    fn flush(&mut self, moments: &mut Moments) {
        moments.add(&self.x, &self.y, Some(&self.weight));
        self.x.clear();
        self.y.clear();
        self.weight.clear();
    }
}

/// Positions of a narrower read-out's features among the widest one's.
fn positions(widest: &Readout, narrow: &Readout, others: usize) -> Vec<usize> {
    let tail = |start: usize, wide: usize, keep: usize| start + wide - keep..start + wide;
    let season = |readout: &Readout| readout.season.map_or(0, |s| s.period * SEASON_RATES.len());
    let cross = widest.lags + season(widest);
    let mut positions: Vec<usize> = tail(0, widest.lags, narrow.lags).collect();
    positions.extend(widest.lags..widest.lags + season(narrow));
    for other in 0..others {
        positions.extend(tail(cross + other * widest.cross_lags, widest.cross_lags, narrow.cross_lags));
    }
    positions
}

/// The narrower read-outs that are tried.
fn candidates(widest: &Readout) -> Vec<Readout> {
    let mut list = Vec::new();
    let seasons = if widest.season.is_some() {
        vec![None, widest.season]
    } else {
        vec![None]
    };
    for season in seasons {
        let fewest = if season.is_some() { vec![0] } else { vec![] };
        for lags in fewest.into_iter().chain(LAGS.into_iter().filter(|&l| l <= widest.lags)) {
            list.push(Readout {
                lags,
                season,
                cross_lags: 0,
                per_variate: false,
            });
            if lags <= 96 {
                list.push(Readout {
                    lags,
                    season,
                    cross_lags: 0,
                    per_variate: true,
                });
                let cross = CROSS_LAGS.into_iter().filter(|&c| c <= widest.cross_lags && c <= lags.max(2));
                list.extend(cross.map(|cross_lags| Readout {
                    lags,
                    season,
                    cross_lags,
                    per_variate: true,
                }));
            }
        }
    }
    list
}

/// The best candidate under one normaliser, each more particular kind of them only where it is better by its margin.
fn best_of(gathered: &Gathered, normaliser: Normaliser, config: &Config) -> Result<Choice, RidgeError> {
    let sum = |parts: &[Moments]| {
        let mut sum = parts[0].clone();
        parts[1..].iter().for_each(|part| sum.merge(part));
        sum
    };
    let shared = ([sum(&gathered.train)], [sum(&gathered.validation)]);
    let leads: Vec<Range<usize>> = bands(config.horizon);
    // The best of each kind: shared weights, weights per variate, and those with the other variates' samples.
    let mut best: [Option<Choice>; 3] = [None, None, None];
    for readout in candidates(&gathered.widest) {
        let positions = positions(&gathered.widest, &readout, config.variates - 1);
        let (train, validation) = match readout.per_variate {
            true => (gathered.train.as_slice(), gathered.validation.as_slice()),
            false => (shared.0.as_slice(), shared.1.as_slice()),
        };
        let features = positions.len() as f64;
        let once = features * features * (features / 3.0 + 2.0 * config.horizon as f64);
        if readout.per_variate && (LAMBDAS.len() * train.len()) as f64 * once > SOLVING {
            continue;
        }
        let mut choice = Choice {
            normaliser,
            readout,
            weights: Vec::new(),
            mse: vec![0.0; config.horizon],
        };
        for (train, validation) in train.iter().zip(validation) {
            let (train, validation) = (train.sub(&positions), validation.sub(&positions));
            let weights = fit(&train, &validation, &leads)?;
            if validation.weight() > 0.0 {
                for (sum, mse) in choice.mse.iter_mut().zip(validation.mse(&weights)) {
                    // From the weighted mean to the mean of squared errors in units of z.
                    *sum += mse * validation.weight() / gathered.examples;
                }
            }
            choice.weights.extend(weights.iter().map(|&w| w as f32));
        }
        let kind = &mut best[usize::from(readout.per_variate) + usize::from(readout.cross_lags > 0)];
        if kind.as_ref().is_none_or(|best| choice.mean() < best.mean()) {
            *kind = Some(choice);
        }
    }
    best.into_iter()
        .zip([0.0, OWN_MARGIN, CROSS_MARGIN])
        .filter_map(|(choice, margin)| Some((choice?, margin)))
        .reduce(|plain, particular| {
            if particular.0.mean() < (1.0 - particular.1) * plain.0.mean() {
                particular
            } else {
                plain
            }
        })
        .map(|(choice, _)| choice)
        .ok_or(RidgeError::NoExamples { features: 0 })
}

/// The weights `[H, features]`: zero, which forecasts the level, for a variate that was never read in training, and with the strongest ridge for
/// one that was not on validation.
fn fit(train: &Moments, validation: &Moments, leads: &[Range<usize>]) -> Result<Array2<f64>, RidgeError> {
    if train.weight() <= 0.0 {
        Ok(Array2::zeros((train.targets(), train.features())))
    } else if validation.weight() <= 0.0 {
        train.solve(LAMBDAS[LAMBDAS.len() - 1])
    } else {
        fit_bands(train, validation, &LAMBDAS, leads).map(|(weights, _)| weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_targets_are_interpolated_within_their_part_and_counted() {
        let nan = f32::NAN;
        let z = [nan, 1.0, nan, nan, 4.0, nan, nan, 8.0, nan];
        let targets = Targets::new(&z, 0, 1, [0..6, 6..9]);
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
            let (readout, stride) = widest(&config, rows, period);
            let features = Config { readout, ..config }.readout_features();
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
