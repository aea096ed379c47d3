//! The exported ONNX graph in tract, as the daemon runs graphs of any maker.

use tsm2_bundle::Bundle;
use tsm2_onnx::GraphModel;

use crate::{Run, Stream, TimeStep};

/// A stream on its way through a graph.
#[derive(Debug)]
pub struct Graph {
    model: GraphModel,
    state: Vec<f32>,
}

impl Graph {
    /// A new stream through the graph of an ONNX file.
    ///
    /// # Panics
    /// When the graph cannot be run.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let model = GraphModel::from_bytes(bytes).unwrap_or_else(|error| panic!("{error}"));
        Self {
            state: vec![0.0; model.state_len()],
            model,
        }
    }

    /// Consumes one time step and writes its forecast `[targets, H]`.
    ///
    /// # Panics
    /// When a length does not fit, or the graph fails.
    pub fn step(&mut self, step: &TimeStep<'_>, forecast: &mut [f32]) {
        for (variate, values) in step.future() {
            self.model.set_future(&mut self.state, variate, values).expect("a future covariate");
        }
        let done = self.model.step(&mut self.state, step.readings, step.time_ms, forecast);
        done.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A state of the graph.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&[f32]> {
        self.model.state(&self.state, name)
    }
}

/// A whole stream from a zero state.
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let exported = tsm2_onnx::export(bundle).expect("a graph");
    let mut graph = Graph::new(&exported.bytes);
    let mut forecast = vec![0.0; bundle.meta().config.forecast_len()];
    let mut run = Run::default();
    for step in stream.steps(bundle) {
        graph.step(&step, &mut forecast);
        run.forecasts.extend_from_slice(&forecast);
    }
    run.state = recurrent(bundle, |name| graph.state(name).map(<[f32]>::to_vec));
    run
}

/// The recurrent state in the order of [`Run::state`], out of the graph's states `conv_L` `[M, taps - 1, E]` and `scan_L`
/// `[M, N, E]`.
pub fn recurrent(bundle: &Bundle, state: impl Fn(&str) -> Option<Vec<f32>>) -> Vec<f32> {
    let config = &bundle.meta().config;
    let mut recurrent = Vec::new();
    for layer in 0..config.network.map_or(0, |network| network.layers) {
        let states = [format!("conv_{layer}"), format!("scan_{layer}")].map(|name| state(&name).unwrap_or_default());
        for m in 0..config.variates {
            for numbers in &states {
                let len = numbers.len() / config.variates;
                recurrent.extend_from_slice(&numbers[m * len..(m + 1) * len]);
            }
        }
    }
    recurrent
}
