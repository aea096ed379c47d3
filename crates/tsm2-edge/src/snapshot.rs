//! One stream as bytes: its grid and the model's state for it, what wrote them, and a digest.
//!
//! `b"TSM2" | format u32 | sha256 of the bundle | length of the grid u32 | grid | state, f32 each | sha256 of all before`, least significant
//! byte first. Invariants: a snapshot is used whole or not at all; of another format or another model it is refused, never guessed at; any
//! bytes are decoded without a panic.

use sha2::{Digest, Sha256};
use tsm2_stream::{Grid, GridConfig, GridError};

/// Raise it with every change of this layout, of the grid's, or of what the numbers of the model's state mean.
const FORMAT: u32 = 1;
const MAGIC: [u8; 4] = *b"TSM2";

/// A sha256.
pub(crate) type Hash = [u8; 32];

/// Why a stream's snapshot is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The digest does not match, or the snapshot is cut short.
    #[error("the snapshot is damaged")]
    Damaged,
    /// Written in a format that this program does not know.
    #[error("the snapshot has format {found}, this program reads {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Written with another bundle.
    #[error("the snapshot belongs to another model")]
    OtherModel,
    /// Written with another sampling interval.
    #[error("{0}")]
    Grid(#[from] GridError),
    /// The configuration names the streams, and this is none of them.
    #[error("the stream is not in input.streams")]
    NotServed,
    /// There are more streams than allowed.
    #[error("the stream is one more than the {max} of input.max_streams")]
    TooMany {
        /// `input.max_streams`.
        max: usize,
    },
}

/// The snapshot's bytes.
pub(crate) fn encode(model: &Hash, grid: &Grid, state: &[f32]) -> Vec<u8> {
    let mut saved = Vec::new();
    grid.save(&mut saved);
    let mut out = Vec::with_capacity(4 * state.len() + saved.len() + 128);
    out.extend(MAGIC);
    out.extend(FORMAT.to_le_bytes());
    out.extend(model);
    // A row has far fewer than 2^28 variates.
    out.extend((saved.len() as u32).to_le_bytes());
    out.extend(saved);
    out.extend(state.iter().flat_map(|number| number.to_le_bytes()));
    let digest: Hash = Sha256::digest(&out).into();
    out.extend(digest);
    out
}

/// The grid; `state` is filled, or left in pieces when this fails.
pub(crate) fn decode(bytes: &[u8], model: &Hash, config: GridConfig, state: &mut [f32]) -> Result<Grid, SnapshotError> {
    let damaged = SnapshotError::Damaged;
    let (content, digest) = bytes.split_last_chunk::<32>().ok_or(damaged.clone())?;
    if *digest != Hash::from(Sha256::digest(content)) {
        return Err(damaged);
    }
    let (magic, rest) = content.split_first_chunk().ok_or(damaged.clone())?;
    let (format, rest) = rest.split_first_chunk().ok_or(damaged.clone())?;
    match u32::from_le_bytes(*format) {
        _ if *magic != MAGIC => return Err(damaged),
        FORMAT => {}
        found => return Err(SnapshotError::Format { found }),
    }
    let (hash, rest) = rest.split_first_chunk::<32>().ok_or(damaged.clone())?;
    if hash != model {
        return Err(SnapshotError::OtherModel);
    }
    let (length, rest) = rest.split_first_chunk().ok_or(damaged.clone())?;
    let (saved, numbers) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(damaged.clone())?;
    let grid = Grid::restore(config, saved)?;
    let (numbers, []) = numbers.as_chunks::<4>() else {
        return Err(damaged);
    };
    if numbers.len() != state.len() {
        return Err(damaged);
    }
    for (place, number) in state.iter_mut().zip(numbers) {
        *place = f32::from_le_bytes(*number);
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsm2_stream::Reading;

    const CONFIG: GridConfig = GridConfig {
        variates: 2,
        interval_ms: 1000,
        max_gap: 5,
    };
    const MODEL: Hash = [7; 32];
    const STATE: [f32; 3] = [1.5, -0.0, f32::NAN];

    fn snapshot() -> Vec<u8> {
        let mut grid = Grid::new(CONFIG).unwrap();
        let reading = Reading {
            variate: 1,
            value: 2.5,
            time_ms: 9_000,
        };
        grid.push(reading, |_| ()).unwrap();
        encode(&MODEL, &grid, &STATE)
    }

    fn decoded(bytes: &[u8], model: &Hash, interval_ms: u64) -> Result<Vec<u8>, SnapshotError> {
        let mut state = [0.0; 3];
        let grid = decode(bytes, model, GridConfig { interval_ms, ..CONFIG }, &mut state)?;
        Ok(encode(model, &grid, &state))
    }

    /// `bytes` with a digest that fits.
    fn sealed(content: &[u8]) -> Vec<u8> {
        let digest: Hash = Sha256::digest(content).into();
        [content, &digest].concat()
    }

    #[test]
    fn what_was_encoded_is_decoded_to_the_bit() {
        let snapshot = snapshot();
        assert_eq!(decoded(&snapshot, &MODEL, 1000), Ok(snapshot));
    }

    #[test]
    fn another_model_interval_or_format_is_refused() {
        let snapshot = snapshot();
        assert_eq!(decoded(&snapshot, &[8; 32], 1000), Err(SnapshotError::OtherModel));
        assert_eq!(decoded(&snapshot, &MODEL, 2000), Err(SnapshotError::Grid(GridError::Saved)));
        let mut newer = snapshot[..snapshot.len() - 32].to_vec();
        newer[4] = 2;
        assert_eq!(decoded(&sealed(&newer), &MODEL, 1000), Err(SnapshotError::Format { found: 2 }));
    }

    #[test]
    fn damage_anywhere_is_found_with_the_digest_and_harmless_without() {
        let snapshot = snapshot();
        for at in 0..snapshot.len() {
            assert_eq!(decoded(&snapshot[..at], &MODEL, 1000), Err(SnapshotError::Damaged));
            let mut flipped = snapshot.clone();
            flipped[at] ^= 0x40;
            assert_eq!(decoded(&flipped, &MODEL, 1000), Err(SnapshotError::Damaged));
            // A digest that fits: refused or taken, never a panic.
            let content = at.min(snapshot.len() - 32);
            assert!(decoded(&sealed(&snapshot[..content]), &MODEL, 1000).is_err() || content == snapshot.len() - 32);
            let _ = decoded(&sealed(&flipped[..snapshot.len() - 32]), &MODEL, 1000);
        }
    }
}
