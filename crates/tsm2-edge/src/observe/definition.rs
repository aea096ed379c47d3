//! One definition per metric: its name, kind, labels and meaning.
//!
//! [`group!`] makes the struct of handles that a part of the daemon holds, registers them, and lists
//! them for the reference documentation. A field's documentation is the metric's help text.

use prometheus::core::Collector;
use prometheus::{Counter, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Upper bounds of the histograms' buckets in seconds.
const BUCKETS_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Name, type, labels and meaning of one metric.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Definition {
    /// Name, without labels.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Meaning.
    pub help: &'static str,
}

/// Registers metrics in a registry of their own.
#[derive(Debug, Default)]
pub(super) struct Definer {
    pub(super) registry: Registry,
    pub(super) definitions: Vec<Definition>,
}

impl Definer {
    /// Registers a metric. Names are fixed and distinct, which a test ensures, so this cannot fail.
    pub(super) fn add<C: Collector + Clone + 'static>(
        &mut self,
        (kind, name, help): (&'static str, &'static str, &'static str),
        labels: &'static [&'static str],
        made: prometheus::Result<C>,
    ) -> C {
        let registered = made.and_then(|metric| self.registry.register(Box::new(metric.clone())).map(|()| metric));
        self.definitions.push(Definition { name, kind, labels, help });
        registered.unwrap_or_else(|error| unreachable!("{name}: {error}"))
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> IntCounter {
        self.add(("counter", name, help), &[], IntCounter::new(name, help))
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> IntGauge {
        self.add(("gauge", name, help), &[], IntGauge::new(name, help))
    }

    pub(super) fn total(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(("counter", name, help), &[], Counter::new(name, help))
    }

    pub(super) fn number(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(("gauge", name, help), &[], Gauge::new(name, help))
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS_S.to_vec());
        self.add(("histogram", name, help), &[], Histogram::with_opts(options))
    }

    pub(super) fn counters(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntCounterVec {
        self.add(("counter", name, help), labels, IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauges(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntGaugeVec {
        self.add(("gauge", name, help), labels, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn numbers(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> GaugeVec {
        self.add(("gauge", name, help), labels, GaugeVec::new(Opts::new(name, help), labels))
    }
}

/// Declares a group of metrics: `NAME: TYPE = METHOD("metric" [, labels]);`. A field without a metric
/// begins with its default.
macro_rules! group {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $group:ident {
            $( $(#[doc = $help:literal])+ $field_vis:vis $field:ident : $type:ty $(= $method:ident($name:literal $(, $labels:expr)?))? ; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        $vis struct $group {
            $( $(#[doc = $help])+ $field_vis $field: $type, )+
        }

        impl $group {
            pub(super) fn define(define: &mut $crate::observe::definition::Definer) -> Self {
                $group {
                    $( $field: $crate::observe::definition::group!(@field define, concat!($($help),+) $(, $method($name $(, $labels)?))?), )+
                }
            }
        }
    };
    (@field $define:ident, $help:expr) => { Default::default() };
    (@field $define:ident, $help:expr, $method:ident($name:literal $(, $labels:expr)?)) => {
        $define.$method($name, $help.trim_ascii(), $($labels)?)
    };
}
pub(super) use group;
