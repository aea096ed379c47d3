//! The bounds of what network and linear head read, from the tensor `linear_head.bounds`.

use tsm2_core::Config;

use crate::graph::{Graph, Value};
use crate::weights::Weights;

/// A smaller bound counts as this one.
const LEAST: f32 = 1e-9;

/// Bounds of every variate.
pub(crate) struct Bounds {
    /// `[M, 1]` each: of a sample in a patch, and of lags.
    pub sample: Value,
    pub lags: Value,
    /// `[M, a]`: of the exponential averages, where there are some.
    pub averages: Option<Value>,
}

impl Bounds {
    /// The bounds of a model that has them.
    pub fn of(graph: &mut Graph, config: &Config, weights: &Weights<'_>) -> Option<Self> {
        config.linear_head.bounded.then(|| {
            graph.enter("bounds");
            let bounds = weights.constant(graph, "linear_head.bounds");
            let end = config.bounds_len();
            let sample = graph.slice(bounds, 1, 0..1);
            let least = graph.float(LEAST);
            let bounds = graph.op("Max", &[bounds, least]);
            Self {
                sample,
                lags: graph.slice(bounds, 1, 1..2),
                averages: (end > 2).then(|| graph.slice(bounds, 1, 2..end)),
            }
        })
    }

    /// `x` held to -bound .. bound.
    pub fn hold(graph: &mut Graph, x: Value, bound: Value) -> Value {
        let least = graph.op("Neg", &[bound]);
        let x = graph.op("Max", &[x, least]);
        graph.op("Min", &[x, bound])
    }

    /// The share `[M, 1]` in which lags and averages are read: 1 within all bounds, 0 where one is beyond twice its bound.
    pub fn share(&self, graph: &mut Graph, lags: Option<Value>, averages: Option<Value>) -> Value {
        let pairs = [lags.map(|lags| (lags, self.lags)), averages.zip(self.averages)];
        let mut farthest = graph.float(1.0);
        for (numbers, bounds) in pairs.into_iter().flatten() {
            let size = graph.op("Abs", &[numbers]);
            let reach = graph.div(size, bounds);
            let reach = graph.largest(reach, 1);
            farthest = graph.op("Max", &[farthest, reach]);
        }
        let (two, one, zero) = (graph.float(2.0), graph.float(1.0), graph.float(0.0));
        let share = graph.div(two, farthest);
        let share = graph.sub(share, one);
        graph.op("Max", &[share, zero])
    }
}
