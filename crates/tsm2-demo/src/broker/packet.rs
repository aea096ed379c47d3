//! MQTT 3.1.1 packets, the server's half: reads those of clients, writes those of a server.
//!
//! Section numbers are those of the OASIS standard, MQTT Version 3.1.1.

use std::io;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Larger packets end the connection.
pub(super) const MAX_PACKET: usize = 16 << 20;

/// A message between publisher and subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) at_least_once: bool,
    pub(super) retain: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) supported: bool,
    pub(super) client_id: String,
    pub(super) keep_alive_s: u16,
}

/// A filter and whether QoS 1 (or more) was asked for.
pub(super) type Filter = (String, bool);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connect(Connect),
    /// The identifier is there if and only if the message is to be acknowledged.
    Publish(Message, Option<u16>),
    PubAck,
    Subscribe(u16, Vec<Filter>),
    Unsubscribe(u16, Vec<String>),
    PingReq,
    Disconnect,
}

#[derive(Debug, Error)]
pub(super) enum PacketError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a packet of {0} bytes is larger than {MAX_PACKET}")]
    TooLarge(usize),
    #[error("a malformed packet, first byte {0:#04x}")]
    Malformed(u8),
    #[error("QoS 2 is not supported")]
    QoS2,
}

/// Reads one packet; an end of the stream between packets is an [`io::ErrorKind::UnexpectedEof`] like one within.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Packet, PacketError> {
    let first = stream.read_u8().await?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        } else if shift == 21 {
            return Err(PacketError::Malformed(first));
        }
    }
    if length > MAX_PACKET {
        return Err(PacketError::TooLarge(length));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if first & 0xf6 == 0x34 {
        return Err(PacketError::QoS2);
    }
    parse(first, &body).ok_or(PacketError::Malformed(first))
}

fn parse(first: u8, body: &[u8]) -> Option<Packet> {
    let mut body = Body(body);
    let packet = match (first >> 4, first & 0x0f) {
        (1, 0) => Packet::Connect(connect(&mut body)?),
        (3, flags) => {
            let topic = body.string()?;
            let at_least_once = match flags & 0x06 {
                0 => false,
                2 => true,
                _ => return None,
            };
            // 3.3.2.1: a topic name has no wildcards and is not empty.
            if topic.is_empty() || topic.contains(['+', '#']) {
                return None;
            }
            let id = if at_least_once { Some(body.u16()?) } else { None };
            let payload = std::mem::take(&mut body.0).to_vec();
            Packet::Publish(
                Message {
                    topic,
                    payload,
                    at_least_once,
                    retain: flags & 1 == 1,
                },
                id,
            )
        }
        (4, 0) => {
            body.u16()?;
            Packet::PubAck
        }
        (8, 2) => {
            let id = body.u16()?;
            let mut filters = Vec::new();
            while !body.0.is_empty() {
                filters.push((body.filter()?, body.u8()? > 0));
            }
            Packet::Subscribe(id, filters)
        }
        (10, 2) => {
            let id = body.u16()?;
            let mut filters = Vec::new();
            while !body.0.is_empty() {
                filters.push(body.filter()?);
            }
            Packet::Unsubscribe(id, filters)
        }
        (12, 0) => Packet::PingReq,
        (14, 0) => Packet::Disconnect,
        _ => return None,
    };
    body.0.is_empty().then_some(packet)
}

/// 3.1: Will, user name and password are read and ignored.
fn connect(body: &mut Body<'_>) -> Option<Connect> {
    let (protocol, level) = (body.string()?, body.u8()?);
    if !matches!((protocol.as_str(), level), ("MQTT", 4) | ("MQIsdp", 3)) {
        // Another version has another layout.
        body.0 = &[];
        return Some(Connect {
            supported: false,
            client_id: String::new(),
            keep_alive_s: 0,
        });
    }
    let (flags, keep_alive_s) = (body.u8()?, body.u16()?);
    let client_id = body.string()?;
    for (flag, fields) in [(0x04, 2), (0x80, 1), (0x40, 1)] {
        for _ in 0..if flags & flag != 0 { fields } else { 0 } {
            body.bytes()?;
        }
    }
    Some(Connect {
        supported: true,
        client_id,
        keep_alive_s,
    })
}

/// The unread rest of a packet's body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn string(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// 4.7.1: `#` stands alone in the last level, `+` alone in any.
    fn filter(&mut self) -> Option<String> {
        let filter = self.string()?;
        let last = filter.split('/').count() - 1;
        let well_formed = filter.split('/').enumerate().all(|(level, name)| match name {
            "#" => level == last,
            "+" => true,
            name => !name.contains(['+', '#']),
        });
        (well_formed && !filter.is_empty()).then_some(filter)
    }
}

/// 3.2: return code 0 accepts, 1 refuses the version. No session outlives a connection, so none is present.
pub(super) fn conn_ack(code: u8) -> [u8; 4] {
    [0x20, 2, 0, code]
}

pub(super) fn pub_ack(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// 3.9: the granted QoS of each filter, 0 or 1.
pub(super) fn sub_ack(id: u16, filters: &[Filter]) -> Vec<u8> {
    let mut packet = vec![0x90];
    write_length(&mut packet, 2 + filters.len());
    packet.extend(id.to_be_bytes());
    packet.extend(filters.iter().map(|(_, at_least_once)| u8::from(*at_least_once)));
    packet
}

pub(super) fn unsub_ack(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0xb0, 2, high, low]
}

pub(super) const PING_RESP: [u8; 2] = [0xd0, 0];

/// 3.3: a PUBLISH, of QoS 1 if and only if there is an identifier.
pub(super) fn publish(message: &Message, id: Option<u16>) -> Vec<u8> {
    let mut packet = vec![0x30 | u8::from(id.is_some()) << 1 | u8::from(message.retain)];
    write_length(
        &mut packet,
        2 + message.topic.len() + 2 * usize::from(id.is_some()) + message.payload.len(),
    );
    // A topic came in with a length of 16 bits, so it leaves with one.
    packet.extend((message.topic.len() as u16).to_be_bytes());
    packet.extend(message.topic.as_bytes());
    packet.extend(id.map(u16::to_be_bytes).into_iter().flatten());
    packet.extend(&message.payload);
    packet
}

fn write_length(packet: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        packet.push(length as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
}
