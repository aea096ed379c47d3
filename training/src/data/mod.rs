//! From a recording to standardised rows and their parts.

pub mod dataset;
pub mod home_assistant;
pub mod mask;
pub mod period;
pub mod runs;
pub mod scale;
pub mod split;
pub mod table;
