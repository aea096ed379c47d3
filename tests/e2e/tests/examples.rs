//! The examples of docs/examples and docs/how-to/use-forecasts.md, with a real daemon and broker.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;
use tsm2_mqtt_testkit::test_client::TestClient;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A daemon that forecasts `co2` of a stream `building`: it stays as it is.
struct Office {
    broker: Mosquitto,
    daemon: Running,
    client: TestClient,
    _folder: TempDir,
}

impl Office {
    async fn open(extra: &str) -> Option<Self> {
        let broker = Mosquitto::start()?;
        let folder = tempdir().expect("a folder");
        let file = folder.path().join("edge.toml");
        let text = format!(
            "broker.host = '127.0.0.1'\nbroker.port = {}\ninput.topic = 'sensors/{{stream}}/telemetry'\ninput.time_field = 'time'\n\
             input.variates = ['co2']\nmodel.interval_s = 60\nmodel.horizon = 30\n{extra}\n",
            broker.port()
        );
        std::fs::write(&file, text).expect("a file");
        let daemon = Running::start(&["run", file.to_str().expect("a path")]);
        let mut client = TestClient::connect(broker.port(), &["tsm2/#", "actions/#"]).await;
        client.wait_for("tsm2/status", "online").await;
        Some(Office {
            broker,
            daemon,
            client,
            _folder: folder,
        })
    }

    /// A reading at this minute, and the forecast of it.
    async fn read(&mut self, minute: u32, co2: f32) {
        let reading = json!({ "time": format!("2026-03-02T12:{minute:02}:00Z"), "co2": co2 });
        self.client.publish("sensors/building/telemetry", reading.to_string()).await;
        self.client.forecast().await;
    }

    async fn action(&mut self) -> Value {
        loop {
            let (topic, payload) = self.client.next().await;
            if topic == "actions/building/ventilation" {
                return serde_json::from_slice(&payload).expect("JSON");
            }
        }
    }
}

/// Ends a process when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_red_flow_switches_the_ventilation_before_the_air_is_bad() {
    let tests = repository("tests/examples");
    let program = tests.join("node_modules/node-red/red.js");
    if !program.is_file() {
        skip("Node-RED is not installed; run: npm ci --prefix tests/examples");
        return;
    }
    let Some(mut office) = Office::open("output.steps = [10, 30]").await else {
        return;
    };
    let folder = tempdir().expect("a folder");
    let flow = std::fs::read_to_string(repository("docs/examples/node_red_flow.json")).expect("the flow");
    // The one thing that a user changes.
    let changed = flow.replace("\"port\": \"1883\"", &format!("\"port\": \"{}\"", office.broker.port()));
    assert_ne!(flow, changed);
    std::fs::write(folder.path().join("flows.json"), changed).expect("a file");
    let mut node = Command::new("node");
    node.arg(program)
        .arg("--userDir")
        .arg(folder.path())
        .arg("--settings")
        .arg(tests.join("settings.js"));
    node.arg(folder.path().join("flows.json"))
        .env("NODE_RED_PORT", free_port().to_string());
    let Ok(node) = node.stdin(Stdio::null()).spawn() else {
        skip("node is not installed");
        return;
    };
    let _node = Ended(node);
    // Retained forecasts wait for the flow.
    office.read(0, 900.0).await;
    assert_eq!(office.action().await, json!({ "on": false, "at": null }));
    office.read(1, 1100.0).await;
    assert_eq!(
        office.action().await,
        json!({ "on": true, "at": "2026-03-02T12:11:00.000Z" }),
        "the first published step"
    );
    office.read(2, 1150.0).await;
    office.read(3, 950.0).await;
    assert_eq!(office.action().await, json!({ "on": false, "at": null }), "once, when it changes");
    office.daemon.terminate();
}

/// A Python with `tests/examples/requirements.txt`; `None` after [`skip`].
fn python() -> Option<Command> {
    match std::env::var_os("TSM2_EXAMPLES_PYTHON") {
        Some(python) => Some(Command::new(python)),
        None => {
            skip("TSM2_EXAMPLES_PYTHON does not name a Python with tests/examples/requirements.txt");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_makes_a_table_and_a_plot() {
    for extra in ["", "output.steps = [10, 30]"] {
        let Some(mut python) = python() else { return };
        let Some(mut office) = Office::open(extra).await else { return };
        office.read(0, 900.0).await;
        office.read(1, 910.0).await;
        let folder = tempdir().expect("a folder");
        let port = office.broker.port().to_string();
        python.arg(repository("docs/examples/plot_forecast.py"));
        python
            .args(["tsm2/building/forecast/co2", "127.0.0.1", &port])
            .current_dir(folder.path());
        let output = python.output().expect("Python starts");
        let said = [&output.stdout, &output.stderr]
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .concat();
        assert!(output.status.success(), "{said}");
        // The last step, at its time.
        assert!(said.contains("2026-03-02 12:31:00+00:00  910.0"), "{said}");
        let plot = std::fs::read(folder.path().join("forecast.png")).expect("a plot");
        assert!(plot.starts_with(b"\x89PNG"), "{} bytes", plot.len());
        office.daemon.terminate();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_a_shell_print_what_they_say() {
    let missing = ["mosquitto_sub", "jq"].into_iter().find(|program| {
        let found = Command::new(program)
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_err()
    });
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
        return;
    }
    let Some(mut office) = Office::open("").await else { return };
    // Live metrics come once in a horizon.
    for minute in 0..=31 {
        office.read(minute, 900.0 + minute as f32).await;
    }
    let page = std::fs::read_to_string(repository("docs/how-to/use-forecasts.md")).expect("the page");
    let block = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a block of commands");
    let port = office.broker.port();
    // Each ends by itself, but the one for everything.
    let script = block
        .replace("-v -t 'tsm2/+/forecast/+'", "-v -C 1 -t 'tsm2/+/forecast/+'")
        .replace("mosquitto_sub ", &format!("mosquitto_sub -h 127.0.0.1 -p {port} -W 20 "));
    let output = Command::new("sh").args(["-euc", &script]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "online");
    assert!(lines[1].starts_with("tsm2/building/forecast/co2 {"), "{said}");
    let last: Value = serde_json::from_str(lines[2]).expect("JSON");
    assert_eq!(
        (&last["start"], last["last"].as_f64()),
        (&json!("2026-03-02T12:32:00Z"), Some(931.0))
    );
    // Step, error, error of naive: the same here.
    let fields: Vec<&str> = lines[3].split('\t').collect();
    assert!(fields.len() == 3 && fields[0] == "1" && fields[1] == fields[2], "{said}");
    office.daemon.terminate();
}
