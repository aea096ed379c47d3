//! The linear part of a model: chosen on training and validation rows, fitted to any rows, of the size that is asked for.

use std::time::Duration;

use ndarray::{Array1, Array2};
use tsm2_core::{Config, LinearHead};
use tsm2_data::Meter;

use super::LinearError;
use super::bounds::with_bounds;
use super::candidates::{Choice, Fold, Maps, Rolling, choose, fit, training};
use super::features::with_features;
use super::gather::{Origins, PARTS, SETS, allowed, by_part, gather, stride};
use super::moments::Moments;
use super::rank::factors;
use crate::data::runs::{Part, Pieces};
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::train::Size;

/// The pass over the rows, as it is shown.
const ROWS: &str = "linear part, rows";
/// The share of the pass in the time until the candidates; after it the moments are added up.
const GATHERED: f64 = 0.85;
/// The same when the choices are fitted to other rows.
const GATHERED_AGAIN: f64 = 0.65;

/// The share of the choice in the time of the candidates; the rest is that of the sizes.
const CHOSEN: f64 = 0.9;

/// What may come again in a recording.
#[derive(Debug, Clone, Copy, Default)]
pub struct Periods {
    /// Rows of a season.
    pub season: Option<usize>,
    /// Whether the time of day and of week is used.
    pub calendar: bool,
}

/// Ranks that are tried.
const RANKS: [usize; 7] = [4, 8, 12, 16, 24, 32, 48];

/// A linear part.
#[derive(Clone, Debug)]
pub struct LinearModel {
    /// The configuration with the linear head's features; its network is that of the configuration it was chosen for.
    pub config: Config,
    /// The scaler, with the bounds of the head's features.
    pub scaler: Scaler,
    /// The head's matrices as in the model file, one after the other.
    weights: Vec<f32>,
    /// Mean squared error on validation per step, in units of z, over all targets, of a head fitted to the training rows.
    pub mse: Vec<f64>,
    /// Bytes of the head and its error by rolling origins relative to the whole head's, of each rank that was tried,
    /// ascending; the last is the whole head.
    pub sizes: Vec<(usize, f64)>,
    /// Fitted to one of so many time steps; 1: to all.
    pub stride: usize,
    choices: Vec<Choice>,
    maps: Maps,
    /// Second moments of the features of all targets.
    gram: Array2<f64>,
}

/// Chooses features, penalties and weights of the linear part by rolling origins over training and validation rows, of which a
/// training of a short `time` reads one of several. The result
/// is fitted to the training rows and has the smallest size whose error by rolling origins ties with the best of those that `size`
/// allows. `meter` shows how far that is.
///
/// # Errors
/// No reading in a part, or numbers that are not finite.
pub fn choose_linear(
    config: &Config,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    periods: Periods,
    (size, time): (&Size, Option<Duration>),
    meter: &Meter,
) -> Result<LinearModel, LinearError> {
    let config = with_features(config, split.train, periods.season, periods.calendar, SETS + PARTS);
    let (features, h) = (config.linear_head_features(), config.horizon);
    let pieces = |part| table.part(split, part);
    let (train, validation) = (pieces(Part::Train), pieces(Part::Validation));
    let origins = by_part(train.origins(h), validation.origins(h), h);
    let passes = table.runs.training_and_validation(split).passes();
    let every = stride(&config, &origins, allowed(time));
    let scaler = with_bounds(&config, table, scaler, &train)?;
    meter.begin(ROWS);
    let moments = gather(&config, table, &scaler, &passes, (&origins, every), SETS, &|share| {
        meter.add(GATHERED * share);
    })?;
    let rows = [train.to_string(), validation.to_string()];
    let train = training(&moments, PARTS - 1);
    let validation: Vec<&Moments> = moments.iter().map(|sets| &sets[PARTS - 1]).collect();
    let is_empty = [
        train.iter().all(|own| own.count().sum() == 0.0),
        validation.iter().all(|own| own.count().sum() == 0.0),
    ];
    for ((part, rows), is_empty) in ["training", "validation"].into_iter().zip(rows).zip(is_empty) {
        if is_empty {
            return Err(LinearError::NoReading { part, rows });
        }
    }
    let rolling = Rolling::new(&config, &moments);
    meter.begin("linear part, candidates");
    let choices = choose(&config, &rolling, &|share| meter.add(CHOSEN * share))?;
    let sizes = by_rank(&config, &choices, &rolling, size)?;
    let allowed = sizes.iter().filter(|own| size.most.is_none_or(|most| own.bytes <= most));
    let best = allowed.clone().map(|own| own.excess).fold(f64::INFINITY, f64::min);
    // Where none is small enough, the smallest.
    let smallest = allowed.clone().find(|own| own.excess <= (1.0 + size.tie) * best).or(sizes.first());
    let maps = fit(&choices, &train, features, h)?;
    let whole = LinearModel::new(config, scaler, choices, maps, &train)?;
    let mut model = whole.with_rank(smallest.map_or(0, |own| own.rank))?;
    let maps = match model.config.linear_head.rank {
        0 => model.maps.clone(),
        rank => factors(&model.maps, &model.gram, rank)?.maps(),
    };
    let sums = maps.iter().zip(&validation).map(|(map, own)| own.errors(map, map));
    let errors = sums.fold(Array1::<f64>::zeros(h), |a, b| a + b);
    let counts = validation.iter().fold(Array1::<f64>::zeros(h), |a, own| a + own.count());
    model.mse = errors
        .iter()
        .zip(&counts)
        .map(|(error, count)| (error / count.max(1.0)).max(0.0))
        .collect();
    model.sizes = sizes.iter().map(|own| (own.bytes, own.excess)).collect();
    model.stride = every;
    Ok(model)
}

/// A size of the head.
struct Ranked {
    /// 0: whole matrices.
    rank: usize,
    bytes: usize,
    /// Error by rolling origins relative to the whole head's; every doubling of the step counts alike.
    excess: f64,
}

/// The sizes of the head, ascending; the last is the whole head.
fn by_rank(config: &Config, choices: &[Choice], rolling: &Rolling, size: &Size) -> Result<Vec<Ranked>, LinearError> {
    let (features, h) = (config.linear_head_features(), rolling.steps.len());
    let bytes = |rank: usize| {
        size.bytes(&Config {
            network: None,
            ..with_rank(config, rank)
        })
    };
    let judged: Vec<Choice> = choices.iter().map(|choice| choice.at(&rolling.steps)).collect();
    let of_fold = |fold: &Fold| fit(&judged, &fold.train, features, h);
    let maps = rolling.folds.iter().map(of_fold).collect::<Result<Vec<Maps>, _>>()?;
    let grams: Vec<Array2<f64>> = rolling.folds.iter().map(|fold| gram(&fold.train, features)).collect();
    let whole = rolling.errors(&maps);
    let weights: Array1<f64> = rolling.steps.iter().map(|step| 1.0 / (step + 1) as f64).collect();
    let mut sizes = Vec::new();
    for rank in RANKS.into_iter().filter(|&rank| rank < features.min(h)) {
        if bytes(rank) < bytes(0) {
            let of_fold = |(maps, gram): (&Maps, &Array2<f64>)| Ok(factors(maps, gram, rank)?.maps());
            let maps = maps.iter().zip(&grams).map(of_fold).collect::<Result<Vec<Maps>, LinearError>>()?;
            let ratio = rolling.errors(&maps) / whole.mapv(|error| error.max(f64::MIN_POSITIVE));
            sizes.push(Ranked {
                rank,
                bytes: bytes(rank),
                excess: ratio.dot(&weights) / weights.sum(),
            });
        }
    }
    sizes.push(Ranked {
        rank: 0,
        bytes: bytes(0),
        excess: 1.0,
    });
    Ok(sizes)
}

/// Second moments of the features of all targets.
fn gram(train: &[Moments], features: usize) -> Array2<f64> {
    Moments::sum(train.iter()).map_or_else(|| Array2::eye(features), |all| all.gram())
}

impl LinearModel {
    /// A whole head.
    fn new(config: Config, scaler: Scaler, choices: Vec<Choice>, maps: Maps, train: &[Moments]) -> Result<Self, LinearError> {
        let gram = gram(train, config.linear_head_features());
        let weights = maps
            .iter()
            .flat_map(|map| map.t().iter().map(|&w| w as f32).collect::<Vec<_>>())
            .collect();
        Ok(Self {
            config,
            scaler,
            weights,
            mse: Vec::new(),
            sizes: Vec::new(),
            stride: 1,
            choices,
            maps,
            gram,
        })
    }

    /// The same choices, fitted to the rows of `pieces`.
    ///
    /// # Errors
    /// As [`choose_linear`].
    pub fn refit(&self, table: &Table, pieces: &Pieces, meter: &Meter) -> Result<Self, LinearError> {
        let rank = self.config.linear_head.rank;
        let (config, h) = (with_rank(&self.config, 0), self.config.horizon);
        let origins: Origins = pieces.origins(h).map(|origins| (origins, 0)).collect();
        let scaler = with_bounds(&config, table, &self.scaler, pieces)?;
        meter.begin(ROWS);
        let moments = gather(&config, table, &scaler, &pieces.passes(), (&origins, self.stride), 1, &|share| {
            meter.add(GATHERED_AGAIN * share);
        })?;
        let train: Vec<Moments> = moments.into_iter().flatten().collect();
        let maps = fit(&self.choices, &train, config.linear_head_features(), h)?;
        let whole = Self::new(config, scaler, self.choices.clone(), maps, &train)?;
        let sized = if rank > 0 { whole.with_rank(rank)? } else { whole };
        Ok(Self {
            mse: self.mse.clone(),
            sizes: self.sizes.clone(),
            stride: self.stride,
            ..sized
        })
    }

    /// The same head with matrices of this rank; 0: whole matrices.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub fn with_rank(&self, rank: usize) -> Result<Self, LinearError> {
        let config = with_rank(&self.config, rank);
        let number = |&w: &f64| w as f32;
        let weights = if rank == 0 {
            self.maps
                .iter()
                .flat_map(|map| map.t().iter().map(number).collect::<Vec<_>>())
                .collect()
        } else {
            let factors = factors(&self.maps, &self.gram, rank)?;
            let core = factors.core.iter().flatten();
            factors.step.iter().chain(core).chain(factors.feature.iter()).map(number).collect()
        };
        Ok(Self {
            config,
            weights,
            ..self.clone()
        })
    }

    /// The head's tensors as in the model file, one after the other.
    #[must_use]
    pub fn tensors(&self) -> Vec<f32> {
        [self.weights.as_slice(), &self.scaler.bounds].concat()
    }

    /// The head's whole matrices `[targets, H, F]`, also of a head of a rank: what training computes with.
    #[must_use]
    pub fn matrices(&self) -> Vec<f32> {
        let (config, r) = (&self.config, self.config.linear_head.rank);
        if r == 0 {
            return self.weights.clone();
        }
        let (step, rest) = self.weights.split_at(config.horizon * r);
        let (core, feature) = rest.split_at(self.maps.len() * r * r);
        let matrix =
            |numbers: &[f32], columns: usize| Array2::from_shape_fn((numbers.len() / columns, columns), |(i, j)| numbers[i * columns + j]);
        let (step, feature) = (matrix(step, r), matrix(feature, config.linear_head_features()));
        let product = |core: &[f32]| step.dot(&matrix(core, r)).dot(&feature).iter().copied().collect::<Vec<_>>();
        core.chunks_exact(r * r).flat_map(product).collect()
    }

    /// Mean of the validation error over the steps.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mse.iter().sum::<f64>() / self.mse.len().max(1) as f64
    }

    /// The choices in words.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let LinearHead { rank, season, .. } = self.config.linear_head;
        let of_season = season.map_or("no season".to_owned(), |season| {
            format!("a season of {} rows in {} places", season.period, season.places())
        });
        let features = self.config.linear_head_features();
        let mut lines = vec![format!(
            "linear part: {features} features, {of_season}, validation MSE {:.4}",
            self.mean()
        )];
        if self.stride > 1 {
            lines.push(format!(
                "linear part: fitted to and judged on one of {} time steps: the recording is long for the time",
                self.stride
            ));
        }
        lines.extend(self.choices.iter().flat_map(Choice::lines));
        let sizes = self
            .sizes
            .iter()
            .map(|(bytes, error)| format!("{} KiB {error:.3}", bytes.div_ceil(1024)));
        let size = if rank > 0 {
            format!("rank {rank}")
        } else {
            "whole matrices".to_owned()
        };
        lines.push(format!(
            "linear part: {size}; error by size, relative to whole matrices: {}",
            sizes.collect::<Vec<_>>().join(", ")
        ));
        lines
    }
}

fn with_rank(config: &Config, rank: usize) -> Config {
    Config {
        linear_head: LinearHead {
            rank,
            ..config.linear_head
        },
        ..*config
    }
}
