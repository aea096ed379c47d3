//! A company's file: safetensors with JSON metadata, as a bundle's.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{About, Company, Peer, WINDOW};
use crate::network::learner::Learner;
use crate::train::trainer::TrainError;

/// The file's name, beside the bundle.
pub const FILE: &str = "company.safetensors";

/// The only version that is written and read.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Key of the JSON object in the file's metadata.
const METADATA_KEY: &str = "tsm2_company";

/// Errors of training, reading and writing a company.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompanyError {
    /// A network cannot be trained.
    #[error("the company: {0}")]
    Train(#[from] TrainError),
    /// A fault of the front end.
    #[error("the company: {0}")]
    Model(#[from] tsm2_core::Error),
    /// The file cannot be read or written, or is none.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FileError,
    },
}

/// What can be wrong with a company's file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The bytes are not a whole safetensors file.
    #[error("not a safetensors file, or cut short: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A safetensors file of something else, or of another version.
    #[error("no `{METADATA_KEY}` entry of version {FORMAT_VERSION} in the file's metadata")]
    NoMetadata,
    /// The metadata does not parse.
    #[error("metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    /// The front end's configuration.
    #[error("{0}")]
    Config(#[from] tsm2_core::Error),
    /// Patches that the networks do not take.
    #[error("patches of {0} samples where {WINDOW} are needed")]
    Window(usize),
    /// A tensor that is absent, or not what the configuration needs.
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
}

impl Company {
    /// Writes the file; a reader never sees half of it.
    ///
    /// # Errors
    /// [`CompanyError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CompanyError> {
        let write = || {
            let neighbour = path.with_extension("safetensors.part");
            let mut file = fs::File::create(&neighbour)?;
            file.write_all(&self.to_bytes()?)?;
            file.sync_all()?;
            Ok(fs::rename(&neighbour, path)?)
        };
        write().map_err(|source| at(path, source))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let mut tensors = Vec::new();
        for peer in &self.peers {
            for parameter in peer.parameters() {
                let values = parameter.var.flatten_all()?.to_vec1::<f32>()?;
                let bytes: Vec<u8> = values.iter().flat_map(|w| w.to_le_bytes()).collect();
                tensors.push((
                    format!("{}.{}", peer.kind.name(), parameter.name),
                    parameter.var.dims().to_vec(),
                    bytes,
                ));
            }
        }
        let mut views = Vec::with_capacity(tensors.len());
        for (name, shape, bytes) in &tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?));
        }
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(&self.about)?)]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`CompanyError::File`].
    pub fn open(path: &Path) -> Result<Self, CompanyError> {
        let read = || Self::from_bytes(&fs::read(path)?);
        read().map_err(|source| at(path, source))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        let json: serde_json::Value = serde_json::from_str(entry.ok_or(FileError::NoMetadata)?)?;
        if json["format"] != FORMAT_VERSION {
            return Err(FileError::NoMetadata);
        }
        let about: About = serde_json::from_value(json)?;
        about.front.validate()?;
        if about.front.patch != WINDOW {
            return Err(FileError::Window(about.front.patch));
        }
        let mut peers = Vec::new();
        for &kind in &about.networks {
            let values = |name: &str, shape: &[usize]| {
                let name = format!("{}.{name}", kind.name());
                match tensors.tensor(&name) {
                    Ok(tensor) if tensor.dtype() == Dtype::F32 && tensor.shape() == shape => {
                        let numbers = tensor.data().as_chunks::<4>().0;
                        Ok(numbers.iter().map(|&number| f32::from_le_bytes(number)).collect())
                    }
                    _ => candle_core::bail!("tensor `{name}` is absent or not F32 of shape {shape:?}"),
                }
            };
            peers.push(Peer::new(kind, &about.front, &Device::Cpu, values)?);
        }
        Ok(Self { about, peers })
    }
}

fn at(path: &Path, source: FileError) -> CompanyError {
    CompanyError::File {
        path: path.to_owned(),
        source,
    }
}
