//! A client so plain that it costs next to nothing beside what it loads: it publishes packets made
//! beforehand and counts acknowledgements.
//!
//! Everything is at QoS 1. Threads block, and end when their connection does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use bytes::BytesMut;

use crate::packets::{self, Connect, Packet, PacketReader, PubAck, QoS, Subscribe, SubscribeReasonCode};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// A connection and the packets that came by it.
struct Wire {
    stream: TcpStream,
    reader: PacketReader,
    chunk: Box<[u8]>,
}

impl Wire {
    /// Connects with a clean session and no keep-alive.
    fn connect(port: u16, name: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("the broker does not listen")?;
        stream.set_nodelay(true)?;
        let mut wire = Wire {
            stream,
            reader: PacketReader::default(),
            chunk: vec![0; CHUNK].into(),
        };
        let mut connect = Connect::new(name);
        (connect.keep_alive, connect.clean_session) = (0, true);
        wire.send(&Packet::Connect(connect))?;
        match wire.next_packet()? {
            Some(Packet::ConnAck(connack)) if connack.code == packets::ConnectReturnCode::Success => Ok(wire),
            other => bail!("the broker refuses {name}: {other:?}"),
        }
    }

    fn send(&mut self, packet: &Packet) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        packets::encode(packet, &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// The next packet that was read already.
    fn read_packet(&mut self) -> anyhow::Result<Option<Packet>> {
        Ok(self.reader.next_packet()?)
    }

    /// The next packet; `None` at the end of the connection.
    fn next_packet(&mut self) -> anyhow::Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.read_packet()? {
                return Ok(Some(packet));
            }
            match self.stream.read(&mut self.chunk) {
                Ok(count @ 1..) => self.reader.push(&self.chunk[..count]),
                _ => return Ok(None),
            }
        }
    }

    fn try_clone(&self) -> anyhow::Result<Self> {
        Ok(Wire {
            stream: self.stream.try_clone()?,
            reader: PacketReader::default(),
            chunk: vec![0; CHUNK].into(),
        })
    }
}

/// Publishes.
pub struct Sender {
    stream: TcpStream,
    batch: BytesMut,
    id: u16,
    sent: u64,
    acknowledged: Arc<AtomicU64>,
    acknowledging: JoinHandle<()>,
}

impl Sender {
    /// Connects.
    ///
    /// # Errors
    /// The broker does not listen or refuses.
    pub fn connect(port: u16, name: &str) -> anyhow::Result<Self> {
        let wire = Wire::connect(port, name)?;
        let mut answers = wire.try_clone()?;
        let acknowledged = Arc::<AtomicU64>::default();
        let count = acknowledged.clone();
        let acknowledging = std::thread::spawn(move || {
            while let Ok(Some(packet)) = answers.next_packet() {
                count.fetch_add(u64::from(matches!(packet, Packet::PubAck(_))), Ordering::Relaxed);
            }
        });
        Ok(Sender {
            stream: wire.stream,
            batch: BytesMut::new(),
            id: 0,
            sent: 0,
            acknowledged,
            acknowledging,
        })
    }

    /// Adds a message to the batch.
    pub fn add(&mut self, topic: &str, payload: &str) {
        self.id = self.id % u16::MAX + 1;
        self.sent += 1;
        packets::encode(&packets::publish(self.id, topic, payload.to_owned()), &mut self.batch);
    }

    /// Sends the batch.
    ///
    /// # Errors
    /// The broker has closed the connection.
    pub fn send(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.batch).context("the broker has closed the connection")?;
        self.batch.clear();
        Ok(())
    }

    /// Messages that the broker has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.sent - self.acknowledged.load(Ordering::Relaxed)
    }

    /// Disconnects.
    pub fn end(mut self) {
        let mut bytes = BytesMut::new();
        packets::encode(&Packet::Disconnect, &mut bytes);
        let _ = self.stream.write_all(&bytes);
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.acknowledging.join();
    }
}

/// Subscribes and receives on a thread of its own.
pub struct Listener {
    stream: TcpStream,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Subscribes; `on` gets topic and payload of every message.
    ///
    /// # Errors
    /// The broker does not listen or refuses.
    pub fn subscribe(port: u16, name: &str, filter: &str, mut on: impl FnMut(&[u8], &[u8]) + Send + 'static) -> anyhow::Result<Self> {
        let mut wire = Wire::connect(port, name)?;
        let subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        wire.send(&Packet::Subscribe(Subscribe { pkid: 1, ..subscribe }))?;
        match wire.next_packet()? {
            Some(Packet::SubAck(suback)) if suback.return_codes == [SubscribeReasonCode::Success(QoS::AtLeastOnce)] => {}
            other => bail!("the broker refuses {filter}: {other:?}"),
        }
        let stream = wire.stream.try_clone()?;
        let thread = std::thread::spawn(move || {
            let mut pubacks = BytesMut::new();
            while let Ok(Some(packet)) = wire.next_packet() {
                let mut next = Some(packet);
                while let Some(packet) = next {
                    if let Packet::Publish(publish) = packet {
                        if publish.pkid != 0 {
                            packets::encode(&Packet::PubAck(PubAck::new(publish.pkid)), &mut pubacks);
                        }
                        on(&publish.topic, &publish.payload);
                    }
                    next = wire.read_packet().ok().flatten();
                }
                // One answer to everything that was read at once.
                if wire.stream.write_all(&pubacks).is_err() {
                    break;
                }
                pubacks.clear();
            }
        });
        Ok(Listener { stream, thread })
    }

    /// Disconnects.
    pub fn end(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.thread.join();
    }
}
