//! A task whose answer lies far back: what was the sign of the one pulse in the first half of a long and quiet window?
//!
//! Whatever the window's length, the answer is one bit, at an unknown place half a window ago or longer. Who says 0 to everything has a mean
//! squared error of 1.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::windows::{Part, Source};

/// The other samples lie between this and its negative; those of the pulse are 1 or -1.
const NOISE: f32 = 0.1;

/// Samples in the pulse.
const PULSE: usize = 16;

/// The task for windows of one length.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Makes other windows.
    pub seed: u64,
}

impl Source for Echo {
    fn examples(&self, part: Part) -> Range<usize> {
        match part {
            Part::Test => 0..256,
            Part::Validation => 256..320,
            Part::Training => 320..1 << 30,
        }
    }

    fn write(&self, example: usize, window: &mut [f32], target: &mut [f32], weight: &mut [f32]) {
        let mut rng = ChaCha8Rng::seed_from_u64((self.seed << 32) ^ example as u64);
        window.iter_mut().for_each(|x| *x = rng.random_range(-NOISE..=NOISE));
        let pulse = if rng.random::<bool>() { 1.0 } else { -1.0 };
        let half = window.len() / 2;
        let start = rng.random_range(0..=half.saturating_sub(PULSE));
        window[start..half.min(start + PULSE)].fill(pulse);
        target.fill(pulse);
        weight.fill(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_lies_in_the_first_half_and_differs_from_window_to_window() {
        let echo = Echo { seed: 3 };
        let mut places = Vec::new();
        for example in echo.examples(Part::Test) {
            let (mut window, mut target, mut weight) = ([0.0; 64], [0.0], [0.0]);
            echo.write(example, &mut window, &mut target, &mut weight);
            let pulse: Vec<usize> = (0..64).filter(|&i| window[i].abs() > 0.5).collect();
            assert!(pulse.len() == PULSE && pulse[PULSE - 1] < 32, "{pulse:?}");
            assert!(pulse.iter().all(|&i| window[i] == target[0]) && weight[0] == 1.0);
            places.push((pulse[0], target[0] > 0.0));
        }
        let up = places.iter().filter(|(_, up)| *up).count();
        assert!((96..160).contains(&up), "{up} of 256 are up");
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 2 * (32 - PULSE + 1));
    }
}
