//! Network: an Ethernet interface with one TCP connection, as a byte stream for the MQTT client.
//!
//! Bytes that are written wait until the next [`Network::poll`], which the main loop calls between
//! two turns of the tasks. So an acknowledgement leaves only after the task that caused it went on to
//! wait, and by then the state is saved.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::net::SocketAddrV4;
use core::task::Poll;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::settings::Settings;

/// Bytes of the TCP buffers, each direction.
const BUFFER: usize = 4096;
/// A connection without an answer for this long is given up.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The interface and its sockets.
pub(crate) struct Network<D: Device> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
    dhcp: Option<SocketHandle>,
    next_port: u16,
    now: Instant,
}

/// The TCP connection as a byte stream.
pub(crate) struct Stream<'n, D: Device>(pub(crate) &'n RefCell<Network<D>>);

impl<D: Device> Network<D> {
    pub(crate) fn new(mut device: D, hardware_address: [u8; 6], seed: u64, settings: &Settings) -> Self {
        let mut config = Config::new(EthernetAddress(hardware_address).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_timeout(Some(TIMEOUT));
        socket.set_nagle_enabled(false);
        let tcp = sockets.add(socket);
        let dhcp = match settings.address {
            Some((address, prefix)) => {
                set_address(&mut interface, IpCidr::new(address.into(), prefix));
                if let Some(gateway) = settings.gateway {
                    // The table of routes has room for one.
                    let _ = interface.routes_mut().add_default_ipv4_route(gateway);
                }
                None
            }
            None => Some(sockets.add(dhcpv4::Socket::new())),
        };
        Network {
            device,
            interface,
            sockets,
            tcp,
            dhcp,
            next_port: 49_152 + (seed % 16_000) as u16,
            now: Instant::ZERO,
        }
    }

    /// Moves packets in and out; whether anything came or went.
    pub(crate) fn poll(&mut self, now_ms: u64) -> bool {
        self.now = Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX));
        let result = self.interface.poll(self.now, &mut self.device, &mut self.sockets);
        self.poll_dhcp();
        result == PollResult::SocketStateChanged
    }

    fn poll_dhcp(&mut self) {
        let Some(dhcp) = self.dhcp else { return };
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                set_address(&mut self.interface, IpCidr::Ipv4(config.address));
                let routes = self.interface.routes_mut();
                let _ = match config.router {
                    Some(router) => routes.add_default_ipv4_route(router).map(|_| ()),
                    None => {
                        routes.remove_default_ipv4_route();
                        Ok(())
                    }
                };
            }
            Some(dhcpv4::Event::Deconfigured) => {
                self.interface.update_ip_addrs(|addresses| addresses.clear());
                self.interface.routes_mut().remove_default_ipv4_route();
            }
            None => {}
        }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    fn begin(&mut self, to: SocketAddrV4) -> bool {
        if self.interface.ipv4_addr().is_none() {
            return false;
        }
        self.next_port = self.next_port.checked_add(1).unwrap_or(49_152);
        let (port, context) = (self.next_port, self.interface.context());
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        socket.abort();
        socket.connect(context, (*to.ip(), to.port()), port).is_ok()
    }
}

fn set_address(interface: &mut Interface, address: IpCidr) {
    interface.update_ip_addrs(|addresses| {
        addresses.clear();
        // There is room for one address.
        let _ = addresses.push(address);
    });
}

impl<'n, D: Device> Stream<'n, D> {
    /// Opens a connection; `None` when nobody answers, or before the board has an address.
    pub(crate) async fn connect(network: &'n RefCell<Network<D>>, to: SocketAddrV4) -> Option<Self> {
        if !network.borrow_mut().begin(to) {
            return None;
        }
        poll_fn(|_| {
            let mut network = network.borrow_mut();
            match network.socket() {
                socket if socket.may_send() => Poll::Ready(Some(())),
                socket if !socket.is_open() => Poll::Ready(None),
                _ => Poll::Pending,
            }
        })
        .await?;
        Some(Stream(network))
    }

    /// Waits until all that was written is acknowledged by the other side, or the connection ends.
    pub(crate) async fn delivered(network: &RefCell<Network<D>>) {
        poll_fn(|_| {
            let mut network = network.borrow_mut();
            let socket = network.socket();
            match socket.send_queue() > 0 && socket.may_send() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }
}

impl<D: Device> Drop for Stream<'_, D> {
    fn drop(&mut self) {
        self.0.borrow_mut().socket().abort();
    }
}

impl<D: Device> ErrorType for Stream<'_, D> {
    type Error = ErrorKind;
}

impl<D: Device> Read for Stream<'_, D> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut network = self.0.borrow_mut();
            let socket = network.socket();
            if socket.can_recv() {
                return Poll::Ready(socket.recv_slice(buffer).map_err(|_| ErrorKind::ConnectionReset));
            }
            match socket.may_recv() {
                true => Poll::Pending,
                false => Poll::Ready(Ok(0)),
            }
        })
        .await
    }
}

impl<D: Device> Write for Stream<'_, D> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut network = self.0.borrow_mut();
            let socket = network.socket();
            if socket.can_send() {
                return Poll::Ready(socket.send_slice(bytes).map_err(|_| ErrorKind::ConnectionReset));
            }
            match socket.may_send() {
                true => Poll::Pending,
                false => Poll::Ready(Err(ErrorKind::ConnectionReset)),
            }
        })
        .await
    }

    /// Does not wait: see the module.
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
