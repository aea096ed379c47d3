//! The shipped alerts and the dashboard: they use metrics that exist, each alert fires by its fault,
//! and none on a healthy site.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::tempdir;
use tsm2_demo::simulator::{Building, NAMES};
use tsm2_e2e::http::{get_until, has};
use tsm2_e2e::process::Running;
use tsm2_e2e::promtool::promtool;
use tsm2_edge::observe::{Health, Metrics};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;
use tsm2_mqtt_testkit::test_client::TestClient;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/linux").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).expect("a shipped file")
}

/// The names of the alerts.
fn alerts() -> Vec<String> {
    let rules = read("prometheus/tsm2-edge.rules.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// The expressions of the dashboard's panels.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

#[test]
fn every_metric_in_alerts_and_dashboard_exists() {
    let metrics = Metrics::new();
    let mut names = BTreeSet::new();
    for definition in metrics.definitions() {
        match definition.kind {
            "histogram" => names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", definition.name))),
            _ => drop(names.insert(definition.name.to_owned())),
        }
    }
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let mut used = BTreeSet::new();
    for file in ["prometheus/tsm2-edge.rules.yml", "grafana/tsm2-edge.json"] {
        let text = read(file);
        let named = text.split(|c| !is_name(c));
        used.extend(
            named
                .filter(|word| word.starts_with("tsm2_edge_") || word.starts_with("process_"))
                .map(str::to_owned),
        );
    }
    let unknown: Vec<_> = used.difference(&names).collect();
    assert!(used.len() > 25 && unknown.is_empty(), "no such metrics: {unknown:?}");
}

#[test]
fn the_start_of_the_process_is_the_same_at_each_scrape() {
    let (metrics, health) = (Metrics::new(), Health::new());
    let start = || {
        let page = metrics.page(&health);
        let line = page.lines().find(|line| line.starts_with("process_start_time_seconds "));
        line.expect("the metric").to_owned()
    };
    let first = start();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert_eq!(start(), first, "Prometheus would see a restart");
    }
}

#[test]
fn each_alert_fires_by_its_fault() {
    let folder = shipped("prometheus");
    for arguments in [&["check", "config", "prometheus.yml"][..], &["test", "rules", "tsm2-edge.test.yml"]] {
        if let Some(said) = promtool(arguments, &folder, "") {
            assert!(said.starts_with("exit status: 0"), "{said}");
        }
    }
    let tests = read("prometheus/tsm2-edge.test.yml");
    for alert in alerts() {
        let mut cases = tests.split("alertname: ").filter(|case| case.starts_with(&format!("{alert}\n")));
        assert!(cases.any(|case| case.contains("exp_labels")), "no test shows that {alert} fires");
    }
}

#[test]
fn the_dashboard_can_be_loaded_and_its_queries_parsed() {
    let dashboard: Value = serde_json::from_str(&read("grafana/tsm2-edge.json")).expect("JSON");
    let rules: String = expressions(&dashboard)
        .iter()
        .enumerate()
        .map(|(number, expression)| {
            let plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
            format!("      - record: panel:{number}\n        expr: {}\n", json!(plain))
        })
        .collect();
    let folder = tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("rules.yml"),
        format!("groups:\n  - name: panels\n    rules:\n{rules}"),
    )
    .expect("a file");
    if let Some(said) = promtool(&["check", "rules", "rules.yml"], folder.path(), "") {
        assert!(said.starts_with("exit status: 0"), "{said}");
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an ID of its own");
    let Some(python) = std::env::var_os("TSM2_EXAMPLES_PYTHON") else {
        skip("TSM2_EXAMPLES_PYTHON does not name a Python with tests/examples/requirements.txt");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dashboard.py");
    let output = Command::new(python)
        .arg(script)
        .arg(shipped("grafana/tsm2-edge.json"))
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{output:?}");
}

/// Minutes between two scrapes: no more than the five for which Prometheus takes a value for current.
const SCRAPE: usize = 4;

/// A site that works: the simulated building with its model, scraped by its own time. Two days, or as
/// many as `TSM2_HEALTHY_DAYS` says.
#[tokio::test(flavor = "multi_thread")]
async fn no_alert_fires_on_a_healthy_site() {
    let Some(broker) = Mosquitto::start() else { return };
    let days = std::env::var("TSM2_HEALTHY_DAYS").map_or(2, |days| days.parse().expect("a number of days"));
    let (folder, http) = (tempdir().expect("a folder"), free_port());
    let file = folder.path().join("edge.toml");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/building/model.safetensors");
    let text = format!(
        "broker.host = '127.0.0.1'\nbroker.port = {}\nmodel.bundle = '{}'\ninput.topic = 'sensors/{{stream}}'\n\
         input.time_field = 'time'\nhttp.listen = '127.0.0.1:{http}'\nstate.path = 'state'\n",
        broker.port(),
        model.display()
    );
    std::fs::write(&file, text).expect("a file");
    let daemon = Running::start_quiet(&["run", file.to_str().expect("a path")]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/status"]).await;
    client.wait_for("tsm2/status", "online").await;

    let mut series: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    let mut scrapes = 0;
    // Another seed than the recordings that the model was trained on.
    let rows = Building::new(77, 1_772_409_600_000).take(days * 1440);
    for (number, row) in rows.enumerate() {
        let mut message = Map::from_iter([("time".to_owned(), json!(rfc3339(row.time_ms)))]);
        message.extend(NAMES.iter().zip(row.values).map(|(name, value)| ((*name).to_owned(), json!(value))));
        client.publish("sensors/office", Value::Object(message).to_string()).await;
        if (number + 1) % SCRAPE != 0 {
            continue;
        }
        let steps = format!("tsm2_edge_time_steps_total {}", number + 1);
        let page = get_until(http, "/metrics", |_, page| has(page, &steps) && has(page, "tsm2_edge_ready 1"));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let values = series.entry(with_labels(name)).or_default();
            values.resize(scrapes, None);
            values.push(Some(value.to_owned()));
        }
        scrapes += 1;
    }
    daemon.terminate();
    series.insert(
        "up{job=\"tsm2-edge\", instance=\"site\"}".to_owned(),
        vec![Some("1".to_owned()); scrapes],
    );

    let mut test = format!(
        "rule_files:\n  - {}\nevaluation_interval: {SCRAPE}m\ntests:\n  - interval: {SCRAPE}m\n    input_series:\n",
        std::fs::canonicalize(shipped("prometheus/tsm2-edge.rules.yml"))
            .expect("a file")
            .display()
    );
    for (name, values) in &series {
        let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("_")).collect();
        let _ = writeln!(test, "      - series: '{name}'\n        values: '{}'", values.join(" "));
    }
    test.push_str("    alert_rule_test:\n");
    for alert in alerts() {
        for hour in (1..days * 24).step_by(2) {
            let _ = writeln!(test, "      - {{ eval_time: {hour}h, alertname: {alert}, exp_alerts: [] }}");
        }
    }
    std::fs::write(folder.path().join("healthy.yml"), test).expect("a file");
    assert!(series.len() > 60 && scrapes == days * 1440 / SCRAPE);
    if let Some(said) = promtool(&["test", "rules", "healthy.yml"], folder.path(), "") {
        assert!(
            said.starts_with("exit status: 0"),
            "{}",
            said.chars().take(4000).collect::<String>()
        );
    }
}

/// A series as Prometheus stores it: with the labels of its target.
fn with_labels(name: &str) -> String {
    let target = "job=\"tsm2-edge\", instance=\"site\"";
    match name.strip_suffix('}') {
        Some(labelled) => format!("{labelled}, {target}}}"),
        None => format!("{name}{{{target}}}"),
    }
}
