//! Errors of each sensor in its own unit.

use maud::html;

use super::errors::by_step;
use super::section::Section;
use crate::evaluate::{Details, Ratio};
use crate::report::chart::{Axis, Chart};
use crate::report::findings::Subject;
use crate::report::text::{change, forecaster, interval};

/// Sensors with a chart of their own.
const CHARTS: usize = 12;

/// The model against the best baseline of one sensor.
fn compare(subject: &Subject<'_>, target: usize) -> Option<Ratio> {
    let i = subject.longest();
    let details = |name: &str| subject.evaluation.details.get(name)?.get(i);
    let mse = |name: &str| Some(details(name)?.target(target).mean()?.mse);
    let blocks = |name: &str| Some(details(name)?.target_blocks(target));
    let baselines = subject.evaluation.baselines.named();
    let errors = baselines.filter_map(|(name, _)| Some((name, mse(name)?)));
    let (baseline, error) = errors.min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Ratio::new([mse("tsm2")?, error], [&blocks("tsm2")?, &blocks(baseline)?]))
}

/// The section.
pub fn section(subject: &Subject<'_>) -> Section {
    let (evaluation, table, longest) = (subject.evaluation, subject.rows.table, subject.longest());
    let targets = 0..table.targets();
    let deviation = |target: usize| f64::from(subject.rows.scaler.std[target]);
    let mae = |details: &Details, target: usize| Some(details.target(target).mean()?.mae * deviation(target));
    let chart = |target: usize| Chart {
        label: format!("Mean absolute error of {} by step", table.names[target]),
        x: Axis::new("step of the forecast"),
        y: Axis::size(match subject.unit(target) {
            "" => "mean absolute error".to_owned(),
            unit => format!("mean absolute error, {unit}"),
        }),
        series: by_step(evaluation, longest, &|details, step| {
            Some(details.target_steps(target)[step].mean()?.mae * deviation(target))
        }),
    };
    let body = html! {
        p { "Mean absolute error over all " (subject.steps()) " steps, in the sensor's own unit. The last column compares squared errors, with the \
             95 % interval that chance allows." }
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "sensor" } th scope="col" { "unit" }
                        @for (name, _) in evaluation.forecasters() { th scope="col" { (forecaster(name)) } }
                        th scope="col" { "against its best baseline" }
                    }
                }
                tbody {
                    @for target in targets.clone() {
                        tr {
                            th scope="row" { (table.names[target]) }
                            td { (subject.unit(target)) }
                            @for (name, _) in evaluation.forecasters() {
                                @let details = evaluation.details.get(name).and_then(|all| all.get(longest));
                                td { (details.and_then(|details| mae(details, target)).map_or("–".into(), |mae| format!("{mae:.4}"))) }
                            }
                            td.text {
                                @match compare(subject, target) {
                                    Some(errors) => { (change(errors.ratio)) br; span.note { (interval(&errors)) } },
                                    None => "no reading",
                                }
                            }
                        }
                    }
                }
            }
        }
        @let charts: Vec<Chart> = targets.clone().take(CHARTS).map(chart).collect();
        @if let Some(chart) = charts.first() { (chart.legend()) }
        div.charts {
            @for (chart, name) in charts.iter().zip(&table.names) { figure { h3 { (name) } (chart.svg()) } }
        }
        @if targets.len() > CHARTS { p.soft { "Charts of the first " (CHARTS) " sensors; the table has all." } }
    };
    Section {
        id: "sensors",
        title: "Errors of each sensor",
        body,
    }
}
