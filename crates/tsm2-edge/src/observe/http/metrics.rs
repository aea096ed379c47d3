//! The page `/metrics`: the daemon's vitals by the names and units that Prometheus asks for.
//!
//! Invariant: the number of lines grows with kinds of refusal, variates and three leads, and never with streams.

use std::time::{Instant, SystemTime};

use super::exposition::Page;
use super::process::Process;
use crate::observe::vitals::{Figures, Score, Vitals};

/// The page at this moment.
pub fn metrics(vitals: &Vitals) -> String {
    let now = Instant::now();
    let figures = vitals.figures(now);
    let mut page = Page::default();
    counts(&mut page, &figures);
    durable(&mut page, &figures);
    session(&mut page, &figures);
    skill(&mut page, &figures);
    page.gauge(
        "tsm2_edge_alive",
        "Whether every thread of the daemon does its work.",
        u8::from(vitals.is_alive(now).is_ok()),
    );
    page.gauge(
        "tsm2_edge_ready",
        "Whether readings that arrive become forecasts and durable state.",
        u8::from(vitals.is_ready().is_ok()),
    );
    page.family("tsm2_edge_build_info", "The program that runs.", "gauge")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("tsm2_edge_model_info", "The model that forecasts.", "gauge")
        .sample(&[("model", &figures.shown.model)], 1);
    process(&mut page, vitals.uptime(now).as_secs_f64());
    page.into_text()
}

fn counts(page: &mut Page, figures: &Figures) {
    let summary = &figures.summary;
    for (name, help, count) in [
        ("tsm2_edge_messages_total", "Messages that arrived.", summary.messages),
        ("tsm2_edge_readings_total", "Readings taken.", summary.readings),
        (
            "tsm2_edge_further_readings_total",
            "Readings that were not the first of their variate in their row.",
            summary.further,
        ),
        ("tsm2_edge_rows_total", "Rows with at least one reading.", summary.rows),
        (
            "tsm2_edge_gap_rows_total",
            "Rows without a reading that bridged gaps.",
            summary.gap_rows,
        ),
        (
            "tsm2_edge_held_values_total",
            "Values that repeat an earlier one of their variate.",
            summary.held,
        ),
        (
            "tsm2_edge_forecasts_total",
            "Forecasts published, one per variate.",
            summary.forecasts,
        ),
        (
            "tsm2_edge_stream_restarts_total",
            "Restarts of streams after long silences, and steps back.",
            summary.restarts,
        ),
        (
            "tsm2_edge_stream_steps_back_total",
            "Restarts of streams whose clock was wrong and came right.",
            summary.steps_back,
        ),
        (
            "tsm2_edge_dropped_messages_total",
            "Messages dropped because the daemon did not keep up.",
            figures.dropped,
        ),
    ] {
        page.counter(name, help, count);
    }
    let mut refused = page.family(
        "tsm2_edge_refused_total",
        "Messages, fields or readings that were refused, by kind.",
        "counter",
    );
    for (kind, count) in &summary.refused {
        refused.sample(&[("kind", kind)], count);
    }
    page.gauge("tsm2_edge_streams", "Streams in memory.", figures.streams);
    page.histogram(
        "tsm2_edge_forecast_latency_seconds",
        "From the arrival of a message to its forecasts handed over.",
        &figures.latency,
    );
}

fn durable(page: &mut Page, figures: &Figures) {
    page.histogram(
        "tsm2_edge_commit_duration_seconds",
        "How long commits of the state took that succeeded.",
        &figures.commits,
    );
    for (name, help, count) in [
        ("tsm2_edge_commit_failures_total", "Commits that failed.", figures.failed_commits),
        (
            "tsm2_edge_committed_snapshots_total",
            "Snapshots of streams written.",
            figures.committed_streams,
        ),
        (
            "tsm2_edge_committed_bytes_total",
            "Bytes of the snapshots written.",
            figures.committed_bytes,
        ),
    ] {
        page.counter(name, help, count);
    }
    page.gauge(
        "tsm2_edge_commit_failing",
        "Whether the last commit failed.",
        u8::from(figures.commit_failing),
    );
    page.gauge(
        "tsm2_edge_uncommitted_readings",
        "Readings in the state that are not durable yet.",
        figures.uncommitted,
    );
    page.gauge(
        "tsm2_edge_uncommitted_age_seconds",
        "Age of the oldest reading that is not durable yet.",
        figures.oldest_uncommitted.as_secs_f64(),
    );
}

fn session(page: &mut Page, figures: &Figures) {
    page.gauge(
        "tsm2_edge_connected",
        "Whether the connection to the broker stands.",
        u8::from(figures.connected),
    );
    page.counter(
        "tsm2_edge_connections_total",
        "Connections to the broker that stood.",
        figures.connections,
    );
    page.gauge(
        "tsm2_edge_unacknowledged_publishes",
        "Messages that the broker has not acknowledged yet.",
        figures.unacknowledged_publishes,
    );
    let mut reloads = page.family("tsm2_edge_reloads_total", "Configurations reloaded, by result.", "counter");
    reloads.sample(&[("result", "taken")], figures.reloads);
    reloads.sample(&[("result", "refused")], figures.failed_reloads);
}

/// A gauge per variate and lead: its name, its help, and where its value comes from.
type Gauge = (&'static str, &'static str, fn(&Score) -> Option<f64>);

fn skill(page: &mut Page, figures: &Figures) {
    const GAUGES: [Gauge; 3] = [
        (
            "tsm2_edge_forecast_mae",
            "Mean absolute error of forecasts, in the variate's units, by lead in steps.",
            Score::mae,
        ),
        (
            "tsm2_edge_forecast_mse_ratio",
            "Mean squared error of forecasts divided by that of repeating the last reading.",
            Score::mse_ratio,
        ),
        (
            "tsm2_edge_interval_coverage_ratio",
            "Share of readings that fell into their forecasts' intervals.",
            Score::coverage,
        ),
    ];
    let shown = &figures.shown;
    for (name, help, value) in GAUGES {
        let mut gauge = page.family(name, help, "gauge");
        let places = shown
            .variates
            .iter()
            .flat_map(|variate| shown.leads.iter().map(move |lead| (variate, lead)));
        for ((variate, lead), score) in places.zip(&figures.scores) {
            if let Some(value) = value(score) {
                gauge.sample(&[("variate", variate), ("lead", &lead.to_string())], value);
            }
        }
    }
    page.gauge("tsm2_edge_drifting_streams", "Streams whose errors drift.", figures.drifting);
}

fn process(page: &mut Page, uptime_s: f64) {
    let found = Process::now();
    // Counted back from now, so that it is right once the clock is: small devices start without one.
    if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        page.gauge(
            "process_start_time_seconds",
            "When the process started, since 1970.",
            now.as_secs_f64() - uptime_s,
        );
    }
    if let Some(seconds) = found.cpu_seconds {
        page.counter("process_cpu_seconds_total", "Processor time used.", seconds);
    }
    if let Some(bytes) = found.resident_bytes {
        page.gauge("process_resident_memory_bytes", "Resident memory.", bytes);
    }
    if let Some(files) = found.open_files {
        page.gauge("process_open_fds", "Open files.", files);
    }
}
