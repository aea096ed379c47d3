//! Forecasts with their intervals over what came.

use maud::html;

use super::section::Section;
use crate::report::chart::{Axis, Chart, Series};
use crate::report::findings::Subject;
use crate::report::intervals::{Example, Intervals};
use crate::report::text::{moment, number};

/// Sensors that are drawn.
const SENSORS: usize = 3;

/// Readings before the origin at least.
const BEFORE: usize = 24;

/// The sensors to draw: those whose error relative to naive lies at even distances, the best and the worst among them.
fn chosen(subject: &Subject<'_>) -> Vec<usize> {
    let error = |name: &str, target: usize| {
        let details = subject.evaluation.details.get(name)?.get(subject.longest())?;
        Some(details.target(target).mean()?.mse)
    };
    let ratio = |target: usize| Some(error("tsm2", target)? / error("naive", target)?);
    let mut ranked: Vec<(usize, f64)> = (0..subject.rows.table.targets())
        .filter_map(|target| Some((target, ratio(target)?)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let drawn = SENSORS.min(ranked.len());
    let place = |i: usize| i * ranked.len().saturating_sub(1) / drawn.saturating_sub(1).max(1);
    (0..drawn).map(|i| ranked[place(i)].0).collect()
}

fn chart(subject: &Subject<'_>, example: &Example, target: usize) -> Chart {
    let (table, steps) = (subject.rows.table, subject.steps());
    let run = table.runs.run_of(example.origin - 1);
    let first = run.start.max(example.origin.saturating_sub(steps.max(BEFORE)));
    // Step 1 is the first that is forecast, so the last reading stands at 0.
    let place = |row: usize| row as f64 - example.origin as f64 + 1.0;
    let truth = (first..(example.origin + steps).min(run.end)).map(|row| (place(row), f64::from(table.row(row)[target])));
    let of = |numbers: &[f32]| {
        numbers[target * steps..(target + 1) * steps]
            .iter()
            .map(|&x| f64::from(x))
            .collect::<Vec<f64>>()
    };
    let points = |numbers: &[f32]| {
        of(numbers)
            .into_iter()
            .enumerate()
            .map(|(step, x)| (step as f64 + 1.0, x))
            .collect::<Vec<_>>()
    };
    let series = |name: &str, class, points, upper| Series {
        name: name.into(),
        class,
        points,
        upper,
    };
    Chart {
        label: format!(
            "{}: readings, and the forecast at a {} origin with its interval",
            table.names[target], example.kind
        ),
        x: Axis::new("steps from the origin"),
        y: Axis::new(subject.unit(target)),
        series: vec![
            series(
                "interval for 9 of 10 readings",
                "tsm2",
                points(&example.lower),
                Some(of(&example.upper)),
            ),
            series("reading", "truth", truth.collect(), None),
            series("forecast", "tsm2", points(&example.mean), None),
        ],
    }
}

/// The section.
pub fn section(subject: &Subject<'_>, intervals: &Intervals) -> Section {
    let table = subject.rows.table;
    let sensors = chosen(subject);
    let body = html! {
        p {
            "Of " (intervals.candidates) " forecasts at even distances in the part: those whose error is larger than that of 10 %, 50 % and 90 % \
             of them. The error is the mean squared error over all sensors and steps."
            @if table.targets() > sensors.len() {
                " Of the sensors, " (sensors.len()) " are drawn: those with the best and the worst error relative to naive, and some between."
            }
        }
        @if let (Some(example), Some(&sensor)) = (intervals.examples.first(), sensors.first()) {
            (chart(subject, example, sensor).legend())
        }
        @for example in &intervals.examples {
            h3 {
                "A " (example.kind) " forecast"
                @if table.has_calendar { ", origin " (moment(table.time_ms(example.origin - 1))) } @else { ", after row " (example.origin - 1) }
                ", error " (number(example.mse))
            }
            div.charts {
                @for &sensor in &sensors { figure { figcaption { (table.names[sensor]) } (chart(subject, example, sensor).svg()) } }
            }
        }
    };
    Section {
        id: "forecasts",
        title: "Forecasts and what came",
        body,
    }
}
