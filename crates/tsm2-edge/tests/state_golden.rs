//! Every format of the state log ever committed is read, for ever: `tests/golden/state/v*`.
//!
//! After a change of the format, `TSM2_WRITE_GOLDEN=1 cargo test -p tsm2-edge --test state_golden`
//! adds a folder for the new version. The folders of earlier versions stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::tempdir;
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StreamUpdate};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/state")
}

fn open(folder: &Path, verify: bool) -> LogStore {
    let options = LogOptions {
        retained_entries: 3,
        verify,
    };
    LogStore::open(folder, &options, &mut |_| {}).unwrap()
}

fn copy_logs(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Two segments: one that was ended, one of a process that was killed. All kinds of records.
fn write(folder: &Path) {
    let commit = |store: &LogStore, name: &str, entries: &[&str], checkpoint: Option<&str>| {
        let update = StreamUpdate {
            entries: entries.iter().map(|entry| entry.as_bytes().to_vec()).collect(),
            checkpoint: checkpoint.map(|checkpoint| checkpoint.as_bytes().to_vec()),
        };
        let streams = BTreeMap::from([(name.to_owned(), update)]);
        store.commit(&Batch { streams }).unwrap();
    };
    let live = tempdir().unwrap();
    let store = open(live.path(), false);
    commit(&store, "boiler/0a1b2c3d", &["one", "two"], Some("after two"));
    commit(&store, "boiler/0a1b2c3d", &["three"], None);
    commit(&store, "gone", &["x"], Some("y"));
    commit(&store, "anew", &["p"], Some("q"));
    commit(&store, "Büro 3", &["", "é"], None);
    store.forget(&["gone".to_owned()]).unwrap();
    drop(store);
    let store = open(live.path(), false);
    store.reset(&["anew".to_owned()]).unwrap();
    commit(&store, "anew", &["r"], None);
    commit(&store, "boiler/0a1b2c3d", &["four"], Some("after four"));
    commit(&store, "boiler/0a1b2c3d", &["five", "six"], None);
    copy_logs(live.path(), folder);
}

/// All streams as JSON.
fn content(store: &LogStore) -> Value {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let stream = |name: String| {
        let stored = store.load(&name).unwrap().unwrap();
        let history = store.history(&name, 99).unwrap();
        let content = json!({
            "checkpoint": stored.checkpoint.as_ref().map(text),
            "tail": stored.tail.iter().map(text).collect::<Vec<_>>(),
            "history": history.iter().map(text).collect::<Vec<_>>(),
        });
        (name, content)
    };
    store.streams().unwrap().into_iter().map(|info| stream(info.name)).collect()
}

#[test]
fn every_format_is_read() {
    let mut versions = Vec::new();
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let expected: Value = serde_json::from_slice(&fs::read(path.join("expected.json")).unwrap()).unwrap();
        for verify in [false, true] {
            let folder = tempdir().unwrap();
            copy_logs(&path, folder.path());
            let store = open(folder.path(), verify);
            assert_eq!(content(&store), expected, "{}", path.display());
            assert_eq!(store.report(), Default::default());
        }
        versions.push(path.file_name().unwrap().to_owned());
    }
    assert!(versions.contains(&"v1".into()), "{versions:?}");
}

#[test]
fn the_current_format_has_its_files() {
    let folder = tempdir().unwrap();
    write(folder.path());
    let first = fs::read(folder.path().join("00000001.log")).unwrap();
    let version = u32::from_le_bytes(first[8..12].try_into().unwrap());
    let path = golden().join(format!("v{version}"));
    if std::env::var_os("TSM2_WRITE_GOLDEN").is_some() && !path.exists() {
        fs::create_dir_all(&path).unwrap();
        write(&path);
        let store = open(folder.path(), true);
        let text = serde_json::to_string_pretty(&content(&store)).unwrap();
        fs::write(path.join("expected.json"), text + "\n").unwrap();
    }
    assert!(path.exists(), "{} is missing: see the head of this file", path.display());
    let expected: Value = serde_json::from_slice(&fs::read(path.join("expected.json")).unwrap()).unwrap();
    assert_eq!(content(&open(folder.path(), false)), expected);
}
