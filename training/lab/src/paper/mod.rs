//! The paper's window mode: windows of a fixed length, each normalised by itself, forecast from all their tokens.
//!
//! The model of the paper reads windows (docs/explanation/paper.md). Nothing here is exported or run on a device. It shares the mixers, operations and optimiser with
//! the streaming network. Every window starts from an empty state, and the head reads all of its tokens at once.
//! The same seed makes the same figures.

mod config;
mod error;
mod fit;
mod network;
mod published;
mod variants;
mod windows;

pub use config::{TimeMixer, WindowConfig};
pub use error::PaperError;
pub use fit::{Budget, FitResult, Score, fit, naive};
pub use network::WindowNetwork;
pub use published::Published;
pub use variants::{LOOKBACK, Variant};
pub use windows::{Part, Windows, revin};
