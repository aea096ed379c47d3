//! Retained memory: the state, in memory that survives a reset.
//!
//! The memory holds two copies. A save overwrites the older one; its header is written last, so a
//! reset during a save leaves the other copy. A copy counts only if its checksum fits and it is of
//! the same model.
//!
//! Header of a copy, 48 bytes: mark, sequence number, length of the content, SHA-256 of the model,
//! CRC-32C of sequence number, length, model and content.

use tsm2_blob::CHECKSUM;

const MARK: u32 = u32::from_le_bytes(*b"KEPT");
const HEADER: usize = 4 + 4 + 4 + 32 + 4;

/// Two copies of a state. See the module.
pub struct Retained<'r> {
    copies: [&'r mut [u8]; 2],
    model: [u8; 32],
    /// The newest copy's place and sequence number.
    newest: Option<(usize, u32)>,
}

impl<'r> Retained<'r> {
    /// The copies in `memory`, which may hold any bytes, for states of `model`.
    #[must_use]
    pub fn new(memory: &'r mut [u8], model: [u8; 32]) -> Self {
        let half = memory.len() / 2;
        let (first, second) = memory.split_at_mut(half);
        let mut retained = Retained {
            copies: [first, second],
            model,
            newest: None,
        };
        let sequences = [0, 1].map(|place| Some((place, retained.valid(place)?.0)));
        retained.newest = match sequences {
            // The sequence number wraps.
            [Some(first), Some(second)] => Some(if first.1.wrapping_sub(second.1) < u32::MAX / 2 {
                first
            } else {
                second
            }),
            [first, second] => first.or(second),
        };
        retained
    }

    /// The newest state.
    #[must_use]
    pub fn state(&self) -> Option<&[u8]> {
        Some(self.valid(self.newest?.0)?.1)
    }

    /// Saves a state; false, and the state before stays, where the memory is too small.
    pub fn save(&mut self, content: &[u8]) -> bool {
        let (place, sequence) = self
            .newest
            .map_or((0, 0), |(place, sequence)| (1 - place, sequence.wrapping_add(1)));
        let model = self.model;
        let copy = &mut self.copies[place];
        if copy.len() < HEADER + content.len() {
            return false;
        }
        let (header, rest) = copy.split_at_mut(HEADER);
        // Void while it is written.
        header[..4].fill(0);
        rest[..content.len()].copy_from_slice(content);
        header[4..8].copy_from_slice(&sequence.to_le_bytes());
        header[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
        header[12..44].copy_from_slice(&model);
        let sum = sum(&header[4..44], content);
        header[44..48].copy_from_slice(&sum.to_le_bytes());
        header[..4].copy_from_slice(&MARK.to_le_bytes());
        self.newest = Some((place, sequence));
        true
    }

    /// Sequence number and content of a copy.
    fn valid(&self, place: usize) -> Option<(u32, &[u8])> {
        let (header, rest) = self.copies[place].split_first_chunk::<HEADER>()?;
        let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if word(0) != MARK || header[12..44] != self.model {
            return None;
        }
        let content = rest.get(..usize::try_from(word(8)).ok()?)?;
        (word(44) == sum(&header[4..44], content)).then_some((word(4), content))
    }
}

fn sum(header: &[u8], content: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(header);
    digest.update(content);
    digest.finalize()
}
