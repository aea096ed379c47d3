//! What every fuzz target does with its bytes, as plain functions: `fuzz/` feeds them by coverage, a test of this crate from the kept corpus.
//!
//! Invariant: a target panics exactly when the code under it breaks a promise; it opens no file that its bytes name.

use anyhow::Context;

mod blob;
mod bundle;
mod configuration;
mod inputs;
mod onnx;
mod path;
mod payload;
mod recording;
mod resampler;
mod snapshot;
mod sources;
mod topic;

pub use blob::blob;
pub use bundle::bundle;
pub use configuration::configuration;
pub use inputs::{Corpus, corpus, derived};
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

/// Runs a target on so many inputs derived from its corpus. `on` gets the number of inputs so far, now
/// and then.
///
/// # Errors
/// No such target, a corpus that cannot be read, or the input on which the target panics.
pub fn run(wanted: &str, inputs: u64, seed: u64, mut on: impl FnMut(u64)) -> anyhow::Result<()> {
    let names = || TARGETS.map(|(name, _)| name).join(", ");
    let found = TARGETS.into_iter().find(|(name, _)| *name == wanted);
    let (name, target) = found.with_context(|| format!("no target {wanted:?}; there are {}", names()))?;
    let corpus = corpus(name).with_context(|| format!("the corpus of {name}"))?;
    anyhow::ensure!(!corpus.is_empty(), "the corpus of {name} is empty");
    let mut rng = tsm2_mqtt_testkit::rng::Rng::new(seed);
    for number in 1..=inputs {
        let bytes = derived(&corpus, &mut rng);
        let run = std::panic::catch_unwind(|| target(&bytes));
        anyhow::ensure!(run.is_ok(), "{name} panics on input {number}: {}", bytes.escape_ascii());
        if number % 1000 == 0 {
            on(number);
        }
    }
    Ok(())
}
