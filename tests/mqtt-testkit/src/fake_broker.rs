//! A broker played packet by packet, for what no real broker does on demand: it forgets, stays
//! silent, refuses and disconnects.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::TIMEOUT;
use crate::packets::{self, ConnAck, Connect, ConnectReturnCode, Packet, PacketReader, PubAck, QoS, SubAck, SubscribeReasonCode, UnsubAck};

/// The listening side.
pub struct FakeBroker {
    listener: TcpListener,
}

/// One connection.
pub struct FakeConnection {
    stream: TcpStream,
    reader: PacketReader,
    /// The CONNECT of the client.
    pub connect: Connect,
}

/// A packet of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket {
    /// SUBSCRIBE.
    Subscribe {
        /// Packet identifier.
        id: u16,
        /// The filters.
        filters: Vec<String>,
    },
    /// UNSUBSCRIBE.
    Unsubscribe {
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
    PubAck(u16),
    /// DISCONNECT.
    Disconnect,
    /// The connection was closed.
    Closed,
}

impl FakeBroker {
    /// Listens on a free port.
    pub async fn start() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        (FakeBroker { listener }, port)
    }

    /// Waits for a client and accepts its CONNECT.
    pub async fn accept(&self, session_present: bool) -> FakeConnection {
        let accepted = tokio::time::timeout(TIMEOUT, self.listener.accept()).await;
        let mut stream = accepted.expect("a client in time").expect("a connection").0;
        let mut reader = PacketReader::default();
        let Some(Packet::Connect(connect)) = read(&mut stream, &mut reader).await else {
            panic!("the first packet is CONNECT")
        };
        let mut connection = FakeConnection { stream, reader, connect };
        let code = ConnectReturnCode::Success;
        connection.send(&Packet::ConnAck(ConnAck::new(code, session_present))).await;
        connection
    }
}

async fn read(stream: &mut TcpStream, reader: &mut PacketReader) -> Option<Packet> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        if let Some(packet) = reader.next_packet().expect("the client speaks MQTT") {
            return Some(packet);
        }
        match stream.read(&mut bytes).await {
            Ok(count @ 1..) => reader.push(&bytes[..count]),
            _ => return None,
        }
    }
}

impl FakeConnection {
    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packets::encode(packet, &mut bytes);
        self.stream.write_all(&bytes).await.expect("the client listens");
    }

    /// The next packet of the client. Pings are answered and left out.
    pub async fn next(&mut self) -> ClientPacket {
        tokio::time::timeout(TIMEOUT, async {
            loop {
                return match read(&mut self.stream, &mut self.reader).await {
                    None => ClientPacket::Closed,
                    Some(Packet::PingReq) => {
                        self.send(&Packet::PingResp).await;
                        continue;
                    }
                    Some(Packet::Subscribe(subscribe)) => ClientPacket::Subscribe {
                        id: subscribe.pkid,
                        filters: subscribe.filters.into_iter().map(|filter| filter.path).collect(),
                    },
                    Some(Packet::Unsubscribe(unsubscribe)) => ClientPacket::Unsubscribe {
                        id: unsubscribe.pkid,
                        filters: unsubscribe.topics,
                    },
                    Some(Packet::Publish(publish)) => {
                        assert_eq!(publish.qos, QoS::AtLeastOnce, "every message is published at QoS 1");
                        ClientPacket::Publish {
                            id: publish.pkid,
                            topic: packets::topic(&publish),
                            payload: String::from_utf8(publish.payload.to_vec()).expect("text"),
                            retain: publish.retain,
                        }
                    }
                    Some(Packet::PubAck(puback)) => ClientPacket::PubAck(puback.pkid),
                    Some(Packet::Disconnect) => ClientPacket::Disconnect,
                    Some(other) => panic!("unexpected packet {other:?}"),
                };
            }
        })
        .await
        .expect("a packet in time")
    }

    /// Grants a SUBSCRIBE.
    pub async fn grant(&mut self, id: u16, filters: usize) {
        self.suback(id, vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); filters]).await;
    }

    /// Refuses a SUBSCRIBE.
    pub async fn refuse(&mut self, id: u16, filters: usize) {
        self.suback(id, vec![SubscribeReasonCode::Failure; filters]).await;
    }

    /// Answers a SUBSCRIBE filter by filter.
    pub async fn suback(&mut self, id: u16, codes: Vec<SubscribeReasonCode>) {
        self.send(&Packet::SubAck(SubAck::new(id, codes))).await;
    }

    /// Acknowledges an UNSUBSCRIBE.
    pub async fn unsuback(&mut self, id: u16) {
        self.send(&Packet::UnsubAck(UnsubAck::new(id))).await;
    }

    /// Acknowledges a PUBLISH.
    pub async fn puback(&mut self, id: u16) {
        self.send(&Packet::PubAck(PubAck::new(id))).await;
    }

    /// Sends a PUBLISH at QoS 1.
    pub async fn publish(&mut self, id: u16, topic: &str, payload: &[u8]) {
        self.send(&packets::publish(id, topic, Bytes::copy_from_slice(payload))).await;
    }

    /// Sends a PUBLISH at QoS 1 of a message that the broker had stored.
    pub async fn publish_retained(&mut self, id: u16, topic: &str, payload: &[u8]) {
        let mut packet = packets::publish(id, topic, Bytes::copy_from_slice(payload));
        if let Packet::Publish(publish) = &mut packet {
            publish.retain = true;
        }
        self.send(&packet).await;
    }
}
