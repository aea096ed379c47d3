//! Forward and backward of some of the streams of an update.

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::{ShardResult, Stream, TrainError, Trainer};
use crate::network::learner::State;
use crate::ops::squared_error;
use crate::train::feed::Chunk;

/// Lower bound of the running mean, in units of z: smaller errors are those of single precision.
const LEAST_ERROR: f64 = 1e-12;

/// A row whose error is more than so many times the mean counts by its root from there on.
const ROW_LIMIT: f32 = 16.0;

impl Trainer<'_> {
    /// Forward and backward of some streams, which move on by their tokens.
    pub(super) fn shard(&self, streams: &mut [Stream], state: &State) -> Result<(GradStore, ShardResult), TrainError> {
        let config = self.feed.config();
        let (f, h, tokens) = (config.targets(), config.horizon, self.options.tokens);
        let keep: Vec<f32> = streams.iter().map(|s| if s.restarted { 0.0 } else { 1.0 }).collect();
        let state = state.masked(&Tensor::from_vec(keep, streams.len(), &self.device)?)?;
        let mut chunk = Chunk::default();
        for stream in streams.iter_mut() {
            self.feed.read(&mut stream.cursor, tokens, &mut chunk)?;
        }
        // Errors count relative to what they are on average at their step, over all streams of the update.
        let scale = 1.0 / (self.options.streams * tokens * f * h) as f64;
        let factors: Vec<f32> = self
            .balance
            .iter()
            .map(|&b| (scale / if b > 0.0 { b.max(LEAST_ERROR) } else { 1.0 }) as f32)
            .collect();
        let mut weight: Vec<f32> = chunk.weight.iter().enumerate().map(|(i, w)| w * factors[i % h]).collect();
        let shape = (streams.len(), tokens, f, h);
        let patches = (streams.len(), tokens, config.variates, config.patch_len());
        let patches = Tensor::from_slice(&chunk.patches, patches, &self.device)?;
        let (forecast, state) = self.learner.forward(&patches, &state)?;
        let numbers = forecast.flatten_all()?.to_vec1::<f32>()?;
        let squared: Vec<f32> = numbers.iter().zip(&chunk.target).map(|(f, t)| (f - t) * (f - t)).collect();
        // The share of a row in the loss is limited.
        let most = match self.options.horizon_balance && self.update > 0 {
            true => ROW_LIMIT / (self.options.streams * tokens) as f32,
            false => f32::INFINITY,
        };
        let mut errors = vec![(0.0, 0.0); h];
        let rows = weight
            .chunks_exact_mut(f * h)
            .zip(squared.chunks_exact(f * h))
            .zip(chunk.weight.chunks_exact(f * h));
        for ((weight, squared), given) in rows {
            let error: f32 = weight.iter().zip(squared).map(|(w, error)| w * error).sum();
            let share = (most / error).sqrt().min(1.0);
            for (i, (weight, (squared, given))) in weight.iter_mut().zip(squared.iter().zip(given)).enumerate() {
                *weight *= share;
                let sum = &mut errors[i % h];
                sum.0 += f64::from(squared * given * share);
                sum.1 += f64::from(u8::from(*given > 0.0));
            }
        }
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &self.device);
        let loss = squared_error(&forecast, &tensor(&chunk.target)?, &tensor(&weight)?)?;
        let gradients = loss.backward()?;
        Ok((
            gradients,
            ShardResult {
                state,
                loss: f64::from(loss.to_scalar::<f32>()?),
                errors,
            },
        ))
    }
}
