//! Metrics of the daemon, in a Prometheus registry of its own.
//!
//! Each part of the daemon holds the handles of the metrics that it changes. Handles are atomics:
//! counting takes no lock and no memory.
//!
//! Invariant: the number of series grows with rejection reasons, variates and three horizon steps,
//! never with streams.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use serde::Serialize;

use super::health::Health;
use super::live_errors::{LiveErrors, ModelLabels};
use super::process::Process;

/// Media type of the page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Upper bounds of the histograms' buckets in seconds.
const BUCKETS_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Reasons of `tsm2_edge_rejected_total`, and what each means.
pub const REASONS: [(&str, &str); 20] = [
    ("topic", "the topic does not match the template, or its stream name cannot be used"),
    ("unknown_stream", "the stream is not in `input.streams`"),
    ("unknown_variate", "the model has no variate of the name in the topic"),
    ("too_many_streams", "the stream exceeds `input.max_streams`"),
    ("retained", "a retained message that does not continue its stream"),
    ("too_large", "the payload exceeds `input.max_payload_bytes`"),
    ("too_deep", "the JSON is nested too deeply"),
    ("not_json", "the payload is not JSON"),
    ("not_an_object", "the payload is JSON but not an object"),
    ("no_time", "the field of `input.time_field` is missing"),
    ("bad_time", "the field of `input.time_field` is not a time"),
    ("field_missing", "the field of a variate is missing"),
    ("not_a_number", "the field of a variate is not a number"),
    ("late", "the time bin has been closed, or the reading is a duplicate"),
    ("clock_jump", "a time far ahead that no second time bin confirmed"),
    ("not_points", "a future covariate is not a list of points"),
    ("too_many_points", "a future covariate has too many points"),
    ("not_a_future_covariate", "the variate in the topic is not a future covariate"),
    ("step", "the model could not take a time step"),
    ("stream", "the model could not start a stream"),
];

/// All metrics, and the handles for the parts that change them. Cheap to clone; one per process.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// For the router and the workers.
    pub input: InputMetrics,
    /// For the writer.
    pub state: StateMetrics,
    /// For the session's owner.
    pub broker: BrokerMetrics,
    /// For the supervisor.
    pub reloads: ReloadMetrics,
    shared: Arc<Shared>,
}

/// What happened to the input.
#[derive(Debug, Clone)]
pub struct InputMetrics {
    /// Messages received.
    pub messages: IntCounter,
    /// Readings accepted.
    pub readings: IntCounter,
    /// Readings that joined another of the same variate in its time bin.
    pub merged_readings: IntCounter,
    /// Time steps with at least one reading.
    pub time_steps: IntCounter,
    /// Time steps without a reading that bridged a gap.
    pub bridged_time_steps: IntCounter,
    /// Values that repeat an earlier one.
    pub forward_filled_values: IntCounter,
    /// Forecasts published, one per target variate.
    pub forecasts: IntCounter,
    /// Streams restarted.
    pub restarts: IntCounter,
    /// Restarts because of a corrected clock.
    pub clock_rollbacks: IntCounter,
    /// Messages at QoS 0 dropped.
    pub dropped_messages: IntCounter,
    /// Seconds from the arrival of a message to its forecasts handed to the session.
    pub latency: Histogram,
    rejected: IntCounterVec,
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

/// What became durable.
#[derive(Debug, Clone)]
pub struct StateMetrics {
    /// Seconds that successful commits took.
    pub commit_duration: Histogram,
    /// Commits that failed.
    pub commit_failures: IntCounter,
    /// Log entries written.
    pub entries: IntCounter,
    /// Checkpoints written.
    pub checkpoints: IntCounter,
    /// Bytes of entries and checkpoints written.
    pub bytes: IntCounter,
    unused: IntGaugeVec,
    uncommitted: IntGauge,
    oldest: Arc<Mutex<Option<Instant>>>,
}

impl StateMetrics {
    /// Stored streams that are not used, by reason.
    pub fn unused(&self, reason: &str, streams: usize) {
        self.unused
            .with_label_values(&[reason])
            .set(i64::try_from(streams).unwrap_or(i64::MAX));
    }

    /// Readings that are not durable yet, and when the oldest of them arrived.
    pub fn uncommitted(&self, readings: u64, oldest: Option<Instant>) {
        self.uncommitted.set(i64::try_from(readings).unwrap_or(i64::MAX));
        *lock(&self.oldest) = oldest;
    }
}

/// The connection to the broker.
#[derive(Debug, Clone)]
pub struct BrokerMetrics {
    /// Published messages that the broker has not acknowledged.
    pub unacknowledged: IntGauge,
    connected: IntGauge,
    connections: IntCounter,
    is_connected: Arc<AtomicBool>,
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

/// Reports of one worker.
#[derive(Debug)]
pub struct WorkerMetrics(Arc<Mutex<WorkerReport>>);

#[derive(Debug, Default)]
struct WorkerReport {
    streams: u64,
    drifting: u64,
    errors: Vec<LiveErrors>,
}

impl WorkerMetrics {
    /// Streams in memory, how many of them drift, and the errors of their forecasts, shape
    /// `[targets][steps]` as in [`Metrics::model`]. Replaces the worker's last report.
    pub fn report(&self, streams: usize, drifting: usize, errors: Vec<LiveErrors>) {
        *lock(&self.0) = WorkerReport {
            streams: streams as u64,
            drifting: drifting as u64,
            errors,
        };
    }
}

#[derive(Debug)]
struct Shared {
    registry: Registry,
    definitions: Vec<Definition>,
    workers: Mutex<Vec<Arc<Mutex<WorkerReport>>>>,
    model: Mutex<ModelLabels>,
    on_scrape: OnScrape,
}

/// Gauges set when the page is made.
#[derive(Debug)]
struct OnScrape {
    streams: IntGauge,
    drifting: IntGauge,
    uncommitted_age: Gauge,
    commit_failing: IntGauge,
    alive: IntGauge,
    ready: IntGauge,
    model: GaugeVec,
    mae: GaugeVec,
    mse_ratio: GaugeVec,
    coverage: GaugeVec,
    start_time: Gauge,
    cpu_seconds: Counter,
    resident_bytes: Gauge,
    open_files: Gauge,
}

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

struct Definer {
    registry: Registry,
    definitions: Vec<Definition>,
}

impl Definer {
    /// Registers a metric. Names are fixed and distinct, which a test ensures, so this cannot fail.
    fn add<C: Collector + Clone + 'static>(
        &mut self,
        (kind, name, help): (&'static str, &'static str, &'static str),
        labels: &'static [&'static str],
        made: prometheus::Result<C>,
    ) -> C {
        let registered = made.and_then(|metric| self.registry.register(Box::new(metric.clone())).map(|()| metric));
        self.definitions.push(Definition { name, kind, labels, help });
        registered.unwrap_or_else(|error| unreachable!("{name}: {error}"))
    }

    fn counter(&mut self, name: &'static str, help: &'static str) -> IntCounter {
        self.add(("counter", name, help), &[], IntCounter::new(name, help))
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> IntGauge {
        self.add(("gauge", name, help), &[], IntGauge::new(name, help))
    }

    fn number(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(("gauge", name, help), &[], Gauge::new(name, help))
    }

    fn histogram(&mut self, name: &'static str, help: &'static str) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS_S.to_vec());
        self.add(("histogram", name, help), &[], Histogram::with_opts(options))
    }

    fn counters(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntCounterVec {
        self.add(("counter", name, help), labels, IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> IntGaugeVec {
        self.add(("gauge", name, help), labels, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn numbers(&mut self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> GaugeVec {
        self.add(("gauge", name, help), labels, GaugeVec::new(Opts::new(name, help), labels))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut define = Definer {
            registry: Registry::new(),
            definitions: Vec::new(),
        };
        let input = InputMetrics {
            messages: define.counter("tsm2_edge_messages_total", "Messages received."),
            readings: define.counter("tsm2_edge_readings_total", "Readings accepted."),
            merged_readings: define.counter(
                "tsm2_edge_merged_readings_total",
                "Readings that joined another of the same variate in its time bin.",
            ),
            time_steps: define.counter("tsm2_edge_time_steps_total", "Time steps with at least one reading."),
            bridged_time_steps: define.counter(
                "tsm2_edge_bridged_time_steps_total",
                "Time steps without a reading that bridged a gap.",
            ),
            forward_filled_values: define.counter(
                "tsm2_edge_forward_filled_values_total",
                "Values that repeat an earlier one of the same variate.",
            ),
            forecasts: define.counter("tsm2_edge_forecasts_total", "Forecasts published, one per target variate."),
            restarts: define.counter(
                "tsm2_edge_stream_restarts_total",
                "Streams restarted after a long gap or a corrected clock.",
            ),
            clock_rollbacks: define.counter(
                "tsm2_edge_clock_rollbacks_total",
                "Streams restarted because their clock was wrong and was corrected.",
            ),
            dropped_messages: define.counter(
                "tsm2_edge_dropped_messages_total",
                "Messages at QoS 0 dropped because they arrived faster than they were processed.",
            ),
            rejected: define.counters(
                "tsm2_edge_rejected_total",
                "Rejected messages, fields and readings by reason.",
                &["reason"],
            ),
            latency: define.histogram(
                "tsm2_edge_forecast_latency_seconds",
                "Time from the arrival of a message to its forecasts handed to the MQTT session.",
            ),
        };
        let state = StateMetrics {
            commit_duration: define.histogram("tsm2_edge_commit_duration_seconds", "Duration of successful commits."),
            commit_failures: define.counter("tsm2_edge_commit_failures_total", "Commits that failed."),
            entries: define.counter("tsm2_edge_committed_entries_total", "Log entries written to the state."),
            checkpoints: define.counter(
                "tsm2_edge_committed_checkpoints_total",
                "Checkpoints of streams written to the state.",
            ),
            bytes: define.counter(
                "tsm2_edge_committed_bytes_total",
                "Bytes of entries and checkpoints written; their rate is the wear of an SD card.",
            ),
            unused: define.gauges(
                "tsm2_edge_unused_streams",
                "Stored streams that are kept and not used, by reason: other_schema, not_served or too_many.",
                &["reason"],
            ),
            uncommitted: define.gauge("tsm2_edge_uncommitted_readings", "Readings that are not durable yet."),
            oldest: Arc::default(),
        };
        let broker = BrokerMetrics {
            connected: define.gauge("tsm2_edge_connected", "1 while the connection to the broker stands."),
            connections: define.counter("tsm2_edge_connections_total", "Connections to the broker made."),
            unacknowledged: define.gauge(
                "tsm2_edge_unacknowledged_publishes",
                "Published messages that the broker has not acknowledged.",
            ),
            is_connected: Arc::default(),
        };
        let reloads = define.counters(
            "tsm2_edge_reloads_total",
            "Configuration reloads by result: applied or rejected.",
            &["result"],
        );
        let by_step = &["variate", "step"];
        let on_scrape = OnScrape {
            streams: define.gauge("tsm2_edge_streams", "Streams in memory."),
            drifting: define.gauge("tsm2_edge_drifting_streams", "Streams whose forecast errors have grown."),
            uncommitted_age: define.number(
                "tsm2_edge_uncommitted_age_seconds",
                "Age of the oldest reading that is not durable yet.",
            ),
            commit_failing: define.gauge("tsm2_edge_commit_failing", "1 while the last commit failed."),
            alive: define.gauge("tsm2_edge_alive", "1 while every thread sends heartbeats, as /healthz."),
            ready: define.gauge(
                "tsm2_edge_ready",
                "1 while readings become forecasts and durable state, as /readyz.",
            ),
            model: define.numbers("tsm2_edge_model_info", "The model in use; always 1.", &["model"]),
            mae: define.numbers(
                "tsm2_edge_forecast_mae",
                "Mean absolute error of the forecasts, in units of the variate.",
                by_step,
            ),
            mse_ratio: define.numbers(
                "tsm2_edge_forecast_mse_ratio",
                "Mean squared error of the forecasts divided by that of the naive forecast; above 1 the model is worse.",
                by_step,
            ),
            coverage: define.numbers(
                "tsm2_edge_interval_coverage_ratio",
                "Fraction of readings within the prediction interval.",
                by_step,
            ),
            start_time: define.number("process_start_time_seconds", "Start of the process, seconds since 1970."),
            cpu_seconds: define.add(
                ("counter", "process_cpu_seconds_total", "Processor time used."),
                &[],
                Counter::new("process_cpu_seconds_total", "Processor time used."),
            ),
            resident_bytes: define.number("process_resident_memory_bytes", "Resident memory."),
            open_files: define.number("process_open_fds", "Open file descriptors."),
        };
        define
            .numbers("tsm2_edge_build_info", "The running version; always 1.", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        Metrics {
            input,
            state,
            broker,
            reloads: ReloadMetrics {
                applied: reloads.with_label_values(&["applied"]),
                rejected: reloads.with_label_values(&["rejected"]),
            },
            shared: Arc::new(Shared {
                registry: define.registry,
                definitions: define.definitions,
                workers: Mutex::default(),
                model: Mutex::default(),
                on_scrape,
            }),
        }
    }

    /// Reports for this many workers; those of earlier workers leave the sums.
    pub fn workers(&self, count: usize) -> Vec<WorkerMetrics> {
        let mut workers = lock(&self.shared.workers);
        *workers = (0..count).map(|_| Arc::default()).collect();
        workers.iter().cloned().map(WorkerMetrics).collect()
    }

    /// Sets the model in use. Errors of the model before it are forgotten.
    pub fn set_model(&self, model: ModelLabels) {
        *lock(&self.shared.model) = model;
        for worker in lock(&self.shared.workers).iter() {
            lock(worker).errors.clear();
        }
    }

    /// The model in use: which variates and steps [`WorkerMetrics::report`] takes errors of.
    pub fn model(&self) -> ModelLabels {
        lock(&self.shared.model).clone()
    }

    /// Definitions of all metrics, for the reference documentation.
    pub fn definitions(&self) -> &[Definition] {
        &self.shared.definitions
    }

    /// The page `/metrics` now.
    pub fn page(&self, health: &Health) -> String {
        self.refresh(health, Instant::now());
        let families = self.shared.registry.gather();
        // Writing to a string does not fail, and names were checked when they were registered.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    fn refresh(&self, health: &Health, now: Instant) {
        let shown = &self.shared.on_scrape;
        let model = self.model();
        let places = model.variates.len() * model.steps.len();
        let (mut streams, mut drifting, mut sums) = (0, 0, vec![LiveErrors::default(); places]);
        for worker in lock(&self.shared.workers).iter() {
            let report = lock(worker);
            streams += report.streams;
            drifting += report.drifting;
            // A report of another shape belongs to the model before this one.
            if report.errors.len() == places {
                sums.iter_mut().zip(&report.errors).for_each(|(sum, errors)| *sum += *errors);
            }
        }
        shown.streams.set(streams as i64);
        shown.drifting.set(drifting as i64);
        for gauge in [&shown.model, &shown.mae, &shown.mse_ratio, &shown.coverage] {
            gauge.reset();
        }
        if !model.model.is_empty() {
            shown.model.with_label_values(&[&model.model]).set(1.0);
        }
        for (place, sum) in sums.iter().enumerate() {
            let (variate, step) = (&model.variates[place / model.steps.len()], model.steps[place % model.steps.len()]);
            for (gauge, value) in [
                (&shown.mae, sum.mae()),
                (&shown.mse_ratio, sum.mse_ratio()),
                (&shown.coverage, sum.coverage()),
            ] {
                if let Some(value) = value {
                    gauge.with_label_values(&[variate.as_str(), &step.to_string()]).set(value);
                }
            }
        }
        let oldest = *lock(&self.state.oldest);
        let age = oldest.map_or(0.0, |oldest| now.saturating_duration_since(oldest).as_secs_f64());
        shown.uncommitted_age.set(age);
        shown.commit_failing.set(health.is_commit_failing().into());
        shown.alive.set(health.is_alive(now).is_ok().into());
        shown.ready.set(health.is_ready().is_ok().into());
        self.refresh_process(health.uptime(now).as_secs_f64());
    }

    fn refresh_process(&self, uptime_s: f64) {
        let (shown, process) = (&self.shared.on_scrape, Process::now());
        // Counted back from now: small devices start with a wrong clock.
        if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            shown.start_time.set(now.as_secs_f64() - uptime_s);
        }
        if let Some(seconds) = process.cpu_seconds {
            shown.cpu_seconds.inc_by((seconds - shown.cpu_seconds.get()).max(0.0));
        }
        shown.resident_bytes.set(process.resident_bytes.unwrap_or(0) as f64);
        shown.open_files.set(process.open_files.unwrap_or(0) as f64);
    }

    /// What the daemon did since its start.
    pub fn summary(&self) -> Summary {
        self.input
            .summary(lock(&self.shared.workers).iter().map(|worker| lock(worker).streams).sum())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
