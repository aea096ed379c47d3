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
    run.state = crate::onnx::recurrent(bundle, |name| graph.state(name).map(<[f32]>::to_vec));
    run
}
