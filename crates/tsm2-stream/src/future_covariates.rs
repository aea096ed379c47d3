//! Future covariates: values of variates that are known in advance, such as a schedule or a weather
//! forecast.
//!
//! - A value holds from the time of its point until the next point. Nothing is known before the
//!   first point, and nothing after the time bin of the last one.
//! - A point belongs to the nearest time bin, as a reading does.
//!
//! Invariants: the times of a covariate increase; of the points that are over only the one in force
//! is kept.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

/// Known future values of one variate. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FutureCovariate {
    /// Milliseconds since 1970-01-01 UTC and the value from then on, NaN where it is not known.
    points: Vec<(i64, f32)>,
}

/// The future covariates of one stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FutureCovariates {
    /// Index of the first in a time step.
    first: usize,
    /// Empty where nothing is known.
    all: Vec<FutureCovariate>,
}

impl FutureCovariates {
    /// The last `count` of `variates`, of which nothing is known.
    pub(crate) fn new(variates: usize, count: usize) -> Self {
        FutureCovariates {
            first: variates - count,
            all: vec![FutureCovariate::default(); count],
        }
    }

    /// All of them, in the order of the time step.
    pub(crate) fn all(&self) -> &[FutureCovariate] {
        &self.all
    }

    /// Takes over what was saved; false where it does not fit or breaks an invariant.
    pub(crate) fn resume(&mut self, saved: Vec<FutureCovariate>) -> bool {
        let fits = saved.len() == self.all.len() && saved.iter().all(FutureCovariate::is_valid);
        if fits {
            self.all = saved;
        }
        fits
    }

    /// Replaces the values of a variate of a time step; without effect for one that is no future
    /// covariate.
    pub(crate) fn set(&mut self, variate: usize, values: FutureCovariate) {
        if let Some(place) = variate.checked_sub(self.first).and_then(|k| self.all.get_mut(k)) {
            *place = values;
        }
    }

    /// Calls `set_future` with the values of each variate at `time_ms` and in the H steps after it,
    /// and drops what is over.
    ///
    /// Every step sends them again, so the model knows as much as they do however long ago they
    /// came. A variate without future values keeps what the model's state holds. `values` is
    /// working memory of shape `[H + 1]`; `expired` receives the variates whose last value is over.
    pub(crate) fn advance<E>(
        &mut self,
        (time_ms, interval_ms): (i64, i64),
        values: &mut [f32],
        mut set_future: impl FnMut(usize, &[f32]) -> Result<(), E>,
        mut expired: impl FnMut(usize),
    ) -> Result<(), E> {
        for (variate, covariate) in (self.first..).zip(&mut self.all).filter(|(_, covariate)| !covariate.is_empty()) {
            covariate.values(time_ms, interval_ms, values);
            set_future(variate, values)?;
            if covariate.pass(time_ms, interval_ms) {
                expired(variate);
            }
        }
        Ok(())
    }
}

impl FutureCovariate {
    /// The values of these points, in any order: a time in milliseconds since 1970-01-01 UTC and
    /// the value from then on, NaN where it is not known. Of several points of one time the last
    /// one given counts.
    ///
    /// ```
    /// # use tsm2_stream::FutureCovariate;
    /// // The set point is 21 until 10 minutes past, and 17 from then on.
    /// let set_point = FutureCovariate::new(vec![(0, 21.0), (600_000, 17.0)]);
    /// let mut values = [0.0; 4];
    /// set_point.values(480_000, 60_000, &mut values);
    /// assert_eq!(values[..3], [21.0, 21.0, 17.0]);
    /// assert!(values[3].is_nan()); // nothing is known after the last point
    /// ```
    pub fn new(mut points: Vec<(i64, f32)>) -> Self {
        points.sort_by_key(|point| point.0);
        points.reverse();
        points.dedup_by_key(|point| point.0);
        points.reverse();
        FutureCovariate { points }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Forgets what is over in the time bin at `time_ms`; returns whether the last point is over.
    pub fn pass(&mut self, time_ms: i64, interval_ms: i64) -> bool {
        let begun = self.begun(time_ms, interval_ms);
        let is_over = begun > 0 && begun == self.points.len() && !self.is_at(begun - 1, time_ms, interval_ms);
        let over = if is_over { begun } else { begun.saturating_sub(1) };
        self.points.drain(..over.min(self.points.len()));
        is_over
    }

    /// The values in the time bin at `time_ms` and in the bins after it, as many as `out` has; NaN
    /// where nothing is known.
    pub fn values(&self, time_ms: i64, interval_ms: i64, out: &mut [f32]) {
        let mut begun = self.begun(time_ms, interval_ms);
        let mut bin_ms = time_ms;
        for out in out {
            begun += self
                .points
                .iter()
                .skip(begun)
                .take_while(|point| is_begun(point.0, bin_ms, interval_ms))
                .count();
            *out = match begun.checked_sub(1) {
                Some(last) if begun < self.points.len() || self.is_at(last, bin_ms, interval_ms) => {
                    self.points.get(last).map_or(f32::NAN, |point| point.1)
                }
                _ => f32::NAN,
            };
            bin_ms = bin_ms.saturating_add(interval_ms);
        }
    }

    /// Whether the times increase.
    fn is_valid(&self) -> bool {
        self.points.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }

    /// How many points have begun in the bin at `time_ms`.
    fn begun(&self, time_ms: i64, interval_ms: i64) -> usize {
        self.points.partition_point(|point| is_begun(point.0, time_ms, interval_ms))
    }

    /// Whether a point belongs to the bin at `time_ms`, or to one after it.
    fn is_at(&self, point: usize, time_ms: i64, interval_ms: i64) -> bool {
        let point = self.points.get(point);
        point.is_some_and(|point| !is_begun(point.0, time_ms.saturating_sub(interval_ms), interval_ms))
    }
}

/// Whether the value from `point_ms` on holds in the bin at `bin_ms`, as a reading of that time
/// would belong to this bin or to one before.
fn is_begun(point_ms: i64, bin_ms: i64, interval_ms: i64) -> bool {
    // Half an interval, the middle belonging to the later bin, as in the resampler.
    point_ms < bin_ms.saturating_add(interval_ms - interval_ms / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(covariate: &FutureCovariate, time_ms: i64) -> Vec<f32> {
        let mut out = vec![0.0; 5];
        covariate.values(time_ms, 10, &mut out);
        out.iter().map(|x| if x.is_nan() { -1.0 } else { *x }).collect()
    }

    #[test]
    fn a_value_holds_until_the_next_and_nothing_is_known_before_the_first_and_after_the_last() {
        let covariate = FutureCovariate::new(vec![(40, 4.0), (20, 2.0)]);
        assert_eq!(values(&covariate, 0), [-1.0, -1.0, 2.0, 2.0, 4.0]);
        assert_eq!(values(&covariate, 20), [2.0, 2.0, 4.0, -1.0, -1.0]);
        assert_eq!(values(&covariate, 50), [-1.0; 5]);
        assert_eq!(values(&FutureCovariate::default(), 0), [-1.0; 5]);
        // As a reading: of the nearest bin, the middle being of the later one.
        let near = FutureCovariate::new(vec![(14, 1.0), (25, 2.0)]);
        assert_eq!(values(&near, 0), [-1.0, 1.0, 1.0, 2.0, -1.0]);
    }

    #[test]
    fn of_several_points_at_one_time_the_last_given_counts_and_nan_is_unknown() {
        let covariate = FutureCovariate::new(vec![(0, 1.0), (20, f32::NAN), (0, 3.0), (30, 5.0)]);
        assert_eq!(values(&covariate, 0), [3.0, 3.0, -1.0, 5.0, -1.0]);
    }

    #[test]
    fn what_is_over_is_forgotten_and_its_end_is_reported_once() {
        let mut covariate = FutureCovariate::new(vec![(0, 1.0), (20, 2.0), (40, 4.0)]);
        for time_ms in [0, 10, 20, 30, 40] {
            let before = values(&covariate, time_ms);
            assert!(!covariate.pass(time_ms, 10), "{time_ms}");
            assert_eq!(values(&covariate, time_ms), before);
        }
        assert_eq!(covariate.points.len(), 1);
        assert!(covariate.pass(50, 10) && covariate.is_empty() && !covariate.pass(60, 10));
    }

    #[test]
    fn saved_values_are_restored_unless_their_times_do_not_increase() {
        let covariate = FutureCovariate::new(vec![(i64::MIN, 1.0), (7, -0.5), (i64::MAX, 2.0)]);
        let mut all = FutureCovariates::new(3, 1);
        let bytes = postcard::to_allocvec(&vec![&covariate]).unwrap();
        assert!(all.resume(postcard::from_bytes(&bytes).unwrap()));
        assert_eq!(all.all(), core::slice::from_ref(&covariate));
        let unordered = FutureCovariate {
            points: vec![(7, 1.0), (7, 2.0)],
        };
        for misfit in [vec![unordered], vec![], vec![covariate.clone(), covariate.clone()]] {
            assert!(!all.resume(misfit));
        }
        // Times of any size are harmless.
        values(&covariate, i64::MAX);
        values(&covariate, i64::MIN);
    }
}
