//! Times: the columns that hold them, how cells are read, and zones.

mod columns;
mod cursor;
pub(crate) mod date;
pub(crate) mod finder;
pub(crate) mod formats;
pub(crate) mod moment;
mod numbers;
mod order;
mod parts;
mod unreadable;
mod vocabulary;
pub(crate) mod zone;

pub(crate) use numbers::is_second_time;
pub(crate) use vocabulary::month;
