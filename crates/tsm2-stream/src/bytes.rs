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

    /// A number between 0 and `most`.
    pub(crate) fn amount(&mut self, most: f32) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|amount| (0.0..=most).contains(amount))
    }

    /// Fills `numbers`, whatever they are.
    pub(crate) fn fill(&mut self, numbers: &mut [f32]) -> Option<()> {
        for number in numbers {
            *number = f32::from_le_bytes(self.take()?);
        }
        Some(())
    }
}

/// Appends a number's bytes.
pub(crate) fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

/// Appends numbers, one after the other.
pub(crate) fn put_all(out: &mut Vec<u8>, numbers: &[f32]) {
    for number in numbers {
        put(out, number.to_le_bytes());
    }
}
