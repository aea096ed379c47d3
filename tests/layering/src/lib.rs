//! Rules of the workspace that no compiler checks.
//!
//! - [`violations`]: which crate may depend on which ([`ALLOWED_DEPENDENCIES`]).
//! - [`circles`]: no two source files of a crate import each other, directly or by others.
//! - [`retired_words`]: documents, help texts and configuration use the words of `docs/glossary.md`.

mod circles;
mod dependencies;
mod files;
mod words;

pub use circles::{SourceError, circles};
pub use dependencies::{ALLOWED_DEPENDENCIES, Metadata, violations};
pub use files::tracked;
pub use words::{RetiredWord, retired_words, texts_of_rust};
