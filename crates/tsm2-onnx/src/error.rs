//! Why a graph cannot be used. Every message names the part at fault and what to do.

use std::time::Duration;

use crate::proto::DataType;

/// A graph that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: String,
        /// What is wrong.
        source: Box<GraphError>,
    },
    /// The operating system's message.
    #[error("{0}")]
    Io(String),
    /// The file is too large.
    #[error("the file has {bytes} bytes, and at most {most} are read; export a smaller model")]
    TooLarge {
        /// Bytes of the file.
        bytes: u64,
        /// The most that are read.
        most: u64,
    },
    /// The bytes are no ONNX file.
    #[error("not an ONNX file, or cut short ({0})")]
    NotOnnx(String),
    /// There is no metadata.
    #[error("no metadata `tsm2` in the file: name the variates there (docs/reference/onnx.md, \"Metadata\")")]
    NoMetadata,
    /// The metadata cannot be used.
    #[error("metadata `tsm2`: {0}")]
    Metadata(String),
    /// A tensor of the file cannot be used.
    #[error("tensor {tensor:?}: {why}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        why: String,
    },
    /// An input or output without a tensor type.
    #[error("{port:?} has no element type or no shape; export the graph with fixed shapes")]
    NoShape {
        /// Input or output.
        port: String,
    },
    /// A dimension is not fixed.
    #[error("{port:?}: dimension {axis} is {dim:?} and not a number; export the graph with fixed shapes (without dynamic_axes)")]
    Dynamic {
        /// Input or output.
        port: String,
        /// The dimension, counted from 0.
        axis: usize,
        /// Its name.
        dim: String,
    },
    /// An input or output is too large.
    #[error("{port:?} has the shape {shape:?}; at most 2^24 numbers are allowed")]
    PortTooLarge {
        /// Input or output.
        port: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A name stands for two things.
    #[error("{port:?} is listed twice among inputs and outputs; give each a name of its own")]
    Twice {
        /// Input or output.
        port: String,
    },
    /// No operator gives an output.
    #[error("no operator gives the output {output:?}")]
    Unmade {
        /// The output.
        output: String,
    },
    /// An input or output is missing.
    #[error("{what} is missing; the graph has {found:?}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// What is there.
        found: Vec<String>,
    },
    /// An input or output has another type.
    #[error("{port:?} is {found:?} where {needed:?} is needed")]
    Type {
        /// Input or output.
        port: String,
        /// Its element type.
        found: DataType,
        /// The needed element type.
        needed: DataType,
    },
    /// An input or output has another shape.
    #[error("{port:?} has the shape {found:?} where {needed} is needed")]
    Shape {
        /// Input or output.
        port: String,
        /// Its shape.
        found: Vec<usize>,
        /// The needed shape.
        needed: String,
    },
    /// An input that is no state and nothing else.
    #[error(
        "input {input:?} {shape:?} has no output of the same name and shape, so it is no state; call the output {input}_next, \
         or list the pair under `states` in the metadata (outputs: {outputs:?})"
    )]
    NoState {
        /// The input.
        input: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The outputs that are there.
        outputs: Vec<String>,
    },
    /// Two states have one output.
    #[error(
        "input {input:?} shares its output {output:?} with another state; give each state an output of its own, \
         or list the pairs under `states` in the metadata"
    )]
    StateTwice {
        /// The second of the inputs.
        input: String,
        /// The output.
        output: String,
    },
    /// A value's shape depends on readings.
    #[error("the shape of {node:?} is not known before the graph runs; export the graph with fixed shapes (without dynamic_axes)")]
    UnknownShape {
        /// The operator that gives the value.
        node: String,
    },
    /// The values of a time step are too large.
    #[error("the values of a time step need more than {most} bytes of memory; {node:?} gives {shape}; export a smaller model")]
    TooMuchMemory {
        /// The operator whose result does not fit.
        node: String,
        /// The shape of its result.
        shape: String,
        /// The most bytes.
        most: u64,
    },
    /// The graph needs what is not supported.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The graph would give other forecasts for the same readings.
    #[error("operator {operator} gives other numbers each time; export the model for inference, without random numbers")]
    Random {
        /// The operator.
        operator: String,
    },
    /// A time step takes too long.
    #[error("a time step takes more than {limit:?}; export a smaller model")]
    TooSlow {
        /// The most time.
        limit: Duration,
    },
    /// The graph cannot be run.
    #[error("the graph cannot be run: {0}")]
    Run(String),
    /// An output that is not finite.
    #[error("the graph's output {output:?} holds a number that is not finite")]
    NotFinite {
        /// The output.
        output: String,
    },
    /// A buffer has the wrong length.
    #[error("{what} has {found} numbers where {needed} are needed")]
    Length {
        /// The buffer.
        what: &'static str,
        /// Its numbers.
        found: usize,
        /// The needed numbers.
        needed: usize,
    },
    /// Future values were given for a variate without.
    #[error("variate {variate} is not a future covariate")]
    NotFutureCovariate {
        /// Index of the variate.
        variate: usize,
    },
}
