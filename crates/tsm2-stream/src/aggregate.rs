//! How the readings of one variate within one slot become one value, and the exact sum that some ways need.
//!
//! Invariant: the value does not depend on the order in which the readings came, to the bit. That is why [`Sum`] is a fixed-point number that
//! holds every sum of readings exactly, and why zeros of either sign are told apart.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};

/// How the readings of one slot become one value. Readings that are not finite count only where none of the slot's is finite, except for
/// [`Aggregate::Last`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Aggregate {
    /// The newest reading.
    #[default]
    Last,
    /// The readings' mean: of a quantity that fluctuates.
    Mean,
    /// The readings' sum: of increments, such as pulses or energy since the reading before. It is never held over a silence.
    Sum,
    /// The smallest reading.
    Min,
    /// The largest reading.
    Max,
}

impl Aggregate {
    /// Whether a [`Sum`] is kept for it.
    pub(crate) fn sums(self) -> bool {
        matches!(self, Aggregate::Mean | Aggregate::Sum)
    }

    /// Its number in what is saved.
    pub(crate) fn code(self) -> u8 {
        match self {
            Aggregate::Last => 0,
            Aggregate::Mean => 1,
            Aggregate::Sum => 2,
            Aggregate::Min => 3,
            Aggregate::Max => 4,
        }
    }
}

/// Words of a [`Sum`]: 277 bits for the finite `f32`s, and 2^64 of them leave bits over.
const WORDS: usize = 6;
/// The lowest bit of a [`Sum`] is worth 2^-149, the smallest `f32`.
const LOWEST: i32 = -149;

/// An exact sum of `f32`s: a two's complement integer of 384 bits in units of 2^-149, least significant word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; WORDS]);

impl Sum {
    /// Adds a finite value.
    pub(crate) fn add(&mut self, value: f32) {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 23) & 0xff, bits & 0x7f_ffff);
        // A subnormal has the exponent of the smallest normal number and no hidden bit.
        let (shift, significand) = match exponent {
            0 => (0, fraction),
            _ => (exponent as usize - 1, fraction | 0x80_0000),
        };
        let (word, shift) = (shift / 64, shift % 64);
        let wide = u128::from(significand) << shift;
        let mut parts = [0; WORDS];
        parts[word] = wide as u64;
        parts[word + 1] = (wide >> 64) as u64;
        self.combine(&parts, value.is_sign_negative());
    }

    fn combine(&mut self, parts: &[u64; WORDS], subtract: bool) {
        let mut carry = false;
        for (word, &part) in self.0.iter_mut().zip(parts) {
            (*word, carry) = match subtract {
                false => word.carrying_add(part, carry),
                true => word.borrowing_sub(part, carry),
            };
        }
    }

    /// The sum to within an ulp of a double.
    pub(crate) fn value(&self) -> f64 {
        let is_negative = self.0[WORDS - 1] >> 63 == 1;
        let mut magnitude = Sum::default();
        magnitude.combine(&self.0, is_negative);
        let mut value = 0.0;
        for (index, &word) in magnitude.0.iter().enumerate().rev() {
            let exponent = LOWEST + 64 * index as i32;
            value += word as f64 * f64::from_bits(((1023 + exponent) as u64) << 52);
        }
        if is_negative { -value } else { value }
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|word| put(out, word.to_le_bytes()));
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let mut sum = Sum::default();
        for word in &mut sum.0 {
            *word = u64::from_le_bytes(from.take()?);
        }
        Some(sum)
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
    fn what_a_double_would_lose_is_kept() {
        assert_eq!(sum(&[1e30, 1e-30, -1e30]).value(), f64::from(1e-30f32));
        assert_eq!(sum(&[f32::MAX, f32::MAX, f32::MIN_POSITIVE]).value(), 2.0 * f64::from(f32::MAX));
        assert_eq!(
            sum(&[f32::from_bits(1), -f32::from_bits(3)]).value(),
            -2.0 * f64::from(f32::from_bits(1))
        );
        assert_eq!(sum(&[f32::MIN, f32::MAX]), Sum::default());
        assert_eq!(sum(&vec_of_tenths()).value(), 1e6 * f64::from(0.1f32));
    }

    fn vec_of_tenths() -> alloc::vec::Vec<f32> {
        alloc::vec![0.1; 1_000_000]
    }

    proptest! {
        /// Any order gives the same bits, and one value is its own sum.
        #[test]
        fn the_order_does_not_matter(values in prop::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 1..50)) {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            prop_assert_eq!(sum(&values), sum(&sorted));
            prop_assert_eq!(sum(&values[..1]).value(), f64::from(values[0]));
        }
    }
}
