//! Recording proxy: TCP between client and broker that delays, throttles, cuts, stalls and records.
//!
//! Invariants:
//! 1. Bytes keep their content and their order.
//! 2. A packet is recorded after it was written whole to the other side.
//! 3. When the broker closes a connection, the client first gets everything that the broker sent.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::packets::{Packet, PacketReader};
use crate::rng::Rng;

/// How long the client may take to read what came before the broker closed the connection.
const LAST_BYTES: Duration = Duration::from_millis(500);
/// Bytes carried at once.
const PIECE: usize = 16 * 1024;

/// What the link does to all bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkCondition {
    /// Nothing.
    Normal,
    /// At most this many bytes per second in each direction.
    Slow(u64),
    /// Each piece is delayed by a random time up to this.
    Delayed(Duration),
    /// Nothing passes and nobody is told, as when the broker's process is stopped.
    Stalled,
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the broker to the client.
    ToClient,
    /// From the client to the broker.
    ToBroker,
}

/// Makes the recorder of each connection.
pub trait Recorder: Send + Sync + 'static {
    /// The recorder of a new connection; it gets each packet and its direction.
    fn connection(&self) -> Box<dyn FnMut(Direction, Packet) + Send>;
}

#[derive(Debug)]
struct Link {
    condition: LinkCondition,
    /// The connection breaks after this many bytes in this direction.
    cut: Option<(Direction, u64)>,
    /// Connections up to this one are dead: nothing passes and nobody is told.
    dead: u64,
    connections: u64,
    rng: Rng,
}

/// The link. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    link: Arc<Mutex<Link>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and carries every connection to `broker_port`.
    pub async fn start(broker_port: u16, seed: u64, recorder: impl Recorder) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let link = Arc::new(Mutex::new(Link {
            condition: LinkCondition::Normal,
            cut: None,
            dead: 0,
            connections: 0,
            rng: Rng::new(seed),
        }));
        let accepting = tokio::spawn(accept(listener, broker_port, link.clone(), Arc::new(recorder)));
        Proxy { port, link, accepting }
    }

    /// Where the client connects.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }

    /// Sets the condition from now on.
    pub fn set(&self, condition: LinkCondition) {
        self.link().condition = condition;
    }

    /// Breaks the connection after this many more bytes in a direction, probably within a packet.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.link().cut = Some((direction, bytes));
    }

    /// Whether a requested cut has not happened yet.
    pub fn cut_is_due(&self) -> bool {
        self.link().cut.is_some()
    }

    /// Lets the current connections die silently: no FIN, no RST, nothing passes. New connections
    /// are carried.
    pub fn kill_silently(&self) {
        let mut link = self.link();
        link.dead = link.connections;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, broker_port: u16, link: Arc<Mutex<Link>>, recorder: Arc<dyn Recorder>) {
    // Dropped with this task, and the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = {
            let mut link = lock(&link);
            link.connections += 1;
            link.connections
        };
        let (link, recorder) = (link.clone(), recorder.clone());
        connections.spawn(async move {
            if let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker_port)).await {
                carry(client, broker, number, &link, &*recorder).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Why a direction ended.
enum End {
    /// The link was cut.
    Cut,
    /// The client closed the connection.
    ClientGone,
    /// The broker closed the connection.
    BrokerGone,
}

impl Direction {
    /// Who is gone when nothing can be read, or nothing be written.
    fn gone(self, cannot_read: bool) -> End {
        match (self, cannot_read) {
            (Direction::ToClient, true) | (Direction::ToBroker, false) => End::BrokerGone,
            (Direction::ToClient, false) | (Direction::ToBroker, true) => End::ClientGone,
        }
    }
}

async fn carry(client: TcpStream, broker: TcpStream, number: u64, link: &Mutex<Link>, recorder: &dyn Recorder) {
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let connection = Mutex::new(recorder.connection());
    let up = pump(from_client, to_broker, Direction::ToBroker, number, link, &connection);
    let down = pump(from_broker, to_client, Direction::ToClient, number, link, &connection);
    tokio::pin!(up, down);
    // Closing at once would take away what the client has not read yet.
    tokio::select! {
        end = &mut up => if let End::BrokerGone = end {
            let _ = tokio::time::timeout(LAST_BYTES, down).await;
            tokio::time::sleep(LAST_BYTES).await;
        },
        end = &mut down => if let End::BrokerGone = end {
            let _ = tokio::time::timeout(LAST_BYTES, up).await;
        },
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    number: u64,
    link: &Mutex<Link>,
    connection: &Mutex<Box<dyn FnMut(Direction, Packet) + Send>>,
) -> End {
    let mut buffer = vec![0; PIECE];
    let mut packets = PacketReader::default();
    loop {
        let room = match lock(link).condition {
            LinkCondition::Slow(per_second) => (per_second / 20).clamp(1, PIECE as u64) as usize,
            _ => PIECE,
        };
        let Ok(count @ 1..) = from.read(&mut buffer[..room]).await else {
            return direction.gone(true);
        };
        let (pause, cut) = {
            let link = &mut *lock(link);
            let pause = match link.condition {
                LinkCondition::Normal | LinkCondition::Stalled => Duration::ZERO,
                LinkCondition::Slow(_) => Duration::from_millis(50),
                LinkCondition::Delayed(longest) => longest.mul_f64(link.rng.below(1000) as f64 / 1000.0),
            };
            let cut = match &mut link.cut {
                Some((cut_direction, left)) if *cut_direction == direction && *left <= count as u64 => {
                    let left = *left as usize;
                    link.cut = None;
                    Some(left)
                }
                Some((cut_direction, left)) if *cut_direction == direction => {
                    *left -= count as u64;
                    None
                }
                _ => None,
            };
            (pause, cut)
        };
        tokio::time::sleep(pause).await;
        while lock(link).condition == LinkCondition::Stalled {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if lock(link).dead >= number {
            std::future::pending::<()>().await;
        }
        let bytes = &buffer[..cut.unwrap_or(count)];
        if to.write_all(bytes).await.is_err() {
            return direction.gone(false);
        }
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        packets.push(bytes);
        while let Some(packet) = packets.next_packet().expect("both sides speak MQTT") {
            connection(direction, packet);
        }
        if cut.is_some() {
            return End::Cut;
        }
    }
}
