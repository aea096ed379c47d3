//! What each part of the model adds.

use maud::html;

use super::section::Section;
use crate::report::chart::{Bar, bars};
use crate::report::findings::Subject;
use crate::report::text::change;

/// The section.
pub fn section(subject: &Subject<'_>) -> Section {
    let (evaluation, i) = (subject.evaluation, subject.longest());
    let mse = |name: &str| {
        evaluation
            .forecasters()
            .find(|(other, _)| *other == name)
            .map(|(_, errors)| errors[i].mse)
    };
    let has_network = subject.bundle.meta().config.network.is_some();
    let model = if has_network {
        "with the network: this model"
    } else {
        "linear part: this model"
    };
    let parts = [
        ("naive: the last reading", "naive", mse("naive")),
        (
            "the reading one season before",
            "seasonal-naive",
            evaluation.period.and_then(|_| mse("seasonal-naive")),
        ),
        ("linear part", "linear-head", mse("linear-head")),
        (model, "tsm2", mse("tsm2")),
    ];
    let naive = mse("naive").unwrap_or(f64::NAN);
    let bar = |(name, class, mse): (&str, &'static str, Option<f64>)| {
        let value = mse?;
        Some(Bar {
            name: name.into(),
            class,
            value,
            note: if class == "naive" {
                String::new()
            } else {
                format!("{} than naive", change(value / naive))
            },
        })
    };
    let parts: Vec<Bar> = parts.into_iter().filter_map(bar).collect();
    let caption = format!(
        "Mean squared error over all {} steps, in squared standard deviations of the training",
        subject.steps()
    );
    let body = html! {
        (bars(&caption, &parts))
        @if has_network && mse("linear-head").is_none() {
            p.soft { "The linear part alone was not measured: its file is not beside the model." }
        }
        @if let Some(season) = evaluation.period { p.soft { "The season of the recording is " (season) " time steps." } }
        @else { p.soft { "No season was found in the training rows." } }
    };
    Section {
        id: "parts",
        title: "What each part adds",
        body,
    }
}
