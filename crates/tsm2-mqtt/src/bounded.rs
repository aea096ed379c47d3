//! A bound on what one packet may take, laid between the network and the client library.
//!
//! Invariant: a PUBLISH beyond the bound arrives cut to it, with its topic, its identifier and the beginning of its payload, so that it can be
//! refused and acknowledged like any other. Refused below, it would end the connection, and a persistent session would bring it again for
//! ever; taken whole, it may be larger than the device's memory. Everything else passes as it came.

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

/// A stream of MQTT packets whose PUBLISHes are cut to a bound.
pub(crate) struct Bounded<S> {
    inner: S,
    /// The longest remaining length of a PUBLISH.
    bound: usize,
    chunk: Box<[u8; CHUNK]>,
    /// What of the chunk is still to be passed on.
    unread: std::ops::Range<usize>,
    header: Vec<u8>,
    at: At,
}

/// Where in a packet the next byte lies.
#[derive(Debug, Clone, Copy)]
enum At {
    /// In the fixed header, which is gathered before any of it passes.
    Header,
    /// Before the rest of the packet: from which byte on the header is still to pass, then how many bytes pass, then how many do not.
    Packet { header_from: usize, pass: usize, drop: usize },
}

impl<S> Bounded<S> {
    /// Cuts PUBLISHes whose remaining length (topic, identifier and payload) is more than `bound`.
    pub(crate) fn new(inner: S, bound: usize) -> Self {
        Bounded {
            inner,
            bound,
            chunk: Box::new([0; CHUNK]),
            unread: 0..0,
            header: Vec::with_capacity(MAX_HEADER),
            at: At::Header,
        }
    }

    /// Passes on what it can; it stops when the chunk is used up or `out` is full.
    fn sift(&mut self, out: &mut ReadBuf<'_>) {
        loop {
            match &mut self.at {
                At::Header => {
                    let Some(byte) = self.unread.next() else { return };
                    self.header.push(self.chunk[byte]);
                    if let Some((pass, drop)) = judge(&mut self.header, self.bound) {
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

/// How much of the packet behind a whole header passes and how much does not; the header of one that is cut is made to fit. `None` while
/// the header is not whole.
fn judge(header: &mut Vec<u8>, bound: usize) -> Option<(usize, usize)> {
    let (&kind, length) = header.split_first()?;
    if length.last().is_none_or(|byte| byte & 0x80 != 0) {
        // The client library ends a connection on which lengths have no end.
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

/// Copies what fits; returns how much that is.
fn put(out: &mut ReadBuf<'_>, bytes: &[u8]) -> usize {
    let fits = bytes.len().min(out.remaining());
    out.put_slice(&bytes[..fits]);
    fits
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        loop {
            this.sift(out);
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
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

    /// What comes out when `bytes` arrive in pieces and are read in pieces.
    fn sifted(bytes: &[u8], bound: usize, arriving: usize, reading: usize) -> Vec<u8> {
        let arriving = Dribble { bytes, at_once: arriving };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut stream = Bounded::new(arriving, bound);
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
        fn publishes_are_cut_and_all_else_passes(
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
            prop_assert_eq!(sifted(&arrived, bound, arriving, reading), expected);
        }
    }

    #[test]
    fn a_length_without_end_is_left_to_the_client_library() {
        let bytes = [0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(sifted(&bytes, 10, 100, 100), bytes);
    }
}
