//! MQTT for tests: the one place that knows MQTT on the wire.
//!
//! - [`packets`]: MQTT 3.1.1 packets from and to bytes;
//! - [`fake_broker`]: a broker played packet by packet, for what no real broker does on demand;
//! - [`mosquitto`]: a real broker, which every test of the product needs;
//! - [`proxy`]: TCP between client and broker with link conditions and a recorder;
//! - [`test_client`]: a client that publishes, and receives everything;
//! - [`load_client`]: a client so plain that it costs next to nothing;
//! - [`require`]: what a test does when a tool or a data set is missing;
//! - [`rng`]: repeatable random numbers.

pub mod fake_broker;
pub mod load_client;
pub mod mosquitto;
pub mod packets;
pub mod proxy;
pub mod require;
pub mod rng;
pub mod test_client;

use std::time::Duration;

/// How long an event may take on a loaded machine before a test fails.
pub const TIMEOUT: Duration = Duration::from_secs(120);
