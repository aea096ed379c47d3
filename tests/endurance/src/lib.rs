//! The daemon under faults, under load and for a long time: what the fault suite, the soak and the load test share.
//!
//! Invariants: everything runs as it would in the field, as processes and over TCP on this machine, against a real mosquitto; a figure is
//! counted from evidence and never assumed.

pub mod chance;
pub mod faults;
pub mod feeder;
pub mod fleet;
pub mod fuzz;
pub mod load;
pub mod packets;
pub mod plant;
pub mod proxy;
pub mod readings;
pub mod sampler;
pub mod soak;
pub mod table;
pub mod verdict;
pub mod wire;
pub mod witness;
