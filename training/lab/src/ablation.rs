//! Ablations: the same training with one part changed or removed, on the same rows, from the same seed, for as many updates.
//!
//! The network is judged by its own forecast alone, without a linear head, under the training rows' mean and deviation. A part is taken away by holding its
//! weights where it has no effect, so that all else, the other parts' initial weights included, stays as it is.

use std::ops::Range;
use std::time::{Duration, Instant};

use candle_core::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tsm2_core::{Config, NetworkConfig, VariateMixer};

use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitError};
use tsm2_train::data::table::Table;
use tsm2_train::linear::step_groups::step_groups;
use tsm2_train::network::Network;
use tsm2_train::network::learner::Learner;
use tsm2_train::network::parameters::{OPEN_GATE, Parameters, Parts, mamba};
use tsm2_train::train::Stop;
use tsm2_train::train::candidate::MLP;
use tsm2_train::train::feed::Feed;
use tsm2_train::train::recipe::start_config;
use tsm2_train::train::trainer::{TrainError, Trainer, TrainerOptions};
use tsm2_train::train::validation_errors::BlendSums;

/// Updates between two validations.
const VALIDATE_EVERY: usize = 200;

/// The learning rate is lowered over this share of the updates: one of so many.
const DECAY: usize = 4;

/// A part of TSM2, or another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The recipe of `tsm2 train`.
    Recipe,
    /// Nothing passes from token to token.
    NoTimeMixer,
    /// Nothing passes from variate to variate.
    NoVariateMixer,
    /// The selective scan across variates, in both directions.
    VariateS6,
    /// The same in one direction.
    VariateS6Forward,
    /// An MLP across variates.
    VariateMlp,
    /// Both.
    VariateBoth,
    /// B, C and the step sizes do not depend on the input.
    NoSelection,
    /// A plain residual stack.
    NoAveraging,
    /// The gates stand open.
    NoGate,
    /// Mamba's initial weights and normalised values.
    MambaStart,
    /// All variates are embedded alike.
    NoVariateVectors,
    /// Every update starts from zero state at a random place.
    NoCarriedState,
    /// The plain squared error.
    NoHorizonBalance,
}

impl Variant {
    /// All, the recipe first.
    pub const ALL: [Variant; 14] = [
        Variant::Recipe,
        Variant::NoTimeMixer,
        Variant::NoVariateMixer,
        Variant::VariateS6,
        Variant::VariateS6Forward,
        Variant::VariateMlp,
        Variant::VariateBoth,
        Variant::NoSelection,
        Variant::NoAveraging,
        Variant::NoGate,
        Variant::MambaStart,
        Variant::NoVariateVectors,
        Variant::NoCarriedState,
        Variant::NoHorizonBalance,
    ];

    /// As in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Variant::Recipe => "recipe",
            Variant::NoTimeMixer => "no-time-mixer",
            Variant::NoVariateMixer => "no-variate-mixer",
            Variant::VariateS6 => "variate-s6",
            Variant::VariateS6Forward => "variate-s6-forward",
            Variant::VariateMlp => "variate-mlp",
            Variant::VariateBoth => "variate-both",
            Variant::NoSelection => "no-selection",
            Variant::NoAveraging => "no-averaging",
            Variant::NoGate => "no-gate",
            Variant::MambaStart => "mamba-start",
            Variant::NoVariateVectors => "no-variate-vectors",
            Variant::NoCarriedState => "no-carried-state",
            Variant::NoHorizonBalance => "no-horizon-balance",
        }
    }

    /// The network's configuration, from that of the recipe.
    fn config(self, recipe: &Config) -> Config {
        let across = |network: NetworkConfig| {
            let (s6, mlp) = (network.time_mixer, network.variate_mixer.mlp().unwrap_or(MLP));
            match self {
                Variant::NoVariateMixer => VariateMixer::None,
                Variant::VariateS6 | Variant::VariateS6Forward => VariateMixer::S6(s6),
                Variant::VariateMlp => VariateMixer::Mlp(mlp),
                Variant::VariateBoth => VariateMixer::Both { s6, mlp },
                _ => network.variate_mixer,
            }
        };
        let network = recipe.network.unwrap_or_default();
        recipe.with_network(NetworkConfig {
            variate_mixer: across(network),
            ..network
        })
    }

    /// The parts of the network.
    fn parts(self) -> Parts {
        Parts {
            averaging: self != Variant::NoAveraging,
            variate_vectors: self != Variant::NoVariateVectors,
            raw_values: self != Variant::MambaStart,
        }
    }

    /// Whether it is another network or another training than the recipe.
    fn differs(self, recipe: &Config) -> bool {
        let across = matches!(
            self,
            Variant::NoVariateMixer | Variant::VariateS6 | Variant::VariateS6Forward | Variant::VariateMlp | Variant::VariateBoth
        );
        !across || (recipe.variates > 1 && self.config(recipe) != *recipe)
    }

    /// How it is trained.
    fn options(self, recipe: TrainerOptions) -> TrainerOptions {
        TrainerOptions {
            restart_every: if self == Variant::NoCarriedState { 1 } else { recipe.restart_every },
            horizon_balance: self != Variant::NoHorizonBalance,
            standalone: true,
            ..recipe
        }
    }

    /// The initial network.
    fn initial(self, config: &Config, rng: &mut ChaCha8Rng, seed: u64, device: &Device) -> candle_core::Result<Network> {
        let mut network = Network::initial_of(config, self.parts(), rng, device)?;
        let e = config.network.map_or(0, |network| network.time_mixer.d_inner);
        let parameters: &mut Parameters = network.parameters_mut();
        let all = 0..usize::MAX;
        match self {
            Variant::NoTimeMixer => parameters.freeze("time.out_proj.weight", all, 0.0)?,
            // Without values the backward half outputs 0: v = 0, and SiLU of the convolution's bias, which is 0.
            Variant::VariateS6Forward => {
                parameters.freeze("variate.in_proj.weight", e..2 * e, 0.0)?;
                parameters.freeze("backward.conv.bias", all, 0.0)?;
            }
            Variant::NoSelection => parameters.freeze("x_proj.weight", all, 0.0)?,
            Variant::NoGate => {
                parameters.freeze("time.in_proj.weight", e..2 * e, 0.0)?;
                parameters.freeze("variate.in_proj.weight", 2 * e..3 * e, 0.0)?;
                parameters.freeze("gate_bias", all, OPEN_GATE)?;
            }
            Variant::MambaStart => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                parameters.set(|name, shape, present| Ok(mamba(name, shape, &mut rng).unwrap_or(present)))?;
            }
            _ => {}
        }
        Ok(network)
    }
}

/// The data and the length of the trainings.
#[derive(Clone, Copy, Debug)]
pub struct Ablation<'a> {
    /// The data.
    pub table: &'a Table,
    /// Its parts: chosen on validation, measured on test.
    pub split: &'a Split,
    /// Horizons of the errors; the networks are trained for the last.
    pub horizons: &'a [usize],
    /// Updates at most.
    pub updates: usize,
    /// Where.
    pub device: &'a Device,
}

/// One training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Mean squared error on test rows at each horizon, in units of the training rows' deviation.
    pub mse: Vec<f64>,
    /// Updates that were done.
    pub updates: usize,
    /// Numbers that were trained.
    pub parameters: usize,
    /// The time they took.
    pub took: Duration,
}

impl Ablation<'_> {
    /// The variants that this data has.
    pub fn variants(&self) -> impl Iterator<Item = Variant> {
        let recipe = self.recipe();
        Variant::ALL.into_iter().filter(move |variant| variant.differs(&recipe))
    }

    /// Checks that the parts are long enough.
    ///
    /// # Errors
    /// What is too short.
    pub fn check(&self) -> Result<(), AblationError> {
        let config = self.recipe();
        let (runs, patch) = (&self.table.runs, config.network.map_or(1, |network| network.patch));
        runs.check_training(self.split, patch, config.horizon)?;
        runs.check_test(self.split, config.horizon)?;
        Ok(())
    }

    fn recipe(&self) -> Config {
        let horizon = self.horizons.iter().copied().max().unwrap_or(1);
        start_config(self.table, horizon)
    }

    /// Trains and measures one of them; every token's forecast whose steps lie within the test rows counts, but for a remainder of a few at the end.
    ///
    /// # Errors
    /// candle's, and those of the front end.
    pub fn run(&self, variant: Variant, seed: u64, report: &mut dyn FnMut(usize)) -> Result<Outcome, AblationError> {
        let Self { table, split, device, .. } = *self;
        let config = variant.config(&self.recipe());
        let (scaler, _) = Scaler::fit(table, split);
        let feed = Feed::new(&config, &scaler, table, &[], &|| ())?;
        let options = variant.options(TrainerOptions {
            seed,
            ..TrainerOptions::default()
        });
        let begun = Instant::now();
        let initial =
            |rng: &mut ChaCha8Rng| Ok::<_, candle_core::Error>(Box::new(variant.initial(&config, rng, seed, device)?) as Box<dyn Learner>);
        let [train, validation, test] = [Part::Train, Part::Validation, Part::Test].map(|part| table.part(split, part));
        let mut trainer = Trainer::new(initial, options, &feed, &train, device)?;
        let groups = step_groups(config.horizon);
        let (stop, constant) = (Stop::default(), self.updates - self.updates / DECAY);
        while !trainer.ended() && trainer.updates() < self.updates {
            if trainer.updates() >= constant && trainer.decay().is_none() {
                trainer.begin_decay(self.updates - trainer.updates());
            }
            let until = (trainer.updates() + VALIDATE_EVERY).min(if trainer.decay().is_some() { self.updates } else { constant });
            trainer.advance(until, &stop, report)?;
            trainer.validate_average(&validation, &groups)?;
        }
        let best = trainer.best().ok_or(TrainError::NotFinite)?.weights.clone();
        trainer.set_weights(&best)?;
        let errors = trainer.measure(&test)?;
        let mse = |steps: Range<usize>| errors.group(steps).sum::<BlendSums>().mse(1.0);
        Ok(Outcome {
            mse: self.horizons.iter().map(|&h| mse(0..h)).collect(),
            updates: trainer.updates(),
            parameters: trainer.parameter_count(),
            took: begun.elapsed(),
        })
    }
}

/// Errors of an ablation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AblationError {
    /// A part that is too short.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The configuration.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Tensor;

    fn recipe() -> Config {
        Config {
            variates: 3,
            horizon: 4,
            network: Some(NetworkConfig {
                patch: 2,
                d_model: 8,
                variate_mixer: VariateMixer::Mlp(tsm2_core::Mlp { reduce: 2, hidden: 4 }),
                ..NetworkConfig::default()
            }),
            ..Config::default()
        }
    }

    /// The network of a variant with a head and mixers that are not zero, and its output for patches in which one number differs.
    fn said(variant: Variant, of: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let config = variant.config(&recipe());
        let device = Device::Cpu;
        let mut network = variant.initial(&config, &mut ChaCha8Rng::seed_from_u64(3), 3, &device).unwrap();
        network
            .parameters_mut()
            .set(|name, _, present| {
                let filled = name == "head.weight" || name.ends_with("variate.out_proj.weight") || name.ends_with("mlp.out.weight");
                Ok(if filled {
                    (0..present.len()).map(|i| (i as f32).sin()).collect()
                } else {
                    present
                })
            })
            .unwrap();
        let patches: Vec<f32> = (0..5 * 3 * 2).map(|i| of(i / 6, i / 2 % 3)).collect();
        let patches = Tensor::from_vec(patches, (1, 5, 3, 2), &device).unwrap();
        let state = network.zero_state(1, &device).unwrap();
        let (said, _) = network.forward(&patches, &state).unwrap();
        said.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Whether the forecast of variate `to` at the last token depends on variate `from` at token `token`.
    fn depends(variant: Variant, token: usize, from: usize, to: usize) -> bool {
        let calm = |t: usize, v: usize| ((3 * t + v) as f32).cos();
        let (a, b) = (
            said(variant, calm),
            said(variant, |t, v| calm(t, v) + f32::from(u8::from((t, v) == (token, from)))),
        );
        let at = |said: &[f32]| said[(4 * 3 + to) * 4..][..4].to_vec();
        at(&a) != at(&b)
    }

    #[test]
    fn what_is_taken_away_has_no_effect() {
        assert!(depends(Variant::Recipe, 2, 0, 0) && depends(Variant::Recipe, 4, 0, 2) && depends(Variant::Recipe, 4, 2, 0));
        assert!(!depends(Variant::NoTimeMixer, 3, 0, 0) && depends(Variant::NoTimeMixer, 4, 0, 2));
        assert!(depends(Variant::NoVariateMixer, 2, 0, 0) && !depends(Variant::NoVariateMixer, 4, 0, 2));
        assert!(depends(Variant::VariateS6, 4, 0, 2) && depends(Variant::VariateS6, 4, 2, 0));
        assert!(depends(Variant::VariateS6Forward, 4, 0, 2) && !depends(Variant::VariateS6Forward, 4, 2, 0));
    }

    #[test]
    fn other_parts_start_as_in_the_recipe() {
        let (recipe, ungated) = (said(Variant::Recipe, |_, _| 0.5), said(Variant::NoGate, |_, _| 0.5));
        assert_ne!(recipe, ungated);
        assert_eq!(recipe, said(Variant::NoCarriedState, |_, _| 0.5));
    }

    #[test]
    fn variants_that_are_the_recipe_are_left_out() {
        assert!(!Variant::VariateMlp.differs(&recipe()) && Variant::VariateS6.differs(&recipe()));
        let alone = Config {
            variates: 1,
            network: recipe().network.map(|network| NetworkConfig {
                variate_mixer: VariateMixer::None,
                ..network
            }),
            ..recipe()
        };
        assert!(!Variant::VariateMlp.differs(&alone) && Variant::NoAveraging.differs(&alone));
    }
}
