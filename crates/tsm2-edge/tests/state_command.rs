//! `tsm2-edge state` on a store that the test fills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tsm2_bundle::Bundle;
use tsm2_edge::runtime::record::{Entry, Fingerprint};
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StreamUpdate};

/// A configuration, and the key of the stream `boiler` under its model.
struct Fixture {
    folder: TempDir,
    key: String,
}

impl Fixture {
    /// Serves `boiler`. Stored are `boiler`, `boiler` of another schema, and `pump`.
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/etth1/model.safetensors");
        let text = format!(
            "model.bundle = '{}'\nbroker.host = '127.0.0.1'\ninput.topic = 's/{{stream}}'\ninput.streams = ['boiler']\nstate.path = 'state'\n",
            bundle.display()
        );
        std::fs::write(folder.path().join("edge.toml"), text).unwrap();
        let bundle = Bundle::open(&bundle).unwrap();
        let interval_ms = bundle.meta().interval_ms.unwrap();
        let fingerprint = Fingerprint::of(&bundle.clone().into(), interval_ms);
        let entry = |time_ms| {
            let values = vec![(0, 1.5)];
            Entry::Readings { time_ms, values }.encode()
        };
        let fixture = Fixture {
            key: fingerprint.key("boiler"),
            folder,
        };
        let update = StreamUpdate {
            entries: (1..4).map(|hour| entry(3_600_000 * hour)).collect(),
            checkpoint: Some(vec![1; 50]),
        };
        let keys = [fixture.key.clone(), "boiler/00000000".to_owned(), fingerprint.key("pump")];
        let mut streams: BTreeMap<_, _> = keys.into_iter().map(|key| (key, update.clone())).collect();
        let store = fixture.store();
        store.commit(&Batch { streams: streams.clone() }).unwrap();
        streams.retain(|key, update| {
            update.checkpoint = None;
            *key == fixture.key
        });
        store.commit(&Batch { streams }).unwrap();
        drop(store);
        fixture
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    fn store(&self) -> LogStore {
        let options = LogOptions {
            retained_entries: 100,
            verify: true,
        };
        LogStore::open(&self.folder.path().join("state"), &options, &mut |_| {}).unwrap()
    }

    fn run(&self, task: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
        command.args(["state", task]).arg(self.config()).args(arguments);
        command.output().unwrap()
    }

    fn says(&self, task: &str, arguments: &[&str]) -> String {
        let output = self.run(task, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, task: &str, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(task, &[arguments, &["--json"]].concat())).unwrap()
    }

    fn error(&self, task: &str, arguments: &[&str]) -> String {
        let output = self.run(task, arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.store().streams().unwrap().into_iter().map(|info| info.name).collect()
    }
}

#[test]
fn list_names_every_stream_and_what_becomes_of_it() {
    let fixture = Fixture::new();
    let text = fixture.says("list", &[]);
    assert!(text.contains("3 streams"), "{text}");
    let listed = fixture.json("list", &[]);
    let usages: Vec<_> = listed["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| (stream["stream"].as_str().unwrap(), stream["usage"].as_str().unwrap()))
        .collect();
    assert_eq!(usages.len(), 3);
    for expected in [("boiler", "used"), ("boiler", "other schema"), ("pump", "not in input.streams")] {
        assert!(usages.contains(&expected), "{usages:?}");
    }
    let used = listed["streams"]
        .as_array()
        .unwrap()
        .iter()
        .find(|stream| stream["usage"] == "used")
        .unwrap();
    assert_eq!(
        (&used["entries"], &used["entries_after_checkpoint"], &used["checkpoint_bytes"]),
        (&6.into(), &3.into(), &50.into())
    );
    assert_eq!(listed["damaged"], 0);
}

#[test]
fn list_names_damage() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("state/00000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let text = fixture.says("list", &[]);
    assert!(text.contains("00000001.log") && text.contains("damaged"), "{text}");
    assert_eq!(fixture.json("list", &[])["damaged"], 1);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn show_prints_the_newest_entries() {
    let fixture = Fixture::new();
    let shown = fixture.json("show", &[&fixture.key, "--entries", "2"]);
    assert_eq!(shown["newest_entries"].as_array().unwrap().len(), 2);
    assert_eq!(shown["newest_entries"][1]["time"], "1970-01-01T03:00:00Z");
    assert!(fixture.says("show", &["boiler"]).contains("other schema"));
    assert!(fixture.error("show", &["kettle"]).contains("state list"));
}

#[test]
fn a_stream_that_was_reset_begins_anew_and_keeps_its_readings() {
    let fixture = Fixture::new();
    assert!(fixture.error("reset", &[&fixture.key]).contains("--yes"));
    let text = fixture.says("reset", &[&fixture.key, "--yes"]);
    assert!(text.contains("6 entries stay stored"), "{text}");
    let store = fixture.store();
    assert_eq!(store.load(&fixture.key).unwrap(), Some(Default::default()));
    assert_eq!(store.history(&fixture.key, 99).unwrap().len(), 6);
    assert!(store.load("boiler/00000000").unwrap().unwrap().checkpoint.is_some());
}

#[test]
fn forget_removes_one_stream() {
    let fixture = Fixture::new();
    assert!(fixture.error("forget", &["boiler/00000000"]).contains("--yes"));
    assert_eq!(fixture.names().len(), 3);
    // `boiler` stays in use, so its topics stay, and no broker is asked.
    let text = fixture.says("forget", &["boiler/00000000", "--yes"]);
    assert!(text.contains("boiler/00000000 removed, with 3 entries"), "{text}");
    assert_eq!(fixture.names().len(), 2);
    assert!(fixture.error("forget", &["boiler/00000000", "--yes"]).contains("no stream"));
}

#[test]
fn a_running_daemon_has_to_be_stopped_first() {
    let fixture = Fixture::new();
    let _daemon = fixture.store();
    for (task, arguments) in [("list", &[][..]), ("forget", &["boiler", "--yes"])] {
        let error = fixture.error(task, arguments);
        assert!(error.contains("stop that daemon first"), "{error}");
    }
}

#[test]
fn state_that_is_not_there_is_an_error() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.folder.path().join("state")).unwrap();
    let error = fixture.error("list", &[]);
    assert!(error.contains("holds no state"), "{error}");
    assert!(!fixture.folder.path().join("state").exists());
}
