//! From readings to the inputs of network and linear head: scaler, missing readings, normalizer, lags, exponential and
//! seasonal averages, calendar, future covariates.
//!
//! Nothing here is learned by gradient descent. The trainer runs this same code over its data, so network and linear
//! head read the same numbers in training and on the device. All memory lies in the caller's state slice. Every
//! number in it is an ordinary `f32`: saving and restoring the slice restores the preprocessor bit for bit.

mod averages;
mod bounds;
mod calendar;
mod covariates;
mod lags;
mod missing;
mod normalizer;
mod scaler;
mod seasonal;

#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::error::{Error, check_len};
use crate::slices::{at, copy, part, part_mut, row, row_mut, rows_mut, split_mut};
use averages::ExponentialAverages;
use bounds::Bounds;
use covariates::FutureCovariates;
use lags::Ring;
use normalizer::RunningStatistics;
pub use scaler::{Scaler, Z_LIMIT};
use seasonal::Seasonal;

/// Numbers in a patch are limited to this many standard deviations on both sides.
///
/// The network's selection multiplies a sample's effect on the state by functions of the same sample: a far larger
/// sample could overflow the state, or stay in it for very long. The linear head forgets; its inputs are limited by
/// [`Z_LIMIT`] alone.
pub const PATCH_LIMIT: f32 = 30.0;

/// The sample counter is stored as two digits to this base, each exact in an `f32`.
const COUNTER_BASE: u64 = 1 << 24;

/// One part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    len: usize,
}

impl Span {
    fn of<'s>(&self, state: &'s [f32]) -> &'s [f32] {
        part(state, self.start, self.len)
    }

    fn of_mut<'s>(&self, state: &'s mut [f32]) -> &'s mut [f32] {
        part_mut(state, self.start, self.len)
    }
}

/// The parts of the state, in their order. This is the only place that knows where a part lies.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// `[2]`: number of samples consumed.
    counter: Span,
    /// `[2]`: position of the newest time step within its day and its week.
    time: Span,
    /// `[M]`: last sample, scaled.
    last: Span,
    /// `[M]`: whether the variate was ever read, 0 or 1.
    seen: Span,
    /// `[M, 7 or 0]`: the normalizer's numbers.
    statistics: Span,
    /// `[samples, M]`: the ring of the last samples.
    lags: Span,
    /// `[M, 1 + 2 averages]`: exponential averages.
    averages: Span,
    /// `[M, rates, places]`: seasonal averages.
    seasonal: Span,
    /// `[K, 2 + H + 1 + B]`: future covariates.
    future: Span,
}

/// The parts of one state, to be changed.
struct Parts<'s> {
    counter: &'s mut [f32],
    time: &'s mut [f32],
    last: &'s mut [f32],
    seen: &'s mut [f32],
    statistics: &'s mut [f32],
    lags: &'s mut [f32],
    averages: &'s mut [f32],
    seasonal: &'s mut [f32],
    future: &'s mut [f32],
}

impl Layout {
    fn new(
        variates: usize,
        statistics: &RunningStatistics,
        ring: &Ring,
        averages: &ExponentialAverages,
        seasonal: &Seasonal,
        future: &FutureCovariates,
    ) -> Self {
        let mut start = 0;
        let mut part = |len| {
            let span = Span { start, len };
            start += len;
            span
        };
        Self {
            counter: part(2),
            time: part(2),
            last: part(variates),
            seen: part(variates),
            statistics: part(variates * statistics.width()),
            lags: part(ring.state_len()),
            averages: part(variates * averages.width()),
            seasonal: part(variates * seasonal.width()),
            future: part(future.state_len()),
        }
    }

    fn len(&self) -> usize {
        self.future.start + self.future.len
    }

    fn split<'s>(&self, state: &'s mut [f32]) -> Parts<'s> {
        let (counter, rest) = split_mut(state, self.counter.len);
        let (time, rest) = split_mut(rest, self.time.len);
        let (last, rest) = split_mut(rest, self.last.len);
        let (seen, rest) = split_mut(rest, self.seen.len);
        let (statistics, rest) = split_mut(rest, self.statistics.len);
        let (lags, rest) = split_mut(rest, self.lags.len);
        let (averages, rest) = split_mut(rest, self.averages.len);
        let (seasonal, future) = split_mut(rest, self.seasonal.len);
        Parts {
            counter,
            time,
            last,
            seen,
            statistics,
            lags,
            averages,
            seasonal,
            future,
        }
    }
}

/// The preprocessor of a model: where its parts lie in the state slice, and the arithmetic on them.
#[derive(Clone, Copy, Debug)]
pub struct Preprocessor<'a> {
    config: Config,
    scaler: Scaler<'a>,
    bounds: Bounds<'a>,
    statistics: RunningStatistics,
    ring: Ring,
    averages: ExponentialAverages,
    seasonal: Seasonal,
    future: FutureCovariates,
    layout: Layout,
}

impl<'a> Preprocessor<'a> {
    /// The preprocessor of a configuration.
    ///
    /// # Errors
    /// A fault of the configuration or the scaler.
    pub fn new(config: &Config, scaler: Scaler<'a>) -> Result<Self, Error> {
        config.validate()?;
        scaler.validate(config.variates)?;
        let statistics = RunningStatistics::new(config.normalizer);
        let ring = Ring::new(config.variates, config.ring_len());
        let averages = ExponentialAverages::new(config.averages);
        let seasonal = Seasonal::new(config.linear_head.season);
        let future = FutureCovariates::new(config);
        Ok(Self {
            config: *config,
            scaler,
            bounds: Bounds::default(),
            layout: Layout::new(config.variates, &statistics, &ring, &averages, &seasonal, &future),
            statistics,
            ring,
            averages,
            seasonal,
            future,
        })
    }

    /// The same preprocessor with the bounds `[M, `[`Config::bounds_len`]`]` of a bounded head; none: nothing is bounded.
    ///
    /// # Errors
    /// - [`Error::Length`] for another number of bounds.
    /// - [`Error::Config`] for a bound that is negative or not a number.
    pub fn with_bounds(self, bounds: &'a [f32]) -> Result<Self, Error> {
        let width = self.config.bounds_len();
        if !bounds.is_empty() {
            check_len("linear_head.bounds", bounds.len(), self.config.variates * width)?;
        }
        // Written so that NaN is refused.
        if !bounds.iter().all(|&bound| bound >= 0.0) {
            return Err(Error::Config {
                key: "linear_head.bounds",
                requirement: "without negative numbers",
            });
        }
        Ok(Self {
            bounds: Bounds::new(bounds, width),
            ..self
        })
    }

    /// The scaler that this preprocessor applies.
    #[must_use]
    pub fn scaler(&self) -> Scaler<'a> {
        self.scaler
    }

    /// Numbers in the state.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.layout.len()
    }

    /// Index of a variate among the future covariates, which are the last K variates of a time step.
    fn future_index(&self, variate: usize) -> Option<usize> {
        let k = (variate + self.future.count()).checked_sub(self.config.variates);
        k.filter(|&k| k < self.future.count())
    }

    /// Sets the next values of a future covariate; see [`crate::Model::set_future`].
    ///
    /// # Errors
    /// - [`Error::NotFutureCovariate`] for any other variate.
    /// - [`Error::Length`] when `state` has the wrong length, or for more than H + 1 values.
    pub fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Error> {
        check_len("preprocessor state", state.len(), self.state_len())?;
        let k = self.future_index(variate).ok_or(Error::NotFutureCovariate { variate })?;
        if values.len() > self.future.most() {
            check_len("future values", values.len(), self.future.most())?;
        }
        let scaled = values.iter().map(|&x| self.scaler.scaled(x, variate));
        self.future.set(self.layout.future.of_mut(state), k, scaled);
        Ok(())
    }

    /// Samples consumed since the state was zero.
    #[must_use]
    pub fn samples(&self, state: &[f32]) -> u64 {
        samples(self.layout.counter.of(state))
    }

    /// Consumes one time step: `[M]` readings in the sensors' units, not finite where missing. `time_ms` is its local time
    /// as in [`crate::Model::step`]; only the time of day and the day of the week are used. `state` has [`Preprocessor::state_len`] numbers,
    /// all zero at the start.
    ///
    /// # Errors
    /// [`Error::Length`] when a slice has the wrong length.
    pub fn push(&self, state: &mut [f32], readings: &[f32], time_ms: i64) -> Result<(), Error> {
        check_len("readings", readings.len(), self.config.variates)?;
        check_len("preprocessor state", state.len(), self.state_len())?;
        let parts = self.layout.split(state);
        let t = samples(parts.counter);
        let own = parts.last.iter_mut().zip(parts.seen);
        for (v, (&reading, (last, seen))) in readings.iter().zip(own).enumerate() {
            let k = self.future_index(v);
            let known = || k.and_then(|k| self.future.next(parts.future, k));
            let read = self.scaler.scaled(reading, v).or_else(known);
            let sample = missing::fill(read, last, seen, t);
            let numbers = row_mut(parts.statistics, v, self.statistics.width());
            if sample.counts {
                self.statistics.push(numbers, sample.z, sample.first);
            }
            let (mean, deviation) = self.statistics.statistics(numbers);
            self.ring.push(parts.lags, t, v, sample.z, sample.first);
            if read.is_some() {
                self.averages.push(row_mut(parts.averages, v, self.averages.width()), sample.z);
            }
            let averages = row_mut(parts.seasonal, v, self.seasonal.width());
            self.seasonal.push(averages, t, (sample.z - mean) / deviation, sample.first);
            if let Some(k) = k {
                self.future.advance(parts.future, k, sample.z);
            }
        }
        let t = t + 1;
        copy(&[(t % COUNTER_BASE) as f32, (t / COUNTER_BASE) as f32], parts.counter);
        calendar::store(parts.time, time_ms);
        Ok(())
    }

    /// Mean and deviation of the variate's normalizer at the newest sample, in units of z.
    #[must_use]
    pub fn statistics(&self, state: &[f32], variate: usize) -> (f32, f32) {
        let width = self.statistics.width();
        let numbers = self.layout.statistics.of(state);
        self.statistics.statistics(row(numbers, variate, width))
    }

    /// The variate's newest scaled sample z.
    #[must_use]
    pub fn newest(&self, state: &[f32], variate: usize) -> f32 {
        at(self.layout.last.of(state), variate)
    }

    /// What the linear head's forecast of a variate counts from, normalized with the statistics of now: the newest sample,
    /// or 0 for a head that is not relative.
    #[must_use]
    pub fn anchor(&self, state: &[f32], variate: usize) -> f32 {
        let (mean, deviation) = self.statistics(state, variate);
        match self.config.linear_head.relative {
            true => (self.newest(state, variate) - mean) / deviation,
            false => 0.0,
        }
    }

    /// Writes the patch vector of a variate: its last P samples, oldest first, and its exponential averages, normalized
    /// with the statistics of now; the calendar; the features of all future covariates. `out` has
    /// [`Config::patch_len`] numbers.
    pub fn patch(&self, state: &[f32], variate: usize, out: &mut [f32]) {
        let Some(network) = self.config.network else { return };
        let (own, rest) = split_mut(out, network.patch + self.config.averages_len(network.averages));
        let (calendar, future) = split_mut(rest, self.config.calendar_len(network.calendar));
        self.normalized(state, variate, network.patch, 0, own);
        self.bounds.hold(variate, own);
        calendar::read(self.config.calendar, self.layout.time.of(state), calendar);
        self.future.read(self.layout.future.of(state), future);
        for number in own.iter_mut().chain(future) {
            *number = number.clamp(-PATCH_LIMIT, PATCH_LIMIT);
        }
    }

    /// Writes the linear head's feature vector phi of a variate. `out` has [`Config::linear_head_features`] numbers:
    /// 1. its lags, oldest first, and its exponential averages;
    /// 2. its seasonal averages, rate by rate, the place visited longest ago first;
    /// 3. the other variates' last samples, variate by variate, oldest first;
    /// 4. the common features: of every variate the last samples, oldest first, and the exponential averages;
    /// 5. the calendar;
    /// 6. the features of all future covariates.
    pub fn features(&self, state: &[f32], variate: usize, out: &mut [f32]) {
        let (config, head) = (&self.config, &self.config.linear_head);
        let (own, rest) = split_mut(out, head.lags + config.averages_len(head.averages));
        let (season, rest) = split_mut(rest, self.seasonal.width());
        let (cross, rest) = split_mut(rest, (config.variates - 1) * head.cross_lags);
        let (common, rest) = split_mut(rest, config.variates * config.common_len());
        let (calendar, future) = split_mut(rest, config.calendar_len(head.calendar));
        let share = self.relative(state, variate, head.lags, own);
        let averages = row(self.layout.seasonal.of(state), variate, self.seasonal.width());
        let anchor = self.anchor(state, variate);
        self.seasonal.read(averages, self.samples(state), anchor, season);
        season.iter_mut().for_each(|average| *average = share * (*average - anchor));
        if head.cross_lags > 0 {
            let others = (0..self.config.variates).filter(|&other| other != variate);
            for (other, out) in others.zip(rows_mut(cross, head.cross_lags)) {
                self.relative(state, other, head.cross_lags, out);
            }
        }
        for (other, out) in rows_mut(common, config.common_len()).enumerate() {
            self.relative(state, other, head.common_lags, out);
        }
        calendar::read(config.calendar, self.layout.time.of(state), calendar);
        if head.future_covariates {
            self.future.read(self.layout.future.of(state), future);
        }
    }

    /// The last `lags` samples of a variate, oldest first, and its exponential averages in the rest of `out`, as the linear
    /// head reads them; returns the share in which their bounds let them through.
    fn relative(&self, state: &[f32], variate: usize, lags: usize, out: &mut [f32]) -> f32 {
        let anchor = self.anchor(state, variate);
        self.normalized(state, variate, lags, usize::from(self.config.linear_head.relative), out);
        out.iter_mut().for_each(|number| *number -= anchor);
        let (lags, averages) = split_mut(out, lags);
        let share = self.bounds.share(variate, lags, averages);
        out.iter_mut().for_each(|number| *number *= share);
        share
    }

    /// Raises the bounds of a variate, [`Config::bounds_len`] numbers, to what this time step has: what the trainer takes the
    /// bounds from. The preprocessor has none of its own. `scratch` has at least the length of the bounds and of all lags.
    pub fn raise_bounds(&self, state: &[f32], variate: usize, scratch: &mut [f32], bounds: &mut [f32]) {
        let head = &self.config.linear_head;
        let raise = |bound: &mut f32, number: &f32| *bound = bound.max(number.abs());
        let (single, averages) = split_mut(bounds, bounds::AVERAGES);
        let [sample, lags] = single else { return };
        raise(sample, &self.anchor(state, variate));
        let count = head.lags.max(head.common_lags).max(head.cross_lags);
        let (numbers, _) = split_mut(scratch, count + averages.len());
        self.relative(state, variate, count, numbers);
        let (last, own) = split_mut(numbers, count);
        last.iter().for_each(|lag| raise(lags, lag));
        averages.iter_mut().zip(own).for_each(|(bound, average)| raise(bound, average));
    }

    /// `lags` samples of a variate, oldest first, the last of them `back` samples old, and its exponential averages in the
    /// rest of `out`, normalized with the statistics of now.
    fn normalized(&self, state: &[f32], variate: usize, lags: usize, back: usize, out: &mut [f32]) {
        let (lags, averages) = split_mut(out, lags);
        let statistics = self.statistics(state, variate);
        self.ring
            .read(self.layout.lags.of(state), self.samples(state), variate, back, statistics, lags);
        let width = self.averages.width();
        let numbers = row(self.layout.averages.of(state), variate, width);
        self.averages.read(numbers, statistics, averages);
    }
}

/// The counter's value. A state from elsewhere may hold any numbers; the counter stays within its two digits.
fn samples(counter: &[f32]) -> u64 {
    let digit = |digit: f32| digit as u64 % COUNTER_BASE;
    digit(at(counter, 0)) + COUNTER_BASE * digit(at(counter, 1))
}
