//! Gauges of the page `/metrics`, set when the page is made.

use std::time::{Instant, SystemTime};

use prometheus::{Counter, Gauge, GaugeVec, IntGauge};

use super::definition::group;
use super::health::Health;
use super::live_errors::{LiveErrors, ModelLabels};
use super::process::Process;

group! {
    /// See the module's description.
    pub(super) struct OnScrape {
        /// Streams in memory.
        streams: IntGauge = gauge("tsm2_edge_streams");
        /// Streams whose forecast errors have grown.
        drifting: IntGauge = gauge("tsm2_edge_drifting_streams");
        /// Age of the oldest reading that is not durable yet.
        uncommitted_age: Gauge = number("tsm2_edge_uncommitted_age_seconds");
        /// 1 while the last commit failed.
        commit_failing: IntGauge = gauge("tsm2_edge_commit_failing");
        /// 1 while every thread sends heartbeats, as /healthz.
        alive: IntGauge = gauge("tsm2_edge_alive");
        /// 1 while readings become forecasts and durable state, as /readyz.
        ready: IntGauge = gauge("tsm2_edge_ready");
        /// The model in use; always 1.
        model: GaugeVec = numbers("tsm2_edge_model_info", &["model"]);
        /// Mean absolute error of the forecasts, in units of the variate.
        mae: GaugeVec = numbers("tsm2_edge_forecast_mae", &["variate", "step"]);
        /// Mean squared error of the forecasts divided by that of the naive forecast; above 1 the model is worse.
        mse_ratio: GaugeVec = numbers("tsm2_edge_forecast_mse_ratio", &["variate", "step"]);
        /// Fraction of readings within the prediction interval.
        coverage: GaugeVec = numbers("tsm2_edge_interval_coverage_ratio", &["variate", "step"]);
        /// Start of the process, seconds since 1970.
        start_time: Gauge = number("process_start_time_seconds");
        /// Processor time used.
        cpu_seconds: Counter = total("process_cpu_seconds_total");
        /// Resident memory.
        resident_bytes: Gauge = number("process_resident_memory_bytes");
        /// Open file descriptors.
        open_files: Gauge = number("process_open_fds");
    }
}

/// Streams in memory, how many of them drift, and errors of forecasts, shape `[targets][steps]`.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) streams: u64,
    pub(super) drifting: u64,
    pub(super) errors: Vec<LiveErrors>,
}

impl OnScrape {
    /// Sets the sums of the workers' reports.
    pub(super) fn set_streams(&self, report: &Report, model: &ModelLabels) {
        self.streams.set(report.streams as i64);
        self.drifting.set(report.drifting as i64);
        for gauge in [&self.model, &self.mae, &self.mse_ratio, &self.coverage] {
            gauge.reset();
        }
        if !model.model.is_empty() {
            self.model.with_label_values(&[&model.model]).set(1.0);
        }
        for (place, sum) in report.errors.iter().enumerate() {
            let (variate, step) = (&model.variates[place / model.steps.len()], model.steps[place % model.steps.len()]);
            for (gauge, value) in [
                (&self.mae, sum.mae()),
                (&self.mse_ratio, sum.mse_ratio()),
                (&self.coverage, sum.coverage()),
            ] {
                if let Some(value) = value {
                    gauge.with_label_values(&[variate.as_str(), &step.to_string()]).set(value);
                }
            }
        }
    }

    /// Sets what the health says, and the age of the oldest reading that is not durable.
    pub(super) fn set_health(&self, health: &Health, uncommitted_age_s: f64, now: Instant) {
        self.uncommitted_age.set(uncommitted_age_s);
        self.commit_failing.set(health.is_commit_failing().into());
        self.alive.set(health.is_alive(now).is_ok().into());
        self.ready.set(health.is_ready().is_ok().into());
    }

    /// Sets the resources of the process.
    pub(super) fn set_process(&self, uptime_s: f64) {
        let process = Process::now();
        // Counted back from now: small devices start with a wrong clock.
        if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            let start_s = now.as_secs_f64() - uptime_s;
            // The same at each scrape, unless the clock is set: a start that moves looks like a restart.
            if (start_s - self.start_time.get()).abs() > 1.0 {
                self.start_time.set(start_s);
            }
        }
        if let Some(seconds) = process.cpu_seconds {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        self.resident_bytes.set(process.resident_bytes.unwrap_or(0) as f64);
        self.open_files.set(process.open_files.unwrap_or(0) as f64);
    }
}
