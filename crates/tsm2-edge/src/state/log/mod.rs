//! State store on disk: an append-only log in segments.
//!
//! 1. A commit appends its records to the active segment and makes them durable by one `fsync`.
//! 2. Where the live records are stands in memory, see `index`. It is read from the segments'
//!    footers on opening; a segment without a footer is read as a whole.
//! 3. Once the log is several times as large as its live records, each commit also copies some of
//!    the live records of the oldest segment, and the segment is removed when all are copied.
//! 4. Opening changes no segment. Of a torn commit nothing is used. Damage costs the records that
//!    it hits: they are counted and named, and their file is kept.
//!
//! [`format`] describes the files. Why not a ready-made engine: `docs/decisions/0012-state-log.md`.

mod compaction;
mod files;
mod format;
mod index;
mod open;
mod reader;
mod store;
mod writer;

pub use open::{Damage, LogOptions, Progress};
pub use store::{LogStore, Report};
