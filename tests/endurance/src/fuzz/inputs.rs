//! Inputs of the fuzz targets: the kept corpus, and inputs derived from it.

use std::path::{Path, PathBuf};

use tsm2_mqtt_testkit::rng::Rng;

/// Inputs with the file that each comes from.
pub type Corpus = Vec<(PathBuf, Vec<u8>)>;

/// The kept inputs of a target, by name of their file.
///
/// # Errors
/// The folder or a file that cannot be read.
pub fn corpus(target: &str) -> std::io::Result<Corpus> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = std::fs::read_dir(folder)?
        .map(|file| Ok(file?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path)?;
            Ok((path, bytes))
        })
        .collect()
}

/// An input with a few changes: bytes replaced, inserted, taken out, or another input's end.
pub fn derived(inputs: &Corpus, rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| &inputs[rng.below(inputs.len() as u64) as usize].1;
    let mut bytes = any(rng).clone();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 if at < bytes.len() => bytes[at] = rng.number() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 => bytes.insert(at, b"{}[]\":,0-eN\0\n/"[rng.below(14) as usize]),
            3 => bytes.truncate(at),
            _ => {
                let other = any(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}
