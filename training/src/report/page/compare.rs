//! The page on two models.

use maud::html;

use super::frame::frame;
use super::section::Section;
use crate::report::chart::{Axis, Chart, Series};
use crate::report::duel::Duel;
use crate::report::text::change_with_interval;

/// The page.
#[must_use]
pub fn comparison_page(duel: &Duel) -> String {
    let [a, b] = &duel.names;
    let card = html! {
        div.summary {
            h2 { (duel.sentence()) }
            @if let Some(pair) = duel.horizons.last() {
                p { "Squared error of " (b) " against " (a) ", over all " (pair.a.horizon) " steps: " (change_with_interval(&pair.errors)) "." }
            }
            p.soft { "Both models forecast at the same origins; the interval is what chance allows." }
        }
    };
    let rows = html! { "A is " (a) ", B is " (b) ". Measured on " (duel.rows) "." };
    let sections = [by_step(duel), by_sensor(duel)];
    frame(&format!("{b} compared with {a}"), &rows, &card, &sections)
}

fn by_step(duel: &Duel) -> Section {
    let [a, b] = &duel.names;
    let series = |name: &String, class, errors: &[f64]| Series {
        name: name.clone(),
        class,
        points: errors.iter().enumerate().map(|(step, &mae)| (step as f64 + 1.0, mae)).collect(),
        upper: None,
    };
    let chart = Chart {
        label: format!("Mean absolute error of {a} and {b} by step of the forecast"),
        x: Axis::new("step of the forecast"),
        y: Axis::size("mean absolute error"),
        series: vec![series(a, "linear-head", &duel.steps[0]), series(b, "tsm2", &duel.steps[1])],
    };
    let body = html! {
        p { "Errors over all sensors, in units of each sensor's standard deviation in the training of A. Smaller is better." }
        figure.wide { (chart.svg()) (chart.legend()) }
        div.scroll tabindex="0" {
            table {
                caption { "Mean squared error over steps 1 to the step in the first column" }
                thead { tr { th scope="col" { "steps" } th scope="col" { "A" } th scope="col" { "B" } th scope="col" { "B against A" } th scope="col" { "origins" } } }
                tbody {
                    @for pair in &duel.horizons {
                        tr {
                            th scope="row" { (pair.a.horizon) }
                            td { (format!("{:.4}", pair.a.mse)) } td { (format!("{:.4}", pair.b.mse)) }
                            td.text { (change_with_interval(&pair.errors)) }
                            td { (pair.a.origins) }
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

fn by_sensor(duel: &Duel) -> Section {
    let mae = |mae: Option<f64>| mae.map_or("–".into(), |mae| format!("{mae:.4}"));
    let body = html! {
        p { "Mean absolute error over all steps, in the sensor's own unit. The last column compares squared errors." }
        div.scroll tabindex="0" {
            table {
                thead { tr { th scope="col" { "sensor" } th scope="col" { "unit" } th scope="col" { "A" } th scope="col" { "B" } th scope="col" { "B against A" } } }
                tbody {
                    @for sensor in &duel.sensors {
                        tr {
                            th scope="row" { (sensor.name) }
                            td { (sensor.unit.as_deref().unwrap_or("")) }
                            td { (mae(sensor.mae_a)) } td { (mae(sensor.mae_b)) }
                            td.text { (sensor.errors.as_ref().map_or("no reading".into(), change_with_interval)) }
                        }
                    }
                }
            }
        }
    };
    Section {
        id: "sensors",
        title: "Errors of each sensor",
        body,
    }
}
