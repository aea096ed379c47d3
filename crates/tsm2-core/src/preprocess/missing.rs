//! Missing readings: a reading that is not finite stands at the variate's last reading.
//!
//! - Before its first reading a variate stands at its training mean, z = 0.
//! - The first reading stands for all the past: lags and seasonal averages are refilled with it.
//! - A missing reading does not count for an exponential normalizer. Otherwise a long outage would leave no deviation,
//!   and the next reading would lie thousands of deviations away.

/// One sample of a variate after the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The scaled value.
    pub z: f32,
    /// Whether the sample stands for all the past.
    pub first: bool,
    /// Whether the normalizer counts the sample.
    pub counts: bool,
}

/// Applies the policy. `read` is the scaled reading, where there is one; `last` and `seen` are the variate's last sample
/// and whether it was ever read (0 or 1); `t` is the number of samples before this one.
pub(crate) fn fill(read: Option<f32>, last: &mut f32, seen: &mut f32, t: u64) -> Sample {
    let first = (read.is_some() && *seen == 0.0) || t == 0;
    if let Some(z) = read {
        (*last, *seen) = (z, 1.0);
    }
    Sample {
        z: *last,
        first,
        counts: read.is_some() || *seen == 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reading_stands_for_the_past_and_a_missing_reading_is_forward_filled() {
        let (mut last, mut seen) = (0.0, 0.0);
        let readings = [None, None, Some(2.0), None, Some(3.0)];
        let samples: Vec<Sample> = (0..).zip(readings).map(|(t, read)| fill(read, &mut last, &mut seen, t)).collect();
        assert_eq!(samples.iter().map(|s| s.z).collect::<Vec<_>>(), [0.0, 0.0, 2.0, 2.0, 3.0]);
        assert_eq!(
            samples.iter().map(|s| s.first).collect::<Vec<_>>(),
            [true, false, true, false, false]
        );
        assert_eq!(
            samples.iter().map(|s| s.counts).collect::<Vec<_>>(),
            [true, true, true, false, true]
        );
    }
}
