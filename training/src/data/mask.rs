//! Readings dropped at random, each by itself, as a bad radio link drops them.

use std::fmt;
use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Keeps these draws apart from those that the same seed makes elsewhere.
const STREAM: u64 = 1;

/// The share of readings that is dropped: at least 0, less than 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rate(f64);

/// What is not such a share.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a share of readings: at least 0 and less than 1, as 0.1")]
pub struct RateError(String);

impl Rate {
    /// A share in percent; 99 at most.
    #[must_use]
    pub fn percent(percent: u32) -> Rate {
        Rate(f64::from(percent.min(99)) / 100.0)
    }

    /// Whether nothing is dropped.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0.0
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text.trim().parse() {
            // Written so that NaN fails too.
            Ok(share) if (0.0..1.0).contains(&share) => Ok(Rate(share)),
            _ => Err(RateError(text.into())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Turns this share of the readings into NaN. What a seed drops at one share it drops at every larger one.
pub fn mask(readings: &mut [f32], rate: Rate, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    for reading in readings {
        if rng.random::<f64>() < rate.0 {
            *reading = f32::NAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_dropped_the_same_for_the_same_seed_and_more_of_it_at_a_higher_rate() {
        let dropped = |percent, seed| {
            let mut readings = vec![1.0; 10_000];
            mask(&mut readings, Rate::percent(percent), seed);
            readings.iter().map(|reading| reading.is_nan()).collect::<Vec<_>>()
        };
        let count = |dropped: &[bool]| dropped.iter().filter(|&&is| is).count();
        let (few, many) = (dropped(5, 3), dropped(30, 3));
        assert_eq!(count(&dropped(0, 3)), 0);
        assert!(count(&few).abs_diff(500) < 100 && count(&many).abs_diff(3000) < 200);
        assert!(few.iter().zip(&many).all(|(few, many)| !few || *many));
        assert_eq!(many, dropped(30, 3));
        assert_ne!(many, dropped(30, 4));
    }

    #[test]
    fn a_share_is_at_least_none_and_less_than_all() {
        for text in ["1", "1.5", "-0.1", "nan", "ten", ""] {
            let message = text.parse::<Rate>().expect_err(text).to_string();
            assert!(message.contains(&format!("`{text}`")), "{message}");
        }
        assert_eq!("0.3".parse::<Rate>().expect("a share"), Rate::percent(30));
        assert!("0".parse::<Rate>().expect("a share").is_zero());
    }
}
