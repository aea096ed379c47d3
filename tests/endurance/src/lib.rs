//! The daemon under faults, under load and for a long time: fault suite, soak and load test.
//!
//! Everything runs as in the field: as processes and over TCP on this machine, against a real
//! mosquitto. Each figure is counted from evidence.

pub mod bytes;
pub mod decode;
pub mod faults;
pub mod fleet;
pub mod fuzz;
pub mod load;
pub mod load_generator;
pub mod minutes;
pub mod ratio;
pub mod readings;
pub mod recorder;
pub mod result;
pub mod sampler;
pub mod soak;
pub mod start;
pub mod table;
pub mod test_bed;
