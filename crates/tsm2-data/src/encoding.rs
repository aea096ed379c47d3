//! Bytes to UTF-8 text: byte order marks, UTF-16 without one, and Windows-1252 for bytes that are no UTF-8.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::Error;

/// How a file encodes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8; single bytes that are none are kept and read as the replacement character.
    Utf8,
    /// Another encoding.
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Other(other) => other.name(),
        }
    }
}

/// The encoding of this name.
pub(crate) fn by_name(name: &str) -> Result<Encoding, Error> {
    match encoding_rs::Encoding::for_label(name.trim().as_bytes()) {
        Some(encoding) if encoding == encoding_rs::UTF_8 => Ok(Encoding::Utf8),
        Some(encoding) => Ok(Encoding::Other(encoding)),
        None => Err(Error::Option {
            option: "--encoding",
            value: name.into(),
            problem: "unknown: give a name such as utf-8, utf-16le, latin1 or windows-1252".into(),
        }),
    }
}

/// What the bytes of a whole file say about its encoding.
#[derive(Default)]
pub(crate) struct Survey {
    head: Vec<u8>,
    /// The start of a character that the last bytes cut.
    cut: Vec<u8>,
    characters: u64,
    errors: u64,
    has_newline: bool,
    has_return: bool,
}

/// Bytes at the start that are looked at for UTF-16.
const HEAD: usize = 4096;

impl Survey {
    /// Looks at the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.has_newline |= bytes.contains(&b'\n');
        self.has_return |= !self.has_newline && bytes.contains(&b'\r');
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        if self.cut.is_empty() && bytes.is_ascii() {
            return;
        }
        let joined = [std::mem::take(&mut self.cut).as_slice(), bytes].concat();
        let mut rest = joined.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.characters += text.bytes().filter(|byte| *byte >= 0xc0).count() as u64;
                    return;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.characters += valid.iter().filter(|byte| **byte >= 0xc0).count() as u64;
                    let Some(length) = error.error_len() else {
                        self.cut = after.to_vec();
                        return;
                    };
                    self.errors += 1;
                    rest = &after[length..];
                }
            }
        }
    }

    /// Whether lines end with a carriage return alone.
    pub fn has_return_lines(&self) -> bool {
        self.has_return && !self.has_newline
    }

    /// The encoding.
    pub fn encoding(&self) -> Encoding {
        match self.head.as_slice() {
            [0xff, 0xfe, ..] => return Encoding::Other(UTF_16LE),
            [0xfe, 0xff, ..] => return Encoding::Other(UTF_16BE),
            [0xef, 0xbb, 0xbf, ..] => return Encoding::Utf8,
            _ => {}
        }
        let nuls = |first: usize| self.head.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
        let half = self.head.len() / 2;
        if half >= 4 && self.head.len().is_multiple_of(2) {
            if nuls(1) * 4 > half * 3 && nuls(0) * 4 < half {
                return Encoding::Other(UTF_16LE);
            }
            if nuls(0) * 4 > half * 3 && nuls(1) * 4 < half {
                return Encoding::Other(UTF_16BE);
            }
        }
        // A few spoiled bytes do not make a UTF-8 file one of another encoding.
        match self.errors > self.characters {
            true => Encoding::Other(WINDOWS_1252),
            false => Encoding::Utf8,
        }
    }
}

/// UTF-8 text of bytes in another encoding.
pub(crate) struct Decoded<R> {
    bytes: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// The part of `input` not decoded yet.
    pending: std::ops::Range<usize>,
    output: Vec<u8>,
    /// The part of `output` not handed out yet.
    ready: std::ops::Range<usize>,
    is_over: bool,
}

impl<R: Read> Decoded<R> {
    pub fn new(bytes: R, encoding: &'static encoding_rs::Encoding) -> Self {
        Decoded {
            bytes,
            decoder: encoding.new_decoder_with_bom_removal(),
            input: vec![0; 16 * 1024],
            pending: 0..0,
            output: vec![0; 64 * 1024],
            ready: 0..0,
            is_over: false,
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.is_over {
            let mut last = false;
            if self.pending.is_empty() {
                let read = self.bytes.read(&mut self.input)?;
                self.pending = 0..read;
                last = read == 0;
            }
            let (result, read, written, _) = self
                .decoder
                .decode_to_utf8(&self.input[self.pending.clone()], &mut self.output, last);
            self.pending.start += read;
            self.ready = 0..written;
            self.is_over = last && result == encoding_rs::CoderResult::InputEmpty;
        }
        let length = self.ready.len().min(into.len());
        into[..length].copy_from_slice(&self.output[self.ready.start..][..length]);
        self.ready.start += length;
        Ok(length)
    }
}

/// UTF-8 bytes without a byte order mark at the start.
pub(crate) fn without_mark<'a>(mut bytes: Box<dyn BufRead + 'a>) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut head = Vec::new();
    bytes.by_ref().take(3).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        [0xef, 0xbb, 0xbf] => bytes,
        _ => Box::new(io::Cursor::new(head).chain(bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(bytes: &[u8]) -> Encoding {
        let mut survey = Survey::default();
        // In pieces, so that characters are cut.
        bytes.chunks(3).for_each(|piece| survey.add(piece));
        survey.encoding()
    }

    #[test]
    fn encodings_are_found() {
        assert_eq!(encoding("time,T °C\n1,2\n".as_bytes()), Encoding::Utf8);
        assert_eq!(encoding(b"time,T \xb0C\n1,2\n"), Encoding::Other(WINDOWS_1252));
        assert_eq!(encoding(b"\xff\xfet\0i\0"), Encoding::Other(UTF_16LE));
        assert_eq!(encoding(b"t\0i\0m\0e\0,\0a\0"), Encoding::Other(UTF_16LE));
        assert_eq!(encoding(b"\0t\0i\0m\0e\0,\0a"), Encoding::Other(UTF_16BE));
        assert_eq!(encoding("°°°".as_bytes().split_last().unwrap().1), Encoding::Utf8);
    }

    #[test]
    fn utf_16_is_decoded_across_buffers() {
        let text = "a°".repeat(50_000);
        let bytes: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let mut read = String::new();
        Decoded::new(bytes.as_slice(), UTF_16LE).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }
}
