//! Stream filter that truncates PUBLISH packets to a maximum size.
//!
//! It lies between the network and the client library and has one reader and one writer.
//!
//! A PUBLISH above the bound arrives truncated: with its topic, its packet identifier and the
//! beginning of its payload. It can then be rejected and acknowledged like any other message.
//! Rejected by the client library it would end the connection, and a persistent session would bring
//! it again for ever. Taken whole it could exceed the memory of the device. All other packets pass
//! unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read from the network at once.
const CHUNK: usize = 8 * 1024;
/// The longest fixed header: the packet's type, and its length in at most four bytes.
const MAX_HEADER: usize = 5;
/// The high half of a PUBLISH's first byte.
const PUBLISH: u8 = 0x30;

/// A stream of MQTT packets whose PUBLISH packets are truncated.
pub(crate) struct PublishTruncator<S> {
    inner: S,
    /// The longest remaining length of a PUBLISH.
    bound: usize,
    chunk: Box<[u8; CHUNK]>,
    /// The part of the chunk that is still to be copied.
    unread: std::ops::Range<usize>,
    header: Vec<u8>,
    at: At,
}

/// The position in the packet.
#[derive(Debug, Clone, Copy)]
enum At {
    /// In the fixed header, which is collected before any of it is copied.
    Header,
    /// After the fixed header: the header is still to be copied from `header_from` on, then `pass`
    /// bytes are copied, then `drop` bytes are left out.
    Packet { header_from: usize, pass: usize, drop: usize },
}

impl<S> PublishTruncator<S> {
    /// Truncates PUBLISH packets whose remaining length (topic, identifier, payload) exceeds
    /// `bound` bytes.
    pub(crate) fn new(inner: S, bound: usize) -> Self {
        PublishTruncator {
            inner,
            bound,
            chunk: Box::new([0; CHUNK]),
            unread: 0..0,
            header: Vec::with_capacity(MAX_HEADER),
            at: At::Header,
        }
    }

    /// Copies until the chunk is used up or `out` is full.
    fn copy(&mut self, out: &mut ReadBuf<'_>) {
        loop {
            match &mut self.at {
                At::Header => {
                    let Some(byte) = self.unread.next() else { return };
                    self.header.push(self.chunk[byte]);
                    if let Some((pass, drop)) = plan(&mut self.header, self.bound) {
                        self.at = At::Packet {
                            header_from: 0,
                            pass,
                            drop,
                        };
                    }
                }
                At::Packet { header_from, pass, drop } => {
                    *header_from += put(out, &self.header[*header_from..]);
                    if *header_from < self.header.len() {
                        return;
                    }
                    let passing = self.unread.start..self.unread.end.min(self.unread.start.saturating_add(*pass));
                    let passed = put(out, &self.chunk[passing]);
                    *pass -= passed;
                    self.unread.start += passed;
                    if *pass == 0 {
                        let dropped = self.unread.len().min(*drop);
                        *drop -= dropped;
                        self.unread.start += dropped;
                        if *drop == 0 {
                            self.header.clear();
                            self.at = At::Header;
                            continue;
                        }
                    }
                    return;
                }
            }
        }
    }
}

/// How many bytes after the fixed header to copy and how many to leave out. Rewrites the header of
/// a packet that is truncated. `None` while the header is incomplete.
fn plan(header: &mut Vec<u8>, bound: usize) -> Option<(usize, usize)> {
    let (&kind, length) = header.split_first()?;
    if length.last().is_none_or(|byte| byte & 0x80 != 0) {
        // A length of more than four bytes: the client library ends the connection.
        return (header.len() == MAX_HEADER).then_some((usize::MAX, 0));
    }
    let length = length.iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    if kind & 0xf0 != PUBLISH || length <= bound {
        return Some((length, 0));
    }
    header.truncate(1);
    let mut rest = bound;
    while rest > 0x7f {
        header.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    header.push(rest as u8);
    Some((bound, length - bound))
}

/// Copies what fits and returns its length.
fn put(out: &mut ReadBuf<'_>, bytes: &[u8]) -> usize {
    let fits = bytes.len().min(out.remaining());
    out.put_slice(&bytes[..fits]);
    fits
}

impl<S: AsyncRead + Unpin> AsyncRead for PublishTruncator<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        loop {
            this.copy(out);
            if out.filled().len() > before || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = ReadBuf::new(&mut this.chunk[..]);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            this.unread = 0..chunk.filled().len();
            if this.unread.is_empty() {
                return Poll::Ready(Ok(())); // the end
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PublishTruncator<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    /// The output when `bytes` arrive in pieces and are read in pieces.
    fn truncated(bytes: &[u8], bound: usize, arriving: usize, reading: usize) -> Vec<u8> {
        let arriving = Dribble { bytes, at_once: arriving };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut stream = PublishTruncator::new(arriving, bound);
            let (mut out, mut piece) = (Vec::new(), vec![0; reading]);
            loop {
                match stream.read(&mut piece).await.expect("no error") {
                    0 => return out,
                    read => out.extend(&piece[..read]),
                }
            }
        })
    }

    /// A reader that gives at most `at_once` bytes.
    struct Dribble<'b> {
        bytes: &'b [u8],
        at_once: usize,
    }

    impl AsyncRead for Dribble<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let at_once = self.at_once;
            let bytes = self.bytes;
            let passed = put(out, &bytes[..bytes.len().min(at_once)]);
            self.bytes = &bytes[passed..];
            Poll::Ready(Ok(()))
        }
    }

    fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![kind];
        let mut rest = body.len();
        loop {
            let more = rest > 0x7f;
            packet.push((rest & 0x7f) as u8 | if more { 0x80 } else { 0 });
            rest >>= 7;
            if !more {
                break;
            }
        }
        packet.extend(body);
        packet
    }

    proptest! {
        #[test]
        fn publishes_are_truncated_and_all_else_passes(
            packets in prop::collection::vec((prop_oneof![Just(0x32u8), Just(0x3b), 0u8..=255], prop::collection::vec(any::<u8>(), 0..600)), 1..8),
            bound in 1usize..300,
            arriving in 1usize..40,
            reading in 1usize..40,
        ) {
            let (mut arrived, mut expected) = (Vec::new(), Vec::new());
            for (kind, body) in &packets {
                let kept = if kind & 0xf0 == PUBLISH { body.len().min(bound) } else { body.len() };
                arrived.extend(packet(*kind, body));
                expected.extend(packet(*kind, &body[..kept]));
            }
            prop_assert_eq!(truncated(&arrived, bound, arriving, reading), expected);
        }
    }

    #[test]
    fn a_length_of_five_bytes_is_left_to_the_client_library() {
        let bytes = [0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(truncated(&bytes, 10, 100, 100), bytes);
    }
}
