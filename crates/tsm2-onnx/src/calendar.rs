//! The calendar: sine and cosine of harmonics of the time of day and of the time of the week.

use tsm2_core::Calendar;

use crate::graph::{Graph, Value};
use crate::proto::DataType;

const DAY_MS: i64 = 86_400_000;

/// Unix time began on a Thursday, three days after a Monday.
const MONDAY_MS: i64 = 3 * DAY_MS;

/// The input `time_ms` `[1]` and the calendar's numbers `[1, c]` of it: Unix time plus the offset of the model's time zone,
/// in milliseconds.
pub(crate) fn build(graph: &mut Graph, calendar: Calendar) -> Value {
    graph.enter("calendar");
    let time = graph.input("time_ms", DataType::Int64, &[1]);
    let monday = graph.integers(&[MONDAY_MS]);
    let since_monday = graph.add(time, monday);
    let cycles = [(time, DAY_MS, calendar.day), (since_monday, 7 * DAY_MS, calendar.week)];
    let turns: Vec<Value> = cycles
        .into_iter()
        .filter(|(_, _, harmonics)| *harmonics > 0)
        .map(|(time, cycle, harmonics)| {
            let whole = graph.integers(&[cycle]);
            let rest = graph.op("Mod", &[time, whole]);
            let rest = graph.cast(rest, DataType::Double);
            let whole = graph.doubles(&[1], &[cycle as f64]);
            let position = graph.div(rest, whole);
            let position = graph.cast(position, DataType::Float);
            let numbers: Vec<f32> = (1..=harmonics).map(|harmonic| harmonic as f32).collect();
            let numbers = graph.floats(&[harmonics], &numbers);
            graph.mul(position, numbers)
        })
        .collect();
    let turns = graph.concat(0, &turns);
    let whole = graph.op("Floor", &[turns]);
    let turns = graph.sub(turns, whole);
    let circle = graph.float(std::f32::consts::TAU);
    let angle = graph.mul(turns, circle);
    let angle = graph.reshape(angle, &[calendar.len() / 2, 1]);
    let (sine, cosine) = (graph.op("Sin", &[angle]), graph.op("Cos", &[angle]));
    let pairs = graph.concat(1, &[sine, cosine]);
    graph.reshape(pairs, &[1, calendar.len()])
}
