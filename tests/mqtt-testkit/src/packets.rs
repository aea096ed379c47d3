//! MQTT 3.1.1 packets from and to bytes.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::Error;
pub use rumqttc::mqttbytes::QoS;
pub use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish, SubAck, Subscribe, SubscribeReasonCode, UnsubAck,
};

/// No packet of a test is longer.
const MAX_SIZE: usize = 64 << 20;

/// Packets out of a stream of bytes. The pieces in which the bytes come make no difference.
#[derive(Debug, Default)]
pub struct PacketReader {
    pending: BytesMut,
}

impl PacketReader {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole packet.
    ///
    /// # Errors
    /// The bytes are not MQTT 3.1.1.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        match Packet::read(&mut self.pending, MAX_SIZE) {
            Ok(packet) => Ok(Some(packet)),
            Err(Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bytes of a packet that is not whole yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// Appends a packet to `bytes`.
pub fn encode(packet: &Packet, bytes: &mut BytesMut) {
    packet.write(bytes, MAX_SIZE).expect("a valid packet");
}

/// A PUBLISH at QoS 1.
pub fn publish(id: u16, topic: &str, payload: impl Into<Bytes>) -> Packet {
    let publish = Publish::from_bytes(topic, QoS::AtLeastOnce, payload.into());
    Packet::Publish(Publish { pkid: id, ..publish })
}

/// A topic, which is UTF-8 by the standard.
pub fn topic(publish: &Publish) -> String {
    String::from_utf8_lossy(&publish.topic).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_the_same_however_the_bytes_come() {
        let whole = [
            publish(7, "a/b", vec![b'x'; 193]),
            Packet::PubAck(PubAck::new(258)),
            Packet::PingResp,
        ];
        let mut bytes = BytesMut::new();
        whole.iter().for_each(|packet| encode(packet, &mut bytes));
        for length in 1..bytes.len() {
            let (mut reader, mut seen) = (PacketReader::default(), Vec::new());
            for piece in bytes.chunks(length) {
                reader.push(piece);
                while let Some(packet) = reader.next_packet().expect("MQTT") {
                    seen.push(packet);
                }
            }
            assert_eq!(seen, whole, "pieces of {length}");
            assert_eq!(reader.pending(), 0);
        }
    }
}
