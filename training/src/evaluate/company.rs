//! The company that TSM2 is judged in: networks of another kind, trained on the same rows by the same trainer for as many updates.
//!
//! They say the whole forecast by themselves, under the normaliser that TSM2 took, and lie in a file beside the bundle, so that they can be
//! measured again with it. No device runs them.

mod file;

pub use crate::network::peer::{Kind, Peer, WINDOW};
pub use file::{CompanyError, FILE, FileError};

use std::ops::Range;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tsm2_bundle::{Metadata, Provenance, Variate};
use tsm2_core::{Config, Front, Readout};

use crate::data::dataset::Dataset;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::tally::{EvaluateError, HorizonError, Tally};
use crate::linear::ridge::bands;
use crate::network::learner::Learner;
use crate::train::trainer::{Options, Progress, Target, TrainError, Trainer};

/// A network with more weights is not trained: its memory is several times as much.
const MOST_WEIGHTS: usize = 20_000_000;

/// Tokens in one forward pass when errors are measured.
const TOKENS: usize = 64;

/// Trained networks and what they were trained on.
#[derive(Clone, Debug)]
pub struct Company {
    about: About,
    peers: Vec<Peer>,
}

/// All of a company but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    format: u32,
    /// The front end: M, H, the normaliser, patches of [`WINDOW`] samples, and what the model knows of the rows to come.
    front: Config,
    /// As in the bundle, with the scaler.
    variates: Vec<Variate>,
    /// The data and the seed, as in the bundle.
    provenance: Provenance,
    /// Updates at most.
    updates: usize,
    networks: Vec<Kind>,
}

/// What a company is trained on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The data.
    pub table: &'a Table,
    /// Its parts.
    pub split: &'a Split,
    /// Its scaler.
    pub scaler: &'a Scaler,
    /// Features of the linear read-out relative to whose errors validation judges.
    pub readout: Readout,
    /// Its weights as in the model file.
    pub weights: &'a [f32],
}

/// What is told while a network is trained.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// An update or a validation.
    Training(Progress),
    /// It is done.
    Trained {
        /// Updates that were done.
        updates: usize,
        /// The time they took.
        took: Duration,
    },
}

impl About {
    /// A company for a model of configuration `config`, whose bundle says `bundle` of itself.
    #[must_use]
    pub fn new(config: &Config, bundle: &Metadata, updates: usize) -> Self {
        let front = Config {
            variates: config.variates,
            exogenous: config.exogenous,
            known_ahead: config.known_ahead,
            calendar: config.calendar,
            horizon: config.horizon,
            normaliser: config.normaliser,
            patch: WINDOW,
            ..Config::default()
        };
        let possible = |kind: &Kind| kind.parameter_count(&front) <= MOST_WEIGHTS;
        Self {
            format: file::FORMAT_VERSION,
            front,
            variates: bundle.variates.clone(),
            provenance: Provenance {
                decisions: Vec::new(),
                metrics: [].into(),
                ..bundle.provenance.clone()
            },
            updates,
            networks: Kind::ALL.into_iter().filter(possible).collect(),
        }
    }

    /// The front end's configuration.
    #[must_use]
    pub fn front(&self) -> &Config {
        &self.front
    }

    /// The networks that would have more weights than are trained, none of them being part of the company.
    pub fn too_large(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.networks.contains(kind))
    }
}

impl Company {
    /// Trains the networks, one after the other, on those of these rows of the table that are the split's training part.
    ///
    /// # Errors
    /// candle's, and those of the front end.
    pub fn train(
        about: About,
        ground: Ground<'_>,
        rows: Range<usize>,
        options: Options,
        device: &Device,
        tell: &mut dyn FnMut(Kind, Step),
    ) -> Result<Self, CompanyError> {
        let Ground {
            table,
            split,
            scaler,
            readout,
            weights,
        } = ground;
        let config = Config { readout, ..about.front };
        let data = Dataset::new(&config, scaler, table, rows, weights)?;
        let options = Options {
            target: Target::Alone,
            updates: about.updates,
            ..options
        };
        let bands = bands(config.horizon);
        let mut peers = Vec::new();
        for &kind in &about.networks {
            let start = Instant::now();
            let initial = |rng: &mut _| Peer::initial(kind, &config, rng, device);
            let mut trainer = Trainer::new(initial, options, &data, split.train, device)?;
            let mut report = |progress| tell(kind, Step::Training(progress));
            while trainer.advance(about.updates, split.validation_range(), &bands, &mut report)? {}
            tell(
                kind,
                Step::Trained {
                    updates: trainer.updates(),
                    took: start.elapsed(),
                },
            );
            let best = trainer.best().ok_or(TrainError::NotFinite)?;
            let values = |name: &str, _: &[usize]| Ok(best.weights.get(name).cloned().unwrap_or_default());
            peers.push(Peer::new(kind, &config, &Device::Cpu, values).map_err(TrainError::from)?);
        }
        Ok(Self { about, peers })
    }

    /// What it was trained on.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it was trained beside this model: on the same variates, data and split, from the same seed, and as far ahead.
    #[must_use]
    pub fn fits(&self, bundle: &Metadata) -> bool {
        let About {
            front,
            variates,
            provenance,
            ..
        } = &self.about;
        let of = |p: &Provenance| (p.data_sha256.clone(), p.split, p.seed);
        *variates == bundle.variates && front.horizon == bundle.config.horizon && of(provenance) == of(&bundle.provenance)
    }

    /// Errors of each network at the origins of these rows, the state carried from row 0; `table` has the bundle's variates in its order.
    ///
    /// # Errors
    /// As [`crate::evaluate::model_errors`].
    pub fn errors(&self, table: &Table, rows: Range<usize>, horizons: &[usize]) -> Result<Vec<(Kind, Vec<HorizonError>)>, EvaluateError> {
        let scaler = Scaler {
            mean: self.about.variates.iter().map(|variate| variate.mean).collect(),
            std: self.about.variates.iter().map(|variate| variate.std).collect(),
        };
        let z = scaler.standardise_endogenous(table);
        let tally = Tally::new(&z, self.about.front.endogenous(), rows, horizons)?;
        let (scaler, tally) = (&scaler, &tally);
        std::thread::scope(|scope| {
            let of_peer = |peer| scope.spawn(move || self.errors_of(peer, table, scaler, tally.clone()));
            let threads: Vec<_> = self.peers.iter().map(of_peer).collect();
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let errors = threads.into_iter().map(join).collect::<Result<Vec<_>, EvaluateError>>()?;
            Ok(self.peers.iter().map(|peer| peer.kind).zip(errors).collect())
        })
    }

    fn errors_of(&self, peer: &Peer, table: &Table, scaler: &Scaler, mut tally: Tally<'_>) -> Result<Vec<HorizonError>, EvaluateError> {
        let config = &self.about.front;
        let (m, forecast, h, p) = (config.variates, config.endogenous(), config.horizon, config.patch_len());
        let scale = tsm2_core::Scaler {
            mean: &scaler.mean,
            std: &scaler.std,
        };
        let front = Front::new(config, scale)?;
        let mut seen = vec![0.0; front.state_len()];
        let mut state = peer.zero_state(1, &Device::Cpu)?;
        let (mut patches, mut statistics) = (vec![0.0; TOKENS * m * p], vec![(0.0, 0.0); TOKENS * m]);
        let end = tally.origins().end.saturating_sub(1);
        for row in 0..end {
            table.foretell(row, config.known_ahead, h, |v, values| front.foretell(&mut seen, v, values))?;
            front.push(&mut seen, table.row(row), table.time_ms(row))?;
            let token = row % TOKENS;
            for v in 0..m {
                let at = token * m + v;
                statistics[at] = front.statistics(&seen, v);
                front.patch(&seen, v, &mut patches[at * p..(at + 1) * p]);
            }
            if token + 1 < TOKENS && row + 1 < end {
                continue;
            }
            let tokens = token + 1;
            let stretch = Tensor::from_slice(&patches[..tokens * m * p], (1, tokens, m, p), &Device::Cpu)?;
            let (said, next) = peer.forward(&stretch, &state)?;
            state = next;
            let mut said = said.flatten_all()?.to_vec1::<f32>()?;
            for (i, said) in said.chunks_exact_mut(h).enumerate() {
                let (mu, sd) = statistics[i / forecast * m + i % forecast];
                said.iter_mut().for_each(|y| *y = *y * sd + mu);
            }
            for (i, said) in said.chunks_exact(config.forecast_len()).enumerate() {
                let origin = row + 1 - tokens + i + 1;
                if tally.origins().contains(&origin) {
                    tally.add(origin, said);
                }
            }
        }
        tally.errors()
    }
}
