//! Every block of commands in docs/how-to and docs/reference runs here, or is left out for a reason.
//!
//! The blocks run in one folder with a recording, three bundles, and the state that a daemon left.

use std::collections::BTreeSet;
use std::path::Path;

use tsm2_e2e::process::Running;
use tsm2_e2e::site::{MINUTE, START};
use tsm2_e2e::tutorial::{blocks, repository, run_block};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;
use tsm2_mqtt_testkit::test_client::TestClient;

/// Rows that each stream sends.
const ROWS: i64 = 300;
const SHORT: &str = "--horizon 4 --updates 1 --no-baselines";

/// A block that is run: its page, how it begins, and what the test says in place of what the page says.
type Run = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Blocks that need a daemon, and then those that need its state.
const RUN: &[Run] = &[
    ("reference/http.md", "curl", &[("9464", "HTTP_PORT")]),
    ("reference/exit-codes.md", "tsm2-edge validate", &[]),
    ("how-to/sources.md", "tsm2-edge validate", &[]),
    ("how-to/operate.md", "tsm2-edge clear-session", &[]),
    // Nobody is there to ask.
    (
        "how-to/operate.md",
        "tsm2-edge state list",
        &[("pump-3     #", "pump-3 --yes #"), ("pump-3    #", "pump-3 --yes #")],
    ),
    (
        "how-to/record.md",
        "tsm2 describe",
        &[("--join --out mine", "--join SHORT --out of-hall")],
    ),
    (
        "how-to/record.md",
        "systemctl stop",
        // The daemon has ended by now.
        &[
            ("systemctl stop tsm2-edge", ""),
            ("systemctl start tsm2-edge", ""),
            ("--out mine", "SHORT --out of-hall"),
        ],
    ),
    ("how-to/judge-a-model.md", "tsm2 report", &[]),
    ("how-to/judge-a-model.md", "tsm2 compare", &[]),
    ("reference/json.md", "tsm2 inspect", &[]),
    ("reference/firmware-blob.md", "tsm2 export", &[]),
    ("reference/onnx.md", "tsm2 export", &[]),
    ("how-to/microcontroller.md", "tsm2 export", &[]),
    ("how-to/microcontroller.md", "printf", &[]),
    (
        "how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --future",
        &[("--horizon 60", "SHORT")],
    ),
    (
        "how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --static",
        &[("--horizon 60", "SHORT")],
    ),
    (
        "how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --updates 300",
        &[("--horizon 60 --updates 300 --no-baselines", "SHORT")],
    ),
    (
        "how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --updates 2000",
        &[("--horizon 60 --updates 2000 --no-baselines", "SHORT")],
    ),
];

/// Blocks that are left out: page, how the block begins, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    (
        "how-to/container.md",
        "cargo xtask",
        "builds the packages in release: minutes; tests/packages.rs has the image",
    ),
    (
        "how-to/container.md",
        "podman build --format docker --platform",
        "builds for three processors: minutes",
    ),
    (
        "how-to/deploy.md",
        "tsm2 deploy",
        "needs a device; tests/deploy.rs deploys to a local root",
    ),
    (
        "how-to/deploy.md",
        "sudo install",
        "writes a memory card as root; tests/packages.rs boots such a root",
    ),
    (
        "how-to/discover.md",
        "tsm2-edge discover --broker",
        "listens for ten minutes; tests/discover.rs discovers",
    ),
    (
        "how-to/discover.md",
        "tsm2-edge discover --bundle",
        "listens for a minute; tests/discover.rs discovers",
    ),
    (
        "how-to/measure-robustness.md",
        "tsm2-lab",
        "a program of the laboratory; training/lab/tests/cli.rs runs it",
    ),
    ("how-to/measure-robustness.md", "tsm2 train", "the measurement of a table: minutes"),
    ("how-to/microcontroller.md", "apt install", "installs packages as root"),
    (
        "how-to/microcontroller.md",
        "cargo run",
        "builds firmware and emulates boards; tests/firmware does so",
    ),
    (
        "how-to/microcontroller.md",
        "tests/firmware/accuracy",
        "the measurement of a table: minutes",
    ),
    ("how-to/record.md", "tsm2-edge record", "records for days; tests/record.rs records"),
    ("how-to/train-on-cuda.md", "export CUDA", "needs a GPU"),
    ("how-to/use-forecasts.md", "mosquitto_sub", "tests/examples.rs runs it"),
    (
        "how-to/use-forecasts.md",
        "pip install",
        "installs packages; tests/examples.rs runs the example",
    ),
    (
        "reference/onnx.md",
        "cargo run",
        "builds in release: minutes; tests/conformance has the table's numbers",
    ),
    (
        "reference/recordings.md",
        "python3 -m venv",
        "installs packages and builds in release",
    ),
    (
        "how-to/container.md",
        "podman run",
        "needs podman; tests/packages.rs runs the image's root",
    ),
    (
        "how-to/microcontroller.md",
        "cd firmware\ncargo build --release -p tsm2-mps2",
        "builds firmware; tests/firmware does so",
    ),
    (
        "how-to/microcontroller.md",
        "qemu-system-arm",
        "emulates a board; tests/firmware/tests/end_to_end.rs does so",
    ),
    (
        "how-to/microcontroller.md",
        "mosquitto_sub",
        "talks with that board; tests/firmware/tests/end_to_end.rs does so",
    ),
    (
        "how-to/microcontroller.md",
        "cd firmware\ncargo build --release -p tsm2-nucleo",
        "needs a board; .ci/run builds it",
    ),
    (
        "how-to/microcontroller.md",
        "cd firmware\ncargo build --release -p tsm2-pico2",
        "builds firmware; .ci/run does so",
    ),
    ("how-to/microcontroller.md", "picotool", "needs a board"),
    (
        "how-to/run-an-onnx-model.md",
        "cargo build --release -p tsm2-edge",
        "builds in release: minutes; .ci/run builds it",
    ),
    ("how-to/run-an-onnx-model.md", "pip install torch", "needs torch, two gigabytes"),
    (
        "how-to/run-an-onnx-model.md",
        "tsm2-edge",
        "needs that build; crates/tsm2-edge/tests/onnx.rs runs these commands of the page",
    ),
    (
        "how-to/run-an-onnx-model.md",
        "cargo build --release -p tsm2-train",
        "builds in release: minutes",
    ),
];

/// Columns of the recording; few, so that trainings are short.
const COLUMNS: [&str; 5] = ["time", "outdoor_temp", "occupancy", "room1", "heater1_kw"];

/// A folder with what the pages suppose.
fn prepare(folder: &Path, broker: u16, http: u16) {
    run_block("tsm2-demo simulate --rows 1000 --out all.csv", folder);
    let all = std::fs::read_to_string(folder.join("all.csv")).expect("a recording");
    let header: Vec<&str> = all.lines().next().expect("a header").split(',').collect();
    let places = COLUMNS.map(|column| header.iter().position(|name| *name == column).expect("a column"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        places.map(|place| cells[place]).join(",")
    };
    let rows: Vec<String> = all.lines().map(row).collect();
    std::fs::write(folder.join("building.csv"), rows.join("\n")).expect("a file");
    let facts = "name,kind,zone,rated_kw\noutdoor_temp,temperature,,\noccupancy,people,1,\nroom1,temperature,1,\nheater1_kw,power,1,4.5\n";
    std::fs::write(folder.join("sensors.csv"), facts).expect("a file");
    run_block(
        &format!("tsm2 train --data building.csv {SHORT} --out mine && cp -r mine old && cp -r mine new"),
        folder,
    );
    let config = format!(
        "broker.host = '127.0.0.1'\nbroker.port = {broker}\nmodel.interval_s = 60\nmodel.horizon = 4\nstate.path = 'state'\n\
         record.path = 'recordings'\nhttp.listen = '127.0.0.1:{http}'\ninput.topic = 'zigbee2mqtt/{{stream}}'\n\
         input.time_field = 'time'\ninput.variates = ['temperature']\n"
    );
    std::fs::write(folder.join("tsm2-edge.toml"), config).expect("a configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_commands_runs_or_is_left_out_for_a_reason() {
    let mut of_documents = Vec::new();
    for kind in ["how-to", "reference"] {
        let pages = std::fs::read_dir(repository("docs").join(kind)).expect("a folder");
        for page in pages
            .map(|page| page.expect("a page").path())
            .filter(|page| page.extension().is_some_and(|end| end == "md"))
        {
            let name = format!("{kind}/{}", page.file_name().expect("a name").to_string_lossy());
            let text = std::fs::read_to_string(&page).expect("a page");
            of_documents.extend(blocks(&text).into_iter().map(|block| (name.clone(), block)));
        }
    }
    // Of several the longest beginning is meant: a list may name a command and one with more options.
    let known = || {
        RUN.iter()
            .map(|run| (run.0, run.1))
            .chain(LEFT_OUT.iter().map(|out| (out.0, out.1)))
    };
    let named = |page: &str, block: &str| {
        let fitting = known().filter(|(of, begins)| *of == page && block.starts_with(*begins));
        fitting.max_by_key(|(_, begins)| begins.len())
    };
    let mut used = BTreeSet::new();
    for (page, block) in &of_documents {
        let name = named(page, block).unwrap_or_else(|| panic!("docs/{page}: this block is neither run nor left out:\n{block}"));
        used.insert(name);
    }
    let gone: Vec<_> = known().filter(|name| !used.contains(name)).collect();
    assert!(gone.is_empty(), "no page has these blocks: {gone:?}");

    let Some(broker) = Mosquitto::start() else { return };
    if !["curl", "jq"]
        .into_iter()
        .all(|tool| std::process::Command::new(tool).arg("--version").output().is_ok())
    {
        skip("curl or jq is not installed");
        return;
    }
    let (folder, http) = (tempfile::tempdir().expect("a folder"), free_port());
    prepare(folder.path(), broker.port(), http);
    let config = folder.path().join("tsm2-edge.toml");
    let daemon = Running::start(&["run", config.to_str().expect("a path")]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    client.wait_for("tsm2/status", "online").await;
    for row in 0..ROWS {
        let time = rfc3339(START + row * MINUTE);
        for stream in ["boiler", "hall", "pump-3"] {
            let reading = format!("{{\"time\":\"{time}\",\"temperature\":{}}}", 20 + row % 7);
            client.publish(&format!("zigbee2mqtt/{stream}"), reading).await;
        }
    }
    let last = rfc3339(START + (ROWS - 1) * MINUTE);
    let mut waiting = BTreeSet::from(["boiler", "hall", "pump-3"]);
    while !waiting.is_empty() {
        let forecast = client.forecast().await;
        if forecast.origin == last {
            waiting.retain(|stream| !forecast.topic.contains(stream));
        }
    }

    let mut daemon = Some(daemon);
    for (page, begins, replacements) in RUN {
        if begins.starts_with("tsm2-edge clear-session") {
            // From here on the pages suppose that the daemon is stopped.
            daemon.take().map(Running::terminate);
        }
        for (_, block) in of_documents.iter().filter(|(of, block)| named(of, block) == Some((*page, *begins))) {
            let mut script = block.clone();
            for (text, other) in *replacements {
                assert!(script.contains(text), "docs/{page} does not say {text:?}");
                let other = other.replace("SHORT", SHORT).replace("HTTP_PORT", &http.to_string());
                script = script.replace(text, &other);
            }
            run_block(&script, folder.path());
        }
    }
}
