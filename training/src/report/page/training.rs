//! The course of the training, and what was decided.

use maud::html;

use super::section::Section;
use crate::report::chart::{Axis, Chart, Series};
use crate::report::curves::Curve;
use crate::report::findings::Subject;

/// Classes of the style sheet, for one network after the other.
const CLASSES: [&str; 7] = ["tsm2", "linear-head", "linear", "gru", "mlp", "linear-all", "seasonal-naive"];

/// Room above the linear part's error that is drawn at most.
const HIGHEST: f64 = 1.5;

/// The section.
pub fn section(subject: &Subject<'_>, curves: &[Curve]) -> Section {
    let series = curves.iter().zip(CLASSES.iter().cycle()).map(|(curve, &class)| Series {
        name: curve.name.clone(),
        class,
        points: curve.points.clone(),
        upper: None,
    });
    let numbers = || {
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .map(|point| point.1)
            .filter(|x| x.is_finite())
    };
    let (low, high) = (numbers().fold(1.0, f64::min), numbers().fold(1.0, f64::max));
    let limit = {
        let ends = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let end = ends.fold(0.0, f64::max);
        Series {
            name: "linear part".into(),
            class: "limit",
            points: vec![(0.0, 1.0), (end, 1.0)],
            upper: None,
        }
    };
    let chart = Chart {
        label: "Validation error relative to the linear part, over the time of the training".into(),
        x: Axis::new("seconds"),
        y: Axis {
            range: Some((low - 0.02, high.min(HIGHEST) + 0.02)),
            ..Axis::new("error relative to the linear part")
        },
        series: std::iter::once(limit).chain(series).collect(),
    };
    let from = &subject.bundle.meta().provenance;
    let [train, validation, test] = from.split;
    let body = html! {
        @if curves.is_empty() {
            p { "The course of the training is not known: curves.csv is not beside the model." }
        } @else {
            p { "Below 1 the network and the linear part together are better than the linear part alone, on the validation part." }
            figure.wide { (chart.svg()) (chart.legend()) }
        }
        p.soft {
            "Trained on " (from.data) ": " (train) " training rows, " (validation) " validation rows, " (test) " test rows; seed " (from.seed)
            "; version " (from.code_version) "."
        }
        @if !from.decisions.is_empty() {
            details {
                summary { "Decisions of the training, with their evidence" }
                ul { @for decision in &from.decisions { li { (decision) } } }
            }
        }
    };
    Section {
        id: "training",
        title: "Training",
        body,
    }
}
