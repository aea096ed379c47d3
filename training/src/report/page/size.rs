//! Memory, operations, time.

use maud::html;

use super::section::Section;
use crate::report::cost::{Cost, DEVICES};
use crate::report::findings::Subject;
use crate::report::text::{bytes, count, time};

/// The section.
pub fn section(subject: &Subject<'_>, cost: &Cost) -> Section {
    let interval_ms = subject.bundle.meta().interval_ms;
    let streams = |seconds: f64| match interval_ms {
        // One core, busy half of the time.
        Some(ms) => count((ms as f64 / 1e3 / seconds / 2.0) as u64),
        None => "–".into(),
    };
    let fact = |name: &str, value: String| html! { tr { th scope="row" { (name) } td { (value) } } };
    let body = html! {
        table.facts {
            tbody {
                (fact("Model file", bytes(cost.file_bytes)))
                @if let Some(parameters) = cost.parameters { (fact("Parameters", count(parameters as u64))) }
                (fact("State of each stream", bytes(cost.state_bytes as u64)))
                (fact("Working memory, shared", bytes(cost.scratch_bytes as u64)))
                @if let Some(operations) = cost.step_operations { (fact("Multiply-adds of a time step", count(operations))) }
                @if let Some(operations) = cost.forecast_operations { (fact("Multiply-adds of a forecast", count(operations))) }
            }
        }
        div.scroll tabindex="0" {
            table {
                caption { "Time of a time step with its forecast, on one core" }
                thead { tr { th scope="col" { "device" } th scope="col" { "time" } th scope="col" { "streams at half load" } } }
                tbody {
                    tr { th scope="row" { "this machine, measured" } td { (time(cost.seconds_here)) } td { (streams(cost.seconds_here)) } }
                    @for (device, seconds) in DEVICES.iter().filter_map(|device| Some((device, cost.expected(device)?))) {
                        tr { th scope="row" { (device.name) } td { (time(seconds)) } td { (streams(seconds)) } }
                    }
                }
            }
        }
        @if cost.step_operations.is_some() { p.soft {
            "Only the first line is measured. The others are estimates from the number of multiply-adds: one in a cycle on boards with Linux, \
             one in ten cycles on Cortex-M. Memory can set a lower limit on Cortex-M."
        } }
    };
    Section {
        id: "size",
        title: "Size and time",
        body,
    }
}
