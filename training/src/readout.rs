//! The linear read-out: which normaliser, which features and which ridge, decided on validation from second moments.
//!
//! For each candidate normaliser one pass over the training and validation rows gathers the moments of the widest feature vector,
//! per variate; every narrower set of features, shared or per-variate weights, and every ridge is then decided without touching the
//! data again (TSM2.md section 5). All errors are in units of z, so candidates of different normalisers compare.

use std::ops::Range;

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

/// Numbers of the other variates' samples tried.
const CROSS_LAGS: [usize; 3] = [2, 8, 24];

/// More features than this of other variates or of seasons are not tried.
const WIDEST: usize = 600;

/// Multiply-adds that one pass over the data may cost.
const BUDGET: f64 = 6e10;

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
}

/// Moments of every variate under one normaliser, for the widest features.
struct Gathered {
    widest: Readout,
    train: Vec<Moments>,
    validation: Vec<Moments>,
    /// Validation examples of each variate.
    examples: Vec<usize>,
}

/// Moments of one variate.
struct Gathering {
    train: Moments,
    validation: Moments,
    examples: usize,
    block: Block,
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
            half_life: window as f32 / 4.0,
        },
    ];
    let mut choices = Vec::with_capacity(normalisers.len());
    for normaliser in normalisers {
        let gathered = gather(&Config { normaliser, ..*config }, table, split, scaler, period)?;
        let choice = best_of(&gathered, normaliser, config)?;
        report(&choice);
        choices.push(choice);
    }
    choices.sort_by(|a, b| a.mean().total_cmp(&b.mean()));
    Ok(choices)
}

/// The widest features worth trying within the budget.
fn widest(config: &Config, rows: usize, period: Option<usize>) -> Readout {
    let others = config.variates - 1;
    let season = period.filter(|t| t * SEASON_RATES.len() <= WIDEST).map(|period| Season { period });
    let cross_lags = CROSS_LAGS
        .into_iter()
        .rev()
        .find(|c| others > 0 && c * others <= WIDEST / 2)
        .unwrap_or(0);
    let readout = |lags| Readout {
        lags,
        season,
        cross_lags,
        per_variate: true,
    };
    let cost = |lags| {
        let features = Config {
            readout: readout(lags),
            ..*config
        }
        .readout_features() as f64;
        (rows * config.variates) as f64 * features * (0.5 * features + config.horizon as f64)
    };
    let fits = |lags: &usize| *lags <= rows / 4 && cost(*lags) <= BUDGET;
    readout(LAGS.into_iter().rev().find(fits).unwrap_or(LAGS[0]))
}

/// One pass over the rows, on two threads that share the variates out.
fn gather(config: &Config, table: &Table, split: &Split, scaler: &Scaler, period: Option<usize>) -> Result<Gathered, ReadoutError> {
    let widest = widest(config, split.train, period);
    let config = &Config {
        readout: widest,
        ..*config
    };
    let variates: Vec<usize> = (0..config.variates).collect();
    let share = config.variates.div_ceil(2);
    let results: Vec<Result<Vec<Gathering>, tsm2_core::Error>> = std::thread::scope(|scope| {
        let gather = |variates| scope.spawn(move || gather_some(config, table, split, scaler, variates));
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
        examples: Vec::new(),
    };
    for result in results {
        for variate in result? {
            gathered.train.push(variate.train);
            gathered.validation.push(variate.validation);
            gathered.examples.push(variate.examples);
        }
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
) -> Result<Vec<Gathering>, tsm2_core::Error> {
    let (features, h, m) = (config.readout_features(), config.horizon, config.variates);
    let z = scaler.standardise(table);
    let moments = || Moments::new(features, h);
    let start = |_| Gathering {
        train: moments(),
        validation: moments(),
        examples: 0,
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
                train,
                validation,
                examples,
                block,
            },
        ) in variates.iter().zip(&mut gathering)
        {
            let (mu, sd) = front.statistics(state, v);
            let target = |lead| (z[(row + 1 + lead) * m + v] - mu) / sd;
            if (0..h).all(|lead| target(lead).is_finite()) {
                front.features(state, v, &mut phi);
                block.x.extend_from_slice(&phi);
                block.y.extend((0..h).map(target));
                block.weight.push(sd * sd);
                *examples += usize::from(validates);
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

/// The best candidate under one normaliser.
fn best_of(gathered: &Gathered, normaliser: Normaliser, config: &Config) -> Result<Choice, RidgeError> {
    let sum = |parts: &[Moments]| {
        let mut sum = parts[0].clone();
        parts[1..].iter().for_each(|part| sum.merge(part));
        sum
    };
    let total: usize = gathered.examples.iter().sum();
    let shared = ([sum(&gathered.train)], [sum(&gathered.validation)], [total]);
    let leads: Vec<Range<usize>> = bands(config.horizon);
    let mut best: Option<Choice> = None;
    for readout in candidates(&gathered.widest) {
        let positions = positions(&gathered.widest, &readout, config.variates - 1);
        let (train, validation, examples) = match readout.per_variate {
            true => (
                gathered.train.as_slice(),
                gathered.validation.as_slice(),
                gathered.examples.as_slice(),
            ),
            false => (shared.0.as_slice(), shared.1.as_slice(), shared.2.as_slice()),
        };
        let mut choice = Choice {
            normaliser,
            readout,
            weights: Vec::new(),
            mse: vec![0.0; config.horizon],
        };
        for ((train, validation), &examples) in train.iter().zip(validation).zip(examples) {
            let (train, validation) = (train.sub(&positions), validation.sub(&positions));
            let (weights, _) = fit_bands(&train, &validation, &LAMBDAS, &leads)?;
            let share = examples as f64 / total as f64;
            for (sum, mse) in choice.mse.iter_mut().zip(validation.mse(&weights)) {
                // From the weighted mean to the mean of squared errors in units of z.
                *sum += share * mse * validation.weight() / examples as f64;
            }
            choice.weights.extend(weights.iter().map(|&w| w as f32));
        }
        if best.as_ref().is_none_or(|best| choice.mean() < best.mean()) {
            best = Some(choice);
        }
    }
    best.ok_or(RidgeError::NoExamples { features: 0 })
}
