//! Options and errors of a [`super::trainer::Trainer`].

use super::optim::OptimError;

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub struct TrainerOptions {
    /// Streams side by side.
    pub streams: usize,
    /// Tokens of each stream per update.
    pub tokens: usize,
    /// Largest learning rate.
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
    /// Longest gap in rows that a stream goes through in training; 0: none.
    pub longest_gap: usize,
    /// The network is judged by its own forecast, and not by the best blend with the linear head.
    pub standalone: bool,
    /// Seed of the initial weights and of every draw.
    pub seed: u64,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            streams: 16,
            tokens: 16,
            learning_rate: 3e-3,
            warm_up: 100,
            ema_decay: 0.998,
            weight_decay: 0.02,
            restart_every: 64,
            horizon_balance: true,
            longest_gap: 0,
            standalone: false,
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
    /// The preprocessor refused.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
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
