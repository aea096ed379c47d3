//! The bounds of what network and linear head read, from the tensor `linear_head.bounds`.

use tsm2_core::Config;

use crate::graph::{Graph, Value};
use crate::weights::Weights;

/// Bounds of every variate.
pub(crate) struct Bounds {
    /// `[M, 1]` each: of a sample in a patch, of lags, of the seasonal averages.
    pub sample: Value,
    pub lags: Value,
    pub season: Value,
    /// `[M, a]`: of the exponential averages.
    pub averages: Value,
}

impl Bounds {
    /// The bounds of a model that has them.
    pub fn of(graph: &mut Graph, config: &Config, weights: &Weights<'_>) -> Option<Self> {
        config.linear_head.bounded.then(|| {
            graph.enter("bounds");
            let bounds = weights.constant(graph, "linear_head.bounds");
            let mut columns = |from: usize, to: usize| graph.slice(bounds, 1, from..to);
            let end = config.bounds_len();
            Self {
                sample: columns(0, 1),
                lags: columns(1, 2),
                season: columns(2, 3),
                // Without averages nothing reads this.
                averages: columns(3.min(end - 1), end),
            }
        })
    }

    /// `x` held to -bound .. bound.
    pub fn hold(graph: &mut Graph, x: Value, bound: Value) -> Value {
        let least = graph.op("Neg", &[bound]);
        let x = graph.op("Max", &[x, least]);
        graph.op("Min", &[x, bound])
    }

    /// `x` within its bound, turned back beyond, 0 from twice the bound on.
    pub fn fold(graph: &mut Graph, x: Value, bound: Value) -> Value {
        let kept = Self::hold(graph, x, bound);
        let beyond = graph.sub(x, kept);
        let beyond = Self::hold(graph, beyond, bound);
        graph.sub(kept, beyond)
    }
}
