//! Firmware blobs: the bytes as words, then the same words under the length and checksum that they have.

use tsm2_blob::{Blob, CHECKSUM};

/// The most numbers of state, working memory and forecast that are made.
const MAX_NUMBERS: usize = 1 << 20;

/// Opens the blob and steps its model.
///
/// # Panics
/// When the blob was accepted and does not work.
pub fn blob(data: &[u8]) {
    let mut words: Vec<u32> = data.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    step(&words);
    if words.len() > 4 {
        words[2] = (4 * words.len()) as u32;
        words[3] = CHECKSUM.checksum(&bytemuck::cast_slice(&words)[16..]);
        step(&words);
    }
}

fn step(words: &[u32]) {
    let Ok(blob) = Blob::open(bytemuck::cast_slice(words)) else {
        return;
    };
    assert!(!blob.name().is_empty() && (0..blob.config().variates).all(|index| !blob.variate(index).is_empty()));
    let model = blob.model().expect("the blob was opened");
    let forecast = blob.config().forecast_len();
    if model.state_len() + model.scratch_len() + forecast > MAX_NUMBERS {
        return;
    }
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut forecast = vec![0.0; forecast];
    for reading in [1.0, f32::NAN, -1e30] {
        let readings = vec![reading; blob.config().variates];
        let mut token = model.step(&mut state, &mut scratch, &readings, 0).expect("lengths fit");
        token.forecast(&mut forecast).expect("length fits");
    }
}
