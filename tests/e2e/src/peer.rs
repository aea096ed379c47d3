//! A broker played by hand, packet by packet, for what no real broker does on demand: forgetting, not answering, hanging up.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::PATIENCE;

/// The listening side.
pub struct Stage {
    listener: TcpListener,
}

/// One connection.
pub struct Peer {
    stream: TcpStream,
    /// The client's CONNECT, without its fixed header.
    pub connect: Vec<u8>,
}

/// What the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// SUBSCRIBE to filters.
    Subscribe {
        /// Packet identifier.
        id: u16,
        /// The filters.
        filters: Vec<String>,
    },
    /// PUBLISH at QoS 1.
    Publish {
        /// Packet identifier.
        id: u16,
        /// Topic.
        topic: String,
        /// Payload, as text.
        payload: String,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// PUBACK.
    Puback(u16),
    /// DISCONNECT.
    Disconnect,
    /// The connection was closed.
    Closed,
}

impl Stage {
    /// Listens on a free port.
    pub async fn open() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        (Stage { listener }, port)
    }

    /// Waits for a client and answers its CONNECT.
    pub async fn accept(&self, session_present: bool) -> Peer {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept())
            .await
            .expect("a client in time");
        let mut peer = Peer {
            stream: accepted.expect("a connection").0,
            connect: Vec::new(),
        };
        let (kind, connect) = peer.packet().await.expect("a packet");
        assert_eq!(kind, 0x10, "CONNECT comes first");
        peer.connect = connect;
        peer.send(&[0x20, 2, u8::from(session_present), 0]).await;
        peer
    }
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the client listens");
    }

    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((kind, body))
    }

    /// The client's next packet; pings are answered and passed over.
    pub async fn next(&mut self) -> Sent {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let Some((kind, body)) = self.packet().await else {
                    return Sent::Closed;
                };
                match kind & 0xf0 {
                    0x30 => return publish(kind, &body),
                    0x40 => return Sent::Puback(number(&body)),
                    0x80 => return subscribe(&body),
                    0xc0 => self.send(&[0xd0, 0]).await,
                    0xe0 => return Sent::Disconnect,
                    _ => panic!("unexpected packet {kind:#x}"),
                }
            }
        })
        .await
        .expect("a packet in time")
    }

    /// Grants a SUBSCRIBE.
    pub async fn suback(&mut self, id: u16, filters: usize) {
        let [high, low] = id.to_be_bytes();
        let mut suback = vec![0x90, 2 + filters as u8, high, low];
        suback.extend(std::iter::repeat_n(1, filters));
        self.send(&suback).await;
    }

    /// Acknowledges a PUBLISH.
    pub async fn puback(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.send(&[0x40, 2, high, low]).await;
    }

    /// Sends a PUBLISH at QoS 1.
    pub async fn publish(&mut self, id: u16, topic: &str, payload: &[u8]) {
        let mut length = 2 + topic.len() + 2 + payload.len();
        let mut packet = vec![0x32];
        loop {
            let more = length > 0x7f;
            packet.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
            length >>= 7;
            if !more {
                break;
            }
        }
        packet.extend((topic.len() as u16).to_be_bytes());
        packet.extend(topic.as_bytes());
        packet.extend(id.to_be_bytes());
        packet.extend(payload);
        self.send(&packet).await;
    }
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn publish(kind: u8, body: &[u8]) -> Sent {
    assert_eq!(kind & 0x06, 0x02, "everything is published at QoS 1");
    let topic = 2 + usize::from(number(body));
    Sent::Publish {
        id: number(&body[topic..]),
        topic: text(&body[2..topic]),
        payload: text(&body[topic + 2..]),
        retain: kind & 1 == 1,
    }
}

fn subscribe(body: &[u8]) -> Sent {
    let (mut filters, mut at) = (Vec::new(), 2);
    while at < body.len() {
        let end = at + 2 + usize::from(number(&body[at..]));
        filters.push(text(&body[at + 2..end]));
        at = end + 1;
    }
    Sent::Subscribe { id: number(body), filters }
}
