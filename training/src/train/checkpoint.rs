//! Checkpoints of a training: how far it is, and the state of every network in training.
//!
//! A resumed training goes through the same steps again. What a checkpoint says is done is not done again, so the result is the
//! same as without the interruption, wherever that was.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tsm2_bundle::Provenance;

use crate::data::table::Table;
use crate::train::options::TrainOptions;

/// The file that says how far the training is.
const PROGRESS: &str = "progress.json";

/// The checkpoints of one training.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    progress: Progress,
}

/// How far a training is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The training that the checkpoints belong to.
    identity: String,
    /// Time used, in seconds.
    used_s: f64,
    /// By network.
    plans: BTreeMap<String, Plan>,
}

/// The length of a network's trials, once it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Updates of each candidate in the trials.
    pub trial: usize,
    /// Updates between validations after them.
    pub every: usize,
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
    /// The file that says how far the training is cannot be understood.
    #[error("{}: {source}; train without --resume", path.display())]
    Progress {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
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
    /// The checkpoints in folder `out` for this data, as it was read, and these options: those that are there where the training
    /// is resumed, none otherwise.
    ///
    /// # Errors
    /// The folder cannot be made or emptied; there is nothing to resume, or another training.
    pub fn open(out: &Path, provenance: &Provenance, table: &Table, options: &TrainOptions) -> Result<Self, CheckpointError> {
        let folder = out.join("checkpoints");
        let identity = json!({
            "code": provenance.code_version,
            "data_sha256": provenance.data_sha256,
            "read_sha256": digest(table),
            "split": provenance.split,
            "held_out": provenance.held_out,
            "variates": table.names,
            "past_covariates": table.past_covariates,
            "future_covariates": table.future_covariates,
            "calendar": options.calendar,
            "time_zone": table.zone.name(),
            "horizon": options.horizon,
            "size": format!("{:?}", options.size),
            "seed": options.seed,
            "budget": format!("{:?}", options.budget),
            "baselines": options.baselines,
            "from": options.from.as_ref().map(|bundle| &bundle.meta().provenance),
            "statics_sha256": options.statics.as_ref().map(|statics| &statics.sha256),
            "missing_rate": options.missing_rate,
        })
        .to_string();
        let path = folder.join(PROGRESS);
        if options.resume {
            if !path.exists() {
                return Err(CheckpointError::None { path });
            }
            let text = fs::read(&path).map_err(io(&path))?;
            let progress: Progress = serde_json::from_slice(&text).map_err(|source| CheckpointError::Progress {
                path: path.clone(),
                source,
            })?;
            if progress.identity != identity {
                return Err(CheckpointError::Other {
                    path,
                    found: progress.identity,
                    wanted: identity,
                });
            }
            return Ok(Self { folder, progress });
        }
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(&folder)(source)),
            _ => fs::create_dir_all(&folder).map_err(io(&folder))?,
        }
        let progress = Progress {
            identity,
            ..Progress::default()
        };
        Ok(Self { folder, progress })
    }

    /// The time used before the interruption.
    #[must_use]
    pub fn used(&self) -> Duration {
        Duration::try_from_secs_f64(self.progress.used_s).unwrap_or_default()
    }

    /// The plan of a network, if it is made.
    #[must_use]
    pub fn plan(&self, network: &str) -> Option<Plan> {
        self.progress.plans.get(network).copied()
    }

    /// Keeps the plan of a network.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_plan(&mut self, network: &str, plan: Plan, used: Duration) -> Result<(), CheckpointError> {
        self.progress.plans.insert(network.to_owned(), plan);
        self.write_progress(used)
    }

    fn write_progress(&mut self, used: Duration) -> Result<(), CheckpointError> {
        self.progress.used_s = used.as_secs_f64();
        let path = self.folder.join(PROGRESS);
        let text = serde_json::to_vec(&self.progress).map_err(|source| CheckpointError::Progress {
            path: path.clone(),
            source,
        })?;
        let part = path.with_extension("part");
        let write = || fs::File::create(&part).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        write().and_then(|()| fs::rename(&part, &path)).map_err(io(&path))
    }

    /// Replaces the state of a network in training, completely or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self, name: &str, tensors: &HashMap<String, Tensor>, used: Duration) -> Result<(), CheckpointError> {
        let path = self.path(name);
        let part = path.with_extension("part");
        let write = || {
            candle_core::safetensors::save(tensors, &part)?;
            // Otherwise a power cut after the rename can leave an empty file.
            fs::File::open(&part)
                .and_then(|file| file.sync_all())
                .map_err(candle_core::Error::wrap)
        };
        write().map_err(|source| CheckpointError::File {
            path: path.clone(),
            source,
        })?;
        fs::rename(&part, &path).map_err(io(&path))?;
        self.write_progress(used)
    }

    /// The state of a network in training, if it was saved.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(&self, name: &str) -> Result<Option<HashMap<String, Tensor>>, CheckpointError> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(None);
        }
        let loaded = candle_core::safetensors::load(&path, &Device::Cpu);
        loaded.map(Some).map_err(|source| CheckpointError::File { path, source })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.safetensors"))
    }
}

/// SHA-256 of the time steps: options of the reader make others of the same file.
fn digest(table: &Table) -> String {
    let mut hash = Sha256::new();
    for values in table.values.chunks(1 << 12) {
        hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    for times in table.times_ms.iter().flat_map(|times| times.chunks(1 << 12)) {
        hash.update(times.iter().flat_map(|time| time.to_le_bytes()).collect::<Vec<u8>>());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { path, source }
}
