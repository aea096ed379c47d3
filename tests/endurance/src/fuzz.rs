//! What every fuzz target does with its bytes, as plain functions: `fuzz/` feeds them by coverage, a test of this crate from the kept corpus.
//!
//! Invariant: a target panics exactly when the code under it breaks a promise; it opens no file that its bytes name.

mod blob;
mod bundle;
mod configuration;
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
pub const TARGETS: [Target; 10] = [
    ("payload", payload),
    ("configuration", configuration),
    ("bundle", bundle),
    ("blob", blob),
    ("snapshot", snapshot),
    ("topic", topic),
    ("recording", recording),
    ("path", path),
    ("sources", sources),
    ("resampler", resampler),
];
