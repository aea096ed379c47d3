//! Reads an ONNX file and checks what can be checked without running it: whole tensors, fixed shapes, metadata.
//!
//! A file may come from anywhere. Memory stays within a multiple of the file's own size: a few times for tensors, a few hundred times for
//! a file of nothing but empty nodes.

use std::collections::HashSet;

use prost::Message;

use crate::error::GraphError;
use crate::metadata::{GraphMetadata, METADATA_KEY};
use crate::proto::{DataType, GraphProto, ModelProto, TensorProto, ValueInfoProto};

/// Largest file that is read.
pub const MAX_FILE: u64 = 256 << 20;

/// Most numbers in an input or output: 64 MiB of single precision.
const MAX_PORT: usize = 1 << 24;

/// Largest number in an attribute, such as a kernel's width or an axis: tract counts up to it, whatever the sizes of values.
const MAX_ATTRIBUTE: u64 = 1 << 16;

/// Attributes whose numbers may be any: constants, and where a slice ends.
const FREE: [&str; 4] = ["value_int", "value_ints", "starts", "ends"];

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub data_type: DataType,
    /// Shape; all dimensions are fixed.
    pub shape: Vec<usize>,
}

/// What a file says of its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Inputs without a value in the file, in order.
    pub inputs: Vec<Port>,
    /// Outputs, in order.
    pub outputs: Vec<Port>,
    /// The metadata.
    pub metadata: GraphMetadata,
    /// Operators of the graph, each once, sorted.
    pub operators: Vec<String>,
}

impl Port {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Interface {
    /// Reads the bytes of an ONNX file.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(bytes: &[u8]) -> Result<Self, GraphError> {
        if bytes.len() as u64 > MAX_FILE {
            return Err(GraphError::TooLarge {
                bytes: bytes.len() as u64,
                most: MAX_FILE,
            });
        }
        let model = ModelProto::decode(bytes).map_err(|error| GraphError::NotOnnx(error.to_string()))?;
        let graph = model
            .graph
            .as_ref()
            .ok_or_else(|| GraphError::NotOnnx("there is no graph".into()))?;
        if !model.functions.is_empty() {
            return Err(GraphError::Unsupported("functions inside the file; export without them".into()));
        }
        let mut operators = HashSet::new();
        check(graph, &mut operators)?;
        let mut operators: Vec<String> = operators.into_iter().collect();
        operators.sort_unstable();

        let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = graph.input.iter().filter(|input| !constants.contains(input.name.as_str()));
        let inputs = inputs.map(port).collect::<Result<Vec<_>, _>>()?;
        let outputs = graph.output.iter().map(port).collect::<Result<Vec<_>, _>>()?;
        let mut names = HashSet::new();
        if let Some(port) = inputs.iter().chain(&outputs).find(|port| !names.insert(port.name.as_str())) {
            return Err(GraphError::Twice { port: port.name.clone() });
        }
        let made = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
        let made: HashSet<&str> = made.chain(constants).chain(inputs.iter().map(|port| port.name.as_str())).collect();
        if let Some(port) = outputs.iter().find(|port| !made.contains(port.name.as_str())) {
            return Err(GraphError::Unmade { output: port.name.clone() });
        }
        check_order(graph)?;
        let entry = model.metadata_props.iter().find(|entry| entry.key == METADATA_KEY);
        let entry = entry.ok_or(GraphError::NoMetadata)?;
        let metadata: GraphMetadata = serde_json::from_str(&entry.value).map_err(|error| GraphError::Metadata(error.to_string()))?;
        metadata.validate()?;
        Ok(Self {
            inputs,
            outputs,
            metadata,
            operators,
        })
    }
}

/// Checks the tensors of a graph, and collects its operators.
fn check(graph: &GraphProto, operators: &mut HashSet<String>) -> Result<(), GraphError> {
    if !graph.sparse_initializer.is_empty() {
        return Err(GraphError::Unsupported("sparse tensors; store them whole".into()));
    }
    graph.initializer.iter().try_for_each(check_tensor)?;
    for node in &graph.node {
        operators.insert(node.op_type.clone());
        for attribute in &node.attribute {
            if attribute.sparse_tensor.is_some() {
                return Err(GraphError::Unsupported("sparse tensors; store them whole".into()));
            }
            attribute.t.iter().chain(&attribute.tensors).try_for_each(check_tensor)?;
            // tract looks without an end for the way to any other order of dimensions.
            if attribute.name == "perm" && !is_order(&attribute.ints) {
                let (operator, order) = (&node.op_type, &attribute.ints);
                return Err(GraphError::Unsupported(format!(
                    "operator {operator} with the order of dimensions {order:?}; name each of them once"
                )));
            }
            let is_place = FREE.contains(&attribute.name.as_str());
            if let Some(number) = attribute
                .i
                .iter()
                .chain(&attribute.ints)
                .find(|number| number.unsigned_abs() > MAX_ATTRIBUTE)
                && !is_place
            {
                let (name, operator) = (&attribute.name, &node.op_type);
                return Err(GraphError::Unsupported(format!(
                    "attribute {name:?} of operator {operator} with the number {number}; the largest is {MAX_ATTRIBUTE}"
                )));
            }
            // What a graph inside a graph needs cannot be told before it runs.
            if attribute.g.is_some() || !attribute.graphs.is_empty() {
                let operator = &node.op_type;
                return Err(GraphError::Unsupported(format!(
                    "operator {operator} with a graph inside; export the model without branches and loops"
                )));
            }
        }
    }
    Ok(())
}

/// Whether these are the dimensions from 0 on, each once.
fn is_order(dimensions: &[i64]) -> bool {
    let mut sorted = dimensions.to_vec();
    sorted.sort_unstable();
    sorted.iter().zip(0..).all(|(of, axis)| *of == axis)
}

/// Checks that operators stand in order, as ONNX wants it: each reads what is given before it, so there is no cycle.
fn check_order(graph: &GraphProto) -> Result<(), GraphError> {
    let given = graph.input.iter().map(|input| input.name.as_str());
    let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut given: HashSet<&str> = given.chain(constants).chain([""]).collect();
    for node in &graph.node {
        if let Some(input) = node.input.iter().find(|input| !given.contains(input.as_str())) {
            let operator = &node.op_type;
            return Err(GraphError::Unsupported(format!(
                "operator {operator} reads {input:?}, which no operator before it gives; sort the operators by what they read"
            )));
        }
        given.extend(node.output.iter().map(String::as_str));
    }
    Ok(())
}

/// Checks that a tensor holds as many numbers as its shape has.
fn check_tensor(tensor: &TensorProto) -> Result<(), GraphError> {
    let fault = |why: String| {
        Err(GraphError::Tensor {
            tensor: tensor.name.clone(),
            why,
        })
    };
    if tensor.data_location != 0 {
        return fault("its numbers lie in another file; store them in the ONNX file".into());
    }
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let count = dims.and_then(|dims| dims.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim)));
    let Some(count) = count else {
        return fault(format!("the shape {:?} is impossible", tensor.dims));
    };
    let Ok(data_type) = DataType::try_from(tensor.data_type) else {
        return fault(format!("element type {} is not supported", tensor.data_type));
    };
    let (size, listed) = match data_type {
        DataType::Float => (4, tensor.float_data.len()),
        DataType::Int32 => (4, tensor.int32_data.len()),
        DataType::Uint8 | DataType::Int8 | DataType::Bool => (1, tensor.int32_data.len()),
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => (2, tensor.int32_data.len()),
        DataType::Int64 => (8, tensor.int64_data.len()),
        DataType::Double => (8, tensor.double_data.len()),
        DataType::Uint32 => (4, tensor.uint64_data.len()),
        DataType::Uint64 => (8, tensor.uint64_data.len()),
        DataType::String | DataType::Undefined => return fault("text and tensors without a type are not supported".into()),
    };
    let held = if tensor.raw_data.is_empty() {
        Some(listed)
    } else {
        tensor.raw_data.len().is_multiple_of(size).then_some(tensor.raw_data.len() / size)
    };
    match held == Some(count) {
        true => Ok(()),
        false => fault(format!("it does not hold the {count} numbers of its shape {:?}", tensor.dims)),
    }
}

/// Name, type and shape of an input or output.
fn port(info: &ValueInfoProto) -> Result<Port, GraphError> {
    let name = info.name.clone();
    let tensor = info.r#type.as_ref().and_then(|of| of.tensor_type.as_ref());
    let Some((tensor, shape)) = tensor.and_then(|tensor| Some((tensor, tensor.shape.as_ref()?))) else {
        return Err(GraphError::NoShape { port: name });
    };
    let mut fixed = Vec::with_capacity(shape.dim.len());
    for (axis, dim) in shape.dim.iter().enumerate() {
        match dim
            .dim_value
            .and_then(|value| usize::try_from(value).ok())
            .filter(|&value| value > 0)
        {
            Some(value) => fixed.push(value),
            None => {
                let dim = dim.dim_param.clone().unwrap_or_else(|| "?".into());
                return Err(GraphError::Dynamic { port: name, axis, dim });
            }
        }
    }
    if fixed
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim).filter(|&count| count <= MAX_PORT))
        .is_none()
    {
        return Err(GraphError::PortTooLarge { port: name, shape: fixed });
    }
    let Ok(data_type) = DataType::try_from(tensor.elem_type) else {
        return Err(GraphError::NoShape { port: name });
    };
    Ok(Port {
        name,
        data_type,
        shape: fixed,
    })
}
