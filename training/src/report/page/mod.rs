//! The report as HTML. Every text that comes from a file is escaped by `maud`.

mod compare;
mod coverage;
mod errors;
mod examples;
mod frame;
mod network;
mod outages;
mod recording;
mod section;
mod sensors;
mod size;
mod summary;
mod training;

use maud::{Markup, html};

pub use self::compare::comparison_page;
use self::frame::frame;
use super::findings::{Findings, Subject};
use crate::data::runs::Part;

/// The page.
#[must_use]
pub fn page(subject: &Subject<'_>, findings: &Findings) -> String {
    let mut sections = vec![
        errors::section(subject),
        sensors::section(subject),
        examples::section(subject, &findings.intervals),
        coverage::section(subject, &findings.intervals),
    ];
    if !subject.bundle.is_graph() {
        sections.push(network::section(subject));
    }
    sections.push(outages::section(subject, &findings.outages));
    // Nothing is known of a graph's training.
    if !subject.bundle.is_graph() {
        sections.push(training::section(subject, &findings.curves));
    }
    sections.extend([recording::section(subject), size::section(subject, &findings.cost)]);
    frame(
        &format!("Report on the model {}", subject.bundle.meta().name),
        &rows(subject),
        &summary::card(subject, &findings.summary),
        &sections,
    )
}

/// What the test part is, in a sentence.
fn of_test_part(subject: &Subject<'_>) -> &'static str {
    let (trained, split) = (&subject.bundle.meta().provenance, subject.rows.split);
    let used = match trained.refit {
        true => trained.split.iter().sum(),
        false => trained.split[0] + trained.split[1],
    };
    if subject.bundle.is_graph() {
        "Measured on the test part of the split that was given. Which rows trained an ONNX graph is not known here: give rows that it has \
         not seen. "
    } else if split.train + split.validation >= used {
        "Measured on the test part: rows that the training never used. "
    } else if trained.data_sha256 != subject.rows.table.sha256 {
        "Measured on the test part of another recording than that of the training. "
    } else {
        "Measured on a part that was asked for: the training may have used some of its rows. "
    }
}

/// What was measured on, in a sentence.
fn rows(subject: &Subject<'_>) -> Markup {
    let (table, pieces) = (subject.rows.table, subject.rows.pieces());
    let hull = pieces.hull();
    let times =
        (table.has_calendar && !hull.is_empty()).then(|| [hull.start, hull.end - 1].map(|row| super::text::moment(table.time_ms(row))));
    let file = table.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    html! {
        @match subject.rows.part {
            Part::Validation => {
                "Measured on the validation part: rows that chose the settings of the training. Errors on new rows are often somewhat larger; "
                code { "tsm2 report" } " measures on the test part. "
            }
            _ => (of_test_part(subject)),
        }
        "The part is " (pieces.to_string()) " of " (file)
        @if let Some([first, last]) = times { ", " (first) " to " (last) }
        "."
    }
}
