//! The report on a model: one HTML file, which needs no other file and no script.
//!
//! A [`Subject`] is measured ([`Findings`]) and then written ([`page()`]).

mod advice;
mod chart;
mod cost;
mod curves;
mod duel;
mod error;
mod findings;
mod intervals;
mod outages;
mod page;
mod text;

pub use advice::{Advice, Summary};
pub use cost::Cost;
pub use curves::Curve;
pub use duel::{Duel, Sensor};
pub use error::ReportError;
pub use findings::{Findings, Subject};
pub use intervals::{COVERAGE, Example, Intervals};
pub use outages::Outages;
pub use page::{comparison_page, page};

/// Name of the file, beside the model's.
pub const REPORT: &str = "report.html";
