//! Every fuzz target over the kept corpus and over inputs derived from it: a short run without the fuzzer, for every `cargo test`.

use std::path::{Path, PathBuf};

use tsm2_endurance::fuzz::TARGETS;
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

fn run(wanted: &str) {
    let (name, target) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == wanted)
        .expect("a target of this name");
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

macro_rules! targets {
    ($($name:ident: $test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

targets! {
    payload: payloads_of_any_bytes_are_read_or_refused,
    configuration: configurations_of_any_text_are_read_or_refused_by_name,
    bundle: bundles_of_any_bytes_are_read_or_refused,
    blob: blobs_of_any_bytes_are_read_or_refused,
    snapshot: snapshots_of_any_bytes_are_restored_or_refused,
    topic: templates_and_topics_of_any_text_are_read_or_refused,
    recording: recordings_of_any_bytes_are_read_or_refused,
    path: paths_of_any_text_are_found_or_refused,
    sources: sources_of_any_text_are_prepared_and_read_or_refused_by_name,
    resampler: readings_at_any_time_count_once,
}
