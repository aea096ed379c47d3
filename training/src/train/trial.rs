//! What is tried for a while before one network is trained to the end: what it is to say, under which normaliser, and its form.

use std::ops::Range;
use std::rc::Rc;

use candle_core::Device;
use tsm2_core::{Config, VariateMixer};

use super::error::Error;
use super::options::{Event, decide};
use super::recipe::{MLP, half};
use crate::data::dataset::Dataset;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::linear::readout::Choice;
use crate::network::Network;
use crate::train::statics::Statics;
use crate::train::trainer::{Options, Target, TrainError, Trainer};

/// The share of all updates for which everything is tried from which one is chosen.
pub(super) const PILOT: usize = 10;

/// Ways to train a network that are tried.
pub(super) const WAYS: usize = 3;

/// By what share another form of the network must be better than the recipe's own.
pub(super) const FORM_MARGIN: f64 = 0.02;

/// Samples in the longer patches that are tried.
pub(super) const LONG_PATCH: usize = 24;

/// Up to this many an MLP is tried in the place of the scan.
pub(super) const MOST_MLP_VARIATES: usize = 200;

/// One network, and one way to train it.
pub(super) struct Candidate<'a> {
    pub(super) number: usize,
    pub(super) what: String,
    pub(super) target: Target,
    pub(super) choice: &'a Choice,
    pub(super) config: Config,
    pub(super) data: Rc<Dataset>,
    pub(super) statics: Option<&'a Statics>,
}

impl<'a> Candidate<'a> {
    pub(super) fn trainer(&self, recipe: Options, train: usize, device: &Device) -> Result<Trainer<'_, Network>, TrainError> {
        Trainer::new(
            |rng| Network::initial(&self.config, rng, device)?.with_statics(self.statics, rng, device),
            Options {
                target: self.target,
                ..recipe
            },
            &self.data,
            train,
            device,
        )
    }

    /// Networks of another form, trained in the same way: with longer patches, with the other mixer across variates, and of half the size.
    pub(super) fn forms(&self, split: &Split, scaler: &Scaler, table: &Table) -> Result<Vec<Self>, tsm2_core::Error> {
        let own = self.config;
        let mut forms = Vec::new();
        if split.check_training(LONG_PATCH, own.horizon).is_ok() {
            forms.push((format!("patches of {LONG_PATCH} samples"), Config { patch: LONG_PATCH, ..own }));
        }
        let across = |variate_mixer| Config { variate_mixer, ..own };
        match own.variate_mixer {
            VariateMixer::Mlp(_) => forms.push(("a selective scan across variates".into(), across(VariateMixer::S6(own.time_mixer)))),
            VariateMixer::S6(_) if own.variates <= MOST_MLP_VARIATES => {
                forms.push(("an MLP across variates".into(), across(VariateMixer::Mlp(MLP))))
            }
            _ => {}
        }
        forms.push(("half the size".into(), half(&own)));
        let candidate = |(i, (what, config)): (usize, (String, Config))| {
            let data = match config.patch == own.patch {
                true => Rc::clone(&self.data),
                false => Rc::new(Dataset::new(&config, scaler, table, self.data.rows(), &self.choice.weights)?),
            };
            Ok(Self {
                number: self.number + (i + 1) * WAYS,
                what,
                config,
                data,
                ..*self
            })
        };
        forms.into_iter().enumerate().map(candidate).collect()
    }
}

/// The ways that are tried: the network says the whole forecast or what the best read-out leaves, both under its normaliser; or the whole forecast
/// under the other one, which a network may prefer where a linear model does not.
pub(super) fn ways<'a>(
    start: &Config,
    choices: &'a [Choice],
    rows: Range<usize>,
    scaler: &Scaler,
    table: &Table,
    statics: Option<&'a Statics>,
) -> Result<Vec<Candidate<'a>>, tsm2_core::Error> {
    let mut ways = Vec::with_capacity(WAYS);
    let targets = [&[Target::Whole, Target::Residual][..], &[Target::Whole]];
    for (choice, targets) in choices.iter().zip(targets) {
        let config = Config {
            normaliser: choice.normaliser,
            readout: choice.readout,
            // What the read-out cannot use is not worth a network's while.
            calendar: choice.readout.calendar,
            ..*start
        };
        let data = Rc::new(Dataset::new(&config, scaler, table, rows.clone(), &choice.weights)?);
        for &target in targets {
            ways.push(Candidate {
                number: ways.len(),
                what: format!("{} under {:?}", target.name(), choice.normaliser),
                target,
                choice,
                config,
                data: Rc::clone(&data),
                statics,
            });
        }
    }
    Ok(ways)
}

/// A short training of several candidates, of which the best on validation goes on.
pub(super) struct Trial<'a> {
    pub(super) recipe: Options,
    pub(super) split: &'a Split,
    pub(super) bands: &'a [Range<usize>],
    /// The best read-out's error on validation at each lead, relative to which all are judged.
    pub(super) readout: &'a [f64],
    pub(super) device: &'a Device,
}

/// The best of a trial.
pub(super) struct Winner<'a, 'c> {
    pub(super) score: f64,
    pub(super) candidate: &'a Candidate<'c>,
    pub(super) trainer: Trainer<'a, Network>,
}

impl Trial<'_> {
    /// `of`: what the candidates are alternatives of.
    pub(super) fn run<'a, 'c>(
        &self,
        candidates: &'a [Candidate<'c>],
        of: &str,
        decisions: &mut Vec<String>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Winner<'a, 'c>, Error> {
        let pilot = self.recipe.updates.div_ceil(PILOT);
        let (mut scores, mut best) = (Vec::new(), None::<Winner<'a, 'c>>);
        for candidate in candidates {
            let mut trainer = candidate.trainer(self.recipe, self.split.train, self.device)?;
            while trainer.advance(pilot, self.split.validation_range(), self.bands, &mut |progress| {
                tell(Event::Training {
                    name: candidate.target.name(),
                    progress,
                    updates: self.recipe.updates,
                })
            })? {}
            let errors = &trainer.best().ok_or(TrainError::NotFinite)?.errors;
            let errors = errors.leads(self.bands);
            let score = errors.iter().zip(self.readout).map(|(mse, linear)| mse / linear).sum::<f64>() / self.readout.len() as f64;
            tell_of_divergence(decisions, &trainer, tell);
            scores.push(format!("{} {score:.4}", candidate.what));
            if best.as_ref().is_none_or(|best| score < best.score) {
                best = Some(Winner { score, candidate, trainer });
            }
        }
        let text = format!(
            "{of}, by its error relative to the read-out after {pilot} updates: {}",
            scores.join(", ")
        );
        decide(decisions, text, tell);
        best.ok_or_else(|| TrainError::NotFinite.into())
    }
}

/// Training that ends so is no error: the best weights before remain, at worst the initial ones, which leave the read-out alone.
pub(super) fn tell_of_divergence(decisions: &mut Vec<String>, trainer: &Trainer<'_, Network>, tell: &mut dyn FnMut(Event<'_>)) {
    if trainer.strayed() > 0 {
        let text = format!("training strayed {} times and went on from the averaged weights", trainer.strayed());
        decide(decisions, text, tell);
    }
    if let Some(update) = trainer.diverged() {
        let text = format!("training diverged at update {update}: the best weights before are taken");
        decide(decisions, text, tell);
    }
}
