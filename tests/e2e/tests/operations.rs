//! What those who operate the daemon see of it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use tsm2_e2e::http::{get, get_until, has};
use tsm2_e2e::process::Running;
use tsm2_e2e::promtool::promtool;
use tsm2_e2e::site::{Site, exchange};
use tsm2_edge::observe::{Health, LiveErrors, Metrics, ModelLabels};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_stream::{ErrorSums, Errors};

/// Asserts that promtool has nothing to say against a page.
fn assert_passes_promtool(page: &str) {
    if let Some(said) = promtool(&["check", "metrics"], Path::new("."), page) {
        assert_eq!(said.trim_end(), "exit status: 0:", "{page}");
    }
}

#[test]
fn every_metric_passes_promtool_with_and_without_values() {
    let (metrics, health) = (Metrics::new(), Health::new());
    let empty = metrics.page(&health);
    metrics.input.rejected("late").inc_by(8);
    metrics.input.rejected("not_json").inc();
    metrics.set_model(ModelLabels::new("a \"model\"", ["temp", "back\\slash\nand line"], 96));
    let errors = LiveErrors {
        model: ErrorSums::of_means(Errors { mae: 0.5, mse: 1.5 }, 2.0),
        naive: ErrorSums::of_means(Errors { mae: 1.0, mse: 2.0 }, 2.0),
        intervals: 2.0,
        covered: 1.8,
    };
    let workers = metrics.workers(2);
    workers[0].report(2, 1, vec![errors; 6]);
    workers[1].report(1, 0, vec![errors; 3]); // of another model
    metrics.input.latency.observe(0.0007);
    metrics.state.commit_duration.observe(0.02);
    metrics.state.uncommitted(1, Some(Instant::now()));
    let filled = metrics.page(&health);
    for line in [
        "tsm2_edge_rejected_total{reason=\"late\"} 8",
        "tsm2_edge_streams 3",
        "tsm2_edge_drifting_streams 1",
        "tsm2_edge_forecast_mae{step=\"96\",variate=\"temp\"} 0.5",
        "tsm2_edge_forecast_mse_ratio{step=\"1\",variate=\"temp\"} 0.75",
        "tsm2_edge_interval_coverage_ratio{step=\"48\",variate=\"back\\\\slash\\nand line\"} 0.9",
        "tsm2_edge_commit_duration_seconds_count 1",
    ] {
        assert!(has(&filled, line), "{line} is not in\n{filled}");
    }
    for page in [empty, filled] {
        assert_passes_promtool(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_shows_its_work_and_is_ready_while_there_is_a_broker() {
    let (port, http) = (free_port(), free_port());
    let Some(broker) = Mosquitto::start_on(port) else { return };
    let site = Site::new(port, &format!("state.path = 'edge.redb'\nhttp.listen = '127.0.0.1:{http}'"));
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    for index in 0..5 {
        exchange(&mut client, index).await;
    }
    get_until(http, "/readyz", |status, body| (status, body) == (200, "ok\n"));
    let page = get_until(http, "/metrics", |_, page| {
        has(page, "tsm2_edge_forecasts_total 10") && has(page, "tsm2_edge_streams 1")
    });
    assert_passes_promtool(&page);
    for line in [
        "tsm2_edge_messages_total 5",
        "tsm2_edge_readings_total 10",
        "tsm2_edge_streams 1",
        "tsm2_edge_connected 1",
        "tsm2_edge_connections_total 1",
        "tsm2_edge_forecast_latency_seconds_count 5",
        "tsm2_edge_commit_failing 0",
        "tsm2_edge_model_info{model=\"site\"} 1",
    ] {
        assert!(has(&page, line), "{line} is not in\n{page}");
    }

    drop(broker);
    let why = get_until(http, "/readyz", |status, _| status == 503);
    assert_eq!(why, "there is no connection to the broker\n");
    assert_eq!(
        get(http, "/healthz"),
        Some((200, "ok\n".to_owned())),
        "that is no reason to be restarted"
    );
    let Some(_broker) = Mosquitto::start_on(port) else { return };
    get_until(http, "/readyz", |status, _| status == 200);
    let page = get_until(http, "/metrics", |_, page| has(page, "tsm2_edge_connections_total 2"));
    assert!(has(&page, "tsm2_edge_forecasts_total 10"), "{page}");

    daemon.signal("HUP");
    let page = get_until(http, "/metrics", |_, page| {
        has(page, "tsm2_edge_reloads_total{result=\"applied\"} 1")
    });
    assert!(has(&page, "tsm2_edge_forecasts_total 10"), "counts go on: {page}");
    std::fs::write(site.path().join("edge.toml"), "nonsense").unwrap();
    daemon.signal("HUP");
    get_until(http, "/metrics", |_, page| {
        has(page, "tsm2_edge_reloads_total{result=\"rejected\"} 1")
    });
    get_until(http, "/readyz", |status, _| status == 200);

    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    daemon.terminate();
    while client.next().await != ("tsm2/status".to_owned(), "offline".into()) {}
    assert_eq!(get(http, "/healthz"), None);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_notified_of_start_broker_reload_and_stop() {
    use std::os::unix::net::UnixDatagram;

    let port = free_port();
    let site = Site::new(port, "state.path = 'edge.redb'");
    let path = site.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut lines = Vec::new();
    let mut wait_for = |text: &str| {
        let begun = Instant::now();
        loop {
            let found = lines.iter().position(|line: &String| line.starts_with(text));
            if let Some(found) = found {
                lines.drain(..=found);
                break;
            }
            assert!(begun.elapsed() < TIMEOUT, "systemd never received {text}");
            let mut datagram = [0; 1000];
            let length = systemd.recv(&mut datagram).expect("a notification in time");
            lines.extend(String::from_utf8_lossy(&datagram[..length]).lines().map(str::to_owned));
        }
    };
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let daemon = Running::start_with(&["run", &site.config()], &variables);
    wait_for("READY=1");
    wait_for("STATUS=there is no connection to the broker");
    wait_for("WATCHDOG=1");
    let Some(_broker) = Mosquitto::start_on(port) else { return };
    wait_for("STATUS=connected to the broker");
    wait_for("WATCHDOG=1");
    daemon.signal("HUP");
    wait_for("RELOADING=1");
    wait_for("MONOTONIC_USEC=");
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    daemon.signal("TERM");
    wait_for("STOPPING=1");
    wait_for("STATUS=stopping");
    daemon.terminate();
}

#[test]
fn an_address_in_use_is_refused_by_its_key() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let site = Site::new(free_port(), &format!("http.listen = '{}'", taken.local_addr().unwrap()));
    let output = tsm2_e2e::process::run(&["run", &site.config()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("Error: http.listen: cannot listen on 127.0.0.1:"),
        "{said}"
    );
}
