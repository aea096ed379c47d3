//! The web page of the daemon in a real browser, with a real mosquitto.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tsm2_e2e::site::{Site, payload};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;

/// Rows before the page is opened.
const ROWS: i64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_renders_updates_and_survives_a_restart_of_the_daemon() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser/page.mjs");
    if !script.with_file_name("node_modules").is_dir() {
        skip("the browser test's packages are not installed; run: npm ci --prefix tests/browser");
        return;
    }
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        skip("chromium is not installed; install it, or name it in CHROMIUM");
        return;
    }
    let Some(broker) = Mosquitto::start() else { return };
    let port = free_port();
    let site = Site::new(broker.port(), &format!("http.listen = '127.0.0.1:{port}'"));
    let (mut daemon, mut is_restarted) = (site.start(), false);
    let client = site.client().await;
    let mut row = 0;
    while row < ROWS {
        client.publish("sensors/a", payload(row)).await;
        row += 1;
    }

    let mut node = Command::new("node");
    node.arg(&script).args([format!("http://127.0.0.1:{port}/"), "a".to_owned()]);
    node.args(std::env::var("TSM2_SCREENSHOTS"));
    let Ok(mut browser) = node.stdout(Stdio::piped()).spawn() else {
        skip("node is not installed");
        return;
    };
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
        if !is_restarted && printed.iter().any(|line| line == "restart") {
            daemon.kill();
            // Longer than the page's period.
            tokio::time::sleep(Duration::from_secs(8)).await;
            (daemon, is_restarted) = (site.start(), true);
        }
        if let Some(status) = browser.try_wait().expect("the process can be asked") {
            break status;
        }
    };
    assert!(status.success() && is_restarted, "the browser test failed; it printed {printed:?}");
    daemon.terminate();
}
