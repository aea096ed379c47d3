//! Home Assistant: streams as devices, by MQTT discovery.
//!
//! ```text
//! worker --values--> session            (retained, each time step)
//! worker --a new stream--> announcer --devices--> session   (retained)
//! session --birth, earlier devices--> listener --> announcer
//! ```

mod announcer;
mod device;
mod listener;
mod values;

pub(crate) use announcer::Announcer;
pub(crate) use device::largest_device;
pub(crate) use listener::Listener;
pub(crate) use values::Values;
