//! Ethernet drivers of embassy's boards.

use core::task::{Context, Waker};

use embassy_net_driver::Driver;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// A driver of embassy as [`Board::Ethernet`](crate::Board::Ethernet): the main loop polls it.
pub struct EmbassyEthernet<D>(pub D);

/// A frame to receive or to send.
pub struct Frame<T>(T);

/// Nobody is to be woken: the main loop comes again.
fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl<D: Driver> Device for EmbassyEthernet<D> {
    type RxToken<'a>
        = Frame<D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = Frame<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (received, reply) = self.0.receive(&mut context())?;
        Some((Frame(received), Frame(reply)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(&mut context()).map(Frame)
    }

    /// The checksums are smoltcp's.
    fn capabilities(&self) -> DeviceCapabilities {
        let of_driver = self.0.capabilities();
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = of_driver.max_transmission_unit;
        capabilities.max_burst_size = of_driver.max_burst_size;
        capabilities
    }
}

impl<T: embassy_net_driver::RxToken> RxToken for Frame<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        self.0.consume(|frame| f(frame))
    }
}

impl<T: embassy_net_driver::TxToken> TxToken for Frame<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.0.consume(length, f)
    }
}
