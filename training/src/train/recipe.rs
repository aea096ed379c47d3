//! The shape of the network and the length of its training.

use tsm2_core::{Config, Head, Mlp, NetworkConfig, S6, VariateMixer};

use std::ops::Range;

use super::error::Error;
use crate::data::dataset::Dataset;
use crate::data::runs::Part;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::train::trainer_options::TrainerOptions;

/// Numbers that the rows of one candidate's data may hold.
pub const MEMORY: usize = 400_000_000;

/// Up to this many variates are mixed by an MLP, whose cost grows with their square; more by the selective scan.
const MLP_VARIATES: usize = 40;

/// The MLP across variates.
pub const MLP: Mlp = Mlp { reduce: 16, hidden: 256 };

/// Up to this many variates have a head of their own.
const OWN_HEADS: usize = 40;

/// Multiply-adds of the device's steps that training may run through, each forth and back: some ten minutes of two cores.
const BUDGET: f64 = 2.4e12;

/// Updates at least, however large a network is, and at most, however small.
const UPDATES: (usize, usize) = (2000, 20_000);

/// Minimum time span of the training rows, in ms, for the calendar: two weeks.
const CALENDAR_SPAN: i64 = 14 * 24 * 3_600_000;

/// The configuration before any choice on validation.
pub fn start_config(table: &Table, horizon: usize) -> Config {
    let variates = table.variates();
    let s6 = S6 {
        d_inner: 32,
        d_state: 2,
        dt_rank: 4,
        d_conv: 4,
    };
    let variate_mixer = match variates {
        1 => VariateMixer::None,
        2..=MLP_VARIATES => VariateMixer::Mlp(MLP),
        _ => VariateMixer::S6(s6),
    };
    let head = if variates <= OWN_HEADS { Head::PerVariate } else { Head::Shared };
    Config {
        variates,
        past_covariates: table.past_covariates,
        future_covariates: table.future_covariates,
        horizon,
        network: Some(NetworkConfig {
            time_mixer: s6,
            variate_mixer,
            head,
            ..NetworkConfig::default()
        }),
        ..Config::default()
    }
}

/// The same network with half the features everywhere.
pub fn half(network: NetworkConfig) -> NetworkConfig {
    let s6 = |s6: S6| S6 {
        d_inner: s6.d_inner / 2,
        ..s6
    };
    NetworkConfig {
        d_model: network.d_model / 2,
        time_mixer: s6(network.time_mixer),
        variate_mixer: match network.variate_mixer {
            VariateMixer::S6(across) => VariateMixer::S6(s6(across)),
            VariateMixer::Mlp(mlp) => VariateMixer::Mlp(Mlp {
                hidden: mlp.hidden / 2,
                ..mlp
            }),
            other => other,
        },
        ..network
    }
}

/// The configuration with another network.
pub fn with_network(config: &Config, change: impl FnOnce(NetworkConfig) -> NetworkConfig) -> Config {
    Config {
        network: config.network.map(change),
        ..*config
    }
}

/// Updates of a network of this form within the budget.
pub fn affordable(config: &Config) -> usize {
    let TrainerOptions { streams, tokens, .. } = TrainerOptions::default();
    let (step, forecast) = config.operations();
    let updates = BUDGET / (streams * tokens * (step + forecast)) as f64;
    (updates as usize).clamp(UPDATES.0, UPDATES.1)
}

/// Whether the training rows have calendar times and those of a device span two weeks.
pub fn spans_weeks(table: &Table, split: &Split) -> bool {
    let pieces = table.part(split, Part::Train);
    let mut ends = Vec::new();
    for piece in pieces.iter() {
        ends.resize(piece.device + 1, None);
        let first = table.time_ms(piece.rows.start);
        let (first, _) = ends[piece.device].unwrap_or((first, first));
        ends[piece.device] = Some((first, table.time_ms(piece.rows.end - 1)));
    }
    table.has_calendar && ends.iter().flatten().any(|(first, last)| last - first >= CALENDAR_SPAN)
}

/// The rows of a network's data, at most one range in each run: all up to the test part, or as many of the last training rows as memory allows.
///
/// # Errors
/// The validation part alone takes too much memory.
pub fn rows_in_memory(config: &Config, table: &Table, split: &Split) -> Result<Vec<Range<usize>>, Error> {
    let most = MEMORY / Dataset::row_len(config);
    let [train, validation] = [Part::Train, Part::Validation].map(|part| table.part(split, part));
    let too_large = || Error::TooLarge {
        path: table.path.clone(),
        rows: validation.rows(),
        most: most / 2,
        variates: config.variates,
        horizon: config.horizon,
    };
    if most < 2 * validation.rows() {
        return Err(too_large());
    }
    let (whole, left) = (train.rows().max(1), (most - validation.rows()).min(train.rows()));
    let kept = |known: usize| (known as u128 * left as u128 / whole as u128) as usize;
    if kept(train.longest()) < config.patch_len() + config.horizon {
        return Err(too_large());
    }
    let of_run = |rows: Range<usize>| {
        let known = train.find(rows.start).map_or(0, |piece| piece.rows.len());
        rows.start + known - kept(known)..rows.end
    };
    let all = table.runs.training_and_validation(split).passes();
    Ok(all.into_iter().map(of_run).filter(|rows| !rows.is_empty()).collect())
}
