//! The linear head: features of every target and their product with the head's matrices.

use tsm2_core::Config;

use crate::graph::{Graph, Value};
use crate::samples::Samples;
use crate::seasonal;
use crate::states::States;
use crate::weights::Weights;

/// What the linear head gives.
pub(crate) struct LinearForecast {
    /// `[F, H]`; `None`: the model has no linear head.
    pub forecast: Option<Value>,
    /// `[F, 1]`: what the model's forecast counts from; `None`: 0.
    pub anchor: Option<Value>,
}

/// Builds the head; `calendar` `[1, c]` is there if the head reads it.
pub(crate) fn build(
    graph: &mut Graph,
    states: &mut States,
    config: &Config,
    weights: &Weights<'_>,
    samples: &Samples,
    calendar: Option<Value>,
) -> LinearForecast {
    let head = &config.linear_head;
    let bounds = samples.bounds.as_ref();
    graph.enter("linear_head");
    let (m, targets, features) = (config.variates, config.targets(), config.linear_head_features());
    let ring = samples.ring;
    let anchors = head.relative.then(|| graph.slice(samples.lags, 1, ring - 1..ring));
    let anchor = anchors.map(|anchors| graph.slice(anchors, 0, 0..targets));
    if features == 0 {
        return LinearForecast { forecast: None, anchor };
    }
    let relative = |graph: &mut Graph, x| match anchors {
        None => x,
        Some(anchors) => graph.sub(x, anchors),
    };
    let lags = relative(graph, samples.lags);
    let averages = samples.averages.map(|averages| relative(graph, averages));
    let end = ring - usize::from(head.relative);
    let last = |graph: &mut Graph, count: usize| graph.slice(lags, 1, end - count..end);

    // Numbers of a variate that are read together, in the share that their bounds let through.
    let group = |graph: &mut Graph, lags: usize, averages: Option<Value>| {
        let lags = (lags > 0).then(|| last(graph, lags));
        let share = bounds.map(|bounds| bounds.share(graph, lags, averages));
        let numbers: Vec<Value> = [lags, averages].into_iter().flatten().collect();
        let numbers = (!numbers.is_empty()).then(|| graph.concat(1, &numbers));
        (
            numbers.map(|numbers| share.map_or(numbers, |share| graph.mul(numbers, share))),
            share,
        )
    };

    let mut phi = Vec::new();
    let (own, share) = group(graph, head.lags, averages.filter(|_| head.averages));
    if let Some(own) = own {
        phi.push(graph.slice(own, 0, 0..targets));
    }
    if let Some(season) = head.season {
        let [sample, first] = [samples.newest, samples.first].map(|x| graph.slice(x, 0, 0..targets));
        let sample = match samples.statistics {
            None => sample,
            Some(_) => {
                let newest = graph.slice(samples.lags, 1, ring - 1..ring);
                graph.slice(newest, 0, 0..targets)
            }
        };
        let season = seasonal::build(graph, states, (season, targets), (sample, first), anchor);
        phi.push(share.map_or(season, |share| {
            let share = graph.slice(share, 0, 0..targets);
            graph.mul(season, share)
        }));
        graph.enter("linear_head");
    }
    if head.cross_lags > 0 && m > 1 {
        let others: Vec<i64> = (0..targets)
            .flat_map(|target| (0..m).filter(move |&other| other != target))
            .map(|other| other as i64)
            .collect();
        let others = graph.places(&[targets, m - 1], &others);
        let (lags, _) = group(graph, head.cross_lags, None);
        if let Some(lags) = lags {
            let cross = graph.gather(lags, 0, others);
            phi.push(graph.reshape(cross, &[targets, (m - 1) * head.cross_lags]));
        }
    }
    let (common, _) = group(graph, head.common_lags, averages.filter(|_| head.common_averages));
    if let Some(common) = common {
        let len = m * config.common_len();
        let common = graph.reshape(common, &[1, len]);
        phi.push(graph.repeat(common, targets));
    }
    if let Some(calendar) = calendar.filter(|_| head.calendar) {
        phi.push(graph.repeat(calendar, targets));
    }
    if let Some(future) = samples.future.filter(|_| head.future_covariates) {
        phi.push(graph.repeat(future, targets));
    }
    let phi = graph.concat(1, &phi);
    let own = head.per_variate;
    let forecast = match head.rank {
        0 => weights.apply(graph, "linear_head.weight", (phi, targets), own),
        _ => {
            let projected = weights.apply(graph, "linear_head.feature.weight", (phi, targets), false);
            let mixed = weights.apply(graph, "linear_head.core.weight", (projected, targets), own);
            weights.apply(graph, "linear_head.step.weight", (mixed, targets), false)
        }
    };
    LinearForecast {
        forecast: Some(forecast),
        anchor,
    }
}
