//! The mixers: a selective scan over time or across variates, and an MLP across variates.
//!
//! All variates are rows of one matrix, so a graph has the same operators for any number of variates. Only the recurrence
//! across variates is written out, two operators for each variate.

use tsm2_core::{Mlp, S6, VALUE_LIMIT, math};

use crate::graph::{Graph, Value};
use crate::states::States;
use crate::weights::Weights;

/// x + W_out (scan * SiLU(gate)), with `x` `[m, D]` and the state of one layer.
pub(crate) fn time_mixer(
    graph: &mut Graph,
    states: &mut States,
    weights: &Weights<'_>,
    layer: usize,
    s6: &S6,
    (x, m): (Value, usize),
) -> Value {
    let prefix = format!("layers.{layer}.time");
    graph.enter(prefix.as_str());
    let (e, n, taps) = (s6.d_inner, s6.d_state, s6.d_conv);
    let name = |leaf: &str| format!("{prefix}.{leaf}");
    let xn = norm(graph, weights, &prefix, x);
    let in_proj = name("in_proj.weight");
    let values = weights.rows(graph, &in_proj, ".values", 0..e);
    let values = graph.linear(x, values, None);
    let values = graph.clamp(values, VALUE_LIMIT);

    let taken = if taps > 1 {
        let state = format!("conv_{layer}");
        let past = states.input(graph, &state, &[m, taps - 1, e]);
        let newest = graph.reshape(values, &[m, 1, e]);
        let window = graph.concat(1, &[past, newest]);
        let kept = graph.slice(window, 1, 1..taps);
        states.output(&state, kept);
        let conv = transposed(graph, weights.plain(&name("conv.weight")), e, taps);
        let products = graph.mul(window, conv);
        graph.sum(products, 1)
    } else {
        let conv = graph.floats(&[e], weights.plain(&name("conv.weight")));
        graph.mul(values, conv)
    };
    let state = format!("scan_{layer}");
    let h = states.input(graph, &state, &[m, n, e]);
    let selected = Selection::build(graph, weights, &prefix, s6, (taken, m));
    let kept = graph.mul(selected.decay, h);
    let h = graph.add(kept, selected.input);
    states.output(&state, h);
    let y = selected.output(graph, s6, m, h);
    let gate = weights.rows(graph, &in_proj, ".gate", e..2 * e);
    gated(graph, weights, &prefix, xn, gate, y, x)
}

/// x + W_out ((forward scan + backward scan) * SiLU(gate)) across variates, with `x` and its LayerNorm `xn` `[m, D]`.
pub(crate) fn variate_scan(graph: &mut Graph, weights: &Weights<'_>, layer: usize, s6: &S6, (x, xn): (Value, Value), m: usize) -> Value {
    let prefix = format!("layers.{layer}.variate");
    let in_proj = format!("{prefix}.in_proj.weight");
    let e = s6.d_inner;
    let directions = [(false, "forward", 0..e), (true, "backward", e..2 * e)];
    let [forward, backward] = directions.map(|(is_backward, direction, rows)| {
        let prefix = format!("{prefix}.{direction}");
        graph.enter(prefix.as_str());
        let values = weights.rows(graph, &in_proj, &format!(".{direction}"), rows);
        let values = graph.linear(x, values, None);
        let values = graph.clamp(values, VALUE_LIMIT);
        let taken = convolution(graph, weights.plain(&format!("{prefix}.conv.weight")), s6, (values, m), is_backward);
        let selected = Selection::build(graph, weights, &prefix, s6, (taken, m));
        let h = recurrence(graph, &selected, m, is_backward);
        selected.output(graph, s6, m, h)
    });
    graph.enter(prefix.as_str());
    let y = graph.add(forward, backward);
    let gate = weights.rows(graph, &in_proj, ".gate", 2 * e..3 * e);
    gated(graph, weights, &prefix, xn, gate, y, x)
}

/// x + the MLP over all variates of their LayerNorm `xn`, both `[m, D]`.
pub(crate) fn variate_mlp(
    graph: &mut Graph,
    weights: &Weights<'_>,
    layer: usize,
    mlp: &Mlp,
    (x, xn): (Value, Value),
    [m, d]: [usize; 2],
) -> Value {
    let prefix = format!("layers.{layer}.variate.mlp");
    graph.enter(prefix.as_str());
    let name = |leaf: &str| format!("{prefix}.{leaf}");
    let reduce = weights.matrix(graph, &name("reduce.weight"));
    let reduced = graph.linear(xn, reduce, None);
    let reduced = graph.reshape(reduced, &[1, m * mlp.reduce]);
    let hidden = weights.matrix(graph, &name("hidden.weight"));
    let bias = weights.constant(graph, &name("hidden.bias"));
    let hidden = graph.linear(reduced, hidden, Some(bias));
    let hidden = gelu(graph, hidden);
    let out = weights.matrix(graph, &name("out.weight"));
    let out = graph.linear(hidden, out, None);
    let out = graph.reshape(out, &[m, d]);
    graph.add(x, out)
}

/// LayerNorm with the weights under `prefix`.
pub(crate) fn norm(graph: &mut Graph, weights: &Weights<'_>, prefix: &str, x: Value) -> Value {
    let weight = weights.constant(graph, &format!("{prefix}.norm.weight"));
    let bias = weights.constant(graph, &format!("{prefix}.norm.bias"));
    graph.layer_norm(x, weight, bias, tsm2_core::LAYER_NORM_EPS)
}

/// x + W_out (y * SiLU(gate xn + bias)).
fn gated(graph: &mut Graph, weights: &Weights<'_>, prefix: &str, xn: Value, gate: Value, y: Value, x: Value) -> Value {
    let bias = weights.constant(graph, &format!("{prefix}.gate_bias"));
    let gate = graph.linear(xn, gate, Some(bias));
    let gate = graph.silu(gate);
    let gated = graph.mul(y, gate);
    let out_proj = weights.matrix(graph, &format!("{prefix}.out_proj.weight"));
    graph.linear(gated, out_proj, Some(x))
}

/// A matrix `[rows, columns]` as a constant `[columns, rows]`.
fn transposed(graph: &mut Graph, matrix: &[f32], rows: usize, columns: usize) -> Value {
    let numbers: Vec<f32> = (0..columns).flat_map(|j| (0..rows).map(move |i| matrix[i * columns + j])).collect();
    graph.floats(&[columns, rows], &numbers)
}

/// The causal convolution across variates, with nothing before the first one; `values` `[m, E]`. Backward, the first one is
/// the last variate.
fn convolution(graph: &mut Graph, conv: &[f32], s6: &S6, (values, m): (Value, usize), is_backward: bool) -> Value {
    let (e, taps) = (s6.d_inner, s6.d_conv);
    let padded = if taps > 1 {
        let nothing = graph.floats(&[taps - 1, e], &vec![0.0; (taps - 1) * e]);
        let parts = if is_backward { [values, nothing] } else { [nothing, values] };
        graph.concat(0, &parts)
    } else {
        values
    };
    let mut sum = None;
    for tap in 0..taps {
        let weights: Vec<f32> = (0..e).map(|i| conv[i * taps + tap]).collect();
        let weights = graph.floats(&[e], &weights);
        let start = if is_backward { taps - 1 - tap } else { tap };
        let part = graph.slice(padded, 0, start..start + m);
        let part = graph.mul(part, weights);
        sum = Some(sum.map_or(part, |sum| graph.add(sum, part)));
    }
    sum.unwrap_or(values)
}

/// h of every variate `[m, N, E]`, one after the other.
fn recurrence(graph: &mut Graph, selected: &Selection, m: usize, is_backward: bool) -> Value {
    let mut states: Vec<Value> = Vec::new();
    for i in 0..m {
        let place = if is_backward { m - 1 - i } else { i };
        let input = graph.slice(selected.input, 0, place..place + 1);
        let h = match states.last() {
            None => input,
            Some(&before) => {
                let decay = graph.slice(selected.decay, 0, place..place + 1);
                let kept = graph.mul(decay, before);
                graph.add(kept, input)
            }
        };
        states.push(h);
    }
    if is_backward {
        states.reverse();
    }
    graph.concat(0, &states)
}

/// What a selective scan makes of its input.
struct Selection {
    /// exp(dt A), `[m, N, E]`.
    decay: Value,
    /// dt B c, `[m, N, E]`.
    input: Value,
    /// C, `[m, 1, N]`.
    c_out: Value,
    /// D c, `[m, E]`.
    skip: Value,
}

impl Selection {
    /// `taken` `[m, E]` is the convolution without its bias.
    fn build(graph: &mut Graph, weights: &Weights<'_>, prefix: &str, s6: &S6, (taken, m): (Value, usize)) -> Self {
        let S6 {
            d_inner: e,
            d_state: n,
            dt_rank: r,
            ..
        } = *s6;
        let name = |leaf: &str| format!("{prefix}.{leaf}");
        let bias = weights.constant(graph, &name("conv.bias"));
        let taken = graph.add(taken, bias);
        let c = graph.silu(taken);
        let x_proj = weights.matrix(graph, &name("x_proj.weight"));
        let biases: Vec<f32> = std::iter::repeat_n(0.0, r)
            .chain(weights.plain(&name("b_bias")).iter().copied())
            .chain(weights.plain(&name("c_bias")).iter().copied())
            .collect();
        let biases = graph.floats(&[r + 2 * n], &biases);
        let dbc = graph.linear(c, x_proj, Some(biases));
        let [d, b, c_out] = graph.split(dbc, 1, [r, n, n]);
        let dt_proj = weights.matrix(graph, &name("dt_proj.weight"));
        let dt_bias = weights.constant(graph, &name("dt_proj.bias"));
        let dt = graph.linear(d, dt_proj, Some(dt_bias));
        let dt = softplus(graph, dt);
        let a: Vec<f32> = weights.plain(&name("a_log")).iter().map(|&a| -math::exp(a)).collect();
        let a = transposed(graph, &a, e, n);
        let wide = graph.reshape(dt, &[m, 1, e]);
        let exponent = graph.mul(wide, a);
        let decay = graph.op("Exp", &[exponent]);
        let dtc = graph.mul(dt, c);
        let dtc = graph.reshape(dtc, &[m, 1, e]);
        let b = graph.reshape(b, &[m, n, 1]);
        let input = graph.mul(b, dtc);
        let d_skip = weights.constant(graph, &name("d"));
        Self {
            decay,
            input,
            c_out: graph.reshape(c_out, &[m, 1, n]),
            skip: graph.mul(c, d_skip),
        }
    }

    /// y = sum_n C_n h_n + D c, `[m, E]`.
    fn output(&self, graph: &mut Graph, s6: &S6, m: usize, h: Value) -> Value {
        let read = graph.op("MatMul", &[self.c_out, h]);
        let read = graph.reshape(read, &[m, s6.d_inner]);
        graph.add(read, self.skip)
    }
}

/// ln(1 + e^x) as max(x, 0) + 2 artanh(u / (2 + u)) with u = e^-|x|. ONNX's own operator loses the digits of a small step.
fn softplus(graph: &mut Graph, x: Value) -> Value {
    let positive = graph.op("Relu", &[x]);
    let magnitude = graph.op("Abs", &[x]);
    let negative = graph.op("Neg", &[magnitude]);
    let u = graph.op("Exp", &[negative]);
    let two = graph.float(2.0);
    let denominator = graph.add(u, two);
    let ratio = graph.div(u, denominator);
    let half = graph.op("Atanh", &[ratio]);
    let logarithm = graph.mul(half, two);
    graph.add(positive, logarithm)
}

/// GELU as x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
fn gelu(graph: &mut Graph, x: Value) -> Value {
    let square = graph.mul(x, x);
    let cubic = graph.float(math::GELU_CUBIC);
    let cubed = graph.mul(square, cubic);
    let one = graph.float(1.0);
    let factor = graph.add(cubed, one);
    let inner = graph.mul(x, factor);
    let scale = graph.float(math::GELU_SCALE);
    let inner = graph.mul(inner, scale);
    let sigmoid = graph.op("Sigmoid", &[inner]);
    graph.mul(x, sigmoid)
}
