//! Errors of the present weights on rows they were not trained on.

use std::ops::Range;

use super::{SHARDS, TrainError, Trainer, join};
use crate::data::runs::Pieces;
use crate::network::learner::Learner;
use crate::train::batch::Batch;
use crate::train::validation_errors::{BlendSums, ValidationErrors};

/// Rows that warm the state up before the validation rows of each of the streams that share them.
const VALIDATION_WARM_UP: usize = 256;

/// Tokens per chunk of a validation pass.
const VALIDATION_TOKENS: usize = 64;

impl<L: Learner> Trainer<'_, L> {
    /// Errors of the present weights over the forecasts that lie wholly in one of the pieces, each piece in consecutive parts, each part a stream
    /// with a warm-up.
    ///
    /// # Errors
    /// candle's.
    pub fn validate(&self, pieces: &Pieces) -> Result<ValidationErrors, TrainError> {
        let mut parts: Vec<Vec<BlendSums>> = Vec::new();
        for origins in pieces.origins(self.data.horizon()) {
            let of_piece = self.validate_piece(origins.start - 1..origins.end - 1)?;
            if parts.len() < of_piece.len() {
                parts.resize_with(of_piece.len(), || vec![BlendSums::default(); self.data.horizon()]);
            }
            for (sums, of_piece) in parts.iter_mut().flatten().zip(of_piece.into_iter().flatten()) {
                *sums = [*sums, of_piece].into_iter().sum();
            }
        }
        Ok(ValidationErrors { parts })
    }

    /// BlendSums per part and step, over forecasts that are made after these rows.
    fn validate_piece(&self, rows: Range<usize>) -> Result<Vec<Vec<BlendSums>>, TrainError> {
        // A remainder of a few origins at the end is left out.
        let streams = rows.len().clamp(1, 2 * SHARDS);
        let share = rows.len() / streams;
        let starts: Vec<usize> = (0..streams).map(|i| rows.start + i * share).collect();
        let parts: Vec<Vec<Vec<BlendSums>>> = std::thread::scope(|scope| {
            let spawn = |starts| scope.spawn(move || self.validate_streams(starts, share));
            let threads: Vec<_> = starts.chunks(streams.div_ceil(SHARDS)).map(spawn).collect();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        Ok(parts.concat())
    }

    /// BlendSums per start and step, over `share` origins from each start on.
    fn validate_streams(&self, starts: &[usize], share: usize) -> Result<Vec<Vec<BlendSums>>, TrainError> {
        let (f, h) = (self.data.targets(), self.data.horizon());
        let mut state = self.learner.zero_state(starts.len(), &self.device)?;
        let mut sums = vec![vec![BlendSums::default(); h]; starts.len()];
        let warm = VALIDATION_WARM_UP.min(starts[0] - self.data.span_of(starts[0]).start);
        let mut done = 0;
        while done < warm + share {
            // A chunk ends with the warm-up, so that each chunk counts completely or not at all.
            let left = if done < warm { warm - done } else { warm + share - done };
            let tokens = VALIDATION_TOKENS.min(left);
            let chunks: Vec<Range<usize>> = starts.iter().map(|s| s - warm + done).map(|row| row..row + tokens).collect();
            let Batch {
                patches,
                target,
                residual,
                weight,
            } = Batch::new(self.data, self.options.target, &self.device, &chunks)?;
            let (forecast, next) = self.learner.forward(&patches, &state)?;
            state = next;
            if done >= warm {
                let forecast = forecast.flatten_all()?.to_vec1::<f32>()?;
                for (i, (((forecast, target), r), w)) in forecast.iter().zip(&target).zip(&residual).zip(&weight).enumerate() {
                    let (n, r, w) = (f64::from(forecast - target + r), f64::from(*r), f64::from(*w));
                    let sum = &mut sums[i / (tokens * f * h)][i % h];
                    let one = BlendSums {
                        linear: w * r * r,
                        cross: w * r * n,
                        network: w * n * n,
                        count: f64::from(u8::from(w > 0.0)),
                    };
                    *sum = [*sum, one].into_iter().sum();
                }
            }
            done += tokens;
        }
        Ok(sums)
    }
}
