//! Derived values of a forecast: limits, steps, extremes, crossings of thresholds; and residuals.

use serde::Serialize;

/// A value of the horizon and when it is reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Extreme {
    pub(crate) value: f32,
    /// From 1.
    pub(crate) step: usize,
    /// RFC 3339.
    pub(crate) time: String,
}

/// When a forecast crosses a threshold first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Crossing {
    pub(crate) threshold: f32,
    /// Whether the forecast rises above it, or falls below.
    pub(crate) rising: bool,
    /// The first step on the other side, from 1.
    pub(crate) step: usize,
    /// RFC 3339.
    pub(crate) time: String,
}

/// A reading beside the forecast of it that was made one time step before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Residual<'m> {
    /// Of the time bin, RFC 3339.
    pub(crate) time: String,
    pub(crate) value: f32,
    pub(crate) expected: f32,
    pub(crate) lower: f32,
    pub(crate) upper: f32,
    /// 0: as expected. 1 and -1: on the upper and the lower bound. Beyond: outside of the interval.
    pub(crate) score: f32,
    pub(crate) model: &'m str,
}

/// The numbers of one variate within its limits, at the steps that are published (from 1; empty: all).
pub(crate) fn selected(all: &[f32], steps: &[usize], (min, max): (f32, f32)) -> Vec<f32> {
    let limited = |value: &f32| value.clamp(min, max);
    match steps {
        [] => all.iter().map(limited).collect(),
        steps => steps.iter().filter_map(|step| all.get(step - 1)).map(limited).collect(),
    }
}

/// The first of the largest values of `mean`, or the smallest with `sign` -1.
pub(crate) fn extreme(mean: &[f32], sign: f32, time: impl Fn(usize) -> String) -> Option<Extreme> {
    let mut steps = mean.iter().enumerate();
    let first = steps.next()?;
    let (index, &value) = steps.fold(first, |best, next| if next.1 * sign > best.1 * sign { next } else { best });
    Some(Extreme {
        value,
        step: index + 1,
        time: time(index + 1),
    })
}

/// Where `mean` crosses each threshold first, beginning at the newest value.
pub(crate) fn crossings(newest: f32, mean: &[f32], thresholds: &[f32], time: impl Fn(usize) -> String) -> Vec<Crossing> {
    let first = |&threshold: &f32| {
        let from = if newest.is_nan() { *mean.first()? } else { newest };
        let (is_above, mut steps) = (from > threshold, mean.iter());
        let index = steps.position(|value| (*value > threshold) != is_above)?;
        Some(Crossing {
            threshold,
            rising: !is_above,
            step: index + 1,
            time: time(index + 1),
        })
    };
    thresholds.iter().filter_map(first).collect()
}

/// How unusual a value is: its distance from the expected one, in units of the interval on its side.
pub(crate) fn score(value: f32, expected: f32, lower: f32, upper: f32) -> f32 {
    let (distance, width) = match value >= expected {
        true => (value - expected, upper - expected),
        false => (value - expected, expected - lower),
    };
    match distance == 0.0 {
        true => 0.0,
        // An interval without width would make any distance infinite, which JSON cannot write.
        false => (distance / width.max(f32::MIN_POSITIVE)).clamp(-1e6, 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(step: usize) -> String {
        format!("t{step}")
    }

    #[test]
    fn steps_and_limits() {
        let all = [-1.0, 2.0, 9.0];
        assert_eq!(selected(&all, &[], (0.0, 5.0)), [0.0, 2.0, 5.0]);
        assert_eq!(selected(&all, &[1, 3], (f32::NEG_INFINITY, f32::INFINITY)), [-1.0, 9.0]);
    }

    #[test]
    fn extremes_are_the_first_of_their_size() {
        let mean = [3.0, 5.0, 1.0, 5.0, 1.0];
        let at = |extreme: Option<Extreme>| extreme.map(|extreme| (extreme.value, extreme.step));
        assert_eq!(at(extreme(&mean, 1.0, time)), Some((5.0, 2)));
        assert_eq!(at(extreme(&mean, -1.0, time)), Some((1.0, 3)));
        assert_eq!(extreme(&[], 1.0, time), None);
    }

    #[test]
    fn a_crossing_begins_at_the_newest_value() {
        let mean = [19.0, 20.5, 22.0, 17.0];
        let crossed: Vec<_> = crossings(20.2, &mean, &[20.0, 21.0, 18.0, 30.0], time)
            .into_iter()
            .map(|crossing| (crossing.threshold, crossing.rising, crossing.step))
            .collect();
        assert_eq!(crossed, [(20.0, false, 1), (21.0, true, 3), (18.0, false, 4)]);
        assert_eq!(
            crossings(f32::NAN, &mean, &[20.0], time)[0].step,
            2,
            "without a reading the first step counts"
        );
    }

    #[test]
    fn a_score_of_one_is_on_the_bound() {
        assert_eq!(score(22.0, 20.0, 19.0, 22.0), 1.0);
        assert_eq!(score(19.0, 20.0, 19.0, 22.0), -1.0);
        assert_eq!(score(20.0, 20.0, 20.0, 20.0), 0.0);
        assert_eq!(score(21.0, 20.0, 20.0, 20.0), 1e6);
    }
}
