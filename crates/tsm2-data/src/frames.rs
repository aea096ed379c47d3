//! The text of a zstd file: that of its frames, one behind the other.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Decodes all frames, where the decoders of `ruzstd` end at the first.
pub(crate) struct Frames<R> {
    compressed: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    pub fn new(compressed: R) -> Self {
        Frames {
            compressed,
            decoder: FrameDecoder::new(),
        }
    }

    /// Begins the next frame that holds text; false at the end of the file.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.compressed.fill_buf()?.is_empty() {
            let length = match self.decoder.init(&mut self.compressed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => u64::from(length),
                Err(error) => return Err(io::Error::other(error)),
            };
            let skipped = io::copy(&mut self.compressed.by_ref().take(length), &mut io::sink())?;
            if skipped < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let block = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.compressed, block).map_err(io::Error::other)?;
            } else if !self.begin_frame()? {
                return Ok(0);
            }
        }
        self.decoder.read(into)
    }
}
