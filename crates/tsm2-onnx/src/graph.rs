//! A graph under construction: operators are added one after the other, and equal constants are stored once.

use std::collections::HashMap;

use crate::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// A value of the graph: an input, a constant or an operator's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value(usize);

/// The graph so far.
#[derive(Default)]
pub(crate) struct Graph {
    proto: GraphProto,
    names: Vec<String>,
    constants: HashMap<(i32, Vec<i64>, Vec<u8>), Value>,
    /// The part of the model that is being built; names of nodes begin with it.
    scope: String,
}

impl Graph {
    /// The finished graph.
    pub fn finish(mut self, name: &str) -> GraphProto {
        self.proto.name = name.to_owned();
        self.proto
    }

    /// Names the part of the model that is built next.
    pub fn enter(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    fn value(&mut self, name: String) -> Value {
        self.names.push(name);
        Value(self.names.len() - 1)
    }

    /// An input of the graph.
    pub fn input(&mut self, name: &str, data_type: DataType, shape: &[usize]) -> Value {
        self.proto.input.push(value_info(name, data_type, shape));
        self.value(name.to_owned())
    }

    /// An output of the graph: `value`, under a name of its own.
    pub fn output(&mut self, name: &str, data_type: DataType, shape: &[usize], value: Value) {
        self.proto.output.push(value_info(name, data_type, shape));
        self.proto.node.push(NodeProto {
            input: vec![self.names[value.0].clone()],
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: "Identity".into(),
            ..NodeProto::default()
        });
    }

    /// A constant of any type; `name` must not be taken.
    pub fn named(&mut self, name: &str, data_type: DataType, shape: &[usize], raw_data: Vec<u8>) -> Value {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|&dim| dim as i64).collect(),
            data_type: data_type as i32,
            name: name.to_owned(),
            raw_data,
            ..TensorProto::default()
        });
        self.value(name.to_owned())
    }

    fn constant(&mut self, data_type: DataType, shape: &[usize], raw_data: Vec<u8>) -> Value {
        let dims = shape.iter().map(|&dim| dim as i64).collect();
        let key = (data_type as i32, dims, raw_data);
        if let Some(&value) = self.constants.get(&key) {
            return value;
        }
        let name = format!("constant.{}", self.constants.len());
        let value = self.named(&name, data_type, shape, key.2.clone());
        self.constants.insert(key, value);
        value
    }

    /// A constant in single precision.
    pub fn floats(&mut self, shape: &[usize], numbers: &[f32]) -> Value {
        self.constant(DataType::Float, shape, bytes(numbers, |x| x.to_le_bytes()))
    }

    /// A number in single precision, which fits to any shape.
    pub fn float(&mut self, number: f32) -> Value {
        self.floats(&[], &[number])
    }

    /// A constant in double precision.
    pub fn doubles(&mut self, shape: &[usize], numbers: &[f64]) -> Value {
        self.constant(DataType::Double, shape, bytes(numbers, |x| x.to_le_bytes()))
    }

    /// True, `[1]`.
    pub fn always(&mut self) -> Value {
        self.constant(DataType::Bool, &[1], vec![1])
    }

    /// A list of integers.
    pub fn integers(&mut self, numbers: &[i64]) -> Value {
        self.places(&[numbers.len()], numbers)
    }

    /// Integers of any shape.
    pub fn places(&mut self, shape: &[usize], numbers: &[i64]) -> Value {
        self.constant(DataType::Int64, shape, bytes(numbers, |x| x.to_le_bytes()))
    }

    fn node<const N: usize>(&mut self, op: &str, inputs: &[Value], attributes: &[(&str, Attribute)]) -> [Value; N] {
        let name = format!("{}/{op}.{}", self.scope, self.proto.node.len());
        let outputs: [Value; N] = std::array::from_fn(|i| {
            let output = if N == 1 { name.clone() } else { format!("{name}:{i}") };
            self.value(output)
        });
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|input| self.names[input.0].clone()).collect(),
            output: outputs.iter().map(|output| self.names[output.0].clone()).collect(),
            name,
            op_type: op.to_owned(),
            attribute: attributes.iter().map(|(name, attribute)| attribute.proto(name)).collect(),
            ..NodeProto::default()
        });
        outputs
    }

    /// An operator without attributes.
    pub fn op(&mut self, op: &str, inputs: &[Value]) -> Value {
        let [value] = self.node(op, inputs, &[]);
        value
    }

    /// a + b.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.op("Add", &[a, b])
    }

    /// a - b.
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.op("Sub", &[a, b])
    }

    /// a b, element by element.
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.op("Mul", &[a, b])
    }

    /// a / b.
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.op("Div", &[a, b])
    }

    /// x sigmoid(x).
    pub fn silu(&mut self, x: Value) -> Value {
        let sigmoid = self.op("Sigmoid", &[x]);
        self.mul(x, sigmoid)
    }

    /// `x` limited to -limit .. limit.
    pub fn clamp(&mut self, x: Value, limit: f32) -> Value {
        let (low, high) = (self.float(-limit), self.float(limit));
        self.op("Clip", &[x, low, high])
    }

    /// `a` where `condition` holds, elsewhere `b`.
    pub fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        self.op("Where", &[condition, a, b])
    }

    /// A value of another element type.
    pub fn cast(&mut self, x: Value, to: DataType) -> Value {
        let [value] = self.node("Cast", &[x], &[("to", Attribute::Int(to as i64))]);
        value
    }

    /// The elements `range` along `axis`.
    pub fn slice(&mut self, x: Value, axis: usize, range: std::ops::Range<usize>) -> Value {
        let start = self.integers(&[range.start as i64]);
        let end = self.integers(&[range.end as i64]);
        let axis = self.integers(&[axis as i64]);
        self.op("Slice", &[x, start, end, axis])
    }

    /// The values one after the other along `axis`; a single value stays as it is.
    pub fn concat(&mut self, axis: usize, values: &[Value]) -> Value {
        match values {
            [value] => *value,
            _ => {
                let [value] = self.node("Concat", values, &[("axis", Attribute::Int(axis as i64))]);
                value
            }
        }
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Value {
        let shape: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
        let shape = self.integers(&shape);
        self.op("Reshape", &[x, shape])
    }

    /// `x` `[1, ..]`, `count` times. Not by `Expand`, over which tract 0.23 moves a matrix product with the wrong shape.
    pub fn repeat(&mut self, x: Value, count: usize) -> Value {
        let first = self.integers(&vec![0; count]);
        self.gather(x, 0, first)
    }

    /// The sum along `axis`, which is left out of the shape.
    pub fn sum(&mut self, x: Value, axis: usize) -> Value {
        let axis = self.integers(&[axis as i64]);
        let [value] = self.node("ReduceSum", &[x, axis], &[("keepdims", Attribute::Int(0))]);
        value
    }

    /// The largest number along `axis`, which becomes 1.
    pub fn largest(&mut self, x: Value, axis: usize) -> Value {
        let [value] = self.node(
            "ReduceMax",
            &[x],
            &[("axes", Attribute::Ints(axis as i64)), ("keepdims", Attribute::Int(1))],
        );
        value
    }

    /// x W^T + bias, with x `[n, columns]`, W `[rows, columns]` and a bias that fits to `[n, rows]`.
    pub fn linear(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Value {
        let inputs = [Some(x), Some(weight), bias];
        let inputs: Vec<Value> = inputs.into_iter().flatten().collect();
        let [value] = self.node("Gemm", &inputs, &[("transB", Attribute::Int(1))]);
        value
    }

    /// LayerNorm over the last dimension.
    pub fn layer_norm(&mut self, x: Value, weight: Value, bias: Value, epsilon: f32) -> Value {
        let epsilon = ("epsilon", Attribute::Float(epsilon));
        let [value] = self.node("LayerNormalization", &[x, weight, bias], &[epsilon]);
        value
    }

    /// The numbers of 8-bit integers `[rows, columns]` with a scale for each row.
    pub fn dequantize(&mut self, integers: Value, scales: Value) -> Value {
        let [value] = self.node("DequantizeLinear", &[integers, scales], &[("axis", Attribute::Int(0))]);
        value
    }

    /// Consecutive parts of these lengths along `axis`.
    pub fn split<const N: usize>(&mut self, x: Value, axis: usize, lens: [usize; N]) -> [Value; N] {
        let lens = self.integers(&lens.map(|len| len as i64));
        self.node("Split", &[x, lens], &[("axis", Attribute::Int(axis as i64))])
    }

    /// The elements of `x` along `axis`, at the given places.
    pub fn gather(&mut self, x: Value, axis: usize, places: Value) -> Value {
        let [value] = self.node("Gather", &[x, places], &[("axis", Attribute::Int(axis as i64))]);
        value
    }
}

/// An attribute of a node.
#[derive(Clone, Copy)]
enum Attribute {
    Int(i64),
    /// A list of one.
    Ints(i64),
    Float(f32),
}

impl Attribute {
    fn proto(self, name: &str) -> AttributeProto {
        let mut proto = AttributeProto {
            name: name.to_owned(),
            ..AttributeProto::default()
        };
        match self {
            Self::Int(i) => {
                proto.i = Some(i);
                proto.set_type(AttributeType::Int);
            }
            Self::Ints(i) => {
                proto.ints = vec![i];
                proto.set_type(AttributeType::Ints);
            }
            Self::Float(f) => {
                proto.f = Some(f);
                proto.set_type(AttributeType::Float);
            }
        }
        proto
    }
}

fn value_info(name: &str, data_type: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim = |&dim: &usize| DimensionProto {
        dim_value: Some(dim as i64),
        dim_param: None,
    };
    let tensor_type = TensorTypeProto {
        elem_type: data_type as i32,
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}

/// The little-endian bytes of numbers.
pub(crate) fn bytes<T: Copy, const N: usize>(numbers: &[T], of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| of(number)).collect()
}
