//! A case as data: one safetensors file that is a bundle with a few tensors more.
//!
//! The bundle's metadata and tensors stand under their own names. The other tensors, as [`Stream`] and [`Run`] describe
//! them: `case.readings[T,M]`, `case.times[T]` (i64), `case.future[T,K,H+1]` where the model has future covariates,
//! `case.forecasts[T,targets,H]`, and `case.state` where it has a network.

use std::collections::HashMap;
use std::path::PathBuf;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tsm2_bundle::Bundle;

use crate::catalogue::{Recipe, bundle, stream};
use crate::{Run, Stream, reference};

/// A model, a stream, and the expected output.
#[derive(Clone, Debug)]
pub struct Case {
    /// The model; its name is the case's.
    pub bundle: Bundle,
    /// Its input.
    pub stream: Stream,
    /// The output of the reference.
    pub expected: Run,
}

/// A tensor on its way into or out of a file.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Case {
    /// The case of a recipe, computed by the reference.
    #[must_use]
    pub fn make(recipe: &Recipe) -> Self {
        // Another seed for every case, from its name.
        let seed = recipe
            .name
            .bytes()
            .fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let bundle = bundle(recipe.name, &recipe.config, recipe.interval_ms, seed);
        let stream = stream(&bundle, recipe.steps, recipe.interval_ms, recipe.faults, !seed);
        let expected = reference::run(&bundle, &stream);
        Self { bundle, stream, expected }
    }

    /// Path of a case's file.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("cases")
            .join(format!("{name}.safetensors"))
    }

    /// Reads a case's file.
    ///
    /// # Panics
    /// When the file is absent or not a case.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let path = Self::path(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a case's file.
    ///
    /// # Panics
    /// When they are not a case.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (metadata, entries) = read(bytes);
        let (of_case, of_bundle): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.name.starts_with("case."));
        let bundle = Bundle::from_bytes(&write(&of_bundle, metadata)).expect("the case's model is valid");
        let bytes = |name: &str| {
            let found = of_case.iter().find(|entry| entry.name == name);
            found.map(|entry| entry.bytes.as_slice()).unwrap_or_else(|| panic!("no `{name}`"))
        };
        let floats = |name: &str| -> Vec<f32> { bytes(name).as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect() };
        let integers = |name: &str| -> Vec<i64> { bytes(name).as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect() };
        let config = &bundle.meta().config;
        let (has_future, has_network) = (config.future_covariates > 0, config.network.is_some());
        let optional = |present: bool, name: &str| if present { floats(name) } else { Vec::new() };
        Self {
            stream: Stream {
                readings: floats("case.readings"),
                times: integers("case.times"),
                future: optional(has_future, "case.future"),
            },
            expected: Run {
                forecasts: floats("case.forecasts"),
                state: optional(has_network, "case.state"),
            },
            bundle,
        }
    }

    /// The bytes of the case's file.
    ///
    /// # Panics
    /// When the expected run does not fit the model.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let config = &self.bundle.meta().config;
        let (metadata, mut entries) = read(&self.bundle.to_bytes().expect("a bundle serialises"));
        let mut add = |name: &str, dtype, shape: Vec<usize>, bytes: Vec<u8>| {
            let name = format!("case.{name}");
            entries.push(Entry { name, dtype, shape, bytes });
        };
        let floats = |x: &[f32]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let integers = |x: &[i64]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let (stream, run) = (&self.stream, &self.expected);
        let steps = stream.times.len();
        add("readings", Dtype::F32, vec![steps, config.variates], floats(&stream.readings));
        add("times", Dtype::I64, vec![steps], integers(&stream.times));
        if config.future_covariates > 0 {
            let shape = vec![steps, config.future_covariates, config.horizon + 1];
            add("future", Dtype::F32, shape, floats(&stream.future));
        }
        let shape = vec![steps, config.targets(), config.horizon];
        add("forecasts", Dtype::F32, shape, floats(&run.forecasts));
        if let Some(network) = config.network {
            let streams = network.layers * config.variates;
            let shape = vec![network.layers, config.variates, run.state.len() / streams];
            add("state", Dtype::F32, shape, floats(&run.state));
        }
        write(&entries, metadata)
    }
}

fn read(bytes: &[u8]) -> (Option<HashMap<String, String>>, Vec<Entry>) {
    let (_, header) = SafeTensors::read_metadata(bytes).expect("a safetensors file");
    let tensors = SafeTensors::deserialize(bytes).expect("a whole safetensors file");
    let entry = |(name, view): (String, TensorView<'_>)| Entry {
        name,
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    (header.metadata().clone(), tensors.tensors().into_iter().map(entry).collect())
}

fn write(entries: &[Entry], metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let views = entries.iter().map(|e| {
        let view = TensorView::new(e.dtype, e.shape.clone(), &e.bytes).expect("a shape fits its bytes");
        (e.name.as_str(), view)
    });
    safetensors::serialize(views, metadata).expect("a case serialises")
}
