//! The state of the demo at one moment, as the display gets it.

use crate::scoreboard::Scoreboard;
use std::net::SocketAddr;

/// Simulated minutes in a second.
pub const MINUTES_PER_SECOND: u32 = 10;

/// The state of the demo at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The broker's port.
    pub port: u16,
    /// Address of the daemon's web page.
    pub page: SocketAddr,
    /// Readings and forecasts so far.
    pub scoreboard: &'a Scoreboard,
    /// Part of the warm-up that is done, below 1 while it lasts.
    pub warm_up: f32,
}
