//! A case as data: one safetensors file that is a bundle with a few tensors more.
//!
//! The bundle's metadata and tensors stand under their own names; beside them `case.readings[T,M]`, `case.times[T]` (i64), where variates are
//! known ahead `case.ahead[T,K,H+1]`,
//! `case.issued[F]` (i64), `case.forecasts[F,M-X,H]` and `case.state[phases,layers,M,(K-1)E+NE]`, as [`Stream`] and [`Run`] describe them.

use std::collections::HashMap;
use std::path::PathBuf;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tsm2_bundle::Bundle;

use crate::catalogue::{Recipe, bundle, stream};
use crate::{Run, Stream, reference};

/// A model, a stream, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The model; its name is the case's.
    pub bundle: Bundle,
    /// The rows it is fed.
    pub stream: Stream,
    /// What every engine must give within its tolerance.
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
        let stream = stream(&bundle, recipe.rows, recipe.interval_ms, recipe.faults, !seed);
        let expected = reference::run(&bundle, &stream);
        Self { bundle, stream, expected }
    }

    /// Where the file of a case lies.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("cases")
            .join(format!("{name}.safetensors"))
    }

    /// Reads a case's file.
    ///
    /// # Panics
    /// When the file is absent or is no case.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let path = Self::path(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a case's file.
    ///
    /// # Panics
    /// When they are no case.
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
        let row = |t: i64| usize::try_from(t).expect("a row's number is not negative");
        Self {
            stream: Stream {
                readings: floats("case.readings"),
                times: integers("case.times"),
                ahead: match bundle.meta().config.known_ahead {
                    0 => Vec::new(),
                    _ => floats("case.ahead"),
                },
            },
            expected: Run {
                issued: integers("case.issued").into_iter().map(row).collect(),
                forecasts: floats("case.forecasts"),
                state: Some(floats("case.state")),
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
        let (rows, issued) = (stream.times.len(), run.issued.len());
        let issued_rows: Vec<i64> = run.issued.iter().map(|&t| t as i64).collect();
        let state = run.state.as_deref().expect("the reference shows its state");
        let streams = [config.phases, config.layers, config.variates];
        let state_shape = [streams.as_slice(), &[state.len() / streams.iter().product::<usize>()]].concat();
        add("readings", Dtype::F32, vec![rows, config.variates], floats(&stream.readings));
        add("times", Dtype::I64, vec![rows], integers(&stream.times));
        if config.known_ahead > 0 {
            add(
                "ahead",
                Dtype::F32,
                vec![rows, config.known_ahead, config.horizon + 1],
                floats(&stream.ahead),
            );
        }
        add("issued", Dtype::I64, vec![issued], integers(&issued_rows));
        add(
            "forecasts",
            Dtype::F32,
            vec![issued, config.endogenous(), config.horizon],
            floats(&run.forecasts),
        );
        add("state", Dtype::F32, state_shape, floats(state));
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
