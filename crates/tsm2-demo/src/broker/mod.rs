//! A small MQTT 3.1.1 broker on loopback, for the demo and for tests on machines without one. Never a product.
//!
//! It speaks to any client: QoS 0 and 1, retained messages, wildcards, Will, keep-alive, and sessions that outlive a connection
//! (not the process). Not there: QoS 2 (subscriptions are granted 1; a QoS 2 publish ends its connection), MQTT 5, TLS, passwords.
//!
//! Why our own and not a crate: rumqttd 0.20, the one embeddable broker in wide use, cannot be stopped (`Broker::start` joins its
//! server threads for ever), reports a port that is taken only to its log, keeps published messages in a growing commit log
//! (bytebeamio/rumqtt issue 732), and brings 160 crates without any of its default features, two HTTP stacks among them; the broker
//! of mqtt5 0.49 brings hyper, a TLS stack and a password hash. This module needs tokio alone.
//!
//! Invariants: one thread, one current-thread runtime, so the state needs no locks; nothing is ever bound but 127.0.0.1; dropping the
//! [`Broker`] closes every connection and the port before it returns.

mod connection;
mod hub;
mod packet;

use hub::Hub;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// Why the broker did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Somebody else listens there.
    #[error("port {port} on 127.0.0.1 is taken by another program")]
    PortTaken {
        /// The port asked for.
        port: u16,
    },
    /// The operating system refused the port for another reason.
    #[error("cannot listen on port {port} of 127.0.0.1: {source}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused the broker a thread or its timers.
    #[error("cannot start the broker's thread: {0}")]
    Thread(#[source] io::Error),
}

/// A broker that runs until it is dropped.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker on 127.0.0.1. Port 0 picks a free one; [`Broker::port`] tells which. When this returns, clients can connect.
    pub fn start(port: u16) -> Result<Self, BrokerError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BrokerError::PortTaken { port },
            _ => BrokerError::Listen { port, source },
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(BrokerError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("mqtt-broker".into())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, async {
                    tokio::select! {
                        _ = stopped => {}
                        error = accept(listener) => tracing::error!(%error, "the embedded broker stopped listening"),
                    }
                });
            })
            .map_err(BrokerError::Thread)?;
        Ok(Self {
            port,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the broker's thread was printed when it happened; nothing is left to stop.
            let _ = thread.join();
        }
    }
}

/// Accepts connections until the listener itself fails.
async fn accept(listener: TcpListener) -> io::Error {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let hub = Rc::new(Hub::default());
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let hub = Rc::clone(&hub);
                tokio::task::spawn_local(async move {
                    if let Err(error) = connection::serve(socket, &hub).await {
                        tracing::debug!(%peer, %error, "the embedded broker closed a connection");
                    }
                });
            }
            // The peer gave up between its SYN and our accept; the next one may not.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return error,
        }
    }
}
