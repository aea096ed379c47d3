//! The complete state of a training as named tensors: a restored training continues to the same bits.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::{Best, Stream, TrainError, Trainer};
use crate::network::parameters::Parameter;
use crate::train::feed::Cursor;
use crate::train::validation_errors::{BlendSums, ValidationErrors};

/// Updates done, first update of the decay phase or -1, its length, number of loss spikes, updates of the best weights, rows between
/// the parts of their errors, and 1 if the training has diverged.
const COUNTS: &str = "trainer.counts";

impl Trainer<'_> {
    /// Everything that the next update depends on, as named tensors.
    ///
    /// # Errors
    /// candle's.
    pub fn save(&self) -> Result<HashMap<String, Tensor>, TrainError> {
        let device = &Device::Cpu;
        let mut saved = self.optimiser.save()?;
        saved.extend(self.average.save(self.optimiser.parameters())?);
        for parameter in self.learner.parameters() {
            saved.insert(format!("now.{}", parameter.name), parameter.var.as_tensor().clone());
        }
        for (shard, state) in self.states.iter().enumerate() {
            let named = |(i, tensor): (usize, &Tensor)| (format!("state.{shard}.{i}"), tensor.clone());
            saved.extend(state.0.iter().enumerate().map(named));
        }
        let (decay_start, decay) = self.decay.map_or((-1, 0), |(from, updates)| (from as i64, updates as i64));
        let (best, spacing) = self
            .best
            .as_ref()
            .map_or((0, 0), |best| (best.update as i64, best.errors.spacing as i64));
        let (loss_spikes, diverged) = (self.loss_spikes as i64, i64::from(self.diverged));
        let counts = [self.update as i64, decay_start, decay, loss_spikes, best, spacing, diverged];
        saved.insert(COUNTS.into(), Tensor::new(&counts, device)?);
        let streams = self
            .streams
            .iter()
            .flat_map(|s| [s.cursor.row as i64, i64::from(s.restarted), s.cursor.hidden as i64]);
        saved.insert("trainer.streams".into(), Tensor::new(streams.collect::<Vec<_>>(), device)?);
        for (i, stream) in self.streams.iter().enumerate() {
            saved.insert(format!("trainer.stream.{i}"), Tensor::new(stream.cursor.state.as_slice(), device)?);
        }
        saved.insert(
            "trainer.losses".into(),
            Tensor::new(&[self.losses.0, self.losses.1 as f64], device)?,
        );
        saved.insert("trainer.balance".into(), Tensor::new(self.balance.as_slice(), device)?);
        let position = self.rng.get_word_pos();
        let position: Vec<i64> = (0..4).map(|i| (position >> (32 * i)) as i64 & 0xFFFF_FFFF).collect();
        saved.insert("trainer.rng".into(), Tensor::new(position, device)?);
        if let Some(Best {
            score, errors, weights, ..
        }) = &self.best
        {
            saved.insert("best.score".into(), Tensor::new(&[*score], device)?);
            let sums: Vec<f64> = errors
                .parts
                .iter()
                .flatten()
                .flat_map(|s| [s.linear, s.cross, s.network, s.count])
                .collect();
            saved.insert(
                "best.errors".into(),
                Tensor::from_vec(sums, (errors.parts.len(), errors.horizon(), 4), device)?,
            );
            for (name, values) in weights {
                saved.insert(format!("best.weights.{name}"), Tensor::new(values.as_slice(), device)?);
            }
        }
        Ok(saved)
    }

    /// Restores the state of [`Trainer::save`]; the next update is the one that would have followed.
    ///
    /// # Errors
    /// Something is absent or has another shape: the file belongs to another training.
    pub fn restore(&mut self, saved: &HashMap<String, Tensor>) -> Result<(), TrainError> {
        let get = |name: &str| saved.get(name).ok_or_else(|| TrainError::Checkpoint { name: name.to_owned() });
        let integers = |name: &str| Ok::<_, TrainError>(get(name)?.to_vec1::<i64>()?);
        let mismatch = |name: &str| TrainError::Checkpoint { name: name.to_owned() };
        let counts = integers(COUNTS)?;
        let &[update, decay_start, decay, loss_spikes, best_update, spacing, diverged] = counts.as_slice() else {
            return Err(mismatch(COUNTS));
        };
        let streams = integers("trainer.streams")?;
        let balance = get("trainer.balance")?.to_vec1::<f64>()?;
        if streams.len() != 3 * self.streams.len() || balance.len() != self.balance.len() {
            return Err(mismatch("trainer.streams"));
        }
        self.optimiser.restore(saved)?;
        self.average.restore(self.optimiser.parameters(), saved)?;
        for parameter in self.learner.parameters() {
            parameter
                .var
                .set(&get(&format!("now.{}", parameter.name))?.to_device(&self.device)?)?;
        }
        for (shard, state) in self.states.iter_mut().enumerate() {
            for (i, tensor) in state.0.iter_mut().enumerate() {
                *tensor = get(&format!("state.{shard}.{i}"))?.to_device(&self.device)?;
            }
        }
        let width = self.streams.first().map_or(0, |stream| stream.cursor.state.len());
        let stream = |(i, numbers): (usize, &[i64])| {
            let name = format!("trainer.stream.{i}");
            let state = get(&name)?.to_vec1::<f32>()?;
            let &[row, restarted, hidden] = numbers else {
                return Err(mismatch(&name));
            };
            if state.len() != width {
                return Err(mismatch(&name));
            }
            Ok(Stream {
                cursor: Cursor {
                    row: row as usize,
                    state,
                    hidden: hidden as usize,
                },
                restarted: restarted == 1,
            })
        };
        self.streams = streams.chunks_exact(3).enumerate().map(stream).collect::<Result<_, _>>()?;
        let losses = get("trainer.losses")?.to_vec1::<f64>()?;
        self.losses = (
            losses.first().copied().unwrap_or(0.0),
            losses.get(1).copied().unwrap_or(0.0) as usize,
        );
        self.balance = balance;
        let position = integers("trainer.rng")?
            .iter()
            .rev()
            .fold(0u128, |sum, part| sum << 32 | *part as u128);
        self.rng.set_word_pos(position);
        (self.update, self.loss_spikes, self.diverged) = (update as usize, loss_spikes as usize, diverged == 1);
        self.decay = usize::try_from(decay_start).ok().map(|from| (from, decay as usize));
        if saved.contains_key("best.score") {
            let sums = |s: &Vec<f64>| match s.as_slice() {
                &[linear, cross, network, count] => Ok(BlendSums {
                    linear,
                    cross,
                    network,
                    count,
                }),
                _ => Err(mismatch("best.errors")),
            };
            let part = |part: &Vec<Vec<f64>>| part.iter().map(sums).collect::<Result<Vec<_>, _>>();
            let parts = get("best.errors")?
                .to_vec3::<f64>()?
                .iter()
                .map(part)
                .collect::<Result<Vec<_>, _>>()?;
            if parts.iter().any(|part| part.len() != self.feed.config().horizon) {
                return Err(mismatch("best.errors"));
            }
            let errors = ValidationErrors {
                parts,
                spacing: spacing as usize,
            };
            let weight = |p: &Parameter| Ok((p.name.clone(), get(&format!("best.weights.{}", p.name))?.to_vec1()?));
            let weights = self.learner.parameters().iter().map(weight).collect::<Result<_, TrainError>>()?;
            let score = get("best.score")?.to_vec1::<f64>()?.first().copied().unwrap_or(f64::INFINITY);
            self.best = Some(Best {
                score,
                update: best_update as usize,
                errors,
                weights,
            });
        }
        Ok(())
    }
}
