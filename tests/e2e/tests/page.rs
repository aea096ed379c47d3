//! The web page of the daemon in a real browser, with a real mosquitto.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use tsm2_e2e::browser::script;
use tsm2_e2e::http::get_until;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{Site, payload};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::test_client::TestClient;

/// Rows before the page is opened.
const ROWS: i64 = 40;
/// Streams of a large site.
const STREAMS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_renders_updates_and_survives_a_restart_of_the_daemon() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = free_port();
    let Some(mut script) = script("page.mjs", [format!("http://127.0.0.1:{port}/"), "a".to_owned()]) else {
        return;
    };
    let site = Site::new(broker.port(), &format!("http.listen = '127.0.0.1:{port}'"));
    // None while it is away.
    let (mut daemon, mut is_restarted) = (Some(site.start()), false);
    let client = site.client().await;
    let mut row = 0;
    while row < ROWS {
        client.publish("sensors/a", payload(row)).await;
        row += 1;
    }

    let mut browser = script.stdout(Stdio::piped()).spawn().expect("node starts");
    let stdout = BufReader::new(browser.stdout.take().expect("a pipe"));
    let (line_in, lines) = mpsc::channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| line_in.send(line)));
    let mut printed = Vec::new();
    // Readings go on until the browser has ended.
    let status = loop {
        client.publish("sensors/a", payload(row)).await;
        row += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        printed.extend(lines.try_iter());
        let is_ended = !is_restarted && printed.iter().any(|line| line == "end");
        if let Some(daemon) = daemon.take_if(|_| is_ended) {
            daemon.kill();
        }
        if !is_restarted && printed.iter().any(|line| line == "start") {
            (daemon, is_restarted) = (Some(site.start()), true);
        }
        if let Some(status) = browser.try_wait().expect("the process can be asked") {
            break status;
        }
    };
    assert!(status.success() && is_restarted, "the browser test failed; it printed {printed:?}");
    daemon.map(Running::terminate);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_thousand_streams_is_light_and_finds_each_of_them() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = free_port();
    let last = format!("pump-{}", STREAMS - 1);
    let Some(mut script) = script("many_streams.mjs", [format!("http://127.0.0.1:{port}/"), last]) else {
        return;
    };
    let site = Site::new(broker.port(), &format!("http.listen = '127.0.0.1:{port}'"));
    let daemon = site.start_by(Running::start_quiet);
    let mut client = TestClient::connect(broker.port(), &["tsm2/status"]).await;
    client.wait_for("tsm2/status", "online").await;
    for row in 0..ROWS {
        // A few with a history, and the others with one row each.
        for stream in if row == 0 { 0..STREAMS } else { 0..1 } {
            client.publish(&format!("sensors/pump-{stream}"), payload(row)).await;
        }
    }
    let total = format!("\"total\":{STREAMS},");
    get_until(port, "/api/streams?search=", |_, page| page.contains(&total));
    let output = script.output().expect("node starts");
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    println!("{}", said.concat());
    assert!(output.status.success(), "{}", said.concat());
    daemon.terminate();
}
