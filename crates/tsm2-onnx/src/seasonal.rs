//! Seasonal averages of the targets: for each rate the average of every place in the season.
//!
//! The state `season` `[F, rates, places]` holds the places in the order of their last visit, the newest last: it turns by
//! one when a new place is visited. That is the order in which the linear head reads them.

use tsm2_core::{SEASON_RATES, Season};

use crate::graph::{Graph, Value};
use crate::proto::DataType;
use crate::states::States;

/// Inputs `[F, 1]`: the newest sample, normalized; whether it is the first reading; and the linear head's anchor, where
/// there is one. Returns the averages `[F, rates places]`, counted from the anchor; 0 for a place that was never visited.
pub(crate) fn build(
    graph: &mut Graph,
    states: &mut States,
    (season, targets): (Season, usize),
    (sample, first): (Value, Value),
    anchor: Option<Value>,
) -> Value {
    graph.enter("seasonal");
    let (period, places, rates) = (season.period, season.places(), season.rates());
    let state = states.input(graph, "season", &[targets, rates, places]);
    let visited = states.input(graph, "season_visited", &[1]);
    let deep = |graph: &mut Graph, x| graph.reshape(x, &[targets, 1, 1]);
    let (sample, first) = (deep(graph, sample), deep(graph, first));

    // A first reading stands for all samples so far.
    let was_visited = newest(graph, places, visited);
    let refilled = graph.op("And", &[first, was_visited]);
    let averages = graph.select(refilled, sample, state);

    let is_new = new_place(graph, states, visited, period, places);
    let averages = match places {
        1 => averages,
        _ => {
            let oldest = graph.slice(averages, 2, 0..1);
            let rest = graph.slice(averages, 2, 1..places);
            let turned = graph.concat(2, &[rest, oldest]);
            graph.select(is_new, turned, averages)
        }
    };
    let all = graph.float(places as f32);
    let has_unvisited = graph.op("Less", &[visited, all]);
    let is_unvisited = graph.op("And", &[is_new, has_unvisited]);
    let old = graph.slice(averages, 2, places - 1..places);
    let rate_values: Vec<f32> = season.rate.map_or(SEASON_RATES.to_vec(), |rate| vec![rate]);
    let of_sample = |rate: f32| match period == places {
        true => rate,
        false => f64::from(rate).powf(places as f64 / period as f64) as f32,
    };
    let kept: Vec<f32> = rate_values.into_iter().map(of_sample).collect();
    let taken: Vec<f32> = kept.iter().map(|rate| 1.0 - rate).collect();
    let (kept, taken) = (graph.floats(&[rates, 1], &kept), graph.floats(&[rates, 1], &taken));
    let (kept, taken) = (graph.mul(kept, old), graph.mul(taken, sample));
    let moved = graph.add(kept, taken);
    let value = graph.select(is_unvisited, sample, moved);
    let averages = match places {
        1 => value,
        _ => {
            let others = graph.slice(averages, 2, 0..places - 1);
            graph.concat(2, &[others, value])
        }
    };
    let counted = graph.cast(is_new, DataType::Float);
    let visited = graph.add(visited, counted);
    let visited = graph.op("Min", &[visited, all]);
    states.output("season", averages);
    states.output("season_visited", visited);

    let is_visited = newest(graph, places, visited);
    let relative = match anchor {
        None => averages,
        Some(anchor) => {
            let anchor = deep(graph, anchor);
            graph.sub(averages, anchor)
        }
    };
    let none = graph.float(0.0);
    let features = graph.select(is_visited, relative, none);
    graph.reshape(features, &[targets, rates * places])
}

/// Which of the places, the newest last, are among the `count` `[1]` newest.
fn newest(graph: &mut Graph, places: usize, count: Value) -> Value {
    let ages: Vec<f32> = (0..places).rev().map(|age| age as f32).collect();
    let ages = graph.floats(&[places], &ages);
    graph.op("Less", &[ages, count])
}

/// Whether this sample lies in another place than the one before it, `[1]`.
fn new_place(graph: &mut Graph, states: &mut States, visited: Value, period: usize, places: usize) -> Value {
    let half = graph.float(0.5);
    let none_visited = graph.op("Less", &[visited, half]);
    if places == 1 {
        return none_visited;
    }
    if places == period {
        return graph.always();
    }
    let phase = states.input(graph, "season_phase", &[1]);
    let is_new: Vec<f32> = (0..period)
        .map(|t| (t * places / period) != ((t + period - 1) % period) * places / period)
        .map(|is_new| f32::from(u8::from(is_new)))
        .collect();
    let is_new = graph.floats(&[period], &is_new);
    let place = graph.cast(phase, DataType::Int64);
    let is_new = graph.gather(is_new, 0, place);
    let is_new = graph.op("Greater", &[is_new, half]);
    let (one, whole, zero) = (graph.float(1.0), graph.float(period as f32), graph.float(0.0));
    let next = graph.add(phase, one);
    let is_within = graph.op("Less", &[next, whole]);
    let next = graph.select(is_within, next, zero);
    states.output("season_phase", next);
    graph.op("Or", &[is_new, none_visited])
}
