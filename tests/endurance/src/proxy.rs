//! A faulty link: TCP between the daemon and the broker, which it cuts, delays, throttles and lets die silently, and on which it is a witness.
//!
//! Invariants: bytes are never changed and never change their order; what the [`Witness`] has heard of had been written to the other side
//! whole; when the broker hangs up, the daemon first gets all that the broker had sent.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::packets::Splitter;
use crate::witness::{Connection, Witness};

/// After the broker has hung up, how long the daemon may take to read what came before.
const LAST_BYTES: Duration = Duration::from_millis(500);
/// How much is carried at once.
const PIECE: usize = 16 * 1024;

/// What the link does to all that passes.
#[derive(Debug, Clone, PartialEq)]
pub enum Weather {
    /// Nothing.
    Clear,
    /// So many bytes per second in each direction.
    Slow(u64),
    /// Every piece comes later, by a random time up to this.
    Late(Duration),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the broker to the daemon.
    ToDaemon,
    /// From the daemon to the broker.
    ToBroker,
}

#[derive(Debug)]
struct Link {
    weather: Weather,
    /// The connection breaks after so many bytes that way.
    cut: Option<(Way, u64)>,
    /// Connections up to this one are dead: nothing passes, nobody is told.
    dead: u64,
    connections: u64,
    chance: Chance,
}

/// The link; it ends with its owner.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    link: Arc<Mutex<Link>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and carries every connection to `broker_port`.
    pub async fn start(broker_port: u16, seed: u64, witness: Witness) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let link = Arc::new(Mutex::new(Link {
            weather: Weather::Clear,
            cut: None,
            dead: 0,
            connections: 0,
            chance: Chance::new(seed),
        }));
        let accepting = tokio::spawn(accept(listener, broker_port, link.clone(), witness));
        Proxy { port, link, accepting }
    }

    /// Where the daemon connects.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }

    /// What happens to all that passes from now on.
    pub fn set(&self, weather: Weather) {
        self.link().weather = weather;
    }

    /// Breaks the connection after so many more bytes that way, most probably within a packet.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.link().cut = Some((way, bytes));
    }

    /// Whether a cut that was asked for has not happened yet.
    pub fn cut_is_due(&self) -> bool {
        self.link().cut.is_some()
    }

    /// Lets the present connections die without a word: no FIN, no RST, nothing passes. New ones are carried.
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

async fn accept(listener: TcpListener, broker_port: u16, link: Arc<Mutex<Link>>, witness: Witness) {
    // Dropped with this task, and the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((daemon, _)) = listener.accept().await {
        let number = {
            let mut link = lock(&link);
            link.connections += 1;
            link.connections
        };
        let (link, witness) = (link.clone(), witness.clone());
        connections.spawn(async move {
            if let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker_port)).await {
                carry(daemon, broker, number, &link, witness).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Why a direction ended.
enum End {
    /// The link was cut.
    Cut,
    /// The daemon hung up.
    DaemonGone,
    /// The broker hung up.
    BrokerGone,
}

impl Way {
    /// Who is gone when nothing can be read, or nothing be written.
    fn gone(self, cannot_read: bool) -> End {
        match (self, cannot_read) {
            (Way::ToDaemon, true) | (Way::ToBroker, false) => End::BrokerGone,
            (Way::ToDaemon, false) | (Way::ToBroker, true) => End::DaemonGone,
        }
    }
}

async fn carry(daemon: TcpStream, broker: TcpStream, number: u64, link: &Mutex<Link>, witness: Witness) {
    let _ = (daemon.set_nodelay(true), broker.set_nodelay(true));
    let (from_daemon, to_daemon) = daemon.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let connection = Mutex::new(witness.connection());
    let up = pump(from_daemon, to_broker, Way::ToBroker, number, link, &connection);
    let down = pump(from_broker, to_daemon, Way::ToDaemon, number, link, &connection);
    tokio::pin!(up, down);
    // Closing at once would take away what the daemon has not read yet.
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
    way: Way,
    number: u64,
    link: &Mutex<Link>,
    connection: &Mutex<Connection>,
) -> End {
    let mut buffer = vec![0; PIECE];
    let mut splitter = Splitter::default();
    loop {
        let room = match lock(link).weather {
            Weather::Slow(per_second) => (per_second / 20).clamp(1, PIECE as u64) as usize,
            _ => PIECE,
        };
        let Ok(count @ 1..) = from.read(&mut buffer[..room]).await else {
            return way.gone(true);
        };
        let (pause, cut) = {
            let link = &mut *lock(link);
            let pause = match link.weather {
                Weather::Clear => Duration::ZERO,
                Weather::Slow(_) => Duration::from_millis(50),
                Weather::Late(longest) => longest.mul_f64(link.chance.below(1000) as f64 / 1000.0),
            };
            let cut = match &mut link.cut {
                Some((cut_way, left)) if *cut_way == way && *left <= count as u64 => {
                    let left = *left as usize;
                    link.cut = None;
                    Some(left)
                }
                Some((cut_way, left)) if *cut_way == way => {
                    *left -= count as u64;
                    None
                }
                _ => None,
            };
            (pause, cut)
        };
        tokio::time::sleep(pause).await;
        if lock(link).dead >= number {
            std::future::pending::<()>().await;
        }
        let bytes = &buffer[..cut.unwrap_or(count)];
        if to.write_all(bytes).await.is_err() {
            return way.gone(false);
        }
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        splitter.push(bytes, |packet| connection.hear(way, packet));
        if cut.is_some() {
            return End::Cut;
        }
    }
}
