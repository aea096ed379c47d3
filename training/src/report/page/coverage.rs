//! How often readings fall into the prediction intervals.

use maud::html;

use super::section::Section;
use crate::report::chart::{Axis, Chart, Series};
use crate::report::findings::Subject;
use crate::report::intervals::{COVERAGE, Intervals};
use crate::report::text::{number, percent};

/// The section.
pub fn section(subject: &Subject<'_>, intervals: &Intervals) -> Section {
    let table = subject.rows.table;
    let by_step = intervals.by_step();
    let target = 100.0 * f64::from(COVERAGE);
    let line = |name: &str, class, of: &dyn Fn(f64) -> f64| Series {
        name: name.into(),
        class,
        points: by_step
            .iter()
            .enumerate()
            .map(|(step, &share)| (step as f64 + 1.0, of(share)))
            .collect(),
        upper: None,
    };
    let lowest = by_step.iter().copied().filter(|share| share.is_finite()).fold(0.8_f64, f64::min);
    let chart = Chart {
        label: "Share of the readings inside the prediction interval, by step".into(),
        x: Axis::new("step of the forecast"),
        y: Axis {
            range: Some(((10.0 * lowest).floor() * 10.0, 100.0)),
            ..Axis::new("readings inside, %")
        },
        series: vec![
            line("intended", "limit", &|_| target),
            line("measured", "tsm2", &|share| 100.0 * share),
        ],
    };
    let body = html! {
        p {
            "The device publishes an interval with every forecast. " (percent(f64::from(COVERAGE))) " of the readings should fall inside. \
             The intervals are learned from past errors as on the device, from the first row of the recording on."
        }
        figure.wide { (chart.svg()) (chart.legend()) }
        div.scroll tabindex="0" {
            table {
                thead { tr { th scope="col" { "sensor" } th scope="col" { "inside" } th scope="col" { "mean width" } th scope="col" { "unit" } } }
                tbody {
                    @for (sensor, name) in table.names.iter().enumerate().take(table.targets()) {
                        @let (inside, width) = intervals.of_target(sensor);
                        tr { th scope="row" { (name) } td { (percent(inside)) } td { (number(width)) } td { (subject.unit(sensor)) } }
                    }
                }
            }
        }
    };
    Section {
        id: "intervals",
        title: "Prediction intervals",
        body,
    }
}
