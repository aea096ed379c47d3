//! The model that the daemon runs: a bundle's, or an ONNX graph of any maker.

#[cfg(not(feature = "onnx"))]
mod none;

use std::ops::Deref;
use std::path::Path;

#[cfg(not(feature = "onnx"))]
pub use none::{GraphError, GraphModel};
#[cfg(feature = "onnx")]
pub use tsm2_onnx::{GraphError, GraphModel};

use tsm2_bundle::{Bundle, BundleError};
use tsm2_core::{Config, Model};
use tsm2_stream::ForecastModel;

/// A model file, opened: a bundle, in which names, scales and identity of the model stand. A graph's bundle has no
/// weights, and [`OpenModel::model`] is the graph.
#[derive(Debug, Clone)]
pub struct OpenModel {
    bundle: Bundle,
    graph: Option<GraphModel>,
}

/// A model file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The ONNX graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl Deref for OpenModel {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        &self.bundle
    }
}

impl From<Bundle> for OpenModel {
    fn from(bundle: Bundle) -> Self {
        OpenModel { bundle, graph: None }
    }
}

impl OpenModel {
    /// Opens a model file: an ONNX graph where its name ends in `.onnx`, else a bundle.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.extension().is_none_or(|extension| extension != "onnx") {
            return Ok(Bundle::open(path)?.into());
        }
        Self::open_graph(path)
    }

    /// Opens an ONNX graph, whatever its name.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open_graph(path: &Path) -> Result<Self, OpenError> {
        let graph = GraphModel::open(path)?;
        Ok(OpenModel {
            bundle: graph.stand_in()?,
            graph: Some(graph),
        })
    }

    /// The model, ready to step.
    #[must_use]
    pub fn model(&self) -> Stepper<'_> {
        match &self.graph {
            Some(graph) => Stepper::Graph(graph),
            None => Stepper::Native(self.bundle.model()),
        }
    }

    /// Names and shapes of a graph's states; empty for a bundle, whose configuration determines its state.
    #[must_use]
    pub fn graph_states(&self) -> String {
        self.graph.as_ref().map_or(String::new(), GraphModel::states)
    }

    /// Bytes of state of one stream.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.model().state_len() * size_of::<f32>()
    }
}

/// A model that steps.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::large_enum_variant, reason = "there is one for each worker")]
pub enum Stepper<'m> {
    /// A bundle's.
    Native(Model<'m>),
    /// A graph.
    Graph(&'m GraphModel),
}

/// Why a model could not take a time step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A bundle's model.
    #[error(transparent)]
    Native(#[from] tsm2_core::Error),
    /// A graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl ForecastModel for Stepper<'_> {
    type Error = StepError;

    fn config(&self) -> &Config {
        match self {
            Stepper::Native(model) => model.config(),
            Stepper::Graph(graph) => graph.config(),
        }
    }

    fn state_len(&self) -> usize {
        match self {
            Stepper::Native(model) => model.state_len(),
            Stepper::Graph(graph) => graph.state_len(),
        }
    }

    fn scratch_len(&self) -> usize {
        match self {
            Stepper::Native(model) => model.scratch_len(),
            Stepper::Graph(_) => 0,
        }
    }

    fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), StepError> {
        match self {
            Stepper::Native(model) => Ok(model.set_future(state, variate, values)?),
            Stepper::Graph(graph) => Ok(graph.set_future(state, variate, values)?),
        }
    }

    fn step(&self, state: &mut [f32], scratch: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32]) -> Result<(), StepError> {
        match self {
            Stepper::Native(model) => Ok(model.step(state, scratch, readings, time_ms)?.forecast(forecast)?),
            Stepper::Graph(graph) => Ok(graph.step(state, readings, time_ms, forecast)?),
        }
    }
}
