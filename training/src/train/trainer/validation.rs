//! Errors of the present weights on rows they were not trained on.

use std::ops::Range;

use super::{SHARDS, TrainError, Trainer, join};
use crate::network::learner::Learner;
use crate::train::batch::Batch;
use crate::train::validation_errors::{BlendSums, ValidationErrors};

/// Rows that warm the state up before the validation rows of each of the streams that share them.
const VALIDATION_WARM_UP: usize = 256;

/// Tokens per chunk of a validation pass.
const VALIDATION_TOKENS: usize = 64;

impl<L: Learner> Trainer<'_, L> {
    /// Errors of the present weights over the forecasts that lie wholly in `rows`, in consecutive parts, each a stream with a warm-up.
    ///
    /// # Errors
    /// candle's.
    pub fn validate(&self, rows: Range<usize>) -> Result<ValidationErrors, TrainError> {
        let h = self.data.horizon();
        let origins = rows.start.max(1) - 1..rows.end - h;
        // A remainder of a few origins at the end is left out.
        let streams = origins.len().clamp(1, 2 * SHARDS);
        let share = origins.len() / streams;
        let starts: Vec<usize> = (0..streams).map(|i| origins.start + i * share).collect();
        let parts: Vec<Vec<Vec<BlendSums>>> = std::thread::scope(|scope| {
            let spawn = |starts| scope.spawn(move || self.validate_streams(starts, share));
            let threads: Vec<_> = starts.chunks(streams.div_ceil(SHARDS)).map(spawn).collect();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        Ok(ValidationErrors { parts: parts.concat() })
    }

    /// BlendSums per start and step, over `share` origins from each start on.
    fn validate_streams(&self, starts: &[usize], share: usize) -> Result<Vec<Vec<BlendSums>>, TrainError> {
        let (f, h) = (self.data.targets(), self.data.horizon());
        let mut state = self.learner.zero_state(starts.len(), &self.device)?;
        let mut sums = vec![vec![BlendSums::default(); h]; starts.len()];
        let warm = VALIDATION_WARM_UP.min(starts[0] - self.data.rows().start);
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
