//! Checkpoints of a training: the best model so far, and the state after the last validation.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::json;
use tsm2_bundle::Provenance;

use crate::data::table::Table;
use crate::network::Network;
use crate::train::options::TrainOptions;
use crate::train::trainer::{TrainError, Trainer};

/// Entry: the training that a checkpoint belongs to.
const IDENTITY: &str = "training.identity";

/// Entry: the number of the candidate.
const CANDIDATE: &str = "training.candidate";

/// Entry: the decisions so far, a line each.
const DECISIONS: &str = "training.decisions";

/// The checkpoints of one training.
#[derive(Debug)]
pub struct Checkpoints {
    /// The best model so far, a bundle.
    pub best: PathBuf,
    last: PathBuf,
    identity: String,
}

/// The last checkpoint.
#[derive(Debug)]
pub struct Saved {
    /// Number of the candidate that is trained.
    pub candidate: usize,
    /// How that was decided.
    pub decisions: Vec<String>,
    /// The trainer's own part.
    pub tensors: HashMap<String, Tensor>,
}

/// Errors of writing and reading checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The checkpoint.
        path: PathBuf,
        /// What went wrong.
        source: candle_core::Error,
    },
    /// The folder cannot be made, or the file not be put in place.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason given by the operating system.
        source: std::io::Error,
    },
    /// There is no checkpoint.
    #[error("{}: no checkpoint to continue from; train without --resume", path.display())]
    None {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The checkpoint was made with other data or other options.
    #[error("{}: belongs to another training: it was made with {found}, this is {wanted}", path.display())]
    Other {
        /// The checkpoint.
        path: PathBuf,
        /// Its identity.
        found: String,
        /// The identity of this training.
        wanted: String,
    },
}

impl Checkpoints {
    /// The checkpoints in folder `out`, which is made if absent, for this data, split, roles of the variates and options.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(out: &Path, provenance: &Provenance, table: &Table, options: &TrainOptions) -> Result<Self, CheckpointError> {
        let folder = out.join("checkpoints");
        fs::create_dir_all(&folder).map_err(|source| CheckpointError::Io {
            path: folder.clone(),
            source,
        })?;
        let identity = json!({
            "code": provenance.code_version,
            "data_sha256": provenance.data_sha256,
            "split": provenance.split,
            "covariates": table.names[table.targets()..],
            "future_covariates": table.future_covariates,
            "calendar": options.calendar,
            "horizon": options.horizon,
            "seed": options.seed,
            "updates": options.updates,
            "statics_sha256": options.statics.as_ref().map(|statics| &statics.sha256),
            "missing_rate": options.missing_rate,
        });
        Ok(Self {
            best: folder.join("best.safetensors"),
            last: folder.join("last.safetensors"),
            identity: identity.to_string(),
        })
    }

    /// Replaces the last checkpoint, completely or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, trainer: &Trainer<'_, Network>, candidate: usize, decisions: &[String]) -> Result<(), CheckpointError> {
        let neighbour = self.last.with_extension("part");
        let write = || -> Result<(), TrainError> {
            let mut tensors = trainer.save()?;
            tensors.insert(CANDIDATE.into(), Tensor::new(&[candidate as i64], &Device::Cpu)?);
            for (name, text) in [(IDENTITY, &self.identity), (DECISIONS, &decisions.join("\n"))] {
                tensors.insert(name.into(), Tensor::new(text.as_bytes(), &Device::Cpu)?);
            }
            candle_core::safetensors::save(&tensors, &neighbour)?;
            // Otherwise a power cut after the rename can leave an empty file.
            Ok(fs::File::open(&neighbour)
                .and_then(|file| file.sync_all())
                .map_err(candle_core::Error::wrap)?)
        };
        write().map_err(|error| CheckpointError::File {
            path: self.last.clone(),
            source: candle_core::Error::wrap(error),
        })?;
        fs::rename(&neighbour, &self.last).map_err(|source| CheckpointError::Io {
            path: self.last.clone(),
            source,
        })
    }

    /// Reads the last checkpoint.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it belongs to another training.
    pub fn load(&self) -> Result<Saved, CheckpointError> {
        let file = |source| CheckpointError::File {
            path: self.last.clone(),
            source,
        };
        if !self.last.exists() {
            return Err(CheckpointError::None { path: self.last.clone() });
        }
        let tensors = candle_core::safetensors::load(&self.last, &Device::Cpu).map_err(file)?;
        let get = |name: &str| match tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("no entry `{name}`: not a checkpoint of a training"),
        };
        let text = |name| Ok(String::from_utf8_lossy(&get(name)?.to_vec1::<u8>()?).into_owned());
        let found = text(IDENTITY).map_err(file)?;
        if found != self.identity {
            return Err(CheckpointError::Other {
                path: self.last.clone(),
                found,
                wanted: self.identity.clone(),
            });
        }
        let candidate = get(CANDIDATE).and_then(|c| c.get(0)?.to_scalar::<i64>()).map_err(file)? as usize;
        Ok(Saved {
            candidate,
            decisions: text(DECISIONS).map_err(file)?.lines().map(str::to_owned).collect(),
            tensors,
        })
    }
}
