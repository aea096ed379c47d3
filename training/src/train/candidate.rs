//! Networks that are tried: TSM2 in several shapes, and the neural baselines.

use std::collections::BTreeMap;

use candle_core::Device;
use rand_chacha::ChaCha8Rng;
use tsm2_bundle::Bundle;
use tsm2_core::{Config, LinearHead, Mlp, NetworkConfig, S6, VariateMixer};
use tsm2_data::Meter;

use super::feed::Feed;
use super::size::Size;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::linear::LinearModel;
use crate::network::Network;
use crate::network::baseline::{NeuralBaseline, NeuralKind};
use crate::network::learner::Learner;
use crate::network::static_covariates::StaticCovariates;

/// Samples in the longer patches, which the MLP reads too.
pub const LONG_PATCH: usize = 24;

/// The stage in which the rows are read for networks.
pub const READING: &str = "reading the rows";

/// Largest number of variates that an MLP may mix: its cost grows with their square.
const MOST_MLP_VARIATES: usize = 200;

/// A network of this width is not halved further.
const LEAST_WIDTH: usize = 8;

/// The learning rate, and a higher one that is tried too: noisy recordings need the low one, and on others the high one is faster.
const RATE: f64 = 1e-3;
const HIGH_RATE: f64 = 3e-3;

/// The MLP across variates.
pub const MLP: Mlp = Mlp { reduce: 16, hidden: 256 };

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// TSM2.
    Tsm2,
    /// A neural baseline, and the width of its hidden layers.
    Baseline(NeuralKind, usize),
}

/// A network that is tried.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// In words.
    pub what: String,
    /// What is trained.
    pub kind: Kind,
    /// Its configuration.
    pub config: Config,
    /// Its feed among those of [`feeds`].
    pub feed: usize,
    /// Its largest learning rate.
    pub learning_rate: f64,
    /// Weights to begin with, by name; `None`: initial ones.
    pub weights: Option<BTreeMap<String, Vec<f32>>>,
}

impl Candidate {
    /// The network with initial weights.
    ///
    /// # Errors
    /// candle's.
    pub fn initial(
        &self,
        statics: Option<&StaticCovariates>,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> candle_core::Result<Box<dyn Learner>> {
        Ok(match self.kind {
            Kind::Tsm2 => Box::new(Network::initial(&self.config, rng, device)?.with_statics(statics, rng, device)?),
            Kind::Baseline(kind, hidden) => Box::new(NeuralBaseline::initial(kind, hidden, &self.config, rng, device)?),
        })
    }
}

/// TSM2 as a configuration has it, and in other shapes: the other mixer across variates, longer patches, half the size, a higher rate.
#[must_use]
pub fn tsm2(config: &Config, table: &Table, split: &Split) -> Vec<Candidate> {
    let own = config.network.unwrap_or_default();
    let mut candidates = Vec::new();
    let mut add = |what: &str, network: NetworkConfig| {
        candidates.push(Candidate {
            what: what.into(),
            kind: Kind::Tsm2,
            config: config.with_network(network),
            feed: 0,
            learning_rate: RATE,
            weights: None,
        });
    };
    let mixer = |variate_mixer| NetworkConfig { variate_mixer, ..own };
    match own.variate_mixer {
        VariateMixer::Mlp(_) => {
            add("MLP across variates", own);
            add("selective scan across variates", mixer(VariateMixer::S6(own.time_mixer)));
        }
        VariateMixer::S6(_) => {
            add("selective scan across variates", own);
            if config.variates <= MOST_MLP_VARIATES {
                add("MLP across variates", mixer(VariateMixer::Mlp(MLP)));
            }
        }
        _ => add("one variate", own),
    }
    if table.runs.check_training(split, LONG_PATCH, config.horizon).is_ok() {
        add(
            &format!("patches of {LONG_PATCH} samples"),
            NetworkConfig { patch: LONG_PATCH, ..own },
        );
    }
    add("half the size", half(own));
    with_high_rate(candidates)
}

/// The candidates, and the first one at the high rate.
fn with_high_rate(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let first = candidates.first().map(|first| Candidate {
        what: format!("{} at {} times the rate", first.what, HIGH_RATE / RATE),
        learning_rate: HIGH_RATE,
        ..first.clone()
    });
    candidates.extend(first);
    candidates
}

/// The candidates whose model is small enough; where none is, the smallest one at half the size as often as it takes, or nothing.
#[must_use]
pub fn within(candidates: Vec<Candidate>, size: &Size) -> Vec<Candidate> {
    let smallest = candidates.iter().min_by_key(|candidate| size.bytes(&candidate.config)).cloned();
    let mut allowed = candidates;
    allowed.retain(|candidate| size.allows(&candidate.config));
    let Some(mut small) = smallest.filter(|_| allowed.is_empty()) else {
        return allowed;
    };
    while let Some(network) = small.config.network.filter(|network| network.d_model > LEAST_WIDTH) {
        small.config = small.config.with_network(half(network));
        small.what = format!("{} wide", network.d_model / 2);
        if size.allows(&small.config) {
            return vec![small];
        }
    }
    Vec::new()
}

/// Checks that a training can go on from an earlier model.
///
/// # Errors
/// What the earlier model has that the training has not: other variates' names, another horizon, a larger network.
pub fn check(bundle: &Bundle, config: &Config, names: &[String], size: &Size) -> Result<(), String> {
    let meta = bundle.meta();
    let known: Vec<&str> = meta.variates.iter().map(|variate| variate.name.as_str()).collect();
    let roles = |config: &Config| (config.past_covariates, config.future_covariates);
    let network_alone = Config {
        linear_head: LinearHead::default(),
        ..meta.config
    };
    match meta.config.network {
        _ if known != names => Err(format!("the variates {}", known.join(", "))),
        _ if meta.config.horizon != config.horizon => Err(format!("a horizon of {}", meta.config.horizon)),
        Some(_) if roles(&meta.config) != roles(config) => Err("other covariates".into()),
        Some(_) if !size.allows(&network_alone) => Err(format!(
            "a network of {} KiB, more than --size or --max-kib allow",
            size.bytes(&network_alone).div_ceil(1024)
        )),
        _ => Ok(()),
    }
}

/// The network of an earlier model that passed [`check`], to be trained further: none where it has no network.
///
/// # Errors
/// What is wrong with the earlier model's configuration.
pub fn from(bundle: &Bundle, config: &Config) -> Result<Option<Candidate>, String> {
    let meta = bundle.meta();
    let Some(network) = meta.config.network else { return Ok(None) };
    let numbers = bundle.numbers();
    let mut rest = numbers.as_slice();
    let mut weights = BTreeMap::new();
    let take = |name: &dyn std::fmt::Display, shape: &[usize]| {
        let (values, tail) = rest.split_at(shape.iter().product::<usize>().min(rest.len()));
        rest = tail;
        weights.insert(name.to_string(), values.to_vec());
    };
    let mut take = take;
    tsm2_core::layout(&meta.config, |name, shape| take(&name, shape)).map_err(|error| error.to_string())?;
    Ok(Some(Candidate {
        what: "the earlier model's network".into(),
        kind: Kind::Tsm2,
        config: config.with_network(network),
        feed: 0,
        learning_rate: RATE,
        weights: Some(weights),
    }))
}

/// A neural baseline in two widths, the first one at a higher rate too.
#[must_use]
pub fn baselines(kind: NeuralKind, config: &Config) -> Vec<Candidate> {
    let network = config.network.map(|network| NetworkConfig {
        patch: if kind == NeuralKind::Mlp { LONG_PATCH } else { network.patch },
        ..network
    });
    let candidate = |hidden: usize| Candidate {
        what: format!("{hidden} wide"),
        kind: Kind::Baseline(kind, hidden),
        config: Config { network, ..*config },
        feed: 0,
        learning_rate: RATE,
        weights: None,
    };
    with_high_rate(kind.widths().map(candidate).to_vec())
}

/// The feeds of the candidates: one for each length of patches. Each candidate gets the number of its own.
///
/// # Errors
/// A fault of the configuration or the scaler.
pub fn feeds<'a>(
    candidates: &mut [Candidate],
    scaler: &'a Scaler,
    table: &'a Table,
    linear: &LinearModel,
    meter: &Meter,
) -> Result<Vec<Feed<'a>>, tsm2_core::Error> {
    meter.begin(READING);
    let mut feeds: Vec<Feed<'a>> = Vec::new();
    let matrices = linear.matrices();
    let mut lengths: Vec<usize> = candidates.iter().map(|candidate| candidate.config.patch_len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let share = 1.0 / (lengths.len() * table.len()).max(1) as f64;
    for candidate in candidates {
        let same = |feed: &Feed<'_>| feed.config().patch_len() == candidate.config.patch_len();
        candidate.feed = match feeds.iter().position(same) {
            Some(feed) => feed,
            None => {
                feeds.push(Feed::new(&candidate.config, scaler, table, &matrices, &|| meter.add(share))?);
                feeds.len() - 1
            }
        };
    }
    Ok(feeds)
}

/// The same network with half the features everywhere.
fn half(network: NetworkConfig) -> NetworkConfig {
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
