//! A small MQTT 3.1.1 broker on loopback, for the demo alone.
//!
//! Supported: QoS 0 and 1, retained messages, wildcards, keep-alive. Not supported: QoS 2 (subscriptions are granted 1; a QoS 2
//! publish ends its connection), sessions that outlive a connection, Will, MQTT 5, TLS, passwords.
//!
//! Why not a crate: rumqttd 0.20 cannot be stopped, reports a taken port only to its log, keeps published messages in a growing
//! commit log (bytebeamio/rumqtt issue 732), and brings 160 crates; mqtt5 0.49 brings hyper, a TLS stack and a password hash. This
//! module needs tokio alone.
//!
//! Invariants: one thread with a current-thread runtime, so the state needs no locks; only 127.0.0.1 is bound; dropping the
//! [`Broker`] closes every connection and the port before it returns.

mod connection;
mod packet;
mod registry;

use registry::Registry;
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
    /// Another program listens on the port.
    #[error("port {port} on 127.0.0.1 is taken by another program")]
    PortTaken {
        /// The requested port.
        port: u16,
    },
    /// The operating system refused the port for another reason.
    #[error("cannot listen on port {port} of 127.0.0.1: {source}")]
    Listen {
        /// The requested port.
        port: u16,
        /// The error of the operating system.
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
    /// Starts a broker on 127.0.0.1. Port 0 picks a free one; [`Broker::port`] returns it. When this returns, clients can connect.
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
                        error = accept(listener) => tracing::error!(%error, "the demo's broker stopped listening"),
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

    /// The port of the listener.
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
    let registry = Rc::new(Registry::default());
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let registry = Rc::clone(&registry);
                tokio::task::spawn_local(async move {
                    if let Err(error) = connection::serve(socket, &registry).await {
                        tracing::debug!(%peer, %error, "the demo's broker closed a connection");
                    }
                });
            }
            // The peer gave up between its SYN and our accept; the next one may not.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return error,
        }
    }
}
