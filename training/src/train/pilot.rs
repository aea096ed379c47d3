//! Pilots: short trainings of several candidates, of which the best is trained to the end.

use std::ops::Range;
use std::rc::Rc;

use candle_core::Device;
use tsm2_core::{Config, NetworkConfig, VariateMixer};

use super::error::Error;
use super::options::{Event, decide};
use super::recipe::{MLP, half, with_network};
use crate::data::dataset::Dataset;
use crate::data::runs::Pieces;
use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::linear::head::LinearModel;
use crate::network::Network;
use crate::network::static_covariates::StaticCovariates;
use crate::train::trainer::{Target, TrainError, Trainer, TrainerOptions};

/// A pilot has this fraction of all updates: one of so many.
pub(super) const PILOT_SHARE: usize = 10;

/// Number of candidates of the first pilots.
pub(super) const MAIN_CANDIDATES: usize = 3;

/// Minimum relative improvement of a variant over the recipe's network.
pub(super) const VARIANT_MARGIN: f64 = 0.02;

/// Samples in the longer patches of a variant.
pub(super) const LONG_PATCH: usize = 24;

/// Largest number of variates for the variant with an MLP across variates.
pub(super) const MOST_MLP_VARIATES: usize = 200;

/// A network, its data and its target.
pub(super) struct Candidate<'a> {
    pub(super) number: usize,
    pub(super) what: String,
    pub(super) target: Target,
    pub(super) linear: &'a LinearModel,
    pub(super) config: Config,
    pub(super) data: Rc<Dataset>,
    pub(super) statics: Option<&'a StaticCovariates>,
}

impl<'a> Candidate<'a> {
    pub(super) fn trainer(&self, recipe: TrainerOptions, train: &Pieces, device: &Device) -> Result<Trainer<'_, Network>, TrainError> {
        Trainer::new(
            |rng| Network::initial(&self.config, rng, device)?.with_statics(self.statics, rng, device),
            TrainerOptions {
                target: self.target,
                ..recipe
            },
            &self.data,
            train,
            device,
        )
    }

    /// Variants of the network with the same target: longer patches, the other mixer across variates, half the size.
    pub(super) fn variants(&self, train: &Pieces, scaler: &Scaler, table: &Table) -> Result<Vec<Self>, tsm2_core::Error> {
        let mut variants = Vec::new();
        let mut add = |what: String, network: NetworkConfig| variants.push((what, with_network(&self.config, |_| network)));
        let own = self.config.network.unwrap_or_default();
        if train.longest() >= LONG_PATCH + self.config.horizon {
            add(
                format!("patches of {LONG_PATCH} samples"),
                NetworkConfig { patch: LONG_PATCH, ..own },
            );
        }
        let across = |variate_mixer| NetworkConfig { variate_mixer, ..own };
        match own.variate_mixer {
            VariateMixer::Mlp(_) => add("a selective scan across variates".into(), across(VariateMixer::S6(own.time_mixer))),
            VariateMixer::S6(_) if self.config.variates <= MOST_MLP_VARIATES => {
                add("an MLP across variates".into(), across(VariateMixer::Mlp(MLP)))
            }
            _ => {}
        }
        add("half the size".into(), half(own));
        let candidate = |(i, (what, config)): (usize, (String, Config))| {
            let data = match config.patch_len() == self.config.patch_len() {
                true => Rc::clone(&self.data),
                false => Rc::new(Dataset::new(
                    &config,
                    scaler,
                    table,
                    &self.data.spans().cloned().collect::<Vec<_>>(),
                    &self.linear.weights,
                )?),
            };
            Ok(Self {
                number: self.number + (i + 1) * MAIN_CANDIDATES,
                what,
                config,
                data,
                ..*self
            })
        };
        variants.into_iter().enumerate().map(candidate).collect()
    }
}

/// The candidates of the first pilots:
///
/// 1. the full forecast under the better normalizer,
/// 2. the residual of its linear head,
/// 3. the full forecast under the other normalizer.
pub(super) fn main_candidates<'a>(
    start: &Config,
    linear_models: &'a [LinearModel],
    spans: &[Range<usize>],
    scaler: &Scaler,
    table: &Table,
    statics: Option<&'a StaticCovariates>,
) -> Result<Vec<Candidate<'a>>, tsm2_core::Error> {
    let mut main_candidates = Vec::with_capacity(MAIN_CANDIDATES);
    let targets = [&[Target::Full, Target::Residual][..], &[Target::Full]];
    for (linear, targets) in linear_models.iter().zip(targets) {
        let config = Config {
            normalizer: linear.normalizer,
            linear_head: linear.features,
            // The network sees the calendar where the linear head uses it.
            ..with_network(start, |network| NetworkConfig {
                calendar: linear.features.calendar,
                ..network
            })
        };
        let data = Rc::new(Dataset::new(&config, scaler, table, spans, &linear.weights)?);
        for &target in targets {
            main_candidates.push(Candidate {
                number: main_candidates.len(),
                what: format!("{} under {:?}", target.name(), linear.normalizer),
                target,
                linear,
                config,
                data: Rc::clone(&data),
                statics,
            });
        }
    }
    Ok(main_candidates)
}

/// Short trainings of several candidates.
pub(super) struct Pilot<'a> {
    pub(super) recipe: TrainerOptions,
    pub(super) train: &'a Pieces,
    pub(super) validation: &'a Pieces,
    pub(super) groups: &'a [Range<usize>],
    /// Validation error of the best linear head at each step: the unit of all scores.
    pub(super) linear_head: &'a [f64],
    pub(super) device: &'a Device,
}

/// The best candidate, and its trainer.
pub(super) struct Winner<'a, 'c> {
    pub(super) score: f64,
    pub(super) candidate: &'a Candidate<'c>,
    pub(super) trainer: Trainer<'a, Network>,
}

impl Pilot<'_> {
    /// `of`: the name of the choice.
    pub(super) fn run<'a, 'c>(
        &self,
        candidates: &'a [Candidate<'c>],
        of: &str,
        decisions: &mut Vec<String>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Winner<'a, 'c>, Error> {
        let pilot = self.recipe.updates.div_ceil(PILOT_SHARE);
        let (mut scores, mut best) = (Vec::new(), None::<Winner<'a, 'c>>);
        for candidate in candidates {
            let mut trainer = candidate.trainer(self.recipe, self.train, self.device)?;
            while trainer.advance(pilot, self.validation, self.groups, &mut |progress| {
                report(Event::Training {
                    name: candidate.target.name(),
                    progress,
                    updates: self.recipe.updates,
                })
            })? {}
            let errors = &trainer.best().ok_or(TrainError::NotFinite)?.errors;
            let errors = errors.by_step(self.groups);
            let score = errors.iter().zip(self.linear_head).map(|(mse, linear)| mse / linear).sum::<f64>() / self.linear_head.len() as f64;
            report_instability(decisions, &trainer, report);
            scores.push(format!("{} {score:.4}", candidate.what));
            if best.as_ref().is_none_or(|best| score < best.score) {
                best = Some(Winner { score, candidate, trainer });
            }
        }
        let text = format!("{of}, validation error / linear head after {pilot} updates: {}", scores.join(", "));
        decide(decisions, text, report);
        best.ok_or_else(|| TrainError::NotFinite.into())
    }
}

/// Reports loss spikes and divergence. Neither is an error: the best weights before remain, at worst the initial ones.
pub(super) fn report_instability(decisions: &mut Vec<String>, trainer: &Trainer<'_, Network>, report: &mut dyn FnMut(Event<'_>)) {
    if trainer.loss_spikes() > 0 {
        let text = format!(
            "{} loss spikes; each time training continued from the averaged weights",
            trainer.loss_spikes()
        );
        decide(decisions, text, report);
    }
    if let Some(update) = trainer.diverged() {
        let text = format!("training diverged at update {update}: the best weights before are taken");
        decide(decisions, text, report);
    }
}
