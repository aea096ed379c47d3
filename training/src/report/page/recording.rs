//! The recording, as the reader understood it.

use maud::html;
use tsm2_data::{Kind, VariateReport};

use super::section::Section;
use crate::report::chart::{Axis, Chart, Series};
use crate::report::findings::Subject;
use crate::report::text::{count, number, percent, steps};

/// Rows between two channels that are compared, to find equal ones fast.
const SAMPLES: usize = 4096;

fn kind(variate: &VariateReport) -> &'static str {
    match variate.kind {
        Kind::Number => "numbers",
        Kind::OnOff => "on and off",
        Kind::Counter => "counter",
        Kind::Constant => "constant",
        Kind::Empty => "empty",
        _ => "",
    }
}

/// Pairs of variates with the same readings.
fn duplicates<'s>(subject: &Subject<'s>) -> Vec<(&'s str, &'s str)> {
    let table = subject.rows.table;
    let rows = (0..table.len()).step_by(table.len().div_ceil(SAMPLES).max(1));
    let bits = |variate: usize| rows.clone().map(|row| table.row(row)[variate].to_bits()).collect::<Vec<u32>>();
    let all: Vec<Vec<u32>> = (0..table.variates()).map(bits).collect();
    let mut pairs = Vec::new();
    for (second, own) in all.iter().enumerate() {
        let is_same = |first: &usize| all[*first] == *own && own.iter().any(|bits| bits != &own[0]);
        if let Some(first) = (0..second).find(is_same) {
            pairs.push((table.names[first].as_str(), table.names[second].as_str()));
        }
    }
    pairs
}

/// The variate over the whole recording.
fn sparkline(variate: &VariateReport) -> Chart {
    let parts = &variate.shape.parts;
    Chart {
        label: format!("{} over the recording", variate.name),
        x: Axis::new("time, in parts of the recording"),
        y: Axis::new(variate.unit.clone().unwrap_or_default()),
        series: vec![Series {
            name: variate.name.clone(),
            class: "truth",
            points: parts.iter().enumerate().map(|(i, &x)| (i as f64, f64::from(x))).collect(),
            upper: None,
        }],
    }
}

/// Variates with a chart of their own.
const CHARTS: usize = 12;

/// The section.
pub fn section(subject: &Subject<'_>) -> Section {
    let report = subject.recording;
    let interval_ms = subject.rows.table.interval_ms;
    let (gaps, missing, longest) = report.shape.gaps;
    let same = duplicates(subject);
    let coverage = |variate: &VariateReport| 1.0 - variate.missing as f64 / report.rows.max(1) as f64;
    let fact = |name: &str, value: String| html! { tr { th scope="row" { (name) } td { (value) } } };
    let number = |x: Option<f64>| x.map_or("–".to_owned(), number);
    let body = html! {
        table.facts {
            tbody {
                (fact("Files", report.files.join(", ")))
                (fact("Rows", count(report.rows)))
                @if let (Some(start), Some(end)) = (&report.start, &report.end) { (fact("Time", format!("{start} to {end}"))) }
                @if let Some(interval) = report.interval_s {
                    (fact("Interval", format!("{interval} s in {} of the steps between rows", percent(report.shape.regularity))))
                }
                (fact("Time steps", format!("{} in {} without a long gap", count(report.shape.time_steps), match report.shape.segments {
                    0 | 1 => "one piece".into(),
                    pieces => format!("{pieces} pieces"),
                })))
                (fact("Short gaps", match gaps {
                    0 => "none".into(),
                    _ => format!("{gaps}, in all {}, the longest {}", steps(missing as usize, interval_ms), steps(longest as usize, interval_ms)),
                }))
                (fact("Season", match subject.evaluation.period {
                    Some(period) => steps(period, interval_ms),
                    None => "none found".into(),
                }))
            }
        }
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "channel" } th scope="col" { "unit" } th scope="col" { "coverage" } th scope="col" { "lowest" }
                        th scope="col" { "highest" } th scope="col" { "values" } th scope="col" { "longest time with one value" }
                    }
                }
                tbody {
                    @for variate in &report.variates {
                        tr {
                            th scope="row" { (variate.name) }
                            td { (variate.unit.as_deref().unwrap_or("")) }
                            td { (percent(coverage(variate))) }
                            td { (number(variate.min)) } td { (number(variate.max)) }
                            td { (kind(variate)) }
                            td { (steps(variate.shape.longest_constant as usize, interval_ms)) }
                        }
                    }
                }
            }
        }
        @for (first, second) in &same { p { strong { "Duplicate: " } (second) " has the readings of " (first) "." } }
        @for warning in &report.warnings { p { strong { "Note: " } (warning) } }
        @if !report.dropped_columns.is_empty() {
            p { "Columns left out:" }
            ul { @for column in &report.dropped_columns { li { (column.name) ": " (column.reason) } } }
        }
        @if !report.dropped_rows.is_empty() {
            p { "Rows left out:" }
            ul { @for rows in &report.dropped_rows { li { (rows.count) ": " (rows.reason) ", the first in line " (rows.first_line) } } }
        }
        details {
            summary { "Each channel over the whole recording" }
            div.charts {
                @for variate in report.variates.iter().take(CHARTS) { figure { h3 { (variate.name) } (sparkline(variate).svg()) } }
            }
            @if report.variates.len() > CHARTS { p.soft { "The first " (CHARTS) " channels." } }
        }
    };
    Section {
        id: "recording",
        title: "The recording",
        body,
    }
}
