//! What every fuzz target does with its bytes, as plain functions: `fuzz/` feeds them by coverage, a test of this crate from the kept corpus.
//!
//! Invariant: a target panics exactly when the code under it breaks a promise; it opens no file that its bytes name.

use std::time::{Duration, Instant};

use anyhow::Context;
use tsm2_mqtt_testkit::rng::Rng;

mod blob;
mod bundle;
mod configuration;
mod inputs;
mod onnx;
mod path;
mod payload;
mod protobuf;
mod recording;
mod resampler;
mod snapshot;
mod sources;
mod topic;

pub use blob::blob;
pub use bundle::bundle;
pub use configuration::configuration;
pub use inputs::{Corpus, corpus};
pub use onnx::onnx;
pub use path::path;
pub use payload::payload;
pub use recording::recording;
pub use resampler::resampler;
pub use snapshot::snapshot;
pub use sources::sources;
pub use topic::topic;

/// A target: its name, as the folders of the corpus have it, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("payload", payload),
    ("configuration", configuration),
    ("bundle", bundle),
    ("blob", blob),
    ("onnx", onnx),
    ("snapshot", snapshot),
    ("topic", topic),
    ("recording", recording),
    ("path", path),
    ("sources", sources),
    ("resampler", resampler),
];

/// An input derived from the corpus of a target.
pub fn derived(target: &str, corpus: &Corpus, rng: &mut Rng) -> Vec<u8> {
    match target {
        "onnx" => onnx::derived(corpus, rng),
        _ => inputs::derived(corpus, rng),
    }
}

/// Runs a target on so many inputs derived from its corpus; returns the longest time of an input. `on` gets the number of
/// inputs so far, now and then.
///
/// # Errors
/// No such target, a corpus that cannot be read, or the input on which the target panics.
pub fn run(wanted: &str, inputs: u64, seed: u64, mut on: impl FnMut(u64)) -> anyhow::Result<Duration> {
    let names = || TARGETS.map(|(name, _)| name).join(", ");
    let found = TARGETS.into_iter().find(|(name, _)| *name == wanted);
    let (name, target) = found.with_context(|| format!("no target {wanted:?}; there are {}", names()))?;
    let corpus = corpus(name).with_context(|| format!("the corpus of {name}"))?;
    anyhow::ensure!(!corpus.is_empty(), "the corpus of {name} is empty");
    let (mut rng, mut longest) = (Rng::new(seed), Duration::ZERO);
    for number in 1..=inputs {
        let bytes = derived(name, &corpus, &mut rng);
        let begun = Instant::now();
        let run = std::panic::catch_unwind(|| target(&bytes));
        anyhow::ensure!(run.is_ok(), "{name} panics on input {number}: {}", bytes.escape_ascii());
        longest = longest.max(begun.elapsed());
        if number % 1000 == 0 {
            on(number);
        }
    }
    Ok(longest)
}
