//! The model that a command measures: a bundle's, or an ONNX graph of any maker.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use tsm2_bundle::{Bundle, BundleError, CalendarZone};
use tsm2_core::{Config, Model, Token};
use tsm2_onnx::GraphError;
use tsm2_stream::ForecastModel;

type Graph = dyn ForecastModel<Error = GraphError> + Send + Sync;

/// A model file, opened: a bundle, in which names and scales of the model stand. A graph's bundle has no weights, and
/// [`OpenModel::model`] is the graph.
#[derive(Clone)]
pub struct OpenModel {
    bundle: Bundle,
    graph: Option<Arc<Graph>>,
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
    /// There is no runtime for graphs.
    #[error("{0}: an ONNX graph, and this program was built without the feature `onnx`; build it with --features onnx, or name a bundle")]
    NoRuntime(String),
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

/// A model that steps. Times are Unix times: the model gets the local time of its zone.
#[derive(Clone, Copy)]
pub struct Stepper<'m> {
    engine: Engine<'m>,
    zone: &'m CalendarZone,
}

#[derive(Clone, Copy)]
#[allow(clippy::large_enum_variant, reason = "there is one for each thread")]
enum Engine<'m> {
    /// A bundle's.
    Native(Model<'m>),
    /// A graph.
    Graph(&'m Graph),
}

/// What a model made of a time step: it can forecast.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Stepped<'t> {
    /// A bundle's token, whose forecast is computed when it is asked for.
    Native(Token<'t>),
    /// A graph's forecast `[targets, H]`.
    Graph(&'t [f32]),
}

impl fmt::Debug for OpenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenModel").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stepper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("config", self.config()).finish_non_exhaustive()
    }
}

impl Deref for OpenModel {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        &self.bundle
    }
}

impl From<Bundle> for OpenModel {
    fn from(bundle: Bundle) -> Self {
        Self { bundle, graph: None }
    }
}

impl OpenModel {
    /// Opens a model file: an ONNX graph where its name ends in `.onnx`, else a bundle.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        match path.extension().is_some_and(|extension| extension == "onnx") {
            true => Self::open_graph(path),
            false => Ok(Bundle::open(path)?.into()),
        }
    }

    #[cfg(feature = "onnx")]
    fn open_graph(path: &Path) -> Result<Self, OpenError> {
        let graph = tsm2_onnx::GraphModel::open(path)?;
        Ok(Self {
            bundle: graph.stand_in()?,
            graph: Some(Arc::new(graph)),
        })
    }

    #[cfg(not(feature = "onnx"))]
    fn open_graph(path: &Path) -> Result<Self, OpenError> {
        Err(OpenError::NoRuntime(path.display().to_string()))
    }

    /// The model, ready to step.
    #[must_use]
    pub fn model(&self) -> Stepper<'_> {
        let stepper = Stepper::from(&self.bundle);
        match &self.graph {
            Some(graph) => Stepper {
                engine: Engine::Graph(graph.as_ref()),
                ..stepper
            },
            None => stepper,
        }
    }

    /// Whether it is a graph: then nothing is known of its parts and of its training.
    #[must_use]
    pub fn is_graph(&self) -> bool {
        self.graph.is_some()
    }
}

impl<'m> From<&'m Bundle> for Stepper<'m> {
    fn from(bundle: &'m Bundle) -> Self {
        Self {
            engine: Engine::Native(bundle.model()),
            zone: bundle.zone(),
        }
    }
}

impl Stepper<'_> {
    /// Variates, covariates and horizon.
    #[must_use]
    pub fn config(&self) -> &Config {
        match &self.engine {
            Engine::Native(model) => model.config(),
            Engine::Graph(graph) => graph.config(),
        }
    }

    /// Numbers in the state of a stream.
    #[must_use]
    pub fn state_len(&self) -> usize {
        match &self.engine {
            Engine::Native(model) => model.state_len(),
            Engine::Graph(graph) => graph.state_len(),
        }
    }

    /// Numbers of working memory that [`Stepper::step`] needs: a graph's forecast is kept there.
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        match &self.engine {
            Engine::Native(model) => model.scratch_len(),
            Engine::Graph(graph) => graph.config().forecast_len(),
        }
    }

    /// The state before the first time step.
    ///
    /// # Errors
    /// A length that does not fit.
    pub fn reset(&self, state: &mut [f32]) -> Result<(), StepError> {
        match &self.engine {
            Engine::Native(model) => Ok(model.reset(state)?),
            Engine::Graph(_) => {
                state.fill(0.0);
                Ok(())
            }
        }
    }

    /// As [`Model::set_future`].
    ///
    /// # Errors
    /// A variate that is no future covariate, or a length that does not fit.
    pub fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), StepError> {
        match &self.engine {
            Engine::Native(model) => Ok(model.set_future(state, variate, values)?),
            Engine::Graph(graph) => Ok(graph.set_future(state, variate, values)?),
        }
    }

    /// As [`Model::step`], at a Unix time.
    ///
    /// # Errors
    /// A length that does not fit, or a graph that fails.
    pub fn step<'t>(
        &'t self,
        state: &'t mut [f32],
        scratch: &'t mut [f32],
        readings: &[f32],
        time_ms: i64,
    ) -> Result<Stepped<'t>, StepError> {
        let time_ms = self.zone.local_ms(time_ms);
        match &self.engine {
            Engine::Native(model) => Ok(Stepped::Native(model.step(state, scratch, readings, time_ms)?)),
            Engine::Graph(graph) => {
                graph.step(state, &mut [], readings, time_ms, scratch)?;
                Ok(Stepped::Graph(scratch))
            }
        }
    }
}

impl Stepped<'_> {
    /// Writes the forecast `[targets, H]`.
    ///
    /// # Errors
    /// A length that does not fit.
    pub fn forecast(&mut self, out: &mut [f32]) -> Result<(), StepError> {
        match self {
            Stepped::Native(token) => Ok(token.forecast(out)?),
            Stepped::Graph(forecast) if out.len() == forecast.len() => {
                out.copy_from_slice(forecast);
                Ok(())
            }
            Stepped::Graph(forecast) => Err(StepError::Graph(GraphError::Length {
                what: "forecast",
                found: out.len(),
                needed: forecast.len(),
            })),
        }
    }
}
