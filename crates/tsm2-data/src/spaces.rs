//! Tables whose cells are parted by runs of spaces and tabs.

use std::io::{BufRead, Read};

/// Text with one space for each run of blanks, and none at the start of a line.
pub(crate) struct Collapsed<R> {
    text: R,
    last: u8,
}

impl<R> Collapsed<R> {
    pub fn new(text: R) -> Self {
        Collapsed { text, last: b'\n' }
    }
}

impl<R: BufRead> Read for Collapsed<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        while written == 0 && !into.is_empty() {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                return Ok(0);
            }
            let length = buffer.len().min(into.len());
            for &byte in &buffer[..length] {
                let byte = if byte == b'\t' { b' ' } else { byte };
                let is_needless = byte == b' ' && matches!(self.last, b' ' | b'\n' | b'\r');
                if !is_needless {
                    into[written] = byte;
                    written += 1;
                }
                self.last = byte;
            }
            self.text.consume(length);
        }
        Ok(written)
    }
}

/// The same for text in memory.
pub(crate) fn collapse(text: &[u8]) -> Vec<u8> {
    let mut collapsed = Vec::with_capacity(text.len());
    // Reading from memory cannot fail.
    let _ = Collapsed::new(text).read_to_end(&mut collapsed);
    collapsed
}
