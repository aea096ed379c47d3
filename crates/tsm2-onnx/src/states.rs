//! The states of a graph: an input for each, and an output of the same shape under the same name with [`NEXT`].

use crate::graph::{Graph, Value};
use crate::proto::DataType;

/// What the name of a state's output ends with.
pub const NEXT: &str = "_next";

/// The states so far. All are in single precision.
#[derive(Default)]
pub(crate) struct States {
    states: Vec<State>,
}

struct State {
    name: String,
    shape: Vec<usize>,
    output: Option<Value>,
}

impl States {
    /// A state as the time step before left it.
    pub fn input(&mut self, graph: &mut Graph, name: &str, shape: &[usize]) -> Value {
        self.states.push(State {
            name: name.to_owned(),
            shape: shape.to_vec(),
            output: None,
        });
        graph.input(name, DataType::Float, shape)
    }

    /// What the next time step begins with.
    pub fn output(&mut self, name: &str, value: Value) {
        let state = self.states.iter_mut().find(|state| state.name == name);
        state.expect("a state that is an input").output = Some(value);
    }

    /// Numbers in all states.
    pub fn len(&self) -> usize {
        self.states.iter().map(|state| state.shape.iter().product::<usize>()).sum()
    }

    /// Makes the outputs of the graph; returns the names of input and output of each state.
    pub fn finish(self, graph: &mut Graph) -> Vec<(String, String)> {
        let pair = |state: State| {
            let next = format!("{}{NEXT}", state.name);
            let value = state.output.expect("every state is carried on");
            graph.output(&next, DataType::Float, &state.shape, value);
            (state.name, next)
        };
        self.states.into_iter().map(pair).collect()
    }
}
