//! The text format of Prometheus, version 0.0.4.
//!
//! Written here because the libraries either write OpenMetrics only, which `promtool check metrics` does not read (prometheus-client), or keep
//! global state and bring two dozen crates (metrics-exporter-prometheus); the format itself is three kinds of line.

use std::fmt::{Display, Write};

use crate::observe::vitals::{BOUNDS_S, Durations};

/// Media type of a page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A number that only grows; `name` ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "counter").sample(&[], value);
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge").sample(&[], value);
    }

    /// How often something took how long; `name` ends in `_seconds`.
    pub(super) fn histogram(&mut self, name: &str, help: &str, durations: &Durations) {
        self.family(name, help, "histogram");
        let (bucket, [.., count]) = (format!("{name}_bucket"), durations.cumulative);
        for (bound, below) in BOUNDS_S.iter().zip(&durations.cumulative) {
            self.sample(&bucket, &[("le", &bound.to_string())], below);
        }
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], durations.sum_s);
        self.sample(&format!("{name}_count"), &[], count);
    }

    /// Begins a metric of which there may be several samples, or none.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, help: &str, kind: &str) -> Family<'a> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        match labels.as_slice() {
            [] => self.line(format_args!("{name} {value}")),
            labels => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Text takes all that is written to it.
        let _ = writeln!(self.0, "{line}");
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A metric whose samples are told apart by labels.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Family<'_> {
    /// `labels`: the same names in every sample, values of any text.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.page.sample(self.name, labels, value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn labels_may_hold_any_text() {
        let mut page = Page::default();
        page.family("a", "An a.", "gauge")
            .sample(&[("x", "back\\slash \"quoted\"\nnext"), ("y", "1")], 0.5);
        let expected = "# HELP a An a.\n# TYPE a gauge\na{x=\"back\\\\slash \\\"quoted\\\"\\nnext\",y=\"1\"} 0.5\n";
        assert_eq!(page.into_text(), expected);
    }
}
