//! Every block of commands of every page runs here or, of a tutorial, in the test that walks it; or it is left out for a reason.
//!
//! The blocks run in one folder with a recording, three bundles, and the state that a daemon left.

use std::collections::BTreeSet;
use std::path::Path;

use tsm2_e2e::data::file;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{MINUTE, START};
use tsm2_e2e::tutorial::{blocks, pages, repository, run_block};
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
    ("docs/reference/http.md", "curl", &[("9464", "HTTP_PORT")]),
    ("docs/reference/exit-codes.md", "tsm2-edge validate", &[]),
    ("docs/how-to/sources.md", "tsm2-edge validate", &[]),
    ("docs/how-to/operate.md", "tsm2-edge clear-session", &[]),
    // Nobody is there to ask.
    (
        "docs/how-to/operate.md",
        "tsm2-edge state list",
        &[("pump-3     #", "pump-3 --yes #"), ("pump-3    #", "pump-3 --yes #")],
    ),
    (
        "docs/how-to/record.md",
        "tsm2 describe",
        &[("--join --out mine", "--join SHORT --out of-hall")],
    ),
    (
        "docs/how-to/record.md",
        "systemctl stop",
        // The daemon has ended by now.
        &[
            ("systemctl stop tsm2-edge", ""),
            ("systemctl start tsm2-edge", ""),
            ("--out mine", "SHORT --out of-hall"),
        ],
    ),
    ("docs/how-to/judge-a-model.md", "tsm2 report", &[]),
    ("docs/how-to/judge-a-model.md", "tsm2 compare", &[]),
    ("docs/reference/json.md", "tsm2 inspect", &[]),
    ("docs/reference/firmware-blob.md", "tsm2 export", &[]),
    ("docs/reference/onnx.md", "tsm2 export", &[]),
    ("docs/how-to/microcontroller.md", "tsm2 export", &[]),
    ("docs/how-to/microcontroller.md", "printf", &[]),
    (
        "docs/how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --future",
        &[("--horizon 60", "SHORT")],
    ),
    (
        "docs/how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --static",
        &[("--horizon 60", "SHORT")],
    ),
    (
        "docs/how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --updates 300",
        &[("--horizon 60 --updates 300 --no-baselines", "SHORT")],
    ),
    (
        "docs/how-to/covariates.md",
        "tsm2 train --data building.csv --horizon 60 --updates 2000",
        &[("--horizon 60 --updates 2000 --no-baselines", "SHORT")],
    ),
    (
        "docs/explanation/training.md",
        "training/estimates.py",
        &[
            ("training/", "REPOSITORY/training/"),
            ("--horizon 60 --budget 10s --no-baselines", "SHORT"),
        ],
    ),
    (
        "docs/explanation/intervals.md",
        "tsm2-edge backtest",
        &[("models/", "REPOSITORY/models/"), ("11520..", "1300..")],
    ),
    (
        "models/etth1/README.md",
        "tsm2 train",
        &[("8640,2880,2880", "1000,300,300"), ("--horizon 96", "SHORT")],
    ),
    (
        "models/building/README.md",
        "tsm2-demo simulate",
        &[("80640", "1500"), ("--horizon 60", "SHORT")],
    ),
    (
        "README.md",
        "cargo build",
        &[
            // The programs are there.
            (
                "cargo build --release -p tsm2-train -p tsm2-edge -p tsm2-demo\nexport PATH=$PWD/target/release:$PATH\n",
                "",
            ),
            ("40320", "1500"),
            ("--horizon 60", "SHORT"),
            ("15,60", "2,4"),
            (
                "tsm2-edge run tsm2-edge.toml",
                "timeout 5 tsm2-edge run tsm2-edge.toml || [ $? -eq 124 ]",
            ),
        ],
    ),
];

/// Blocks that are left out, by the reason: page, and how the block begins.
const LEFT_OUT: &[(&str, &[(&str, &str)])] = &[
    (
        "a gate of its own: .ci/run runs it",
        &[
            ("README.md", "cargo run"),
            ("README.md", "cargo test"),
            ("CONTRIBUTING.md", "cargo fmt"),
        ],
    ),
    (
        "the measurement of a table, minutes to hours; commands_in_documents.rs checks its options, and training/lab/tests runs its command",
        &[
            ("docs/how-to/measure-robustness.md", "tsm2-lab"),
            ("docs/how-to/measure-robustness.md", "tsm2 train"),
            ("docs/explanation/paper.md", "tsm2-lab"),
            ("docs/explanation/training.md", "for s in"),
            ("docs/explanation/training.md", "tsm2-lab"),
            ("docs/explanation/training.md", "tsm2 train --data lorenz96.csv"),
            ("models/building/README.md", "tsm2-lab"),
            ("models/etth1/README.md", "tsm2-lab"),
        ],
    ),
    (
        "a measurement, minutes to hours; commands_in_documents.rs checks its options, and tests/endurance/tests runs faults, soak and load in short form",
        &[
            ("docs/explanation/faults.md", "cargo run"),
            ("docs/explanation/faults.md", "git worktree"),
            ("docs/explanation/faults.md", "npm ci"),
            ("docs/data/state-store.md", "cargo run"),
        ],
    ),
    (
        "fuzzing, minutes to hours, or a nightly compiler; tests/endurance/tests/fuzz.rs runs every target in short form",
        &[
            ("fuzz/README.md", "cargo install"),
            ("fuzz/README.md", "cargo build"),
            ("fuzz/README.md", "rustup"),
        ],
    ),
    (
        "the measurement of a table: installs packages, or takes minutes in release",
        &[
            ("docs/how-to/microcontroller.md", "tests/firmware/accuracy"),
            ("docs/reference/onnx.md", "cargo run"),
            ("docs/reference/recordings.md", "python3 -m venv"),
        ],
    ),
    (
        "builds packages in release, installs them or needs podman; .ci/run builds one, and tests/packages.rs installs it and runs its image",
        &[
            ("docs/how-to/container.md", "cargo xtask"),
            ("docs/how-to/container.md", "podman"),
            ("firmware/linux/README.md", "rustup"),
            ("firmware/linux/README.md", "sudo dpkg"),
            ("firmware/linux/README.md", "useradd"),
        ],
    ),
    (
        "needs a device; tests/deploy.rs deploys to a local root",
        &[
            ("docs/how-to/deploy.md", "tsm2 deploy"),
            ("firmware/linux/README.md", "tsm2 deploy"),
        ],
    ),
    (
        "writes a memory card as root; tests/packages/boot boots such a card, by hand",
        &[("docs/how-to/deploy.md", "sudo install")],
    ),
    (
        "listens for minutes; tests/discover.rs discovers",
        &[("docs/how-to/discover.md", "tsm2-edge discover")],
    ),
    (
        "records for days; tests/record.rs records",
        &[("docs/how-to/record.md", "tsm2-edge record")],
    ),
    (
        "builds firmware and needs a board or emulates one; .ci/run builds it, and tests/firmware runs it on emulated boards",
        &[
            ("docs/how-to/microcontroller.md", "apt install"),
            ("docs/how-to/microcontroller.md", "cargo run"),
            ("docs/how-to/microcontroller.md", "cd firmware"),
            ("docs/how-to/microcontroller.md", "qemu-system-arm"),
            ("docs/how-to/microcontroller.md", "mosquitto_sub"),
            ("docs/how-to/microcontroller.md", "picotool"),
        ],
    ),
    ("needs a GPU", &[("docs/how-to/train-on-cuda.md", "export CUDA")]),
    (
        "tests/examples.rs runs the lines and the example with packages of its own",
        &[
            ("docs/how-to/use-forecasts.md", "mosquitto_sub"),
            ("docs/how-to/use-forecasts.md", "pip install"),
        ],
    ),
    (
        "a build in release with a feature; crates/tsm2-edge/tests/onnx.rs runs the daemon's commands of the page, and training/tests/onnx.rs report and compare",
        &[
            ("docs/how-to/run-an-onnx-model.md", "cargo build"),
            ("docs/how-to/run-an-onnx-model.md", "tsm2-edge"),
        ],
    ),
    (
        "needs torch, two gigabytes",
        &[("docs/how-to/run-an-onnx-model.md", "pip install torch")],
    ),
    (
        "tests/packaging.rs and tests/prometheus.rs run it",
        &[
            ("firmware/linux/README.md", "systemd-analyze"),
            ("firmware/linux/README.md", "cd prometheus"),
        ],
    ),
];

/// The tests that walk the tutorials, each page in order.
const WALKS: [&str; 2] = [include_str!("tutorials.rs"), include_str!("first_hour.rs")];

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
    for (name, text) in pages() {
        let blocks = blocks(&text);
        match name.strip_prefix("docs/tutorials/") {
            Some(tutorial) => {
                let is_walked = WALKS.iter().any(|test| test.contains(&format!("Tutorial::open(\"{tutorial}\")")));
                assert!(is_walked || blocks.is_empty(), "{name}: no test walks it");
            }
            None => of_documents.extend(blocks.into_iter().map(|block| (name.clone(), block))),
        }
    }
    // Of several the longest beginning is meant: a list may name a command and one with more options.
    let known = || {
        RUN.iter()
            .map(|run| (run.0, run.1))
            .chain(LEFT_OUT.iter().flat_map(|out| out.1.iter().copied()))
    };
    let named = |page: &str, block: &str| {
        let fitting = known().filter(|(of, begins)| *of == page && block.starts_with(*begins));
        fitting.max_by_key(|(_, begins)| begins.len())
    };
    let mut used = BTreeSet::new();
    for (page, block) in &of_documents {
        let name = named(page, block).unwrap_or_else(|| panic!("{page}: this block is neither run nor left out:\n{block}"));
        used.insert(name);
    }
    let gone: Vec<_> = known().filter(|name| !used.contains(name)).collect();
    assert!(gone.is_empty(), "no page has these blocks: {gone:?}");

    let (Some(broker), Some(recording)) = (Mosquitto::start(), file("ETTh1.csv")) else {
        return;
    };
    if !["curl", "jq", "python3"]
        .into_iter()
        .all(|tool| std::process::Command::new(tool).arg("--version").output().is_ok())
    {
        skip("curl, jq or python3 is not installed");
        return;
    }
    let (folder, http) = (tempfile::tempdir().expect("a folder"), free_port());
    prepare(folder.path(), broker.port(), http);
    let rows = std::fs::read_to_string(recording).expect("text");
    let rows: Vec<&str> = rows.lines().take(1601).collect();
    std::fs::write(folder.path().join("ETTh1.csv"), rows.join("\n")).expect("a file");
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
                assert!(script.contains(text), "{page} does not say {text:?}");
                let other = other.replace("SHORT", SHORT).replace("HTTP_PORT", &http.to_string());
                let other = other.replace("REPOSITORY", repository("").to_str().expect("a path"));
                script = script.replace(text, &other);
            }
            run_block(&script, folder.path());
        }
    }
}
