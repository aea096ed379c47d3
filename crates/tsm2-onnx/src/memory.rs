//! The bound on a graph's memory.
//!
//! A file of some hundred bytes can ask for any amount of memory: a constant of a billion numbers, the sum of a column
//! and a row, a value that is joined with itself forty times. tract computes whatever depends on no input while it
//! analyses a graph. So shapes are derived here first, operator by operator, and an operator is computed only if its
//! results and all values before them fit into [`MAX_BYTES`].

use std::sync::LazyLock;

use tract_onnx::Onnx;
use tract_onnx::prelude::{DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, TVec, TractResult, TypedModel};
use tract_onnx::tract_core::internal::OutletId;
use tract_onnx::tract_hir::infer::Factoid;

use crate::error::GraphError;

/// Most bytes of all values of a time step together, constants included: 1 GiB.
pub const MAX_BYTES: u64 = 1 << 30;

/// tract's reader of ONNX files. Shapes that a file only claims would hide those that its operators give.
pub static FRAMEWORK: LazyLock<Onnx> = LazyLock::new(|| tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true));

/// The graph of an ONNX file, optimised and ready to run.
///
/// # Errors
/// Outside: tract cannot use the graph. Inside: the graph needs too much memory, or how much is not known.
pub fn optimized(bytes: &[u8]) -> TractResult<Result<TypedModel, GraphError>> {
    let mut model = FRAMEWORK.model_for_read(&mut &*bytes)?;
    if let Err(error) = analyse(&mut model)? {
        return Ok(Err(error));
    }
    let model = model.into_optimized()?;
    Ok(check(&model).map(|()| model))
}

/// Derives all shapes, and the values that depend on no input, within the bound.
fn analyse(model: &mut InferenceModel) -> TractResult<Result<(), GraphError>> {
    let mut order = model.eval_order()?;
    // tract also computes operators whose results nobody reads.
    let mut is_read = vec![false; model.nodes().len()];
    order.iter().for_each(|&node| is_read[node] = true);
    order.extend((0..is_read.len()).filter(|&node| !is_read[node]));
    let mut total = 0u64;
    while !order.is_empty() {
        let mut waiting = Vec::new();
        for &node in &order {
            let facts = |outlets: Vec<OutletId>| outlets.into_iter().map(|outlet| model.outlet_fact(outlet).cloned());
            let inputs: TVec<InferenceFact> = facts(model.node(node).inputs.clone()).collect::<TractResult<_>>()?;
            if inputs.iter().any(|fact| numbers(fact).is_none()) {
                waiting.push(node);
                continue;
            }
            let outlets: Vec<OutletId> = (0..model.node(node).outputs.len()).map(|slot| OutletId::new(node, slot)).collect();
            let outputs: TVec<InferenceFact> = facts(outlets.clone()).collect::<TractResult<_>>()?;
            let observed = model.node(node).op.observe_outlets(model, model.node(node))?;
            let observed: TVec<InferenceFact> = facts(observed).collect::<TractResult<_>>()?;
            let (inputs, outputs, observed) = (
                inputs.iter().collect::<TVec<_>>(),
                outputs.iter().collect(),
                observed.iter().collect(),
            );

            let name = model.node(node).name.clone();
            let op = &mut model.node_mut(node).op;
            if let Some(why) = unfit(&op.name(), &inputs) {
                return Ok(Err(GraphError::Unsupported(format!("{} at {name:?} on {why}", op.name()))));
            }
            let length = if op.name() == "Range" { range_length(&inputs) } else { None };
            let (_, shaped, _) = op.infer_facts(inputs.clone(), TVec::clone(&outputs), TVec::clone(&observed))?;
            for fact in &shaped {
                let Some(numbers) = length.or_else(|| numbers(fact)) else {
                    return Ok(Err(GraphError::UnknownShape { node: name }));
                };
                let size = fact.datum_type.concretize().map_or(size_of::<f64>(), |of| DatumType::size_of(&of));
                total = total.saturating_add(numbers.saturating_mul(size as u64));
                if total > MAX_BYTES {
                    return Ok(Err(too_much(name, format!("{:?}", fact.shape))));
                }
            }
            let (_, computed, _) = op.infer(inputs, outputs, observed)?;
            for (outlet, fact) in outlets.into_iter().zip(computed) {
                let fact = model.outlet_fact(outlet)?.unify(&fact)?;
                model.set_outlet_fact(outlet, fact)?;
            }
        }
        if waiting.len() == order.len() {
            let node = model.node(waiting[0]).name.clone();
            return Ok(Err(GraphError::UnknownShape { node }));
        }
        order = waiting;
    }
    Ok(Ok(()))
}

/// The input that has less than its operator counts on. Without dimensions tract reads beyond the end of the shape, or
/// counts from one below zero; without elements it reads a number that is not there.
fn unfit(of: &str, inputs: &[&InferenceFact]) -> Option<&'static str> {
    let is_on_images = ["BatchNorm", "Conv", "InstanceNorm", "Lrn", "Pool"]
        .iter()
        .any(|part| of.contains(part));
    let has_less = |input: usize, than: usize| {
        let rank = inputs.get(input).and_then(|fact| fact.shape.concretize()).map(|dims| dims.len());
        rank.is_some_and(|rank| rank < than)
    };
    match of {
        _ if is_on_images && has_less(0, 2) => Some("an input of fewer than two dimensions"),
        "GatherNd" if has_less(1, 1) => Some("indices without a dimension"),
        _ => {
            let mut empty = (0..inputs.len()).filter(|&input| numbers(inputs[input]) == Some(0));
            empty.any(|input| !may_be_empty(of, input)).then_some("an input without elements")
        }
    }
}

/// Whether an operator takes this input without elements: a list, such as a shape, axes or what is joined, and no number.
fn may_be_empty(of: &str, input: usize) -> bool {
    match of {
        "ConstantOfShape" | "Identity" | "InferenceConcat" | "onnx.Cast" => true,
        "MultiBroadcastTo" | "Reduce13" | "Reshape" | "Resize" | "Squeeze13" | "Unsqueeze13" => input > 0,
        _ => false,
    }
}

/// How many numbers a value has; none where that is not known.
fn numbers(fact: &InferenceFact) -> Option<u64> {
    let dims = fact.shape.concretize()?;
    let dims = dims.iter().map(|dim| dim.to_i64().ok().and_then(|dim| u64::try_from(dim).ok()));
    dims.collect::<Option<Vec<u64>>>()
        .map(|dims| dims.into_iter().fold(1, u64::saturating_mul))
}

/// How many numbers a `Range` of constants has. tract derives its shape in 32 bits and computes it in 64.
fn range_length(inputs: &[&InferenceFact]) -> Option<u64> {
    let number = |fact: &&InferenceFact| fact.value.concretize()?.cast_to_scalar::<f64>().ok();
    let numbers: Vec<f64> = inputs.iter().map(number).collect::<Option<_>>()?;
    let [start, limit, step] = numbers.try_into().ok()?;
    // A step of zero gives infinity, and the cast the largest number.
    Some(((limit - start) / step).ceil().max(0.0) as u64)
}

/// The bound again, on the operators that run: those of tract can need more room than those of the file.
fn check(model: &TypedModel) -> Result<(), GraphError> {
    let mut total = 0u64;
    for node in model.nodes() {
        for output in &node.outputs {
            let bytes = output.fact.mem_size().to_i64().ok().and_then(|bytes| u64::try_from(bytes).ok());
            let Some(bytes) = bytes else {
                return Err(GraphError::UnknownShape { node: node.name.clone() });
            };
            total = total.saturating_add(bytes);
            if total > MAX_BYTES {
                return Err(too_much(node.name.clone(), format!("{:?}", output.fact.shape)));
            }
        }
    }
    Ok(())
}

fn too_much(node: String, shape: String) -> GraphError {
    GraphError::TooMuchMemory {
        node,
        shape,
        most: MAX_BYTES,
    }
}
