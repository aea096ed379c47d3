//! Future covariates: the input `future` `[K, H + 1]` and what the state keeps of it.
//!
//! - A row of `future` holds the values of this time step and of the H steps after it, in the sensors' units. A row of
//!   NaN alone sets nothing: the values set before move up. Any other row replaces them; numbers that are not finite are
//!   unknown, so a row with infinity alone makes all values unknown.
//! - State: `future_values`, scaled, and `future_known`, 0 or 1; both begin with the next time step.

use tsm2_core::{Config, future_bands};

use crate::graph::{Graph, Value};
use crate::proto::DataType;
use crate::scaler::{is_finite, scale};
use crate::states::States;

/// The future covariates of a graph, before the time step is read.
pub(crate) struct Future {
    /// `[M]`: the known values of this time step, scaled; 0 for other variates.
    pub next: Value,
    /// `[M]`: whether they are known.
    pub is_known: Value,
    /// `[K, H + 1]`: every value, or the last known one before it.
    values: Value,
    /// `[K, H + 1]`, 0 or 1: whether `values` holds a number at all.
    is_filled: Value,
    /// `[K, H + 1]`, 0 or 1: from the first to the last known value.
    is_within: Value,
    /// `[K, 1]`: the number of the last known value, counted from 1.
    last: Value,
    /// M, K and H.
    sizes: (usize, usize, usize),
}

impl Future {
    /// Input and state; `None` for a model without future covariates.
    pub fn build(graph: &mut Graph, states: &mut States, config: &Config, (mean, std): (&[f32], &[f32])) -> Option<Self> {
        let (m, k, h) = (config.variates, config.future_covariates, config.horizon);
        if k == 0 {
            return None;
        }
        graph.enter("future");
        let shape = [k, h + 1];
        let input = graph.input("future", DataType::Float, &shape);
        let values = states.input(graph, "future_values", &shape);
        let known = states.input(graph, "future_known", &shape);

        let is_missing = graph.op("IsNaN", &[input]);
        let is_missing = graph.cast(is_missing, DataType::Float);
        let missing = graph.sum(is_missing, 1);
        let most = graph.float(h as f32 + 0.5);
        let is_set = graph.op("Less", &[missing, most]);
        let is_set = graph.reshape(is_set, &[k, 1]);
        let scaled = scale(graph, &[k, 1], (&mean[m - k..], &std[m - k..]), input);
        let finite = is_finite(graph, input);
        let zero = graph.float(0.0);
        let scaled = graph.select(finite, scaled, zero);
        let values = graph.select(is_set, scaled, values);
        let finite = graph.cast(finite, DataType::Float);
        let known = graph.select(is_set, finite, known);

        let (values, is_filled) = forward_fill(graph, values, known, shape);
        let numbers: Vec<f32> = (1..=h + 1).map(|i| i as f32).collect();
        let numbers = graph.floats(&[h + 1], &numbers);
        let places = graph.mul(known, numbers);
        let last = graph.largest(places, 1);
        let is_before = graph.op("LessOrEqual", &[numbers, last]);
        let is_before = graph.cast(is_before, DataType::Float);
        let is_within = graph.mul(is_filled, is_before);

        let of_all = |graph: &mut Graph, x| {
            let next = graph.slice(x, 1, 0..1);
            let next = graph.reshape(next, &[k]);
            let others = graph.floats(&[m - k], &vec![0.0; m - k]);
            graph.concat(0, &[others, next])
        };
        let next = of_all(graph, values);
        let is_known = of_all(graph, is_within);
        let half = graph.float(0.5);
        let is_known = graph.op("Greater", &[is_known, half]);
        Some(Self {
            next,
            is_known,
            values,
            is_filled,
            is_within,
            last,
            sizes: (m, k, h),
        })
    }

    /// Moves the values up and returns the features `[1, K b]`; `newest` `[M, 1]` are the samples of this time step.
    pub fn advance(self, graph: &mut Graph, states: &mut States, newest: Value) -> Value {
        graph.enter("future");
        let (m, k, h) = self.sizes;
        let ahead = |graph: &mut Graph, x| graph.slice(x, 1, 1..h + 1);
        let (values, is_filled, is_within) = (
            ahead(graph, self.values),
            ahead(graph, self.is_filled),
            ahead(graph, self.is_within),
        );
        let none = graph.floats(&[k, 1], &vec![0.0; k]);
        let kept = graph.concat(1, &[values, none]);
        states.output("future_values", kept);
        let kept = graph.concat(1, &[is_within, none]);
        states.output("future_known", kept);

        let now = graph.slice(newest, 0, m - k..m);
        let difference = graph.sub(values, now);
        let (zero, half, one) = (graph.float(0.0), graph.float(0.5), graph.float(1.5));
        let is_filled = graph.op("Greater", &[is_filled, half]);
        let is_any = graph.op("Greater", &[self.last, one]);
        let is_told = graph.op("And", &[is_filled, is_any]);
        let difference = graph.select(is_told, difference, zero);
        let bands: Vec<_> = future_bands(h).collect();
        let share = |step: usize, band: &std::ops::Range<usize>| if band.contains(&step) { 1.0 / band.len() as f32 } else { 0.0 };
        let shares: Vec<f32> = (0..h).flat_map(|step| bands.iter().map(move |band| share(step, band))).collect();
        let shares = graph.floats(&[h, bands.len()], &shares);
        let features = graph.op("MatMul", &[difference, shares]);
        graph.reshape(features, &[1, k * bands.len()])
    }
}

/// Fills what is not known with the known value before it, in log2(columns) rounds; also returns where there is one.
fn forward_fill(graph: &mut Graph, mut values: Value, mut known: Value, [rows, columns]: [usize; 2]) -> (Value, Value) {
    let half = graph.float(0.5);
    let mut distance = 1;
    while distance < columns {
        let none = graph.floats(&[rows, distance], &vec![0.0; rows * distance]);
        let mut before = |x| {
            let moved = graph.slice(x, 1, 0..columns - distance);
            graph.concat(1, &[none, moved])
        };
        let (value_before, known_before) = (before(values), before(known));
        let is_known = graph.op("Greater", &[known, half]);
        values = graph.select(is_known, values, value_before);
        known = graph.op("Max", &[known, known_before]);
        distance *= 2;
    }
    (values, known)
}
