//! Random numbers of the simulation: uniform and normal deviates from one numbered stream of a ChaCha generator.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[derive(Clone, Debug)]
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// Streams of the same seed are independent of each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal (Box and Muller 1958; the second deviate of the pair is not kept, so a draw always costs two numbers).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

/// A stationary Ornstein-Uhlenbeck process of mean 0 and variance 1, sampled once a minute.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    value: f64,
    keep: f64,
    shake: f64,
}

impl Drift {
    pub(super) fn new(time_constant_h: f64, chance: &mut Chance) -> Self {
        let keep = libm::exp(-1.0 / (60.0 * time_constant_h));
        Self {
            value: chance.normal(),
            keep,
            shake: libm::sqrt(1.0 - keep * keep),
        }
    }

    pub(super) fn advance(&mut self, chance: &mut Chance) {
        self.value = self.keep * self.value + self.shake * chance.normal();
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }
}
