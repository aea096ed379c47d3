//! Options, progress and errors of a [`super::trainer::Trainer`].

use super::optim::OptimError;

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub struct TrainerOptions {
    /// Streams side by side.
    pub streams: usize,
    /// Tokens of each stream per update.
    pub tokens: usize,
    /// Largest number of updates.
    pub updates: usize,
    /// Largest learning rate. Warm-up, constant rate, linear decay (arXiv 2404.06395): the stopping time is unknown in advance.
    pub learning_rate: f64,
    /// Updates of the warm-up.
    pub warm_up: usize,
    /// Decay of the averaged weights in the long run.
    pub ema_decay: f32,
    /// Weight decay of matrices.
    pub weight_decay: f32,
    /// Mean number of updates until a stream restarts at a random row with an empty state; 1: no state is carried.
    pub restart_every: usize,
    /// Divides the squared error at each step by its running mean.
    pub horizon_balance: bool,
    /// Updates between validations.
    pub validate_every: usize,
    /// Validations without a new best until the decay phase begins.
    pub patience: usize,
    /// What the network predicts.
    pub target: Target,
    /// Seed of the initial weights and of every draw.
    pub seed: u64,
}

/// What a network is trained to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The full forecast; a blend weight per step group combines it with the linear head's.
    Full,
    /// What the linear head leaves.
    Residual,
    /// The full forecast, without a linear head.
    Standalone,
}

impl Target {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Residual => "residual",
            Self::Standalone => "standalone",
        }
    }
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            streams: 16,
            tokens: 16,
            updates: 6000,
            learning_rate: 4e-3,
            warm_up: 200,
            ema_decay: 0.998,
            weight_decay: 0.02,
            restart_every: 64,
            horizon_balance: true,
            validate_every: 200,
            patience: 10,
            target: Target::Full,
            seed: 0,
        }
    }
}

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The optimiser refused.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// Not even the initial weights can be validated.
    #[error("the errors on validation are not finite")]
    NotFinite,
    /// A checkpoint of another training.
    #[error("the checkpoint does not fit this training: `{name}` is absent or of another shape")]
    Checkpoint {
        /// The entry.
        name: String,
    },
}

/// Progress of a training.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Number of updates done.
    Update(usize),
    /// A validation of the averaged weights.
    Validation {
        /// Updates done.
        update: usize,
        /// Mean training loss since the last report; 1 is its running mean.
        loss: f64,
        /// Validation score of these weights.
        score: f64,
        /// The best score so far.
        best: f64,
    },
}
