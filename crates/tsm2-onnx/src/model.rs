//! A graph of any maker as a model that steps: tract runs it, and the stream's state lies in one slice of numbers.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tract_onnx::prelude::{IntoRunnable, TValue, Tensor, TractResult, TypedRunnableModel};
use tsm2_bundle::{Bundle, BundleError, FORMAT_VERSION, Metadata, Provenance};
use tsm2_core::{Config, LinearHead, parameter_count};
use tsm2_stream::ForecastModel;

use crate::contained::{contained, with_room};
use crate::error::GraphError;
use crate::memory;
use crate::metadata::{GraphMetadata, Missing};
use crate::reader::{Interface, MAX_FILE};
use crate::roles::{Input, Roles};

/// Most numbers in the state of a stream, as for a bundle's model.
const MAX_STATE: usize = 1 << 24;

/// Longest time of a time step: a worker that is silent for three times as long counts as stalled.
const MAX_STEP: Duration = Duration::from_secs(10);

/// Operators whose result is another one each time. The same readings give the same forecasts, also when a log is replayed.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// A graph that was checked and run once.
///
/// The state of a stream is all zeros at the start. It holds the graph's own states, then what the graph does not keep:
/// last readings, window, future values that wait for the next time step.
#[derive(Debug, Clone)]
pub struct GraphModel {
    runnable: Arc<TypedRunnableModel>,
    interface: Interface,
    roles: Roles,
    layout: Layout,
    config: Config,
    digest: [u8; 32],
}

/// Where the parts of a stream's state begin, after the graph's own states.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// `[M]` each: last readings, and whether there was one, 0 or 1; none if the graph reads NaN.
    last: usize,
    seen: usize,
    /// `[steps - 1, M]`: the time steps before this one, oldest first.
    window: usize,
    steps: usize,
    /// `[K]`: whether values were set for the next time step, 0 or 1.
    is_set: usize,
    /// `[K, H + 1]`: those values.
    future: usize,
    len: usize,
}

impl GraphModel {
    /// Reads, checks and prepares a file.
    ///
    /// # Errors
    /// [`GraphError::File`] with the path and what is wrong.
    pub fn open(path: &Path) -> Result<Self, GraphError> {
        let read = || {
            let io = |error: std::io::Error| GraphError::Io(error.to_string());
            let bytes = std::fs::metadata(path).map_err(io)?.len();
            if bytes > MAX_FILE {
                return Err(GraphError::TooLarge { bytes, most: MAX_FILE });
            }
            Self::from_bytes(&std::fs::read(path).map_err(io)?)
        };
        read().map_err(|source| GraphError::File {
            path: path.display().to_string(),
            source: Box::new(source),
        })
    }

    /// Reads, checks and prepares the bytes of a file: one time step is run on the variates' means.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GraphError> {
        let interface = Interface::read(bytes)?;
        with_room(|| Self::prepare(bytes, interface))
    }

    fn prepare(bytes: &[u8], interface: Interface) -> Result<Self, GraphError> {
        let roles = Roles::of(&interface)?;
        let metadata = &interface.metadata;
        let config = Config {
            variates: metadata.variates.len(),
            past_covariates: metadata.past_covariates,
            future_covariates: metadata.future_covariates,
            horizon: roles.horizon,
            network: None,
            linear_head: LinearHead {
                lags: 1,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        config.validate().map_err(|error| GraphError::Metadata(error.to_string()))?;
        let layout = Layout::of(&roles, metadata);
        if layout.len > MAX_STATE {
            return Err(GraphError::Length {
                what: "the state of a stream",
                found: layout.len,
                needed: MAX_STATE,
            });
        }
        for operator in &interface.operators {
            if RANDOM.contains(&operator.as_str()) {
                return Err(GraphError::Random {
                    operator: operator.clone(),
                });
            }
            if !memory::FRAMEWORK.op_register.0.contains_key(operator) {
                return Err(GraphError::Unsupported(format!("operator {operator}")));
            }
        }
        let optimized = contained(|| memory::optimized(bytes))??;
        let model = Self {
            runnable: contained(|| optimized.into_runnable())?,
            roles,
            layout,
            config,
            digest: Sha256::digest(bytes).into(),
            interface,
        };
        let begun = Instant::now();
        model.try_step()?;
        if begun.elapsed() > MAX_STEP {
            return Err(GraphError::TooSlow { limit: MAX_STEP });
        }
        Ok(model)
    }

    /// One time step, so that a graph that cannot run is refused at the start.
    fn try_step(&self) -> Result<(), GraphError> {
        let readings: Vec<f32> = self.interface.metadata.variates.iter().map(|variate| variate.mean).collect();
        let (mut state, mut forecast) = (vec![0.0; self.layout.len], vec![0.0; self.config.forecast_len()]);
        self.step(&mut state, &readings, 0, &mut forecast)
    }

    /// Names, units and scales of the variates, sampling interval, states.
    #[must_use]
    pub fn metadata(&self) -> &GraphMetadata {
        &self.interface.metadata
    }

    /// Inputs and outputs.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Variates, covariates and horizon, as of a bundle's model. The rest of it means nothing.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// SHA-256 of the file's bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Numbers in the state of one stream.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.layout.len
    }

    /// The graph's own state of this name, out of a stream's state.
    #[must_use]
    pub fn state<'s>(&self, state: &'s [f32], name: &str) -> Option<&'s [f32]> {
        let index = self.interface.inputs.iter().position(|input| input.name == name)?;
        match self.roles.inputs[index] {
            Input::State { start, len } => state.get(start..start + len),
            _ => None,
        }
    }

    /// Names and shapes of all that the state of a stream holds: graphs that differ in this cannot share a state.
    #[must_use]
    pub fn states(&self) -> String {
        let inputs = self.interface.inputs.iter().zip(&self.roles.inputs);
        let states = inputs.filter(|(_, role)| matches!(role, Input::State { .. } | Input::Window { .. }));
        states.map(|(port, _)| format!("{} {:?};", port.name, port.shape)).collect()
    }

    /// A bundle that stands for the graph wherever names, scales and the identity of the model are needed: the graph's
    /// metadata and no weights.
    ///
    /// # Errors
    /// Those of [`Bundle::new`].
    pub fn stand_in(&self) -> Result<Bundle, BundleError> {
        let metadata = self.metadata();
        let digest: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: metadata.name.clone(),
            config: self.config,
            variates: metadata.variates.clone(),
            interval_ms: metadata.interval_ms,
            time_zone: metadata.time_zone.clone(),
            provenance: Provenance {
                code_version: format!("onnx {digest}"),
                ..Provenance::default()
            },
        };
        Bundle::new(meta, vec![0.0; parameter_count(&self.config)?])
    }

    /// Sets the next values of a future covariate, as [`tsm2_core::Model::set_future`] does.
    ///
    /// # Errors
    /// A variate that is no future covariate, or a length that does not fit.
    pub fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), GraphError> {
        check("the state", state.len(), self.layout.len)?;
        let (config, width) = (&self.config, self.roles.horizon + 1);
        let first = config.variates - config.future_covariates;
        let k = variate.checked_sub(first).filter(|&k| k < config.future_covariates);
        let k = k.ok_or(GraphError::NotFutureCovariate { variate })?;
        if values.len() > width {
            check("future values", values.len(), width)?;
        }
        let row = &mut state[self.layout.future + k * width..][..width];
        // A row of NaN alone would set nothing; infinity is as unknown as NaN.
        row.fill(f32::INFINITY);
        for (slot, value) in row.iter_mut().zip(values) {
            *slot = if value.is_finite() { *value } else { f32::INFINITY };
        }
        state[self.layout.is_set + k] = 1.0;
        Ok(())
    }

    /// Consumes one time step and writes the forecast `[targets, H]`, as [`tsm2_core::Model::step`] does. After an error
    /// the state is what it was.
    ///
    /// # Errors
    /// A length that does not fit, a graph that fails, or a number that is not finite.
    pub fn step(&self, state: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32]) -> Result<(), GraphError> {
        check("the state", state.len(), self.layout.len)?;
        check("readings", readings.len(), self.config.variates)?;
        check("forecast", forecast.len(), self.config.forecast_len())?;
        let read = self.filled(state, readings);
        let window = self.window(state, readings, &read);
        let outputs = contained(|| self.run(state, &read, &window, time_ms))?;
        let numbers: Vec<&[f32]> = outputs
            .iter()
            .zip(&self.interface.outputs)
            .map(|(value, port)| numbers(value, port))
            .collect::<Result<_, _>>()?;
        forecast.copy_from_slice(numbers[self.roles.forecast]);
        for (numbers, of_state) in numbers.iter().zip(&self.roles.outputs) {
            if let Some((start, len)) = *of_state {
                state[start..start + len].copy_from_slice(numbers);
            }
        }
        self.keep(state, readings, &read, &window);
        Ok(())
    }

    /// The readings as the graph reads them.
    fn filled(&self, state: &[f32], readings: &[f32]) -> Vec<f32> {
        let metadata = self.metadata();
        let fill = |(m, &reading): (usize, &f32)| match metadata.missing {
            _ if reading.is_finite() => reading,
            Missing::Nan => f32::NAN,
            Missing::Last if state[self.layout.seen + m] > 0.5 => state[self.layout.last + m],
            Missing::Last => metadata.variates[m].mean,
        };
        readings.iter().enumerate().map(fill).collect()
    }

    /// The last time steps `[steps, M]`, oldest first. A variate's first reading stands for all the past.
    fn window(&self, state: &[f32], readings: &[f32], read: &[f32]) -> Vec<f32> {
        let Layout { window, steps, .. } = self.layout;
        if steps == 0 {
            return Vec::new();
        }
        let m = read.len();
        let mut numbers = state[window..window + (steps - 1) * m].to_vec();
        numbers.extend_from_slice(read);
        let is_last = self.metadata().missing == Missing::Last;
        for (variate, value) in read.iter().enumerate() {
            let is_first = state[self.layout.seen + variate] < 0.5;
            // Before it, the variate stands at its mean, or at NaN in a graph that reads NaN.
            if is_first && (readings[variate].is_finite() || is_last) {
                numbers.iter_mut().skip(variate).step_by(m).for_each(|number| *number = *value);
            } else if is_first {
                numbers.iter_mut().skip(variate).step_by(m).for_each(|number| *number = f32::NAN);
            }
        }
        numbers
    }

    fn run(&self, state: &[f32], read: &[f32], window: &[f32], time_ms: i64) -> TractResult<Vec<TValue>> {
        let layout = &self.layout;
        let width = self.roles.horizon + 1;
        let input = |(role, port): (&Input, &crate::Port)| -> TractResult<TValue> {
            let tensor = match *role {
                Input::Readings => Tensor::from_shape(&port.shape, read)?,
                Input::Window { .. } => Tensor::from_shape(&port.shape, window)?,
                Input::Time => Tensor::from_shape(&port.shape, &[time_ms])?,
                Input::State { start, len } => Tensor::from_shape(&port.shape, &state[start..start + len])?,
                Input::Future => {
                    let mut rows = state[layout.future..layout.future + port.len()].to_vec();
                    let flags = &state[layout.is_set..];
                    let unset = rows.chunks_exact_mut(width).zip(flags).filter(|(_, flag)| **flag < 0.5);
                    unset.for_each(|(row, _)| row.fill(f32::NAN));
                    Tensor::from_shape(&port.shape, &rows)?
                }
            };
            Ok(tensor.into())
        };
        let inputs = self
            .roles
            .inputs
            .iter()
            .zip(&self.interface.inputs)
            .map(input)
            .collect::<TractResult<_>>()?;
        Ok(self.runnable.run(inputs)?.into_iter().collect())
    }

    /// What the next time step needs of this one.
    fn keep(&self, state: &mut [f32], readings: &[f32], read: &[f32], window: &[f32]) {
        let Layout { last, seen, is_set, .. } = self.layout;
        if self.keeps_readings() {
            state[last..last + read.len()].copy_from_slice(read);
            for (flag, reading) in state[seen..].iter_mut().zip(readings) {
                *flag = if reading.is_finite() { 1.0 } else { *flag };
            }
        }
        if let Some(kept) = window.get(read.len()..) {
            state[self.layout.window..self.layout.window + kept.len()].copy_from_slice(kept);
        }
        state[is_set..is_set + self.config.future_covariates].fill(0.0);
    }

    fn keeps_readings(&self) -> bool {
        self.layout.seen > self.layout.last
    }
}

impl ForecastModel for GraphModel {
    type Error = GraphError;

    fn config(&self) -> &Config {
        self.config()
    }

    fn state_len(&self) -> usize {
        self.state_len()
    }

    fn scratch_len(&self) -> usize {
        0
    }

    fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), GraphError> {
        self.set_future(state, variate, values)
    }

    fn step(&self, state: &mut [f32], _: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32]) -> Result<(), GraphError> {
        self.step(state, readings, time_ms, forecast)
    }
}

impl Layout {
    fn of(roles: &Roles, metadata: &GraphMetadata) -> Self {
        let (m, k) = (metadata.variates.len(), metadata.future_covariates);
        let steps = roles
            .inputs
            .iter()
            .map(|input| if let Input::Window { steps } = input { *steps } else { 0 });
        let steps = steps.max().unwrap_or(0);
        let kept = if metadata.missing == Missing::Last || steps > 0 { m } else { 0 };
        let mut next = roles.states;
        let mut part = |len: usize| {
            let start = next;
            next += len;
            start
        };
        let (last, seen) = (part(kept), part(kept));
        let window = part(steps.saturating_sub(1) * m);
        let (is_set, future) = (part(k), part(k * (roles.horizon + 1)));
        Self {
            last,
            seen,
            window,
            steps,
            is_set,
            future,
            len: part(0),
        }
    }
}

/// The numbers of an output, which are finite.
fn numbers<'v>(value: &'v TValue, port: &crate::Port) -> Result<&'v [f32], GraphError> {
    if port.data_type != crate::DataType::Float {
        return Ok(&[]);
    }
    let view = value
        .as_plain_ram()
        .ok_or_else(|| GraphError::Run(format!("the output {:?} is not in memory", port.name)))?;
    let numbers = view.as_slice::<f32>().map_err(|error| GraphError::Run(format!("{error:#}")))?;
    check("an output", numbers.len(), port.len())?;
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(numbers),
        false => Err(GraphError::NotFinite { output: port.name.clone() }),
    }
}

fn check(what: &'static str, found: usize, needed: usize) -> Result<(), GraphError> {
    match found == needed {
        true => Ok(()),
        false => Err(GraphError::Length { what, found, needed }),
    }
}
