//! The demo as a stranger starts it: the program, its broker, its building, and forecasts of every variate for anybody who listens.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tsm2_core::Config;
use tsm2_demo::simulator::{INTERVAL_MS, NAMES};
use tsm2_e2e::bundle;
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::test_client::TestClient;

const HORIZON: usize = 60;
const MINUTE_MS: Option<u64> = Some(INTERVAL_MS as u64);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-demo"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

fn bundle_of(names: &[&str], horizon: usize, interval_ms: Option<u64>) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = bundle::random(folder.path(), "tiny", names, horizon, interval_ms);
    (folder, text(&path))
}

fn text(path: &Path) -> String {
    path.to_str().expect("a readable path").to_owned()
}

/// What a command said when it failed; it must have failed, without a panic, and printed nothing else.
fn complaint(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said.lines().count(), 1, "one message: {said}");
    said
}

#[test]
fn it_ends_by_itself_and_says_how_every_variate_was_forecast() {
    let (_folder, bundle) = bundle_of(&NAMES, HORIZON, MINUTE_MS);
    let output = run(&["--seconds", "2", "--json", "--port", "0", "--bundle", &bundle]);
    assert!(output.status.success(), "{output:?}");
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(outcome["model"], "tiny");
    let rows = outcome["time_steps"].as_u64().expect("a number of time steps");
    assert!(rows > 2 * 1440, "the warm-up alone has two days, not {rows} rows");
    assert_eq!(outcome["variates"].as_object().map(|variates| variates.len()), Some(NAMES.len()));
    for name in NAMES {
        let variate = &outcome["variates"][name];
        let forecasts = variate["forecasts"].as_u64().expect("a number of forecasts");
        assert!(
            forecasts > 2 * 1440 - 64 && forecasts <= rows,
            "{name}: {forecasts} forecasts of {rows} rows"
        );
        let leads: Vec<_> = variate["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| error["minutes"].as_u64())
            .collect();
        assert_eq!(leads, [Some(15), Some(60)]);
        for error in variate["errors"].as_array().expect("errors") {
            assert!(error["resolved"].as_u64() >= Some(1000), "{name}: {error}");
            let (mae, naive) = (
                error["mae"].as_f64().expect("an error"),
                error["naive_mae"].as_f64().expect("an error"),
            );
            assert!(mae > 0.0 && naive > 0.0, "{name}: {error}");
            assert!(
                (error["ratio"].as_f64().expect("a ratio") - mae / naive).abs() < 1e-9,
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn without_a_terminal_it_prints_tables() {
    // Leads beyond the horizon have no figures, and nothing else suffers.
    let (_folder, bundle) = bundle_of(&NAMES, 20, MINUTE_MS);
    let output = run(&["--seconds", "1", "--port", "0", "--bundle", &bundle]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(printed.contains("mosquitto_sub -p "), "{printed}");
    assert!(!printed.contains('\x1b'), "{printed}");
    let last_table: Vec<_> = printed.lines().rev().take(20).collect();
    for name in NAMES {
        let row = last_table
            .iter()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no row of {name}:\n{printed}"));
        assert_eq!(row.matches('–').count(), 3, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_watch_and_an_interrupt_ends_it_like_its_time() {
    let (_folder, bundle) = bundle_of(&NAMES, HORIZON, MINUTE_MS);
    let demo = Running::start_program(&mut command(&["--json", "--port", "0", "--bundle", &bundle]));
    let told = demo.wait_for("mosquitto_sub -p ").pop().unwrap_or_default();
    let port = told
        .split_whitespace()
        .skip_while(|word| *word != "-p")
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let mut client = TestClient::connect(port, &["tsm2/building/forecast/+"]).await;
    // The sensors wait for the forecasts that the demo's own client hears, so by then it has heard some of every variate too.
    let mut heard = BTreeMap::new();
    while heard.len() < NAMES.len() || heard.values().any(|forecasts| *forecasts < 100) {
        let forecast = client.forecast().await;
        assert_eq!(forecast.mean.len(), HORIZON);
        let name = forecast.topic.rsplit('/').next().expect("a level").to_owned();
        assert!(NAMES.contains(&name.as_str()), "{name}");
        *heard.entry(name).or_insert(0) += 1;
    }
    client.end().await;
    let outcome: Value = serde_json::from_str(&demo.terminate()).expect("one JSON object");
    assert!(outcome["forecasts"].as_u64() > Some(0), "{outcome}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let (_folder, bundle) = bundle_of(&NAMES, HORIZON, MINUTE_MS);
    let missing = run(&["--port", "0", "--bundle", "no/such/file.safetensors"]);
    assert!(complaint(missing).contains("no/such/file.safetensors"));

    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    assert!(complaint(run(&["--port", &port, "--bundle", &bundle])).contains(&port));

    let (_folder, poorer) = bundle_of(&NAMES[1..], HORIZON, MINUTE_MS);
    assert!(complaint(run(&["--port", "0", "--bundle", &poorer])).contains(NAMES[0]));
    let (_folder, foreign) = bundle_of(&[&NAMES[..], &["humidity"]].concat(), HORIZON, MINUTE_MS);
    assert!(complaint(run(&["--port", "0", "--bundle", &foreign])).contains("humidity"));
    let (_folder, slower) = bundle_of(&NAMES, HORIZON, Some(3_600_000));
    assert!(complaint(run(&["--port", "0", "--bundle", &slower])).contains("3600 s"));
    let (_folder, timeless) = bundle_of(&NAMES, HORIZON, None);
    assert!(complaint(run(&["--port", "0", "--bundle", &timeless])).contains("interval"));
}

#[test]
fn covariates_are_shown_and_no_forecast_of_them_is_awaited() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names: Vec<&str> = NAMES[3..].iter().chain(&NAMES[..3]).copied().collect();
    let config = Config {
        past_covariates: 3,
        ..bundle::small(names.len(), 60)
    };
    let path = text(&bundle::write(folder.path(), "tiny", &names, MINUTE_MS, config));
    let output = run(&["--seconds", "1", "--json", "--port", "0", "--bundle", &path]);
    assert!(output.status.success(), "{output:?}");
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let shown = outcome["variates"].as_object().expect("variates");
    assert_eq!(shown.len(), NAMES.len() - 3);
    assert!(
        NAMES[3..].iter().all(|name| shown[*name]["forecasts"].as_u64() > Some(1000)),
        "{outcome}"
    );
}
