//! Payload bytes to readings.
//!
//! [`Decoder`] reads one layout: JSON of any shape, bare values, or Influx line protocol. [`Path`]
//! selects, [`ValueRule`] turns what is found into a number, [`TimeFormat`] reads its time.

mod decoder;
mod error;
mod influx;
mod json;
mod path;
mod time;
mod value;

pub use decoder::{Condition, Decoder, DecoderOptions, Field, Outcome, Payload, PayloadFormat, PayloadShape};
pub use error::PayloadError;
pub use path::{Path, PathError};
pub use time::{TimeFormat, rfc3339};
pub use value::{ValueRule, Words};
