//! What those who operate the daemon see of it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tsm2_e2e::data;
use tsm2_edge::http::metrics;
use tsm2_edge::report::Summary;
use tsm2_edge::vitals::{Part, Score, Shown, Vitals};

/// What promtool has to say, from its exit status on; `None`, with a line printed, where it is not installed.
fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Option<String> {
    let tool = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        data::absent("skipped: promtool (Debian's package prometheus) is not installed");
        return None;
    };
    tool.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some(format!("{}: {said}", output.status))
}

/// Asserts that promtool has nothing to say against a page.
fn assert_passes_promtool(page: &str) {
    if let Some(said) = promtool(&["check", "metrics"], Path::new("."), page) {
        assert_eq!(said.trim_end(), "exit status: 0:", "{page}");
    }
}

/// Whether a page of metrics has this line.
fn has(page: &str, line: &str) -> bool {
    page.lines().any(|found| found == line)
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
        assert!(has(&told, line), "{line} is not in\n{told}");
    }
    for page in [untold, told] {
        assert_passes_promtool(&page);
    }
}

#[test]
fn the_alerts_and_the_scrape_configuration_of_the_documentation_work() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/prometheus");
    for arguments in [&["check", "config", "prometheus.yml"][..], &["test", "rules", "tsm2-edge.test.yml"]] {
        if let Some(said) = promtool(arguments, &folder, "") {
            assert!(said.starts_with("exit status: 0"), "{said}");
        }
    }
    let told = metrics(&Vitals::new(1));
    let rules = std::fs::read_to_string(folder.join("tsm2-edge.rules.yml")).unwrap();
    let documented = std::fs::read_to_string(folder.join("../operations.md")).unwrap();
    let names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    for named in rules.split(|c| !is_name(c)).filter(|word| word.starts_with("tsm2_edge_")) {
        assert!(names.contains(&named), "an alert looks at {named}, which is no metric");
    }
    for name in names {
        assert!(documented.contains(&format!("`{name}")), "{name} is not documented");
    }
}
