//! The linear head: features of every target and their product with the head's matrices.

use tsm2_core::Config;

use crate::bounds::Bounds;
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
    let lags = bounds.map_or(lags, |bounds| Bounds::fold(graph, lags, bounds.lags));
    let averages = samples.averages.map(|averages| {
        let averages = relative(graph, averages);
        bounds.map_or(averages, |bounds| Bounds::fold(graph, averages, bounds.averages))
    });
    let end = ring - usize::from(head.relative);
    let last = |graph: &mut Graph, count: usize| graph.slice(lags, 1, end - count..end);

    let mut phi = Vec::new();
    if head.lags > 0 {
        let own = last(graph, head.lags);
        phi.push(graph.slice(own, 0, 0..targets));
    }
    if let Some(averages) = averages.filter(|_| head.averages) {
        phi.push(graph.slice(averages, 0, 0..targets));
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
        phi.push(bounds.map_or(season, |bounds| {
            let bound = graph.slice(bounds.season, 0, 0..targets);
            Bounds::fold(graph, season, bound)
        }));
        graph.enter("linear_head");
    }
    if head.cross_lags > 0 && m > 1 {
        let lags = last(graph, head.cross_lags);
        let others: Vec<i64> = (0..targets)
            .flat_map(|target| (0..m).filter(move |&other| other != target))
            .map(|other| other as i64)
            .collect();
        let others = graph.places(&[targets, m - 1], &others);
        let cross = graph.gather(lags, 0, others);
        phi.push(graph.reshape(cross, &[targets, (m - 1) * head.cross_lags]));
    }
    let common_lags = (head.common_lags > 0).then(|| last(graph, head.common_lags));
    let common: Vec<Value> = [common_lags, averages.filter(|_| head.common_averages)]
        .into_iter()
        .flatten()
        .collect();
    if !common.is_empty() {
        let common = graph.concat(1, &common);
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
