//! The roles of a graph's inputs and outputs: what the daemon gives, what it keeps, what it publishes.

use crate::error::GraphError;
use crate::metadata::Missing;
use crate::proto::DataType;
use crate::reader::{Interface, Port};
use crate::states::NEXT;

/// What an input receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The readings of this time step, `[M]`.
    Readings,
    /// The readings of the last time steps, oldest first, `[steps, M]`.
    Window { steps: usize },
    /// The time of this time step, `[1]`.
    Time,
    /// The next values of the future covariates, `[K, H + 1]`.
    Future,
    /// A state: its numbers begin at `start` in the stream's state.
    State { start: usize, len: usize },
}

/// The roles of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    /// Of every input, in order.
    pub inputs: Vec<Input>,
    /// Of every output, in order: where its numbers go in the stream's state.
    pub outputs: Vec<Option<(usize, usize)>>,
    /// Index of the forecast among the outputs.
    pub forecast: usize,
    /// Steps of the forecast.
    pub horizon: usize,
    /// Numbers of all states.
    pub states: usize,
}

impl Roles {
    /// The roles of a graph's inputs and outputs.
    ///
    /// # Errors
    /// Which input or output is missing, or has the wrong type or shape.
    pub fn of(interface: &Interface) -> Result<Self, GraphError> {
        let Interface {
            inputs, outputs, metadata, ..
        } = interface;
        let (m, k) = (metadata.variates.len(), metadata.future_covariates);
        let (forecast, horizon) = forecast(outputs, metadata.targets(), metadata.horizon)?;
        let mut roles = Roles {
            inputs: Vec::new(),
            outputs: vec![None; outputs.len()],
            forecast,
            horizon,
            states: 0,
        };
        for input in inputs {
            let shape = trimmed(&input.shape);
            let role = match input.name.as_str() {
                "readings" => {
                    needs(input, DataType::Float)?;
                    fits(input, shape == [m], || format!("[{m}], the variates of the metadata,"))?;
                    Input::Readings
                }
                "window" => {
                    needs(input, DataType::Float)?;
                    // A window of one time step has lost its first dimension.
                    let steps = if shape == [m] { 1 } else { shape[0] };
                    let is_window = shape == [m] || (shape.len() == 2 && shape[1] == m);
                    fits(input, is_window, || format!("[time steps, {m}], the variates of the metadata,"))?;
                    Input::Window { steps }
                }
                "time_ms" => {
                    needs(input, DataType::Int64)?;
                    fits(input, input.len() == 1, || "[1]".into())?;
                    Input::Time
                }
                "future" => {
                    needs(input, DataType::Float)?;
                    fits(input, k > 0 && input.shape == [k, horizon + 1], || {
                        format!("[{k}, {}], future covariates and horizon + 1,", horizon + 1)
                    })?;
                    Input::Future
                }
                _ => {
                    needs(input, DataType::Float)?;
                    let output = partner(input, outputs, &metadata.states, forecast)?;
                    let (start, len) = (roles.states, input.len());
                    roles.states += len;
                    if roles.outputs[output].replace((start, len)).is_some() {
                        return Err(GraphError::StateTwice {
                            input: input.name.clone(),
                            output: outputs[output].name.clone(),
                        });
                    }
                    Input::State { start, len }
                }
            };
            roles.inputs.push(role);
        }
        let reads = |input: &Input| matches!(input, Input::Readings | Input::Window { .. });
        if !roles.inputs.iter().any(reads) {
            return Err(missing("the input `readings` or `window`", inputs));
        }
        if k > 0 && !roles.inputs.contains(&Input::Future) {
            return Err(missing("the input `future`", inputs));
        }
        debug_assert!(k == 0 || metadata.missing == Missing::Nan, "the metadata was checked");
        Ok(roles)
    }
}

/// Index and horizon of the output `forecast` `[targets, H]`.
fn forecast(outputs: &[Port], targets: usize, horizon: Option<usize>) -> Result<(usize, usize), GraphError> {
    let index = outputs.iter().position(|output| output.name == "forecast");
    let index = index.ok_or_else(|| missing("the output `forecast`", outputs))?;
    let output = &outputs[index];
    needs(output, DataType::Float)?;
    let shape = trimmed(&output.shape);
    let steps = output.len() / targets;
    let of_one = targets == 1 && shape.len() == 1;
    let fits_targets = of_one || (shape == [targets] && steps == 1) || (shape.len() == 2 && shape[0] == targets);
    let needed = || match horizon {
        Some(horizon) => format!("[{targets}, {horizon}], targets and horizon,"),
        None => format!("[{targets}, steps], the targets of the metadata,"),
    };
    fits(output, fits_targets && horizon.is_none_or(|horizon| horizon == steps), needed)?;
    Ok((index, steps))
}

/// The output that carries a state on: the metadata's, or the one of the state's shape that is named after it, or else that shares its stem.
fn partner(input: &Port, outputs: &[Port], states: &[(String, String)], forecast: usize) -> Result<usize, GraphError> {
    let listed = states.iter().find(|(of, _)| *of == input.name).map(|(_, output)| output);
    let fits = |&index: &usize| index != forecast && outputs[index].shape == input.shape && outputs[index].data_type == input.data_type;
    let fitting = || (0..outputs.len()).filter(fits);
    let next = |&index: &usize| outputs[index].name.strip_suffix(NEXT) == Some(&input.name);
    if let (None, Some(index)) = (listed, fitting().find(next)) {
        return Ok(index);
    }
    let is_partner = |&index: &usize| match listed {
        Some(listed) => outputs[index].name == *listed,
        None => stem(&outputs[index].name) == stem(&input.name),
    };
    let mut found = fitting().filter(is_partner);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        _ => Err(GraphError::NoState {
            input: input.name.clone(),
            shape: input.shape.clone(),
            outputs: outputs.iter().map(|output| format!("{} {:?}", output.name, output.shape)).collect(),
        }),
    }
}

/// A state's name without what tells input and output apart.
fn stem(name: &str) -> &str {
    let name = ["next_", "new_", "prev_", "in_", "out_"]
        .iter()
        .find_map(|start| name.strip_prefix(start))
        .unwrap_or(name);
    let ends = [NEXT, "_new", "_prev", "_in", "_out", "_0", "_n", ".in", ".out"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// A shape without its first dimensions of 1, of which at least one dimension is left.
fn trimmed(shape: &[usize]) -> &[usize] {
    let ones = shape
        .iter()
        .take(shape.len().saturating_sub(1))
        .take_while(|&&dim| dim == 1)
        .count();
    if shape.is_empty() { &[1] } else { &shape[ones..] }
}

fn needs(port: &Port, needed: DataType) -> Result<(), GraphError> {
    match port.data_type == needed {
        true => Ok(()),
        false => Err(GraphError::Type {
            port: port.name.clone(),
            found: port.data_type,
            needed,
        }),
    }
}

fn fits(port: &Port, fits: bool, needed: impl FnOnce() -> String) -> Result<(), GraphError> {
    match fits {
        true => Ok(()),
        false => Err(GraphError::Shape {
            port: port.name.clone(),
            found: port.shape.clone(),
            needed: needed(),
        }),
    }
}

fn missing(what: &'static str, ports: &[Port]) -> GraphError {
    GraphError::Missing {
        what,
        found: ports.iter().map(|port| port.name.clone()).collect(),
    }
}
