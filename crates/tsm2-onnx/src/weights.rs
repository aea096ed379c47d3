//! The learned tensors of a bundle as constants of a graph, under the names of the model file.
//!
//! An int8 matrix stays one: its integers and the scales of its rows are constants, and an operator multiplies them.

use std::collections::HashMap;
use std::ops::Range;

use tsm2_bundle::Bundle;
use tsm2_core::{Error, Storage, stored_layout};

use crate::graph::{Graph, Value, bytes};
use crate::proto::DataType;

/// The tensors of a bundle.
pub(crate) struct Weights<'b> {
    tensors: HashMap<String, Tensor<'b>>,
}

/// A tensor `[.., columns]`.
struct Tensor<'b> {
    shape: Vec<usize>,
    numbers: Numbers<'b>,
}

enum Numbers<'b> {
    Single(&'b [f32]),
    Int8 { integers: &'b [i8], scales: &'b [f32] },
}

impl<'b> Weights<'b> {
    /// The tensors of `bundle` by name.
    pub fn of(bundle: &'b Bundle) -> Result<Self, Error> {
        let (mut singles, mut integers) = (bundle.weights(), bundle.integers());
        let mut tensors = HashMap::new();
        stored_layout(&bundle.meta().config, |name, shape, storage| {
            let (count, columns) = (shape.iter().product::<usize>(), shape[shape.len() - 1]);
            let taken = if storage == Storage::Int8 { count / columns } else { count };
            let (single, rest) = singles.split_at(taken);
            singles = rest;
            let numbers = match storage {
                Storage::Single => Numbers::Single(single),
                Storage::Int8 => {
                    let (head, rest) = integers.split_at(count);
                    integers = rest;
                    Numbers::Int8 {
                        integers: head,
                        scales: single,
                    }
                }
            };
            let shape = shape.to_vec();
            tensors.insert(name.to_string(), Tensor { shape, numbers });
        })?;
        Ok(Self { tensors })
    }

    /// The numbers of a tensor that is in single precision in every model.
    pub fn plain(&self, name: &str) -> &'b [f32] {
        match self.tensors[name].numbers {
            Numbers::Single(numbers) => numbers,
            Numbers::Int8 { .. } => unreachable!("{name} is never stored as integers"),
        }
    }

    /// A tensor of single precision as a constant of its own shape.
    pub fn constant(&self, graph: &mut Graph, name: &str) -> Value {
        let shape = &self.tensors[name].shape;
        graph.named(name, DataType::Float, shape, bytes(self.plain(name), f32::to_le_bytes))
    }

    /// A matrix as a value `[rows, columns]`; all dimensions but the last are rows.
    pub fn matrix(&self, graph: &mut Graph, name: &str) -> Value {
        let shape = &self.tensors[name].shape;
        let rows = shape[..shape.len() - 1].iter().product();
        self.rows(graph, name, "", 0..rows)
    }

    /// Some rows of a matrix, under the tensor's name with `suffix`.
    pub fn rows(&self, graph: &mut Graph, name: &str, suffix: &str, rows: Range<usize>) -> Value {
        let tensor = &self.tensors[name];
        let columns = tensor.shape[tensor.shape.len() - 1];
        let shape = [rows.len(), columns];
        let of = rows.start * columns..rows.end * columns;
        let name = format!("{name}{suffix}");
        match tensor.numbers {
            Numbers::Single(numbers) => graph.named(&name, DataType::Float, &shape, bytes(&numbers[of], f32::to_le_bytes)),
            Numbers::Int8 { integers, scales } => {
                let integers = graph.named(&name, DataType::Int8, &shape, bytes(&integers[of], i8::to_le_bytes));
                let scale = format!("{name}.scale");
                let scales = graph.named(&scale, DataType::Float, &shape[..1], bytes(&scales[rows], f32::to_le_bytes));
                graph.dequantize(integers, scales)
            }
        }
    }

    /// out = x W^T for each of `count` rows of x `[count, columns]`: one matrix for all, or `own` with a matrix for each row.
    pub fn apply(&self, graph: &mut Graph, name: &str, (x, count): (Value, usize), own: bool) -> Value {
        let weight = self.matrix(graph, name);
        if !own {
            return graph.linear(x, weight, None);
        }
        let shape = &self.tensors[name].shape;
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let weight = graph.reshape(weight, &[count, rows, columns]);
        let x = graph.reshape(x, &[count, columns, 1]);
        let out = graph.op("MatMul", &[weight, x]);
        graph.reshape(out, &[count, rows])
    }
}
