//! The packets of MQTT 3.1.1 in a stream of bytes, as far as a witness needs them.
//!
//! Invariant: whatever the pieces in which the bytes come, the same packets leave.

/// A whole packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// PUBLISH.
    Publish {
        /// Packet identifier, 0 at QoS 0.
        id: u16,
        /// Topic.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
    },
    /// PUBACK of a packet identifier.
    Puback(u16),
    /// Any other.
    Other(u8),
}

/// One direction of one connection.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes bytes; `on` hears of each packet that they complete.
    pub fn push(&mut self, bytes: &[u8], mut on: impl FnMut(Packet)) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((kind, body)) = first(&self.pending[at..]) {
            let (from, to) = (at + body.start, at + body.end);
            on(read(kind, &self.pending[from..to]));
            at = to;
        }
        self.pending.drain(..at);
    }

    /// Bytes of a packet that is not whole yet.
    pub fn begun(&self) -> usize {
        self.pending.len()
    }
}

/// Kind and place of the body of the packet at the beginning of `bytes`, if it is there whole.
fn first(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (&kind, rest) = bytes.split_first()?;
    let (mut length, mut digits) = (0usize, 0);
    for &byte in rest.iter().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * digits);
        digits += 1;
        if byte & 0x80 == 0 {
            let start = 1 + digits;
            return (bytes.len() >= start + length).then_some((kind, start..start + length));
        }
    }
    None
}

fn read(kind: u8, body: &[u8]) -> Packet {
    let number = |at: usize| body.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let publish = || {
        let topic_end = 2 + usize::from(number(0)?);
        let has_id = kind & 0x06 != 0;
        Some(Packet::Publish {
            id: if has_id { number(topic_end)? } else { 0 },
            topic: String::from_utf8_lossy(body.get(2..topic_end)?).into_owned(),
            payload: body.get(topic_end + if has_id { 2 } else { 0 }..)?.to_vec(),
        })
    };
    match kind & 0xf0 {
        0x30 => publish().unwrap_or(Packet::Other(kind)),
        0x40 => number(0).map_or(Packet::Other(kind), Packet::Puback),
        _ => Packet::Other(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_the_same_however_they_are_cut() {
        let mut bytes = vec![0x32, 200, 1, 0, 3, b'a', b'/', b'b', 0, 7];
        bytes.extend([b'x'; 193]);
        bytes.extend([0x40, 2, 1, 2, 0xd0, 0]);
        let whole = [
            Packet::Publish {
                id: 7,
                topic: "a/b".into(),
                payload: vec![b'x'; 193],
            },
            Packet::Puback(258),
            Packet::Other(0xd0),
        ];
        for length in 1..bytes.len() {
            let (mut splitter, mut seen) = (Splitter::default(), Vec::new());
            for piece in bytes.chunks(length) {
                splitter.push(piece, |packet| seen.push(packet));
            }
            assert_eq!(seen, whole, "pieces of {length}");
            assert_eq!(splitter.begun(), 0);
        }
    }
}
