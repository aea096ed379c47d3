//! Times: how they are written, which columns hold them, and their zone.

pub(crate) mod columns;
pub(crate) mod formats;
pub(crate) mod moment;
pub(crate) mod zone;
