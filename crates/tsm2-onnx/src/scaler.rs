//! Readings to scaled samples, and which readings are there.

use tsm2_core::Z_LIMIT;

use crate::graph::{Graph, Value};

/// z of readings `[.., n]`; a number for a reading that is not finite, too.
pub(crate) fn scale(graph: &mut Graph, shape: &[usize], (mean, std): (&[f32], &[f32]), readings: Value) -> Value {
    let (mean, std) = (graph.floats(shape, mean), graph.floats(shape, std));
    let centred = graph.sub(readings, mean);
    let z = graph.div(centred, std);
    graph.clamp(z, Z_LIMIT)
}

/// Whether readings are finite: a comparison with NaN is false.
pub(crate) fn is_finite(graph: &mut Graph, readings: Value) -> Value {
    let (magnitude, largest) = (graph.op("Abs", &[readings]), graph.float(f32::MAX));
    graph.op("LessOrEqual", &[magnitude, largest])
}
