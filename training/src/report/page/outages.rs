//! Errors with missing readings, after gaps, and from a cold start.

use maud::html;

use super::section::Section;
use crate::evaluate::robustness::PerturbedErrors;
use crate::report::chart::{Axis, Chart, Scale, Series};
use crate::report::findings::Subject;
use crate::report::outages::Outages;
use crate::report::text::{number, steps};

fn after(name: String, class: &'static str, errors: &[PerturbedErrors]) -> Series {
    let ratio = |at: &PerturbedErrors| Some(at.errors.first()?.mse / at.carried.first()?.mse);
    Series {
        name,
        class,
        points: errors.iter().map(|at| (at.rows as f64, ratio(at).unwrap_or(f64::NAN))).collect(),
        upper: None,
    }
}

/// The section.
pub fn section(subject: &Subject<'_>, outages: &Result<Outages, String>) -> Section {
    let body = match outages {
        Ok(outages) => body(subject, outages),
        Err(reason) => html! { p { "Not measured: " (reason) "." } },
    };
    Section {
        id: "outages",
        title: "Missing readings and gaps",
        body,
    }
}

fn body(subject: &Subject<'_>, outages: &Outages) -> maud::Markup {
    let interval_ms = subject.bundle.meta().interval_ms;
    let of_gap = |i: usize| if i == 0 { "linear-head" } else { "seasonal-naive" };
    let mut series: Vec<Series> = outages
        .gaps
        .iter()
        .enumerate()
        .map(|(i, (gap, errors))| after(format!("after a gap of {}", steps(gap.rows, interval_ms)), of_gap(i), errors))
        .collect();
    series.push(after("from a cold start".into(), "tsm2", &outages.cold_start));
    let ratios = || {
        series
            .iter()
            .flat_map(|series| &series.points)
            .map(|point| point.1)
            .filter(|x| x.is_finite())
    };
    let (lowest, highest) = (ratios().fold(0.9, f64::min), ratios().fold(2.0, f64::max));
    let chart = Chart {
        label: "Error after a gap and from a cold start, relative to the error without it".into(),
        x: Axis {
            scale: Scale::Log2,
            ..Axis::new("time steps since")
        },
        y: Axis {
            scale: Scale::Log2,
            range: Some((lowest, highest)),
            ..Axis::new("error, relative")
        },
        series,
    };
    let complete = outages
        .missing
        .first()
        .and_then(|share| Some(share.model.first()?.mse))
        .unwrap_or(f64::NAN);
    html! {
        p {
            "Measured on the last " (outages.rows) " rows of the part without a gap, over all " (subject.steps()) " steps. What is missing is drawn at random; \
             forecasts are compared with the true readings."
        }
        div.scroll tabindex="0" {
            table {
                caption { "Mean squared error while single readings are missing" }
                thead { tr { th scope="col" { "missing" } th scope="col" { "this model" } th scope="col" { "relative" } th scope="col" { "naive" } } }
                tbody {
                    @for share in &outages.missing {
                        @if let (Some(model), Some(naive)) = (share.model.first(), share.naive.first()) {
                            tr {
                                th scope="row" { (share.percent) " %" }
                                td { (format!("{:.4}", model.mse)) }
                                td { (format!("{:.2}", model.mse / complete)) }
                                td { (format!("{:.4}", naive.mse)) }
                            }
                        }
                    }
                }
            }
        }
        p { "After a gap in all readings, or from an empty state: how many times the error of the same forecasts without the gap. 1 is as good as ever." }
        figure.wide { (chart.svg()) (chart.legend()) }
        p.soft { "The largest is " (number(highest)) " times. Neighbouring points differ by chance." }
    }
}
