//! Widths of the first prediction intervals, from a model's validation errors.
//!
//! Invariant: every width is positive and finite, whatever the errors are.

use alloc::vec::Vec;

/// Least mean squared error that is believed.
const LEAST_MSE: f64 = 1e-4;

/// Half-widths `[targets][H]` that cover the fraction `coverage` of normal errors of the given
/// size: `z * deviation * sqrt(mse)`.
///
/// - `deviations`: the training standard deviation of each target, in the sensor's unit.
/// - `validation_mse`: pairs of a horizon step (from 1) and the mean squared error at this step, in
///   squared training standard deviations. Steps between two pairs are interpolated. Pairs that are
///   not usable are ignored; without any, the error is one standard deviation.
pub fn initial_widths(
    deviations: impl IntoIterator<Item = f32>,
    horizon: usize,
    coverage: f32,
    validation_mse: impl IntoIterator<Item = (usize, f64)>,
) -> Vec<f32> {
    let is_usable = |&(step, mse): &(usize, f64)| step >= 1 && mse.is_finite() && mse >= 0.0;
    let mut known: Vec<(usize, f64)> = validation_mse.into_iter().filter(is_usable).collect();
    known.sort_by_key(|&(step, _)| step);
    let z = normal_quantile(f64::from(coverage));
    let relative: Vec<f64> = (1..=horizon)
        .map(|step| z * libm::sqrt(mse_at(&known, step).max(LEAST_MSE)))
        .collect();
    let width =
        |deviation: f32, relative: f64| (f64::from(deviation) * relative).clamp(f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)) as f32;
    deviations
        .into_iter()
        .flat_map(|deviation| relative.iter().map(move |&relative| width(deviation, relative)))
        .collect()
}

/// The mean squared error at a step, interpolated between its neighbours in `known`.
fn mse_at(known: &[(usize, f64)], step: usize) -> f64 {
    let after = known.partition_point(|&(known, _)| known < step);
    match (after.checked_sub(1).map(|before| known[before]), known.get(after)) {
        (None, None) => 1.0,
        (Some((_, mse)), None) | (None, Some(&(_, mse))) => mse,
        (Some((from, low)), Some(&(to, high))) => low + (high - low) * (step - from) as f64 / (to - from) as f64,
    }
}

/// The z for which a standard normal number lies within ±z with this probability; by bisection.
fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle: f64 = (low + high) / 2.0;
        if libm::erf(middle / core::f64::consts::SQRT_2) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_follow_the_validation_errors() {
        let widths = initial_widths([2.0, 0.5], 60, 0.9, [(11, 0.25), (1, 0.01)]);
        assert_eq!(widths.len(), 120);
        for (widths, deviation) in widths.chunks_exact(60).zip([2.0_f32, 0.5]) {
            for (step, mse) in [(1, 0.01_f64), (6, 0.13), (11, 0.25), (60, 0.25)] {
                let relative = f64::from(widths[step - 1] / deviation);
                assert!((relative - 1.644_854 * mse.sqrt()).abs() < 1e-5, "step {step}: {relative}");
            }
        }
    }

    #[test]
    fn without_usable_errors_the_width_is_that_of_the_readings() {
        for errors in [&[][..], &[(1, f64::NAN), (0, 4.0)]] {
            let widths = initial_widths([3.0], 5, 0.9, errors.iter().copied());
            assert!((widths[0] / 3.0 - 1.644_854).abs() < 1e-5);
        }
        assert!(initial_widths([1.0], 5, 0.9, [(1, 0.0)]).iter().all(|width| *width > 0.0));
        assert!(
            initial_widths([1.0], 5, 0.9999, [(1, f64::MAX)])
                .iter()
                .all(|width| width.is_finite())
        );
    }
}
