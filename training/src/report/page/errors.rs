//! Errors over all sensors, by step, of every forecaster.

use maud::html;

use super::section::Section;
use crate::evaluate::{Details, Evaluation, best};
use crate::report::chart::{Axis, Chart, Series};
use crate::report::findings::Subject;
use crate::report::text::{change_with_interval, forecaster};

/// A line per forecaster: `error` of its details at each step. The model is drawn last, on top.
pub fn by_step(evaluation: &Evaluation, longest: usize, error: &dyn Fn(&Details, usize) -> Option<f64>) -> Vec<Series> {
    let of = |name: &'static str| {
        let details = evaluation.details.get(name)?.get(longest)?;
        let point = |step: usize| (step as f64 + 1.0, error(details, step).unwrap_or(f64::NAN));
        Some(Series {
            name: forecaster(name).into(),
            class: name,
            points: (0..details.horizon()).map(point).collect(),
            upper: None,
        })
    };
    let mut series: Vec<Series> = evaluation.forecasters().filter_map(|(name, _)| of(name)).collect();
    if !series.is_empty() {
        series.rotate_left(1);
    }
    series
}

/// The section.
pub fn section(subject: &Subject<'_>) -> Section {
    let evaluation = subject.evaluation;
    let chart = Chart {
        label: "Mean absolute error by step of the horizon, of the model and of every baseline".into(),
        x: Axis::new("step of the forecast"),
        y: Axis::size("mean absolute error"),
        series: by_step(evaluation, subject.longest(), &|details, step| Some(details.step(step).mean()?.mae)),
    };
    let comparisons = evaluation.comparisons();
    let body = html! {
        p { "Errors over all sensors, in units of each sensor's standard deviation in training. Smaller is better." }
        figure.wide { (chart.svg()) (chart.legend()) }
        div.scroll tabindex="0" {
            table {
                caption { "Mean squared error over steps 1 to the step in the first column. The smallest is bold." }
                thead {
                    tr {
                        th scope="col" { "steps" }
                        @for (name, _) in evaluation.forecasters() { th scope="col" { (forecaster(name)) } }
                        th scope="col" { "origins" }
                    }
                }
                tbody {
                    @for (i, result) in evaluation.results.iter().enumerate() {
                        @let least = evaluation.forecasters().map(|(_, errors)| errors[i].mse).fold(f64::INFINITY, f64::min);
                        tr {
                            th scope="row" { (result.horizon) }
                            @for (_, errors) in evaluation.forecasters() {
                                td class=[(errors[i].mse == least).then_some("best")] { (format!("{:.4}", errors[i].mse)) }
                            }
                            td { (result.origins) }
                        }
                    }
                }
            }
        }
        ul {
            @for comparison in &comparisons {
                li {
                    @if comparison.horizon == 1 { "Step 1" } @else { "Steps 1 to " (comparison.horizon) }
                    ", against the best baseline, " (forecaster(comparison.baseline)) ": squared error "
                    (change_with_interval(&comparison.errors)) "."
                }
            }
        }
        @if !evaluation.devices.is_empty() {
            @let longest = subject.longest();
            div.scroll tabindex="0" {
                table {
                    caption { "Mean squared error of each device at " (subject.steps()) " steps" }
                    thead { tr { th scope="col" { "device" } th scope="col" { "this model" } th scope="col" { "best baseline" } th scope="col" { "ratio" } } }
                    tbody {
                        @for device in &evaluation.devices {
                            @let (baseline, ratio) = best(&device.results, &device.baselines, longest);
                            @let mse = device.results[longest].mse;
                            tr {
                                th scope="row" { (device.name) @if device.is_held_out { " (held out)" } }
                                td { (format!("{mse:.4}")) }
                                td { (format!("{:.4}", mse / ratio)) " (" (forecaster(baseline)) ")" }
                                td { (format!("{ratio:.3}")) }
                            }
                        }
                    }
                }
            }
        }
    };
    Section {
        id: "errors",
        title: "Errors by step",
        body,
    }
}
