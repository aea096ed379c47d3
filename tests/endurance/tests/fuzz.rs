//! Every fuzz target over the kept corpus and over inputs derived from it: a short run without the fuzzer, for every `cargo test`.

use std::path::{Path, PathBuf};

use tsm2_endurance::fuzz::{TARGETS, Target};
use tsm2_mqtt_testkit::rng::Rng;

/// Derived inputs per target.
const DERIVED: u64 = 3000;

/// The kept inputs of a target, by name of their file.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// An input with a few changes: bytes replaced, inserted, taken out, or another input's end.
fn derived(inputs: &[(PathBuf, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| inputs[rng.below(inputs.len() as u64) as usize].1.clone();
    let mut bytes = any(rng);
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 if at < bytes.len() => bytes[at] = rng.number() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 => bytes.insert(at, b"{}[]\":,0-eN\0\n/"[rng.below(14) as usize]),
            3 => bytes.truncate(at),
            _ => {
                let other = any(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

fn run((name, target): Target) {
    let inputs = corpus(name);
    assert!(!inputs.is_empty());
    for (path, bytes) in &inputs {
        println!("{}", path.display());
        target(bytes);
    }
    let mut rng = Rng::new(1);
    for _ in 0..DERIVED {
        let bytes = derived(&inputs, &mut rng);
        println!("{}", bytes.escape_ascii());
        target(&bytes);
    }
}

#[test]
fn payloads_of_any_bytes_are_read_or_refused() {
    run(TARGETS[0]);
}

#[test]
fn configurations_of_any_text_are_read_or_refused_by_name() {
    run(TARGETS[1]);
}

#[test]
fn bundles_of_any_bytes_are_read_or_refused() {
    run(TARGETS[2]);
}

#[test]
fn snapshots_of_any_bytes_are_restored_or_refused() {
    run(TARGETS[3]);
}

#[test]
fn templates_and_topics_of_any_text_are_read_or_refused() {
    run(TARGETS[4]);
}
