//! What those who operate the daemon see of it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tsm2_e2e::data;
use tsm2_edge::http::metrics;
use tsm2_edge::report::Summary;
use tsm2_edge::vitals::{Part, Score, Shown, Vitals};

/// What `promtool check metrics` has to say of a page; `None`, with a line printed, where it is not installed.
fn promtool(page: &str) -> Option<String> {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        data::absent("skipped: promtool (Debian's package prometheus) is not installed");
        return None;
    };
    tool.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some(format!("{}: {said}", output.status))
}

#[test]
fn every_metric_passes_promtool_whether_or_not_there_is_something_to_tell() {
    let vitals = Vitals::new(2);
    let untold = metrics(&vitals);
    let mut summary = Summary::default();
    (summary.messages, summary.streams) = (u64::MAX / 2, 3);
    summary.refused.insert("late", 4);
    summary.refused.insert("not_json", 1);
    vitals.model(Shown::new("a \"model\"", ["temp", "back\\slash\nand line"], 96));
    vitals.report(0, &summary, 2);
    vitals.report(1, &summary, 1);
    let score = Score {
        weight: 2.0,
        absolute: 1.0,
        squared: 3.0,
        repeat_last_squared: 4.0,
        intervals: 2.0,
        covered: 1.8,
    };
    vitals.skill(0, &[score; 6], 1);
    vitals.forecast_latency(Duration::from_micros(700));
    vitals.committed(3, 4096, Duration::from_millis(20));
    vitals.uncommitted(1, Some(Instant::now()));
    vitals.beat(Part::Shard(0));
    let told = metrics(&vitals);
    for line in [
        "tsm2_edge_refused_total{kind=\"late\"} 8",
        "tsm2_edge_streams 3",
        "tsm2_edge_forecast_mae{variate=\"temp\",lead=\"96\"} 0.5",
        "tsm2_edge_forecast_mse_ratio{variate=\"temp\",lead=\"1\"} 0.75",
        "tsm2_edge_interval_coverage_ratio{variate=\"back\\\\slash\\nand line\",lead=\"48\"} 0.9",
        "tsm2_edge_commit_duration_seconds_count 1",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
    }
    for page in [untold, told] {
        if let Some(said) = promtool(&page) {
            assert_eq!(said.trim_end(), "exit status: 0:", "{page}");
        }
    }
}

#[test]
fn promtool_finds_fault_where_there_is_one() {
    if let Some(said) = promtool("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n") {
        assert!(!said.starts_with("exit status: 0"), "{said}");
    }
}
