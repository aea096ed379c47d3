//! Chunks of rows of several streams, as tensors and numbers.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use super::trainer_options::Target;
use crate::data::dataset::Dataset;

/// Chunks of rows, all numbers `[streams, tokens, targets, H]`.
pub struct Batch {
    /// `[streams, tokens, M, patch]`.
    pub patches: Tensor,
    /// What the network predicts.
    pub target: Vec<f32>,
    /// What the linear head leaves.
    pub residual: Vec<f32>,
    /// Weights in the loss.
    pub weight: Vec<f32>,
}

impl Batch {
    /// The rows of these chunks, one per stream.
    ///
    /// # Errors
    /// The device's.
    pub fn new(data: &Dataset, target_of: Target, device: &Device, chunks: &[Range<usize>]) -> Result<Self> {
        let (m, p) = (data.variates(), data.patch_len());
        let entries = data.targets() * data.horizon();
        let tokens = chunks[0].len();
        let mut patches = Vec::with_capacity(chunks.len() * tokens * m * p);
        let zeros = vec![0.0; chunks.len() * tokens * entries];
        let (mut target, mut linear, mut weight) = (zeros.clone(), zeros.clone(), zeros);
        for (i, row) in chunks.iter().flat_map(|rows| rows.clone()).enumerate() {
            patches.extend_from_slice(data.patches(row..row + 1));
            let place = i * entries..(i + 1) * entries;
            data.write_targets(row, &mut target[place.clone()], &mut linear[place.clone()], &mut weight[place]);
        }
        let residual: Vec<f32> = target.iter().zip(&linear).map(|(t, l)| t - l).collect();
        let target = match target_of {
            Target::Full | Target::Standalone => target,
            Target::Residual => residual.clone(),
        };
        let patches = Tensor::from_vec(patches, (chunks.len(), tokens, m, p), device)?;
        Ok(Self {
            patches,
            target,
            residual,
            weight,
        })
    }
}
