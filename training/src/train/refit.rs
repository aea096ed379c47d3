//! The network of the model that is written: trained further on all rows, after every choice was made.
//!
//! The linear head is fitted anew to all rows. The network starts from the weights that did best on validation, and learns on at a falling
//! rate: the newest rows are part of it, and nothing that was measured depends on them.

use std::collections::BTreeMap;

use super::candidate::Candidate;
use super::feed::Feed;
use super::fit::Setting;
use super::trainer::{Best, TrainError, Trainer, TrainerOptions};
use crate::data::runs::Pieces;

/// Updates on all rows: one for so many that led to the best weights.
pub const SHARE: usize = 10;

/// The largest learning rate, as a share of the training's.
const RATE: f64 = 0.2;

impl Setting<'_> {
    /// The best weights after `updates` more on these rows; `None` where the training was stopped or diverged.
    ///
    /// # Errors
    /// Those of candle and of the preprocessor.
    pub fn refit(
        &self,
        candidate: &Candidate,
        best: &Best,
        feed: &Feed<'_>,
        rows: &Pieces,
        updates: usize,
        report: &mut dyn FnMut(usize),
    ) -> Result<Option<BTreeMap<String, Vec<f32>>>, TrainError> {
        let options = TrainerOptions {
            learning_rate: RATE * candidate.learning_rate,
            ..self.options
        };
        let initial = |rng: &mut _| candidate.initial(self.statics, rng, self.device);
        let mut trainer = Trainer::new(initial, options, feed, rows, self.device)?;
        trainer.set_weights(&best.weights)?;
        trainer.begin_decay(updates);
        trainer.advance(updates, self.stop, report)?;
        match trainer.diverged().is_some() || self.stop.is_set() {
            true => Ok(None),
            false => trainer.averaged_weights().map(Some),
        }
    }
}
