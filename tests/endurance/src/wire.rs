//! Load: an MQTT client so plain that it costs next to nothing beside what it loads. It publishes packets made beforehand and counts answers.
//!
//! Invariants: everything is at QoS 1; threads block, and end when their connection does.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, bail, ensure};

/// The bytes of a packet: kind, length, body.
fn packet(kind: u8, body: &[&[u8]], out: &mut Vec<u8>) {
    out.push(kind);
    let mut length: usize = body.iter().map(|part| part.len()).sum();
    loop {
        let more = length > 0x7f;
        out.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    body.iter().for_each(|part| out.extend_from_slice(part));
}

/// A text or a topic with its length.
fn text(text: &str) -> Vec<u8> {
    // Topics and names here are short.
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn read_packet(from: &mut impl Read, body: &mut Vec<u8>) -> std::io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut length, mut shift) = (0usize, 0);
    loop {
        from.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    body.resize(length, 0);
    from.read_exact(body)?;
    Ok(kind)
}

/// Connects with a clean session and no keep-alive.
fn connect(port: u16, name: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("the broker does not listen")?;
    stream.set_nodelay(true)?;
    let mut hello = Vec::new();
    packet(0x10, &[&text("MQTT"), &[4, 2, 0, 0], &text(name)], &mut hello);
    stream.write_all(&hello)?;
    let mut body = Vec::new();
    ensure!(
        read_packet(&mut stream, &mut body)? == 0x20 && body == [0, 0],
        "the broker refuses {name}"
    );
    Ok(stream)
}

/// Publishes.
pub struct Sender {
    stream: TcpStream,
    batch: Vec<u8>,
    id: u16,
    sent: u64,
    acknowledged: Arc<AtomicU64>,
    acknowledging: JoinHandle<()>,
}

impl Sender {
    /// Connects.
    ///
    /// # Errors
    /// When the broker does not listen or refuses.
    pub fn connect(port: u16, name: &str) -> anyhow::Result<Self> {
        let stream = connect(port, name)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let acknowledged = Arc::<AtomicU64>::default();
        let count = acknowledged.clone();
        let acknowledging = std::thread::spawn(move || {
            let mut body = Vec::new();
            while let Ok(kind) = read_packet(&mut answers, &mut body) {
                count.fetch_add(u64::from(kind == 0x40), Ordering::Relaxed);
            }
        });
        Ok(Sender {
            stream,
            batch: Vec::new(),
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
        packet(0x32, &[&text(topic), &self.id.to_be_bytes(), payload.as_bytes()], &mut self.batch);
    }

    /// Sends the batch.
    ///
    /// # Errors
    /// When the broker has hung up.
    pub fn send(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.batch).context("the broker has hung up")?;
        self.batch.clear();
        Ok(())
    }

    /// Messages that the broker has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.sent - self.acknowledged.load(Ordering::Relaxed)
    }

    /// Disconnects.
    pub fn end(mut self) {
        let _ = self.stream.write_all(&[0xe0, 0]);
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.acknowledging.join();
    }
}

/// Subscribes and hears, on a thread of its own.
pub struct Listener {
    stream: TcpStream,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Subscribes; `on` hears topic and payload of every message.
    ///
    /// # Errors
    /// When the broker does not listen or refuses.
    pub fn subscribe(port: u16, name: &str, filter: &str, mut on: impl FnMut(&[u8], &[u8]) + Send + 'static) -> anyhow::Result<Self> {
        let mut stream = connect(port, name)?;
        let mut wish = Vec::new();
        packet(0x82, &[&[0, 1], &text(filter), &[1]], &mut wish);
        stream.write_all(&wish)?;
        let mut body = Vec::new();
        if read_packet(&mut stream, &mut body)? != 0x90 || body.last() != Some(&1) {
            bail!("the broker refuses {filter}");
        }
        let mut from = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        let mut answers = stream.try_clone()?;
        let thread = std::thread::spawn(move || {
            let mut pubacks = Vec::new();
            while let Ok(kind) = read_packet(&mut from, &mut body) {
                if kind & 0xf0 != 0x30 || body.len() < 4 {
                    continue;
                }
                let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let has_id = kind & 0x06 != 0;
                if let (true, Some(id)) = (has_id, body.get(topic..topic + 2)) {
                    packet(0x40, &[id], &mut pubacks);
                }
                let payload = topic + if has_id { 2 } else { 0 };
                if let (Some(topic), Some(payload)) = (body.get(2..topic), body.get(payload..)) {
                    on(topic, payload);
                }
                // All that was read at once is answered at once.
                if from.buffer().is_empty() {
                    if answers.write_all(&pubacks).is_err() {
                        break;
                    }
                    pubacks.clear();
                }
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
