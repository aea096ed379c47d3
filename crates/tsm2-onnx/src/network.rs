//! The network: embedding, layers with weighted averaging, head.

use tsm2_core::{Config, Head, NetworkConfig, PATCH_LIMIT};

use crate::bounds::Bounds;
use crate::graph::{Graph, Value};
use crate::mixers::{norm, time_mixer, variate_mlp, variate_scan};
use crate::samples::Samples;
use crate::states::States;
use crate::weights::Weights;

/// The network's forecast `[F, H]`, normalized; `calendar` `[1, c]` is there if patches contain it.
pub(crate) fn build(
    graph: &mut Graph,
    states: &mut States,
    config: &Config,
    network: &NetworkConfig,
    weights: &Weights<'_>,
    samples: &Samples,
    calendar: Option<Value>,
) -> Value {
    let (m, d) = (config.variates, network.d_model);
    let patch = patch(graph, config, network, samples, calendar);
    let embed = weights.matrix(graph, "embed.weight");
    let bias = weights.plain("embed.bias");
    let variates = weights.plain("embed.variate");
    let offsets: Vec<f32> = variates
        .chunks_exact(d)
        .flat_map(|row| row.iter().zip(bias).map(|(e, b)| e + b))
        .collect();
    let offsets = graph.floats(&[m, d], &offsets);
    let embedded = graph.linear(patch, embed, Some(offsets));

    // The outputs of the embedding and of every layer's two mixers.
    let mut done = vec![(embedded, embedded)];
    for layer in 0..network.layers {
        let coefficients = |leaf: &str| weights.plain(&format!("layers.{layer}.average.{leaf}"));
        let (alpha, beta, theta, gamma) = (
            coefficients("alpha"),
            coefficients("beta"),
            coefficients("theta"),
            coefficients("gamma"),
        );
        graph.enter(format!("layers.{layer}.average"));
        let x = average(graph, done.iter().zip(alpha.iter().zip(beta)), None);
        let time = time_mixer(graph, states, weights, layer, &network.time_mixer, (x, m));
        graph.enter(format!("layers.{layer}.average"));
        let newest = Some((time, theta[layer + 1]));
        let x = average(graph, done.iter().zip(theta.iter().zip(gamma)), newest);
        done.push((time, mix_variates(graph, weights, config, network, layer, x)));
    }
    let (_, features) = done[network.layers];
    graph.enter("head");
    let targets = config.targets();
    let features = graph.slice(features, 0, 0..targets);
    let own = network.head == Head::PerVariate;
    let forecast = weights.apply(graph, "head.weight", (features, targets), own);
    let bias = weights.constant(graph, "head.bias");
    graph.add(forecast, bias)
}

/// The patches `[M, patch_len]`.
fn patch(graph: &mut Graph, config: &Config, network: &NetworkConfig, samples: &Samples, calendar: Option<Value>) -> Value {
    graph.enter("embed");
    let m = config.variates;
    let mut parts = vec![graph.slice(samples.lags, 1, samples.ring - network.patch..samples.ring)];
    parts.extend(samples.averages.filter(|_| network.averages));
    if let Some(bounds) = &samples.bounds {
        parts = parts.into_iter().map(|part| Bounds::hold(graph, part, bounds.sample)).collect();
    }
    if let Some(calendar) = calendar.filter(|_| network.calendar) {
        parts.push(graph.repeat(calendar, m));
    }
    if let Some(future) = samples.future {
        parts.push(graph.repeat(future, m));
    }
    // The calendar lies far inside the limit.
    let patch = graph.concat(1, &parts);
    graph.clamp(patch, PATCH_LIMIT)
}

/// The sum of earlier outputs with their coefficients, and of one more.
fn average<'v>(
    graph: &mut Graph,
    done: impl Iterator<Item = (&'v (Value, Value), (&'v f32, &'v f32))>,
    newest: Option<(Value, f32)>,
) -> Value {
    let mut sum = None;
    let terms = done.flat_map(|(&(time, variate), (&of_time, &of_variate))| match time == variate {
        true => vec![(time, of_time + of_variate)],
        false => vec![(time, of_time), (variate, of_variate)],
    });
    for (value, coefficient) in terms.chain(newest) {
        let coefficient = graph.float(coefficient);
        let term = graph.mul(value, coefficient);
        sum = Some(sum.map_or(term, |sum| graph.add(sum, term)));
    }
    sum.expect("the embedding is always among the outputs")
}

/// The variate mixer of a layer.
fn mix_variates(graph: &mut Graph, weights: &Weights<'_>, config: &Config, network: &NetworkConfig, layer: usize, x: Value) -> Value {
    let (scan, mlp) = (network.variate_mixer.s6(), network.variate_mixer.mlp());
    if scan.is_none() && mlp.is_none() {
        return x;
    }
    let prefix = format!("layers.{layer}.variate");
    graph.enter(prefix.as_str());
    let xn = norm(graph, weights, &prefix, x);
    let m = config.variates;
    let x = scan.map_or(x, |s6| variate_scan(graph, weights, layer, &s6, (x, xn), m));
    mlp.map_or(x, |mlp| variate_mlp(graph, weights, layer, &mlp, (x, xn), [m, network.d_model]))
}
