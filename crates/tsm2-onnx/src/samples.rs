//! From readings to samples: scaler, missing readings, normalizer, and the numbers that network and linear head read.
//!
//! The equations are those of `docs/reference/bundle.md`, sections 4 to 8. Every state begins with zeros.

use tsm2_core::{Averages, Config, Normalizer};

use crate::bounds::Bounds;
use crate::future::Future;
use crate::graph::{Graph, Value};
use crate::proto::DataType;
use crate::scaler::{is_finite, scale};
use crate::states::States;

/// Added to the normalizer's variance under the root.
const VARIANCE_EPS: f64 = 1e-4;

/// Readings that an exponential average counts.
const MOST_READINGS: f32 = (1 << 24) as f32;

/// The samples of one time step and what the state remembers of earlier ones.
pub(crate) struct Samples {
    /// `[M, 1]`: the newest sample z.
    pub newest: Value,
    /// `[M, 1]`: whether the sample is the variate's first reading.
    pub first: Value,
    /// `[M, 1]` each: the normalizer's mean and deviation; `None`: 0 and 1.
    pub statistics: Option<(Value, Value)>,
    /// `[M, ring]`: the last samples, oldest first, normalized.
    pub lags: Value,
    /// Columns of `lags`.
    pub ring: usize,
    /// `[M, a]`: exponential averages, normalized.
    pub averages: Option<Value>,
    /// `[1, K b]`: the features of all future covariates.
    pub future: Option<Value>,
    /// What network and linear head hold these numbers to; `None` from [`Samples::build`].
    pub bounds: Option<Bounds>,
}

impl Samples {
    /// The part of the graph from `readings` `[M]` to the samples.
    pub fn build(graph: &mut Graph, states: &mut States, config: &Config, scaler: (&[f32], &[f32]), readings: Value) -> Self {
        let m = config.variates;
        graph.enter("samples");
        let scaled = scale(graph, &[m], scaler, readings);
        let finite = is_finite(graph, readings);
        let future = Future::build(graph, states, config, scaler);
        let (read, value) = match &future {
            None => (finite, scaled),
            Some(future) => {
                let value = graph.select(finite, scaled, future.next);
                (graph.op("Or", &[finite, future.is_known]), value)
            }
        };
        let last = states.input(graph, "last", &[m]);
        let seen = states.input(graph, "seen", &[m]);
        let newest = graph.select(read, value, last);
        let unseen = unset(graph, seen);
        let first = graph.op("And", &[read, unseen]);
        let counts = graph.op("Or", &[read, unseen]);
        let read_number = graph.cast(read, DataType::Float);
        let seen = graph.op("Max", &[seen, read_number]);
        states.output("last", newest);
        states.output("seen", seen);

        let statistics = normalizer(graph, states, config, newest, first, counts);
        let column = |graph: &mut Graph, x| graph.reshape(x, &[m, 1]);
        let (newest, first, read) = (column(graph, newest), column(graph, first), column(graph, read));
        let (lags, ring) = lags(graph, states, config, newest, first);
        let averages = config
            .averages
            .map(|averages| exponential_averages(graph, states, m, averages, newest, read));
        let mut samples = Self {
            newest,
            first,
            statistics,
            lags,
            ring,
            averages,
            future: None,
            bounds: None,
        };
        samples.lags = samples.normalized(graph, lags);
        samples.averages = averages.map(|averages| samples.normalized(graph, averages));
        samples.future = future.map(|future| future.advance(graph, states, newest));
        samples
    }

    /// `x` `[M, ..]` with the normalizer's mean and deviation of now.
    pub fn normalized(&self, graph: &mut Graph, x: Value) -> Value {
        match self.statistics {
            None => x,
            Some((mean, deviation)) => {
                let centred = graph.sub(x, mean);
                graph.div(centred, deviation)
            }
        }
    }
}

/// Whether flags of 0 and 1 are 0.
fn unset(graph: &mut Graph, flags: Value) -> Value {
    let half = graph.float(0.5);
    graph.op("Less", &[flags, half])
}

/// The exponential normalizer after the newest sample: mean and deviation `[M, 1]`. All in double precision, as pairs of
/// a high and a low part in the state `[6, M]`: mean, variance, weight.
fn normalizer(
    graph: &mut Graph,
    states: &mut States,
    config: &Config,
    newest: Value,
    first: Value,
    counts: Value,
) -> Option<(Value, Value)> {
    let Normalizer::Exponential { half_life } = config.normalizer else {
        return None;
    };
    graph.enter("normalizer");
    let m = config.variates;
    let state = states.input(graph, "normalizer", &[6, m]);
    let before = join(graph, state, 3);
    let [mean, variance, weight] = graph.split(before, 0, [1, 1, 1]);
    let z = graph.cast(newest, DataType::Double);
    let double = |graph: &mut Graph, number| graph.doubles(&[], &[number]);
    let (zero, one) = (double(graph, 0.0), double(graph, 1.0));
    let mean = graph.select(first, z, mean);
    let variance = graph.select(first, zero, variance);
    let decay = double(graph, (-1.0 / f64::from(half_life)).exp2());
    let weight = graph.mul(weight, decay);
    let weight = graph.add(weight, one);
    let share = graph.div(one, weight);
    let delta = graph.sub(z, mean);
    let step = graph.mul(share, delta);
    let mean = graph.add(mean, step);
    let spread = graph.mul(step, delta);
    let variance = graph.add(variance, spread);
    let rest = graph.sub(one, share);
    let variance = graph.mul(rest, variance);
    let after = graph.concat(0, &[mean, variance, weight]);
    let after = graph.select(counts, after, before);
    let state = parts(graph, 0, after);
    states.output("normalizer", state);
    let [mean, variance, _] = graph.split(after, 0, [1, 1, 1]);
    let eps = double(graph, VARIANCE_EPS);
    let variance = graph.add(variance, eps);
    let deviation = graph.op("Sqrt", &[variance]);
    let mut column = |x| {
        let single = graph.cast(x, DataType::Float);
        graph.reshape(single, &[m, 1])
    };
    Some((column(mean), column(deviation)))
}

/// Numbers in double precision out of a state whose first dimension holds `half` high parts and then as many low ones.
fn join(graph: &mut Graph, state: Value, half: usize) -> Value {
    let [high, low] = graph.split(state, 0, [half, half]);
    let (high, low) = (graph.cast(high, DataType::Double), graph.cast(low, DataType::Double));
    graph.add(high, low)
}

/// High and low parts of numbers in double precision, one after the other along `axis`.
fn parts(graph: &mut Graph, axis: usize, numbers: Value) -> Value {
    let high = graph.cast(numbers, DataType::Float);
    let rounded = graph.cast(high, DataType::Double);
    let rest = graph.sub(numbers, rounded);
    let low = graph.cast(rest, DataType::Float);
    graph.concat(axis, &[high, low])
}

/// The last samples `[M, ring]`, oldest first; a first reading stands for all the past.
fn lags(graph: &mut Graph, states: &mut States, config: &Config, newest: Value, first: Value) -> (Value, usize) {
    graph.enter("lags");
    let head = &config.linear_head;
    let longest = head.lags.max(head.cross_lags).max(head.common_lags) + usize::from(head.relative);
    let ring = config.network.map_or(1, |network| network.patch).max(longest);
    if ring == 1 {
        return (newest, ring);
    }
    let past = states.input(graph, "lags", &[config.variates, ring - 1]);
    let past = graph.select(first, newest, past);
    let lags = graph.concat(1, &[past, newest]);
    let kept = graph.slice(lags, 1, 1..ring);
    states.output("lags", kept);
    (lags, ring)
}

/// The exponential averages `[M, a]` of the samples that were read, as they are in double precision.
fn exponential_averages(graph: &mut Graph, states: &mut States, m: usize, averages: Averages, newest: Value, read: Value) -> Value {
    graph.enter("averages");
    let count = states.input(graph, "average_readings", &[m, 1]);
    let state = states.input(graph, "averages", &[2 * m, averages.count]);
    let before = join(graph, state, m);
    let (one, most) = (graph.float(1.0), graph.float(MOST_READINGS));
    let next = graph.add(count, one);
    let next = graph.op("Min", &[next, most]);
    let count = graph.select(read, next, count);
    states.output("average_readings", count);

    let shares: Vec<f64> = averages.half_lives().map(|half_life| 1.0 - (-1.0 / half_life).exp2()).collect();
    let shares = graph.doubles(&[1, shares.len()], &shares);
    let one = graph.doubles(&[], &[1.0]);
    let next = graph.cast(next, DataType::Double);
    let least = graph.div(one, next);
    let share = graph.op("Max", &[shares, least]);
    let z = graph.cast(newest, DataType::Double);
    let delta = graph.sub(z, before);
    let step = graph.mul(share, delta);
    let after = graph.add(before, step);
    let after = graph.select(read, after, before);
    let state = parts(graph, 0, after);
    states.output("averages", state);
    graph.cast(after, DataType::Float)
}
