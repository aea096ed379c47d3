//! Numbers out of saved bytes, least significant first.
//!
//! Invariant: any bytes are read without a panic; what does not fit is `None`.

use alloc::vec::Vec;

/// What is left to read.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    /// The next `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A count, which leaves room for counting on.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes).filter(|&count| count <= u64::MAX / 2)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

/// Appends a number's bytes.
pub(crate) fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}
