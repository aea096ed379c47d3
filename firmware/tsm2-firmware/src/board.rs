//! What a board provides. A board is a small crate with a type that implements [`Board`].

use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;

/// A microcontroller board.
pub trait Board {
    /// Its Ethernet controller; [`NoEthernet`] where it has none.
    type Ethernet: Device;

    /// Milliseconds since the start; never goes back.
    fn now_ms(&self) -> u64;

    /// A number that differs from start to start, for ports and sequence numbers of TCP.
    fn seed(&self) -> u64;

    /// Hardware address of the Ethernet controller.
    fn hardware_address(&self) -> [u8; 6];

    /// Takes the Ethernet controller; `None` where the board has none.
    fn ethernet(&mut self) -> Option<Self::Ethernet>;

    /// Restarts the watchdog's time. The main loop calls it in every turn.
    fn feed_watchdog(&self);

    /// Sleeps until the next interrupt, a few milliseconds at most. The main loop calls it when nothing
    /// is left to do.
    fn sleep(&self);

    /// The next byte from the serial line, where one has arrived.
    fn read_serial(&self) -> Option<u8>;

    /// Sends a byte on the serial line; false while its buffer is full.
    fn write_serial(&self, byte: u8) -> bool;
}

/// What lies in a board's flash.
#[derive(Clone, Copy, Debug)]
pub struct Flash<'f> {
    /// Begins with the blob of the model.
    pub model: &'f [u8],
    /// Begins with the text of the settings, which ends at the first byte that is 0 or 255.
    pub settings: &'f [u8],
}

/// The Ethernet controller of a board that has none.
#[derive(Clone, Copy, Debug)]
pub enum NoEthernet {}

impl Device for NoEthernet {
    type RxToken<'a> = NoEthernet;
    type TxToken<'a> = NoEthernet;

    fn receive(&mut self, _: Instant) -> Option<(NoEthernet, NoEthernet)> {
        match *self {}
    }

    fn transmit(&mut self, _: Instant) -> Option<NoEthernet> {
        match *self {}
    }

    fn capabilities(&self) -> DeviceCapabilities {
        match *self {}
    }
}

impl RxToken for NoEthernet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, _: F) -> R {
        match self {}
    }
}

impl TxToken for NoEthernet {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
        match self {}
    }
}
