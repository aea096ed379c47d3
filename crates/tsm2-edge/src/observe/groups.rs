//! Metrics in groups: each part of the daemon holds the handles of those that it changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::Collector;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use serde::Serialize;

use super::definition::{Definer, group};
use super::recent_rejections::RecentRejections;

/// Reasons of `tsm2_edge_rejected_total`, and what each means.
pub const REASONS: [(&str, &str); 26] = [
    ("topic", "the topic does not match the template, or its stream name cannot be used"),
    ("unknown_stream", "the stream is not in `input.streams`"),
    ("unknown_variate", "the model has no variate of the name in the topic"),
    ("too_many_streams", "the stream exceeds `input.max_streams`"),
    ("retained", "a retained message that does not continue its stream"),
    ("too_large", "the payload exceeds `input.max_payload_bytes`"),
    ("too_deep", "the JSON is nested too deeply"),
    ("not_json", "the payload is not JSON"),
    ("not_an_object", "the payload is JSON but not an object"),
    ("not_line_protocol", "the payload is not Influx line protocol"),
    (
        "not_sparkplug",
        "the payload is not Sparkplug B, or has more nodes or metrics than are remembered",
    ),
    (
        "unknown_alias",
        "a Sparkplug metric whose alias no birth has named; the node is asked for its births",
    ),
    ("metric_name", "a Sparkplug metric whose name cannot be used"),
    ("no_time", "the field of `time_field` is missing"),
    ("bad_time", "the field of `time_field` is not a time"),
    ("field_missing", "a point of a future covariate has no value"),
    ("not_a_number", "the field of a variate is not a number"),
    ("out_of_range", "a number outside of `valid`; the reading is missing"),
    ("ambiguous", "a path selects several values"),
    ("late", "the time bin has been closed, or the reading is a duplicate or far behind"),
    ("clock_jump", "a time far ahead that nothing confirmed"),
    ("not_points", "a future covariate is not a list of points"),
    ("too_many_points", "a future covariate has too many points"),
    ("not_a_future_covariate", "the variate in the topic is not a future covariate"),
    ("step", "the model could not take a time step"),
    ("stream", "the model could not start a stream"),
];

group! {
    /// What happened to the input.
    pub struct InputMetrics {
        /// Messages received.
        pub messages: IntCounter = counter("tsm2_edge_messages_total");
        /// Readings accepted.
        pub readings: IntCounter = counter("tsm2_edge_readings_total");
        /// Readings that joined another of the same variate in its time bin.
        pub merged_readings: IntCounter = counter("tsm2_edge_merged_readings_total");
        /// Time steps with at least one reading.
        pub time_steps: IntCounter = counter("tsm2_edge_time_steps_total");
        /// Time steps without a reading that bridged a gap.
        pub bridged_time_steps: IntCounter = counter("tsm2_edge_bridged_time_steps_total");
        /// Values that repeat an earlier one of the same variate.
        pub forward_filled_values: IntCounter = counter("tsm2_edge_forward_filled_values_total");
        /// Forecasts published, one per target variate.
        pub forecasts: IntCounter = counter("tsm2_edge_forecasts_total");
        /// Streams restarted after a long gap or a corrected clock.
        pub restarts: IntCounter = counter("tsm2_edge_stream_restarts_total");
        /// Streams restarted because their clock was wrong and was corrected.
        pub clock_rollbacks: IntCounter = counter("tsm2_edge_clock_rollbacks_total");
        /// Messages at QoS 0 dropped because they arrived faster than they were processed.
        pub dropped_messages: IntCounter = counter("tsm2_edge_dropped_messages_total");
        /// Rejected messages, fields and readings by reason.
        rejected: IntCounterVec = counters("tsm2_edge_rejected_total", &["reason"]);
        /// Time from the arrival of a message to its forecasts handed to the MQTT session.
        pub latency: Histogram = histogram("tsm2_edge_forecast_latency_seconds");
        /// The newest log messages of rejections.
        pub recent_rejections: RecentRejections;
    }
}

impl InputMetrics {
    /// The counter of a rejection reason, one of [`REASONS`].
    pub fn rejected(&self, reason: &str) -> IntCounter {
        debug_assert!(REASONS.iter().any(|(known, _)| *known == reason), "undocumented reason {reason}");
        self.rejected.with_label_values(&[reason])
    }

    /// What was done since the start, with this many streams in memory.
    pub fn summary(&self, streams: u64) -> Summary {
        let mut rejected = BTreeMap::new();
        for metric in self.rejected.collect().iter().flat_map(|family| family.get_metric()) {
            let reason = metric.get_label().iter().map(|label| label.value()).collect();
            rejected.insert(reason, metric.get_counter().get_value() as u64);
        }
        let dropped = self.dropped_messages.get();
        if dropped > 0 {
            rejected.insert("overload".to_owned(), dropped);
        }
        Summary {
            messages: self.messages.get(),
            readings: self.readings.get(),
            merged_readings: self.merged_readings.get(),
            time_steps: self.time_steps.get(),
            bridged_time_steps: self.bridged_time_steps.get(),
            forward_filled_values: self.forward_filled_values.get(),
            forecasts: self.forecasts.get(),
            streams,
            restarts: self.restarts.get(),
            clock_rollbacks: self.clock_rollbacks.get(),
            rejected,
        }
    }
}

group! {
    /// What became durable.
    pub struct StateMetrics {
        /// Duration of successful commits.
        pub commit_duration: Histogram = histogram("tsm2_edge_commit_duration_seconds");
        /// Commits that failed.
        pub commit_failures: IntCounter = counter("tsm2_edge_commit_failures_total");
        /// Log entries written to the state.
        pub entries: IntCounter = counter("tsm2_edge_committed_entries_total");
        /// Checkpoints of streams written to the state.
        pub checkpoints: IntCounter = counter("tsm2_edge_committed_checkpoints_total");
        /// Bytes of entries and checkpoints written; their rate is the wear of an SD card.
        pub bytes: IntCounter = counter("tsm2_edge_committed_bytes_total");
        /// Stored streams that are kept and not used, by reason: other_schema, not_served, too_many or damaged.
        unused: IntGaugeVec = gauges("tsm2_edge_unused_streams", &["reason"]);
        /// Readings that are not durable yet.
        uncommitted: IntGauge = gauge("tsm2_edge_uncommitted_readings");
        /// When the oldest of them arrived.
        oldest: Arc<Mutex<Option<Instant>>>;
    }
}

impl StateMetrics {
    /// Stored streams that are not used, by reason.
    pub fn unused(&self, reason: &str, streams: usize) {
        self.unused
            .with_label_values(&[reason])
            .set(i64::try_from(streams).unwrap_or(i64::MAX));
    }

    /// One more stored checkpoint cannot be read, and is kept.
    pub fn set_aside(&self) {
        self.unused.with_label_values(&["damaged"]).inc();
    }

    /// Readings that are not durable yet, and when the oldest of them arrived.
    pub fn uncommitted(&self, readings: u64, oldest: Option<Instant>) {
        self.uncommitted.set(i64::try_from(readings).unwrap_or(i64::MAX));
        *self.oldest.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }

    /// Age in seconds of the oldest reading that is not durable; 0 without one.
    pub(super) fn uncommitted_age_s(&self, now: Instant) -> f64 {
        let oldest = *self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        oldest.map_or(0.0, |oldest| now.saturating_duration_since(oldest).as_secs_f64())
    }
}

group! {
    /// The connection to the broker.
    pub struct BrokerMetrics {
        /// 1 while the connection to the broker stands.
        connected: IntGauge = gauge("tsm2_edge_connected");
        /// Connections to the broker made.
        connections: IntCounter = counter("tsm2_edge_connections_total");
        /// Published messages that the broker has not acknowledged.
        pub unacknowledged: IntGauge = gauge("tsm2_edge_unacknowledged_publishes");
        /// Whether the connection stands.
        is_connected: Arc<AtomicBool>;
    }
}

impl BrokerMetrics {
    /// Whether the connection stands. Counts each change to `true`.
    pub fn set_connected(&self, connected: bool) {
        if !self.is_connected.swap(connected, Ordering::Relaxed) && connected {
            self.connections.inc();
        }
        self.connected.set(connected.into());
    }
}

/// Reloads of the configuration.
#[derive(Debug, Clone)]
pub struct ReloadMetrics {
    /// Applied.
    pub applied: IntCounter,
    /// Rejected: the daemon kept its configuration.
    pub rejected: IntCounter,
}

impl ReloadMetrics {
    pub(super) fn define(define: &mut Definer) -> Self {
        let help = "Configuration reloads by result: applied or rejected.";
        let reloads = define.counters("tsm2_edge_reloads_total", help, &["result"]);
        ReloadMetrics {
            applied: reloads.with_label_values(&["applied"]),
            rejected: reloads.with_label_values(&["rejected"]),
        }
    }
}

/// What the daemon did since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Messages received.
    pub messages: u64,
    /// Readings accepted.
    pub readings: u64,
    /// Readings that joined another of the same variate in its time bin.
    pub merged_readings: u64,
    /// Time steps with at least one reading.
    pub time_steps: u64,
    /// Time steps without a reading that bridged a gap.
    pub bridged_time_steps: u64,
    /// Values that repeat an earlier one.
    pub forward_filled_values: u64,
    /// Forecasts published, one per target variate.
    pub forecasts: u64,
    /// Streams in memory at the end.
    pub streams: u64,
    /// Streams restarted after long gaps or corrected clocks.
    pub restarts: u64,
    /// Restarts because of a corrected clock.
    pub clock_rollbacks: u64,
    /// Rejected messages, fields and readings by reason.
    pub rejected: BTreeMap<String, u64>,
}
