//! The web page of the daemon: recent data of its streams, and the files that show them.
//!
//! [`Recent`] is filled by the workers and read by the HTTP server. The page asks for JSON and for
//! server-sent events; nothing on it comes from another server.

mod assets;
mod data;
mod events;
mod recent;
mod series;

pub(crate) use assets::asset;
pub(crate) use events::Events;
pub use recent::Recent;
