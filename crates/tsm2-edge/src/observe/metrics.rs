//! Metrics of the daemon, in a Prometheus registry of its own.
//!
//! Each part of the daemon holds the handles of the metrics that it changes. Handles are atomics:
//! counting takes no lock and no memory.
//!
//! Invariant: the number of series grows with rejection reasons, variates and three horizon steps,
//! never with streams.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus::{Registry, TextEncoder};

use super::definition::{Definer, Definition};
use super::groups::{BrokerMetrics, InputMetrics, ReloadMetrics, StateMetrics, Summary};
use super::health::Health;
use super::live_errors::{LiveErrors, ModelLabels};
use super::page::{OnScrape, Report};

/// Media type of the page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

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

/// Reports of one worker.
#[derive(Debug)]
pub struct WorkerMetrics(Arc<Mutex<Report>>);

impl WorkerMetrics {
    /// Streams in memory, how many of them drift, and the errors of their forecasts, shape
    /// `[targets][steps]` as in [`Metrics::model`]. Replaces the worker's last report.
    pub fn report(&self, streams: usize, drifting: usize, errors: Vec<LiveErrors>) {
        *lock(&self.0) = Report {
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
    workers: Mutex<Vec<Arc<Mutex<Report>>>>,
    model: Mutex<ModelLabels>,
    on_scrape: OnScrape,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut define = Definer::default();
        let input = InputMetrics::define(&mut define);
        let state = StateMetrics::define(&mut define);
        let broker = BrokerMetrics::define(&mut define);
        let reloads = ReloadMetrics::define(&mut define);
        let on_scrape = OnScrape::define(&mut define);
        define
            .numbers("tsm2_edge_build_info", "The running version; always 1.", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        Metrics {
            input,
            state,
            broker,
            reloads,
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
        let (now, shown) = (Instant::now(), &self.shared.on_scrape);
        let model = self.model();
        shown.set_streams(&self.report(model.variates.len() * model.steps.len()), &model);
        shown.set_health(health, self.state.uncommitted_age_s(now), now);
        shown.set_process(health.uptime(now).as_secs_f64());
        let families = self.shared.registry.gather();
        // Writing to a string does not fail, and names were checked when they were registered.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// The sum of the workers' reports, with errors of so many variates and steps.
    fn report(&self, places: usize) -> Report {
        let mut sum = Report {
            errors: vec![LiveErrors::default(); places],
            ..Report::default()
        };
        for worker in lock(&self.shared.workers).iter() {
            let report = lock(worker);
            sum.streams += report.streams;
            sum.drifting += report.drifting;
            // A report of another shape belongs to the model before this one.
            if report.errors.len() == places {
                sum.errors.iter_mut().zip(&report.errors).for_each(|(sum, errors)| *sum += *errors);
            }
        }
        sum
    }

    /// What the daemon did since its start.
    pub fn summary(&self) -> Summary {
        self.input.summary(self.report(0).streams)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
