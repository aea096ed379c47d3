//! The state log in a process that is killed, and on a disk that is full.
//!
//! The tests start this test program again as a child: see `child`.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::tempdir;
use tsm2_edge::state::log::{LogOptions, LogStore};
use tsm2_edge::state::{Batch, StateStore, StreamUpdate};

const KILLS: u64 = 60;
const OPTIONS: LogOptions = LogOptions {
    retained_entries: 8,
    verify: false,
};
const STREAMS: [&str; 3] = ["a", "b", "c"];

fn open(folder: &Path) -> LogStore {
    LogStore::open(folder, &OPTIONS, &mut |_| {}).unwrap()
}

/// The batch of this number: an entry of every stream, and now and then a large checkpoint.
fn batch(number: u64) -> Batch {
    let update = |at: u64| StreamUpdate {
        entries: vec![number.to_le_bytes().to_vec()],
        checkpoint: (number % 7 == at).then(|| number.to_le_bytes().repeat(5000)),
    };
    Batch {
        streams: (0..).zip(STREAMS).map(|(at, name)| (name.to_owned(), update(at))).collect(),
    }
}

/// The number of the last batch, after checking that all streams are as that batch left them.
fn last_batch(store: &LogStore) -> u64 {
    let mut last = BTreeMap::new();
    for (at, name) in (0..).zip(STREAMS) {
        let Some(stored) = store.load(name).unwrap() else { continue };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let covered = stored.checkpoint.as_ref().map_or(0, |checkpoint| number(checkpoint));
        let tail: Vec<u64> = stored.tail.iter().map(|entry| number(entry)).collect();
        assert_eq!(tail, (covered + 1..=covered + tail.len() as u64).collect::<Vec<_>>());
        let newest = covered + tail.len() as u64;
        assert!(
            stored
                .checkpoint
                .is_none_or(|checkpoint| checkpoint == covered.to_le_bytes().repeat(5000))
        );
        assert!((covered + 1..=newest).all(|number| number % 7 != at), "a checkpoint is missing");
        last.insert(newest, name);
    }
    assert!(last.len() <= 1, "a part of a batch is there: {last:?}");
    last.into_keys().next().unwrap_or(0)
}

fn spawn(task: &str, folder: &Path) -> Child {
    // Writing past a limit is to be an error, as on a full disk, and not a signal.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture"])
        .env("TSM2_CHILD", task)
        .env("TSM2_FOLDER", folder);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// What the children do; nothing in a usual run.
#[test]
fn child() {
    let (Some(task), Some(folder)) = (std::env::var_os("TSM2_CHILD"), std::env::var_os("TSM2_FOLDER")) else {
        return;
    };
    let store = open(Path::new(&folder));
    match task.to_str() {
        Some("write") => {
            for number in last_batch(&store) + 1.. {
                store.commit(&batch(number)).unwrap();
                println!("\ncommitted {number}");
                std::io::stdout().flush().unwrap();
            }
        }
        Some("fill") => fill(&store),
        _ => panic!(),
    }
}

/// Writes on a disk that is full, and goes on when there is room.
fn fill(store: &LogStore) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let unlimited = getrlimit(Resource::Fsize);
    let full = Rlimit {
        current: Some(300_000),
        ..unlimited
    };
    let mut number = 1;
    for room in 0..4 {
        setrlimit(Resource::Fsize, full).unwrap();
        let error = loop {
            match store.commit(&batch(number)) {
                Ok(_) => number += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains(".log"), "{error}");
        // Again and again, as a daemon tries, and what is there stays readable.
        for _ in 0..5 {
            store.commit(&batch(number)).unwrap_err();
            assert_eq!(last_batch(store), number - 1);
        }
        setrlimit(Resource::Fsize, unlimited).unwrap();
        for _ in 0..40 * room {
            store.commit(&batch(number)).unwrap();
            number += 1;
        }
        assert_eq!(last_batch(store), number - 1);
    }
    println!("\ncommitted {}", number - 1);
}

#[test]
fn a_killed_writer_loses_no_commit_and_leaves_no_part_of_one() {
    let folder = tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child = spawn("write", folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = kill * 7 % 23;
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("committed ") {
                acknowledged = number.parse().unwrap();
                if left == 0 {
                    child.kill().unwrap();
                }
                left = left.saturating_sub(1);
            }
        }
        child.wait().unwrap();
        let store = open(folder.path());
        let last = last_batch(&store);
        assert!(
            last == acknowledged || last == acknowledged + 1,
            "{acknowledged} was acknowledged, {last} is there"
        );
        assert_eq!(store.report().damaged, 0);
    }
    assert!(acknowledged >= KILLS, "a child did not come to write");
}

#[test]
fn a_full_disk_is_an_error_and_the_store_goes_on_when_there_is_room() {
    let folder = tempdir().unwrap();
    let output = spawn("fill", folder.path()).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let committed = text.lines().find_map(|line| line.strip_prefix("committed ")).unwrap();
    let store = open(folder.path());
    assert_eq!(last_batch(&store).to_string(), committed);
    assert_eq!((store.report().damaged, store.report().torn_bytes), (0, 0));
}
