//! How large a model may be.

use tsm2_core::{Config, Precision, storage_lens};

/// What a model may weigh, and how its weights are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Bytes of the weights at most; `None`: no bound.
    pub most: Option<usize>,
    /// How the large matrices are stored.
    pub precision: Precision,
    /// A smaller model is taken in the place of the best one where its error is larger by this share at most.
    pub tie: f64,
}

impl Default for Size {
    /// The smallest within 1 % of the best, in single precision.
    fn default() -> Self {
        Self {
            most: None,
            precision: Precision::Single,
            tie: 0.01,
        }
    }
}

impl Size {
    /// Bytes of the weights of a model.
    #[must_use]
    pub fn bytes(&self, config: &Config) -> usize {
        let config = Config {
            precision: self.precision,
            ..*config
        };
        storage_lens(&config).map_or(usize::MAX, |(singles, integers)| 4 * singles + integers)
    }

    /// Whether a model is small enough.
    #[must_use]
    pub fn allows(&self, config: &Config) -> bool {
        self.most.is_none_or(|most| self.bytes(config) <= most)
    }

    /// The bound of the linear part: half of the model's, because a network may be joined to it.
    #[must_use]
    pub fn of_linear_part(&self) -> Self {
        Self {
            most: self.most.map(|most| most / 2),
            ..*self
        }
    }
}
