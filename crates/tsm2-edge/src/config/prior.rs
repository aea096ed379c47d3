//! How wide a forecast's interval is before anything is known of the stream: what the bundle says of its errors on validation rows.
//!
//! Invariant: every width is positive and finite, whatever the bundle's metrics are.

use tsm2_bundle::Metadata;

/// Names of the metrics that are read, a lead (from 1) at the end: mean squared errors in training standard deviations, over all variates that are forecast.
const METRIC: &str = "validation_mse_";
/// Least mse that is believed.
const LEAST_MSE: f64 = 1e-4;

/// Half-widths `[M - X][H]` that would cover the part `coverage` of normal errors as large as the validation's: z std sqrt(mse), the mse linear
/// between the leads that the bundle tells of and 1 where it tells of none.
pub fn half_widths(meta: &Metadata, coverage: f32) -> Vec<f32> {
    let horizon = meta.config.horizon;
    let mut known: Vec<(usize, f64)> = meta
        .provenance
        .metrics
        .iter()
        .filter_map(|(name, &mse)| Some((name.strip_prefix(METRIC)?.parse().ok()?, mse)))
        .filter(|&(lead, mse)| lead >= 1 && mse.is_finite() && mse >= 0.0)
        .collect();
    known.sort_by_key(|&(lead, _)| lead);
    let z = normal_quantile(f64::from(coverage));
    let relative: Vec<f64> = (1..=horizon).map(|lead| z * mse_at(&known, lead).max(LEAST_MSE).sqrt()).collect();
    let width = |std: f32, relative: f64| (f64::from(std) * relative).clamp(f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)) as f32;
    meta.targets()
        .iter()
        .flat_map(|variate| relative.iter().map(move |&relative| width(variate.std, relative)))
        .collect()
}

/// The mse at a lead, by the leads around it.
fn mse_at(known: &[(usize, f64)], lead: usize) -> f64 {
    let after = known.partition_point(|&(known, _)| known < lead);
    match (after.checked_sub(1).map(|before| known[before]), known.get(after)) {
        (None, None) => 1.0,
        (Some((_, mse)), None) | (None, Some(&(_, mse))) => mse,
        (Some((from, low)), Some(&(to, high))) => low + (high - low) * (lead - from) as f64 / (to - from) as f64,
    }
}

/// z for which a standard normal number lies within ±z with this probability, by bisection.
fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle: f64 = (low + high) / 2.0;
        if libm::erf(middle / std::f64::consts::SQRT_2) < probability {
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
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use tsm2_bundle::Bundle;

    /// The metadata of `models/building`, with other metrics.
    fn meta(metrics: &[(&str, f64)]) -> Metadata {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/building/model.safetensors");
        let mut meta = Bundle::open(&path).unwrap().meta().clone();
        meta.provenance.metrics = metrics
            .iter()
            .map(|&(name, mse)| (name.to_owned(), mse))
            .collect::<BTreeMap<_, _>>();
        meta
    }

    #[test]
    fn widths_follow_the_errors_that_the_bundle_tells_of() {
        let meta = meta(&[
            ("validation_mse_1", 0.01),
            ("validation_mse_11", 0.25),
            ("validation_mse", 9.0),
            ("test_mse_5", 9.0),
        ]);
        let widths = half_widths(&meta, 0.9);
        let horizon = meta.config.horizon;
        assert_eq!(widths.len(), meta.variates.len() * horizon);
        for (widths, variate) in widths.chunks_exact(horizon).zip(&meta.variates) {
            let in_stds = |lead: usize| f64::from(widths[lead - 1] / variate.std);
            for (lead, mse) in [(1, 0.01_f64), (6, 0.13), (11, 0.25), (60, 0.25)] {
                assert!(
                    (in_stds(lead) - 1.644_854 * mse.sqrt()).abs() < 1e-5,
                    "lead {lead}: {}",
                    in_stds(lead)
                );
            }
        }
    }

    #[test]
    fn without_metrics_that_can_be_used_a_width_is_that_of_the_readings() {
        for metrics in [
            &[][..],
            &[("validation_mse_1", f64::NAN), ("validation_mse_x", 1.0), ("validation_mse_0", 4.0)],
        ] {
            let meta = meta(metrics);
            let widths = half_widths(&meta, 0.9);
            assert!((widths[0] / meta.variates[0].std - 1.644_854).abs() < 1e-5);
        }
        assert!(
            half_widths(&meta(&[("validation_mse_1", 0.0)]), 0.9)
                .iter()
                .all(|width| *width > 0.0)
        );
        assert!(
            half_widths(&meta(&[("validation_mse_1", f64::MAX)]), 0.9999)
                .iter()
                .all(|width| width.is_finite())
        );
    }
}
