//! Errors of the present weights on rows they were not trained on.

use candle_core::Tensor;

use super::{SHARDS, TrainError, Trainer, join};
use crate::data::runs::Pieces;
use crate::train::feed::{Chunk, Cursor};
use crate::train::validation_errors::{BlendSums, ValidationErrors};

/// Rows that warm the state up before the validation rows of each of the streams that share them.
const WARM_UP: usize = 256;

/// Tokens per chunk of a validation pass.
const TOKENS: usize = 32;

/// Streams side by side at most.
const STREAMS: usize = 8;

/// Consecutive parts of each stream.
const PARTS: usize = 4;

/// Origins of each stream at least, if there are several streams.
const LEAST_ORIGINS: usize = 64;

/// Origins of each stream at most; longer validation parts are covered in part, evenly.
const MOST_ORIGINS: usize = 512;

impl Trainer<'_> {
    /// Errors of the present weights over forecasts that lie wholly in one of the pieces, in consecutive parts of streams that
    /// each have a warm-up.
    ///
    /// # Errors
    /// candle's and the preprocessor's.
    pub fn validate(&self, pieces: &Pieces) -> Result<ValidationErrors, TrainError> {
        self.errors(pieces, MOST_ORIGINS)
    }

    /// As [`Trainer::validate`], over every origin but for a remainder of a few at the end of each piece.
    ///
    /// # Errors
    /// candle's and the preprocessor's.
    pub fn measure(&self, pieces: &Pieces) -> Result<ValidationErrors, TrainError> {
        self.errors(pieces, usize::MAX)
    }

    fn errors(&self, pieces: &Pieces, most: usize) -> Result<ValidationErrors, TrainError> {
        let h = self.feed.config().horizon;
        let spacing = (pieces.origin_count(h) / STREAMS).max(LEAST_ORIGINS);
        let mut parts = Vec::new();
        for origins in pieces.origins(h) {
            // A forecast is made after the row before its origin.
            let (first, streams) = (origins.start - 1, (origins.len() / spacing).max(1));
            let each = origins.len() / streams;
            let starts: Vec<usize> = (0..streams).map(|i| first + i * each).collect();
            let of_piece: Vec<Vec<Vec<BlendSums>>> = std::thread::scope(|scope| {
                let spawn = |starts| scope.spawn(move || self.validate_streams(starts, each.min(most)));
                let threads: Vec<_> = starts.chunks(streams.div_ceil(SHARDS)).map(spawn).collect();
                threads.into_iter().map(join).collect::<Result<_, _>>()
            })?;
            parts.extend(of_piece.concat());
        }
        Ok(ValidationErrors {
            parts,
            spacing: (spacing / PARTS).max(1),
        })
    }

    /// Sums per part of each start and step, over `share` origins from each start on.
    fn validate_streams(&self, starts: &[usize], share: usize) -> Result<Vec<Vec<BlendSums>>, TrainError> {
        let config = self.feed.config();
        let (f, h) = (config.targets(), config.horizon);
        let mut state = self.learner.zero_state(starts.len(), &self.device)?;
        let parts = PARTS.min(share).max(1);
        let mut sums = vec![vec![BlendSums::default(); h]; starts.len() * parts];
        let warm = WARM_UP.min(starts[0] - self.feed.run_start(starts[0]));
        let mut cursors: Vec<Cursor> = starts
            .iter()
            .map(|start| self.feed.cursor(start - warm))
            .collect::<Result<_, _>>()?;
        let mut done = 0;
        while done < warm + share {
            // A chunk ends with the warm-up, so that each chunk counts completely or not at all.
            let left = if done < warm { warm - done } else { warm + share - done };
            let tokens = TOKENS.min(left);
            let mut chunk = Chunk::default();
            for cursor in &mut cursors {
                self.feed.read(cursor, tokens, &mut chunk)?;
            }
            let shape = (starts.len(), tokens, config.variates, config.patch_len());
            let patches = Tensor::from_slice(&chunk.patches, shape, &self.device)?;
            let (forecast, next) = self.learner.forward(&patches, &state)?;
            state = next;
            if done >= warm {
                let forecast = forecast.flatten_all()?.to_vec1::<f32>()?;
                for (i, w) in chunk.weight.iter().enumerate() {
                    let [forecast, linear, target, w] = [forecast[i], chunk.linear[i], chunk.target[i], *w].map(f64::from);
                    let (n, r) = (forecast - linear, target - linear);
                    let token = i / (f * h);
                    let origin = done - warm + token % tokens;
                    let sum = &mut sums[token / tokens * parts + origin * parts / share][i % h];
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
