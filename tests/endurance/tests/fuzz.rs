//! Every fuzz target over the kept corpus and over inputs derived from it: a short run without the fuzzer, for every `cargo test`.

use tsm2_endurance::fuzz::{TARGETS, corpus, derived};
use tsm2_mqtt_testkit::rng::Rng;

/// Derived inputs per target.
const DERIVED: u64 = 3000;

fn run(wanted: &str) {
    let (name, target) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == wanted)
        .expect("a target of this name");
    let inputs = corpus(name).expect("the corpus");
    assert!(!inputs.is_empty());
    for (path, bytes) in &inputs {
        println!("{}", path.display());
        target(bytes);
    }
    let mut rng = Rng::new(1);
    for _ in 0..DERIVED {
        let bytes = derived(name, &inputs, &mut rng);
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
    onnx: graphs_of_any_bytes_are_read_or_refused_by_name,
    snapshot: snapshots_of_any_bytes_are_restored_or_refused,
    topic: templates_and_topics_of_any_text_are_read_or_refused,
    recording: recordings_of_any_bytes_are_read_or_refused,
    path: paths_of_any_text_are_found_or_refused,
    sources: sources_of_any_text_are_prepared_and_read_or_refused_by_name,
    resampler: readings_at_any_time_count_once,
}
