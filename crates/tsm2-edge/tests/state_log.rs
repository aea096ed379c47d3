//! The state log against a model, torn and damaged files, several owners, compaction.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::tempdir;
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StoreError, Stored, StreamUpdate, copy};

const OPTIONS: LogOptions = LogOptions {
    retained_entries: 5,
    verify: false,
};
const VERIFY: LogOptions = LogOptions { verify: true, ..OPTIONS };

fn open(folder: &Path, options: &LogOptions) -> LogStore {
    LogStore::open(folder, options, &mut |_| {}).unwrap()
}

fn update(entries: &[&[u8]], checkpoint: Option<&[u8]>) -> StreamUpdate {
    StreamUpdate {
        entries: entries.iter().map(|entry| entry.to_vec()).collect(),
        checkpoint: checkpoint.map(<[u8]>::to_vec),
    }
}

fn batch<const N: usize>(updates: [(&str, StreamUpdate); N]) -> Batch {
    Batch {
        streams: updates.map(|(name, update)| (name.to_owned(), update)).into(),
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for path in segments(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// What a store should hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model(BTreeMap<String, ModelStream>);

#[derive(Debug, Clone, Default, PartialEq)]
struct ModelStream {
    entries: Vec<Vec<u8>>,
    checkpoint: Option<Vec<u8>>,
    covered: usize,
}

impl Model {
    fn commit(&mut self, batch: &Batch) {
        for (name, update) in &batch.streams {
            if update.entries.is_empty() && update.checkpoint.is_none() {
                continue;
            }
            let stream = self.0.entry(name.clone()).or_default();
            stream.entries.extend(update.entries.iter().cloned());
            if update.checkpoint.is_some() {
                stream.checkpoint = update.checkpoint.clone();
                stream.covered = stream.entries.len();
            }
        }
    }

    fn reset(&mut self, name: &str) {
        if let Some(stream) = self.0.get_mut(name) {
            stream.checkpoint = None;
            stream.covered = stream.entries.len();
        }
    }

    fn assert_is(&self, store: &LogStore) {
        let infos = store.streams().unwrap();
        let names: Vec<_> = infos.iter().map(|info| &info.name).collect();
        assert_eq!(names, self.0.keys().collect::<Vec<_>>());
        for (info, (name, stream)) in infos.iter().zip(&self.0) {
            let expected = Stored {
                checkpoint: stream.checkpoint.clone(),
                tail: stream.entries[stream.covered..].to_vec(),
            };
            assert_eq!(
                (info.tail, info.checkpoint_bytes),
                (expected.tail.len(), stream.checkpoint.as_ref().map(Vec::len))
            );
            let kept = OPTIONS.retained_entries.max(expected.tail.len()).min(stream.entries.len());
            assert_eq!(info.entries, kept);
            for limit in [0, 2, usize::MAX] {
                let from = stream.entries.len() - limit.min(kept);
                assert_eq!(store.history(name, limit).unwrap(), stream.entries[from..]);
            }
            assert_eq!(store.load(name).unwrap(), Some(expected));
        }
        assert_eq!(store.load("unknown").unwrap(), None);
        assert_eq!(store.report().damaged, 0);
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Commit(Batch),
    Forget(Vec<String>),
    Reset(String),
    Reopen { verify: bool, crash: bool },
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // Large ones fill segments, so that the log is compacted.
    prop_oneof![3 => Just(40), 1 => Just(0), 2 => Just(200_000)]
        .prop_flat_map(|length: usize| any::<u8>().prop_map(move |byte| vec![byte; length]))
}

fn name() -> impl Strategy<Value = String> {
    (0..5u8).prop_map(|number| format!("stream {number}"))
}

fn operation() -> impl Strategy<Value = Operation> {
    let update = (prop::collection::vec(bytes(), 0..4), prop::option::weighted(0.3, bytes()));
    let update = update.prop_map(|(entries, checkpoint)| StreamUpdate { entries, checkpoint });
    prop_oneof![
        20 => prop::collection::btree_map(name(), update, 0..4).prop_map(|streams| Operation::Commit(Batch { streams })),
        2 => prop::collection::vec(name(), 0..3).prop_map(Operation::Forget),
        1 => name().prop_map(Operation::Reset),
        2 => any::<(bool, bool)>().prop_map(|(verify, crash)| Operation::Reopen { verify, crash }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_its_model(operations in prop::collection::vec(operation(), 1..80)) {
        let folder = tempdir().unwrap();
        let mut path = folder.path().join("0");
        let (mut store, mut model) = (open(&path, &OPTIONS), Model::default());
        for (number, operation) in operations.iter().enumerate() {
            match operation {
                Operation::Commit(batch) => {
                    store.commit(batch).unwrap();
                    model.commit(batch);
                }
                Operation::Forget(names) => {
                    store.forget(names).unwrap();
                    names.iter().for_each(|name| drop(model.0.remove(name)));
                }
                Operation::Reset(name) => {
                    store.reset(std::slice::from_ref(name)).unwrap();
                    model.reset(name);
                }
                Operation::Reopen { verify, crash } => {
                    if *crash {
                        // The files as they are now, without what a clean end adds.
                        let next = folder.path().join((number + 1).to_string());
                        copy_folder(&path, &next);
                        path = next;
                    } else {
                        drop(store);
                    }
                    store = open(&path, if *verify { &VERIFY } else { &OPTIONS });
                }
            }
            if number % 8 == 0 {
                model.assert_is(&store);
            }
        }
        model.assert_is(&store);
        let twin = open(&folder.path().join("twin"), &OPTIONS);
        copy(&store, &twin).unwrap();
        for name in model.0.keys() {
            let (copied, stored) = (twin.load(name).unwrap(), store.load(name).unwrap().unwrap());
            prop_assert!(copied.as_ref() == Some(&stored) || (copied.is_none() && stored == Stored::default()));
        }
    }
}

/// Ten batches of three streams in two segments. Returns the length of the second one after each
/// of its five batches, and the store's content before and after them.
fn ten_batches(folder: &Path) -> (Vec<u64>, Vec<Model>) {
    let (mut model, mut models, mut ends) = (Model::default(), Vec::new(), Vec::new());
    for half in 0..2u8 {
        let store = open(folder, &OPTIONS);
        for number in 0..5 {
            let byte = 10 * half + number;
            let batch = batch([
                ("a", update(&[&[byte; 20], &[byte; 3]], (number == 3).then_some(&[byte; 50]))),
                ("b", update(&[&[byte; 7]], None)),
                ("c", update(&[], Some(&[byte; 30]))),
            ]);
            if half == 1 && number == 0 {
                models.push(model.clone());
            }
            store.commit(&batch).unwrap();
            model.commit(&batch);
            if half == 1 {
                models.push(model.clone());
                ends.push(segments(folder)[1].metadata().unwrap().len());
            }
        }
        model.assert_is(&store);
        if half == 1 {
            // A crash: no footer.
            let crashed = folder.with_extension("crashed");
            copy_folder(folder, &crashed);
        }
    }
    (ends, models)
}

#[test]
fn a_torn_commit_leaves_what_was_committed_before() {
    let folder = tempdir().unwrap();
    let (ends, models) = ten_batches(&folder.path().join("state"));
    let crashed = folder.path().join("state.crashed");
    let whole = fs::read(&segments(&crashed)[1]).unwrap();
    assert_eq!(*ends.last().unwrap(), whole.len() as u64);
    let last_commits = ends[2] as usize..=whole.len();
    for length in (0..60).chain(last_commits) {
        let torn = folder.path().join(format!("torn {length}"));
        copy_folder(&crashed, &torn);
        fs::write(&segments(&torn)[1], &whole[..length]).unwrap();
        let batches = ends.iter().filter(|end| **end <= length as u64).count();
        let mut model = models[batches].clone();
        {
            let store = open(&torn, if length % 2 == 0 { &OPTIONS } else { &VERIFY });
            for name in ["a", "b", "c"] {
                let stream = &model.0[name];
                let stored = store.load(name).unwrap().unwrap();
                assert_eq!(
                    (stored.checkpoint, &stored.tail[..]),
                    (stream.checkpoint.clone(), &stream.entries[stream.covered..])
                );
            }
            let is_clean = ends.contains(&(length as u64));
            assert_eq!(store.report().torn_bytes == 0, is_clean || length == 0 || length == 44, "{length}");
            assert_eq!(store.report().damaged, 0, "a torn commit is no damage");
            // The store goes on, and so does its successor.
            let next = batch([("a", update(&[b"next"], None))]);
            store.commit(&next).unwrap();
            model.commit(&next);
        }
        assert_eq!(fs::read(&segments(&torn)[1]).unwrap(), &whole[..length], "opening changed a file");
        let store = open(&torn, &OPTIONS);
        assert_eq!(store.report().damaged, 0, "{length}: nor is it damage at a later start");
        let stream = &model.0["a"];
        assert_eq!(store.load("a").unwrap().unwrap().tail, stream.entries[stream.covered..]);
        fs::remove_dir_all(&torn).unwrap();
    }
}

#[test]
fn a_hole_in_the_last_commit_undoes_all_of_it() {
    // As after a power cut: a later page of the commit reached the disk, an earlier one did not.
    let folder = tempdir().unwrap();
    let (ends, models) = ten_batches(&folder.path().join("state"));
    let crashed = folder.path().join("state.crashed");
    let whole = fs::read(&segments(&crashed)[1]).unwrap();
    for at in (ends[3]..ends[4]).step_by(5) {
        let mut bytes = whole.clone();
        let end = whole.len().min(at as usize + 40);
        bytes[at as usize..end].fill(0);
        let torn = folder.path().join("torn");
        copy_folder(&crashed, &torn);
        fs::write(&segments(&torn)[1], &bytes).unwrap();
        let store = open(&torn, &OPTIONS);
        for (name, stream) in &models[4].0 {
            let stored = store.load(name).unwrap().unwrap();
            assert_eq!(
                (stored.checkpoint, &stored.tail[..]),
                (stream.checkpoint.clone(), &stream.entries[stream.covered..]),
                "{at}"
            );
        }
        assert_eq!((store.report().damaged, store.report().torn_bytes), (0, ends[4] - ends[3]));
        fs::remove_dir_all(&torn).unwrap();
    }
}

#[test]
fn a_failed_commit_does_not_come_back() {
    // Commits that are whole in the file although they failed, or were those of a stale owner.
    let folder = tempdir().unwrap();
    let (ends, models) = ten_batches(&folder.path().join("state"));
    let crashed = folder.path().join("state.crashed");
    let path = &segments(&crashed)[1];
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..ends[2] as usize]).unwrap();
    let mut model = models[3].clone();
    let next = batch([("a", update(&[b"next"], None))]);
    open(&crashed, &OPTIONS).commit(&next).unwrap();
    model.commit(&next);
    fs::write(path, &whole).unwrap();
    for options in [&OPTIONS, &VERIFY] {
        let store = open(&crashed, options);
        model.assert_is(&store);
        assert_eq!(store.report().torn_bytes, ends[4] - ends[2]);
    }
}

#[test]
fn a_flipped_byte_costs_one_record() {
    let folder = tempdir().unwrap();
    let (_, models) = ten_batches(&folder.path().join("state"));
    let whole = folder.path().join("state");
    let model = models.last().unwrap();
    for (file, path) in segments(&whole).iter().enumerate() {
        let content = fs::read(path).unwrap();
        for at in (0..content.len()).step_by(3) {
            let damaged = folder.path().join("damaged");
            copy_folder(&whole, &damaged);
            let mut bytes = content.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&segments(&damaged)[file], &bytes).unwrap();
            let store = open(&damaged, if at % 2 == 0 { &OPTIONS } else { &VERIFY });
            let mut missing = 0;
            for (name, stream) in &model.0 {
                let Some(stored) = store.load(name).unwrap() else {
                    panic!("{name} is lost: {at}")
                };
                if stream.checkpoint != stored.checkpoint {
                    assert!(name != "c" || stored.checkpoint.is_some(), "an older checkpoint is there: {at}");
                    missing += 1;
                } else if stored.tail != stream.entries[stream.covered..] {
                    missing += stream.entries.len() - stream.covered - stored.tail.len();
                }
                for entry in store.history(name, usize::MAX).unwrap() {
                    assert!(stream.entries.contains(&entry));
                }
            }
            assert!(missing <= 1, "{missing} records are lost with one byte: {path:?} {at}");
            assert!(missing == 0 || store.report().damaged > 0 || store.report().torn_bytes > 0, "{at}");
            drop(store);
            assert_eq!(fs::read(&segments(&damaged)[file]).unwrap(), bytes, "opening changed a file");
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_opened_without_a_panic(
        files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
        verify: bool,
    ) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state");
        {
            let store = open(&path, &OPTIONS);
            for number in 0..4 {
                store.commit(&batch([("a", update(&[&[number; 20]], None)), ("b", update(&[], Some(&[number; 9])))])).unwrap();
            }
        }
        let first = segments(&path)[0].clone();
        let mut bytes = fs::read(&first).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fs::write(&first, &bytes).unwrap();
        for (number, bytes) in files.iter().enumerate() {
            fs::write(path.join(format!("{:08}.log", number + 2)), bytes).unwrap();
        }
        fs::write(path.join("owner"), &files[0]).unwrap();
        let store = open(&path, if verify { &VERIFY } else { &OPTIONS });
        for info in store.streams().unwrap() {
            store.load(&info.name).unwrap();
        }
        store.commit(&batch([("a", update(&[b"next"], None))])).unwrap();
        drop(store);
        prop_assert_eq!(segments(&path).len(), files.len() + 2);
        let store = open(&path, &OPTIONS);
        let stored = store.load("a").unwrap().unwrap();
        prop_assert_eq!(stored.tail.last().unwrap(), b"next");
    }
}

#[test]
fn a_lost_segment_is_named() {
    let folder = tempdir().unwrap();
    for number in 0..3 {
        open(folder.path(), &OPTIONS)
            .commit(&batch([("a", update(&[&[number]], None))]))
            .unwrap();
    }
    fs::remove_file(&segments(folder.path())[1]).unwrap();
    let store = open(folder.path(), &OPTIONS);
    assert_eq!(store.load("a").unwrap().unwrap().tail, [[0], [2]]);
    assert!(store.report().damage[0].to_string().contains("00000002.log"));
}

#[test]
fn a_newer_format_is_an_error_and_not_damage() {
    let folder = tempdir().unwrap();
    open(folder.path(), &OPTIONS)
        .commit(&batch([("a", update(&[b"1"], None))]))
        .unwrap();
    let path = &segments(folder.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8..12].copy_from_slice(&7u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, &bytes).unwrap();
    let error = LogStore::open(folder.path(), &OPTIONS, &mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 7, .. }));
    let error = error.to_string();
    assert!(error.contains("00000001.log") && error.contains("format 7"), "{error}");
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[test]
fn one_owner_at_a_time() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    let first = open(&path, &OPTIONS);
    let one = batch([("a", update(&[b"1"], None))]);
    first.commit(&one).unwrap();
    let error = LogStore::open(&path, &OPTIONS, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("stop that daemon first"), "{error}");
    // Whoever gets past the lock takes the store over.
    fs::remove_file(path.join("owner")).unwrap();
    let second = open(&path, &OPTIONS);
    assert!(matches!(
        first.commit(&one).unwrap_err(),
        StoreError::StaleOwner { own: 1, current: 2, .. }
    ));
    second.commit(&batch([("a", update(&[b"2"], None))])).unwrap();
    drop(second);
    drop(first);
    let store = open(&path, &OPTIONS);
    assert_eq!(store.load("a").unwrap().unwrap().tail, [b"1", b"2"]);
}

#[test]
fn a_file_in_the_folders_place_is_an_error() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.redb");
    fs::write(&path, "old").unwrap();
    let error = LogStore::open(&path, &OPTIONS, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("state.redb is a file"), "{error}");
    let nowhere = folder.path().join("no/such/state");
    let error = LogStore::open(&nowhere, &OPTIONS, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("no/such/state"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_state() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    open(&path, &OPTIONS).commit(&batch([("a", update(&[b"1"], None))])).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_no_record_can_hold_is_an_error() {
    let folder = tempdir().unwrap();
    let store = open(folder.path(), &OPTIONS);
    let name = "n".repeat(70_000);
    let error = store
        .commit(&batch([(&name, update(&[b"1"], None)), ("a", update(&[b"1"], None))]))
        .unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { bytes: 70_000, .. }));
    assert!(store.streams().unwrap().is_empty());
}

#[test]
fn the_log_stays_bounded_and_silent_streams_stay_in_it() {
    let folder = tempdir().unwrap();
    let checkpoint = vec![7; 100_000];
    let mut store = open(folder.path(), &OPTIONS);
    store
        .commit(&batch([
            ("silent", update(&[b"s"], Some(&checkpoint))),
            ("gone", update(&[b"g"], Some(&checkpoint))),
        ]))
        .unwrap();
    store.commit(&batch([("silent", update(&[b"t"], None))])).unwrap();
    store.forget(&["gone".to_owned()]).unwrap();
    let mut largest = 0;
    for number in 0..200u8 {
        store
            .commit(&batch([("busy", update(&[&[number; 60]], Some(&checkpoint)))]))
            .unwrap();
        largest = largest.max(store.disk_bytes());
        if number % 70 == 0 {
            drop(store);
            store = open(folder.path(), &OPTIONS);
        }
    }
    assert!(largest < 8 << 20, "{largest} bytes for two streams of 100 kB");
    assert!(!segments(folder.path())[0].ends_with("00000001.log"), "nothing was compacted");
    let names: Vec<_> = store.streams().unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["busy", "silent"]);
    let silent = store.load("silent").unwrap().unwrap();
    assert_eq!(
        (silent.checkpoint.as_ref(), &silent.tail[..]),
        (Some(&checkpoint), &[b"t".to_vec()][..])
    );
    assert_eq!(store.report(), Default::default());
}

#[test]
fn a_damaged_segment_is_kept_when_it_is_out_of_use() {
    let folder = tempdir().unwrap();
    let large = vec![7; 100_000];
    {
        let store = open(folder.path(), &OPTIONS);
        store
            .commit(&batch([("a", update(&[b"1"], Some(&large))), ("b", update(&[], Some(&large)))]))
            .unwrap();
        store.commit(&batch([("c", update(&[], Some(&large)))])).unwrap();
    }
    let path = &segments(folder.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[150_000] ^= 1;
    fs::write(path, &bytes).unwrap();
    let store = open(folder.path(), &OPTIONS);
    for _ in 0..100 {
        store.commit(&batch([("busy", update(&[], Some(&large)))])).unwrap();
    }
    let report = store.report();
    assert_eq!(fs::read(&report.kept_files[0]).unwrap(), bytes);
    assert_eq!((report.damaged, report.damage[0].stream.as_deref()), (1, Some("b")));
    assert_eq!(store.load("a").unwrap().unwrap().checkpoint, Some(large.clone()));
    assert_eq!(store.load("c").unwrap().unwrap().checkpoint, Some(large));
    assert_eq!(
        store.load("b").unwrap(),
        Some(Stored::default()),
        "a stream is known without its state"
    );
    drop(store);
    assert_eq!(open(folder.path(), &OPTIONS).report().kept_files.len(), 1);
}

#[test]
fn loads_go_on_while_segments_are_removed() {
    let folder = tempdir().unwrap();
    let store = open(folder.path(), &OPTIONS);
    let large = vec![7; 200_000];
    let expected = Stored {
        checkpoint: Some(large.clone()),
        tail: vec![b"tail".to_vec()],
    };
    store.commit(&batch([("a", update(&[], Some(&large)))])).unwrap();
    store.commit(&batch([("a", update(&[b"tail"], None))])).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..100).for_each(|_| {
                store.commit(&batch([("b", update(&[], Some(&large)))])).unwrap();
            })
        });
        while !writer.is_finished() {
            assert_eq!(store.load("a").unwrap().as_ref(), Some(&expected));
        }
    });
    assert_eq!(store.report(), Default::default());
}
