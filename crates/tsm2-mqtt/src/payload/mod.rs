//! Payload bytes to readings.
//!
//! [`Decoder`] reads one layout: JSON of any shape, bare values, or Influx line protocol. [`Path`]
//! selects, [`ValueRule`] turns what is found into a number, [`TimeFormat`] reads its time.

mod decoder;
mod envelope;
mod error;
mod influx;
mod json;
mod layout;
mod path;
mod readings;
mod time;
mod value;

pub use decoder::Decoder;
pub use error::PayloadError;
pub use layout::{Condition, DecoderOptions, Field, Outcome, Payload, PayloadFormat, PayloadShape};
pub use path::{Path, PathError};
pub use time::{TimeFormat, rfc3339};
pub use value::{ValueRule, Words};
