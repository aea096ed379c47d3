//! Aggregation: how the readings of one variate within one time bin become one value.

use serde::{Deserialize, Serialize};

/// How the readings of one time bin become one value. Readings that are not finite count only where
/// none of the bin's is finite, except for [`Aggregate::Last`].
///
/// `Last`, `Min` and `Max` do not depend on the order in which the readings came. `Mean` and `Sum`
/// are added up in order of arrival in compensated double precision: the same order gives the same
/// bits, another order a result that differs by at most one unit in the last place of an `f32` and
/// 2⁻⁵⁰ of the readings' absolute sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregate {
    /// The newest reading.
    #[default]
    Last,
    /// The mean of the readings: for a quantity that fluctuates.
    Mean,
    /// The sum of the readings: for increments, such as pulses or energy since the reading before.
    /// Never forward-filled.
    Sum,
    /// The smallest reading.
    Min,
    /// The largest reading.
    Max,
}

impl Aggregate {
    /// Whether a [`Sum`] is kept.
    pub(crate) fn sums(self) -> bool {
        matches!(self, Aggregate::Mean | Aggregate::Sum)
    }
}

/// A compensated sum (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
/// Summen", 1974).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Sum {
    sum: f64,
    /// What rounding has taken from `sum`.
    lost: f64,
}

impl Sum {
    /// Adds a finite value.
    pub(crate) fn add(&mut self, value: f32) {
        let value = f64::from(value);
        let sum = self.sum + value;
        self.lost += match self.sum.abs() >= value.abs() {
            true => (self.sum - sum) + value,
            false => (value - sum) + self.sum,
        };
        self.sum = sum;
    }

    pub(crate) fn value(&self) -> f64 {
        self.sum + self.lost
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.sum.is_finite() && self.lost.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;
    use proptest::prelude::*;

    fn sum(values: &[f32]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    #[test]
    fn a_small_value_between_large_ones_is_kept() {
        assert_eq!(sum(&[1e30, 1e-30, -1e30]).value(), f64::from(1e-30f32));
        assert_eq!(sum(&[f32::MAX, f32::MAX, f32::MIN_POSITIVE]).value(), 2.0 * f64::from(f32::MAX));
        assert_eq!(
            sum(&[f32::from_bits(1), -f32::from_bits(3)]).value(),
            -2.0 * f64::from(f32::from_bits(1))
        );
        assert_eq!(sum(&[f32::MIN, f32::MAX]).value(), 0.0);
        assert_eq!(sum(&alloc::vec![0.1; 1_000_000]).value() as f32, (1e6 * f64::from(0.1f32)) as f32);
    }

    proptest! {
        /// Any order gives the same sum to within 2⁻⁵⁰ of the absolute sum, and one value is its
        /// own sum.
        #[test]
        fn orders_agree(values in prop::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 1..50)) {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let size: f64 = values.iter().map(|&value| f64::from(value).abs()).sum();
            prop_assert!((sum(&values).value() - sum(&sorted).value()).abs() <= size * f64::EPSILON * 4.0);
            prop_assert_eq!(sum(&values[..1]).value(), f64::from(values[0]));
        }
    }
}
