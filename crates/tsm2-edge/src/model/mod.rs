//! The model that the daemon runs: a bundle's, or an ONNX graph of any maker.

#[cfg(not(feature = "onnx"))]
mod none;

use std::ops::Deref;
use std::path::Path;

#[cfg(not(feature = "onnx"))]
pub use none::{GraphError, GraphModel};
#[cfg(feature = "onnx")]
pub use tsm2_onnx::{GraphError, GraphModel};

use tsm2_bundle::{Bundle, BundleError, CalendarZone};
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

/// Whether a file's name says that it is an ONNX graph.
#[must_use]
pub fn is_graph(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "onnx")
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
        match is_graph(path) {
            true => Self::open_graph(path),
            false => Ok(Bundle::open(path)?.into()),
        }
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
        Stepper {
            engine: match &self.graph {
                Some(graph) => Engine::Graph(graph),
                None => Engine::Native(self.bundle.model()),
            },
            zone: self.bundle.zone(),
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

/// A model that steps. Times are Unix times: the model gets the local time of its zone.
#[derive(Debug, Clone, Copy)]
pub struct Stepper<'m> {
    engine: Engine<'m>,
    zone: &'m CalendarZone,
}

#[derive(Debug, Clone, Copy)]
#[allow(clippy::large_enum_variant, reason = "there is one for each worker")]
enum Engine<'m> {
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
        match &self.engine {
            Engine::Native(model) => model.config(),
            Engine::Graph(graph) => graph.config(),
        }
    }

    fn state_len(&self) -> usize {
        match &self.engine {
            Engine::Native(model) => model.state_len(),
            Engine::Graph(graph) => graph.state_len(),
        }
    }

    fn scratch_len(&self) -> usize {
        match &self.engine {
            Engine::Native(model) => model.scratch_len(),
            Engine::Graph(_) => 0,
        }
    }

    fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), StepError> {
        match &self.engine {
            Engine::Native(model) => Ok(model.set_future(state, variate, values)?),
            Engine::Graph(graph) => Ok(graph.set_future(state, variate, values)?),
        }
    }

    fn step(&self, state: &mut [f32], scratch: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32]) -> Result<(), StepError> {
        let time_ms = self.zone.local_ms(time_ms);
        match &self.engine {
            Engine::Native(model) => Ok(model.step(state, scratch, readings, time_ms)?.forecast(forecast)?),
            Engine::Graph(graph) => Ok(graph.step(state, readings, time_ms, forecast)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use tsm2_bundle::{FORMAT_VERSION, Metadata, Provenance, Variate};
    use tsm2_core::{Calendar, LinearHead, parameter_count};

    use super::*;

    /// The forecast at a time of a new stream, by a model that reads the calendar of this zone and nothing else.
    fn forecast(zone: Option<&str>, time: &str) -> Vec<f32> {
        let config = Config {
            variates: 1,
            horizon: 2,
            network: None,
            calendar: Calendar { day: 6, week: 2 },
            linear_head: LinearHead {
                calendar: true,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: "habits".into(),
            config,
            variates: vec![Variate {
                name: "power".into(),
                unit: None,
                mean: 0.0,
                std: 1.0,
            }],
            interval_ms: Some(3_600_000),
            time_zone: zone.map(str::to_owned),
            provenance: Provenance::default(),
        };
        let weights = (1..=parameter_count(&config).unwrap()).map(|i| i as f32).collect();
        let model = OpenModel::from(Bundle::new(meta, weights).unwrap());
        let stepper = model.model();
        let (mut state, mut scratch) = (vec![0.0; stepper.state_len()], vec![0.0; stepper.scratch_len()]);
        let mut out = vec![0.0; 2];
        let time_ms = time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        stepper.step(&mut state, &mut scratch, &[0.0], time_ms, &mut out).unwrap();
        out
    }

    #[test]
    fn habits_stay_at_their_hour_over_the_autumn_change() {
        // Two Tuesdays at 8 o'clock in Berlin, before and after the night of 25 October 2026.
        let (summer, winter) = ("2026-10-20T06:00:00Z", "2026-10-27T07:00:00Z");
        let berlin = Some("Europe/Berlin");
        assert_eq!(forecast(berlin, summer), forecast(berlin, winter));
        assert_ne!(forecast(None, summer), forecast(None, winter));
        assert_eq!(forecast(berlin, winter), forecast(None, "2026-10-27T08:00:00Z"));
    }
}
