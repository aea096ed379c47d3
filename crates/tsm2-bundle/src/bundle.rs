//! A model in memory: metadata, scaler and weights, valid by construction; reading and writing its file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tsm2_core::{Config, Model, Precision, Scaler, Storage, quantize, stored_layout};

use crate::blocks::{self, Matrices};
use crate::{BundleError, CalendarZone, FORMAT_VERSION, METADATA_KEY, Metadata};

/// A valid model with its metadata.
#[derive(Clone, Debug)]
pub struct Bundle {
    meta: Metadata,
    zone: CalendarZone,
    mean: Vec<f32>,
    std: Vec<f32>,
    /// Every tensor in single precision, one after the other; in place of a tensor of integers the scales of its rows.
    weights: Vec<f32>,
    /// Every tensor of integers, one after the other.
    integers: Vec<i8>,
    /// SHA-256 of the file's bytes.
    digest: [u8; 32],
}

impl Bundle {
    /// A bundle of `weights` in single precision, in the order of [`tsm2_core::layout`].
    ///
    /// # Errors
    /// Any fault of the metadata or the weights, by name.
    pub fn new(meta: Metadata, weights: Vec<f32>) -> Result<Self, BundleError> {
        Self::with_digest(meta, weights, Vec::new())
    }

    /// The same model with its large matrices as 8-bit integers, each row with a scale.
    ///
    /// # Errors
    /// Only those of [`Bundle::new`], for metadata that was valid.
    pub fn to_int8(&self) -> Result<Self, BundleError> {
        let mut meta = self.meta.clone();
        meta.format_version = FORMAT_VERSION;
        meta.config.precision = Precision::Int8;
        let numbers = self.numbers();
        let (mut rest, mut weights, mut integers) = (numbers.as_slice(), Vec::new(), Vec::new());
        stored_layout(&meta.config, |_, shape, storage| {
            let (tensor, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            match storage {
                Storage::Single => weights.extend_from_slice(tensor),
                Storage::Int8 => {
                    for row in tensor.chunks_exact(shape[shape.len() - 1]) {
                        let start = integers.len();
                        integers.resize(start + row.len(), 0);
                        weights.push(quantize(row, &mut integers[start..]));
                    }
                }
            }
        })?;
        Self::with_digest(meta, weights, integers)
    }

    /// The same model with all weights in single precision.
    ///
    /// # Errors
    /// As [`Bundle::to_int8`].
    pub fn to_single(&self) -> Result<Self, BundleError> {
        let mut meta = self.meta.clone();
        meta.config.precision = Precision::Single;
        Self::new(meta, self.numbers())
    }

    fn with_digest(meta: Metadata, weights: Vec<f32>, integers: Vec<i8>) -> Result<Self, BundleError> {
        let mut bundle = Self::checked(meta, weights, integers)?;
        bundle.digest = Sha256::digest(bundle.to_bytes()?).into();
        Ok(bundle)
    }

    /// A valid bundle without its digest.
    fn checked(meta: Metadata, weights: Vec<f32>, integers: Vec<i8>) -> Result<Self, BundleError> {
        if !(1..=FORMAT_VERSION).contains(&meta.format_version) {
            return Err(BundleError::Version {
                found: meta.format_version,
                known: FORMAT_VERSION,
            });
        }
        meta.config.validate()?;
        let names: HashSet<&str> = meta.variates.iter().map(|v| v.name.as_str()).collect();
        if meta.variates.len() != meta.config.variates {
            return Err(BundleError::Variates(format!(
                "{} are listed where the configuration has {}",
                meta.variates.len(),
                meta.config.variates
            )));
        }
        if names.len() != meta.variates.len() || names.contains("") {
            return Err(BundleError::Variates("names must be unique and not empty".into()));
        }
        if meta.interval_ms == Some(0) {
            return Err(BundleError::Interval);
        }
        let zone = match &meta.time_zone {
            None => CalendarZone::default(),
            Some(name) => CalendarZone::named(name).ok_or_else(|| BundleError::TimeZone { name: name.clone() })?,
        };
        let bundle = Self {
            mean: meta.variates.iter().map(|v| v.mean).collect(),
            std: meta.variates.iter().map(|v| v.std).collect(),
            meta,
            zone,
            weights,
            integers,
            digest: [0; 32],
        };
        bundle.try_model()?;
        bundle.check_finite()?;
        Ok(bundle)
    }

    /// The identity of the model: SHA-256 of the bytes of its file.
    ///
    /// For a bundle that was read it is the digest of those very bytes; for a bundle made in memory, of the bytes that
    /// [`Bundle::to_bytes`] gives.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Bytes of state that the model needs per stream.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.model().state_len() * size_of::<f32>()
    }

    /// Bytes of working memory that a step needs; threads need one each, streams none.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        self.model().scratch_len() * size_of::<f32>()
    }

    /// The metadata.
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        &self.meta
    }

    /// The time zone of the model's calendar: [`Model::step`] takes [`CalendarZone::local_ms`] of the Unix time.
    #[must_use]
    pub fn zone(&self) -> &CalendarZone {
        &self.zone
    }

    /// What [`tsm2_core::Model::with_int8`] takes in single precision: of a model without integers every tensor of the
    /// layout, one after the other.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// What [`tsm2_core::Model::with_int8`] takes as integers; empty in a model without.
    #[must_use]
    pub fn integers(&self) -> &[i8] {
        &self.integers
    }

    /// Bytes of all weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + self.integers.len()
    }

    /// Every tensor of the layout as numbers, one after the other; integers times their scales.
    #[must_use]
    pub fn numbers(&self) -> Vec<f32> {
        let mut numbers = Vec::new();
        self.tensors(|_, _, tensor| numbers.extend(tensor));
        numbers
    }

    /// Calls `visit` with name, shape and numbers of every tensor.
    fn tensors(&self, mut visit: impl FnMut(String, &[usize], Vec<f32>)) {
        let (mut singles, mut integers) = (self.weights.as_slice(), self.integers.as_slice());
        let each = stored_layout(&self.meta.config, |name, shape, storage| {
            let (count, columns) = (shape.iter().product::<usize>(), shape[shape.len() - 1]);
            let taken = if storage == Storage::Int8 { count / columns } else { count };
            let (single, tail) = singles.split_at(taken);
            singles = tail;
            let tensor = match storage {
                Storage::Single => single.to_vec(),
                Storage::Int8 => {
                    let (head, tail) = integers.split_at(count);
                    integers = tail;
                    let rows = head.chunks_exact(columns).zip(single);
                    rows.flat_map(|(row, scale)| row.iter().map(move |&w| scale * f32::from(w)))
                        .collect()
                }
            };
            visit(name.to_string(), shape, tensor);
        });
        debug_assert!(each.is_ok(), "the configuration was checked when the bundle was made");
    }

    /// The model, ready to step. Cheap: nothing is copied.
    #[must_use]
    pub fn model(&self) -> Model<'_> {
        self.try_model().expect("checked when the bundle was made")
    }

    fn try_model(&self) -> Result<Model<'_>, tsm2_core::Error> {
        let scaler = Scaler {
            mean: &self.mean,
            std: &self.std,
        };
        Model::with_int8(&self.meta.config, scaler, &self.weights, &self.integers)
    }

    fn check_finite(&self) -> Result<(), BundleError> {
        let mut fault = None;
        self.tensors(|name, _, tensor| {
            if fault.is_none() && tensor.iter().any(|w| !w.is_finite()) {
                fault = Some(name);
            }
        });
        fault.map_or(Ok(()), |name| Err(BundleError::NotFinite { name }))
    }

    /// Reads and checks a bundle's file.
    ///
    /// # Errors
    /// [`BundleError::File`] with the path and what is wrong.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let read = || Self::from_bytes(&fs::read(path)?);
        read().map_err(|source| BundleError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads and checks the bytes of a bundle's file.
    ///
    /// # Errors
    /// Whatever is wrong, by name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        /// Read before anything else: another version has other keys.
        #[derive(Deserialize)]
        struct Version {
            format_version: Option<u32>,
        }
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(METADATA_KEY))
            .ok_or(BundleError::NoMetadata { key: METADATA_KEY })?;
        let Version { format_version } = serde_json::from_str(json)?;
        let found = format_version.ok_or(BundleError::NoVersion)?;
        if !(1..=FORMAT_VERSION).contains(&found) {
            return Err(BundleError::Version {
                found,
                known: FORMAT_VERSION,
            });
        }
        let meta: Metadata = serde_json::from_str(json)?;
        let layout = tensors_of(&meta.config)?;
        let (mut weights, mut integers) = (Vec::new(), Vec::new());
        let mut known: HashSet<String> = HashSet::new();
        for (name, shape, storage) in &layout {
            if *storage == Storage::Int8 {
                let scale = scale_of(name);
                let data = data(&tensors, name, Dtype::I8, Some(shape))?;
                integers.extend(data.iter().map(|&byte| i8::from_le_bytes([byte])));
                weights.extend(values(
                    &tensors,
                    &scale,
                    Dtype::F32,
                    Some(&shape[..shape.len() - 1]),
                    f32::from_le_bytes,
                )?);
                known.insert(scale);
            } else if name == blocks::WEIGHT {
                let list = values(&tensors, blocks::BLOCKS, Dtype::I32, None, i32::from_le_bytes)?;
                let stored = values(&tensors, name, Dtype::F32, None, f32::from_le_bytes)?;
                weights.extend(matrices(&meta.config).scatter(&list, &stored)?);
                known.insert(blocks::BLOCKS.to_owned());
            } else {
                weights.extend(values(&tensors, name, Dtype::F32, Some(shape), f32::from_le_bytes)?);
            }
            known.insert(name.clone());
        }
        if let Some(name) = tensors.names().into_iter().find(|&name| !known.contains(name)) {
            return Err(BundleError::UnknownTensor { name: name.to_owned() });
        }
        let mut bundle = Self::checked(meta, weights, integers)?;
        bundle.digest = Sha256::digest(bytes).into();
        Ok(bundle)
    }

    /// The bytes of the bundle's file. The same bundle always gives the same bytes.
    ///
    /// # Errors
    /// Only if serialisation itself fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let (mut rest, mut integers) = (self.weights.as_slice(), self.integers.as_slice());
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, shape, storage) in tensors_of(&self.meta.config)? {
            let count: usize = shape.iter().product();
            let (rows, columns) = shape.split_at(shape.len() - 1);
            let taken = if storage == Storage::Int8 { count / columns[0] } else { count };
            let (numbers, tail) = rest.split_at(taken);
            rest = tail;
            if storage == Storage::Int8 {
                let (head, tail) = integers.split_at(count);
                integers = tail;
                tensors.push((scale_of(&name), Dtype::F32, rows.to_vec(), bytes_of(numbers)));
                tensors.push((name, Dtype::I8, shape, head.iter().flat_map(|w| w.to_le_bytes()).collect()));
            } else if name == blocks::WEIGHT {
                let matrices = matrices(&self.meta.config);
                let list = matrices.blocks(numbers);
                let stored = matrices.gather(&list, numbers);
                let bytes = list.iter().flat_map(|block| block.numbers()).flat_map(i32::to_le_bytes).collect();
                tensors.push((blocks::BLOCKS.to_owned(), Dtype::I32, vec![list.len(), 4], bytes));
                tensors.push((name, Dtype::F32, vec![stored.len()], bytes_of(&stored)));
            } else {
                tensors.push((name, Dtype::F32, shape, bytes_of(numbers)));
            }
        }
        let mut views = Vec::with_capacity(tensors.len());
        for (name, dtype, shape, bytes) in &tensors {
            views.push((name, TensorView::new(*dtype, shape.clone(), bytes)?));
        }
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(&self.meta)?)]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Writes the bundle's file. A reader never meets half a file: a temporary file is written, flushed and renamed.
    ///
    /// # Errors
    /// [`BundleError::File`] with the path and what went wrong.
    pub fn write(&self, path: &Path) -> Result<(), BundleError> {
        let write = || {
            let temporary = path.with_extension("safetensors.part");
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&self.to_bytes()?)?;
            file.sync_all()?;
            Ok(fs::rename(&temporary, path)?)
        };
        write().map_err(|source| BundleError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

/// Name, shape and storage of the model's tensors, in canonical order.
fn tensors_of(config: &Config) -> Result<Vec<(String, Vec<usize>, Storage)>, BundleError> {
    let mut tensors = Vec::new();
    stored_layout(config, |name, shape, storage| {
        tensors.push((name.to_string(), shape.to_vec(), storage))
    })?;
    Ok(tensors)
}

/// Name of the tensor of scales of a tensor of integers.
fn scale_of(name: &str) -> String {
    format!("{name}.scale")
}

/// The whole matrices of the linear head.
fn matrices(config: &Config) -> Matrices {
    Matrices {
        matrices: if config.linear_head.per_variate { config.targets() } else { 1 },
        horizon: config.horizon,
        features: config.linear_head_features(),
    }
}

/// The numbers of a tensor of the file, which has this element type and, where one is given, this shape.
fn values<T>(
    tensors: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    shape: Option<&[usize]>,
    number: fn([u8; 4]) -> T,
) -> Result<Vec<T>, BundleError> {
    let data = data(tensors, name, dtype, shape)?;
    Ok(data.as_chunks::<4>().0.iter().map(|&bytes| number(bytes)).collect())
}

/// The bytes of a tensor of the file, which has this element type and, where one is given, this shape.
fn data<'t>(tensors: &'t SafeTensors<'_>, name: &str, dtype: Dtype, shape: Option<&[usize]>) -> Result<&'t [u8], BundleError> {
    let tensor = tensors
        .tensor(name)
        .map_err(|_| BundleError::MissingTensor { name: name.to_owned() })?;
    if tensor.dtype() != dtype {
        return Err(BundleError::Dtype {
            name: name.to_owned(),
            needed: match dtype {
                Dtype::F32 => "F32",
                Dtype::I8 => "I8",
                _ => "I32",
            },
            dtype: format!("{:?}", tensor.dtype()),
        });
    }
    if let Some(shape) = shape.filter(|&shape| tensor.shape() != shape) {
        return Err(BundleError::Shape {
            name: name.to_owned(),
            expected: shape.to_vec(),
            actual: tensor.shape().to_vec(),
        });
    }
    Ok(tensor.data())
}

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Provenance, Variate};
    use tsm2_core::{LinearHead, NetworkConfig, parameter_count};

    /// Name, element type, shape and bytes of a tensor.
    type Parts = (String, Dtype, Vec<usize>, Vec<u8>);

    fn meta() -> Metadata {
        let config = Config {
            variates: 2,
            horizon: 3,
            network: Some(NetworkConfig {
                patch: 4,
                d_model: 8,
                ..NetworkConfig::default()
            }),
            ..Config::default()
        };
        let variate = |name: &str| Variate {
            name: name.into(),
            unit: Some("°C".into()),
            mean: 20.0,
            std: 2.5,
        };
        let provenance = Provenance {
            metrics: [("validation_mse".to_owned(), 0.25)].into(),
            ..Provenance::default()
        };
        Metadata {
            format_version: FORMAT_VERSION,
            name: "test".into(),
            config,
            variates: vec![variate("a"), variate("b")],
            interval_ms: Some(60_000),
            time_zone: None,
            provenance,
        }
    }

    fn bundle() -> Bundle {
        let count = parameter_count(&meta().config).expect("valid");
        Bundle::new(meta(), (0..count).map(|i| i as f32 * 1e-3).collect()).expect("valid")
    }

    /// The bytes of `bundle()` after a change of its metadata and its tensors.
    fn altered(change: impl FnOnce(&mut serde_json::Value, &mut Vec<Parts>)) -> Vec<u8> {
        let bytes = bundle().to_bytes().expect("serialises");
        let tensors = SafeTensors::deserialize(&bytes).expect("reads");
        let mut list = tensors
            .tensors()
            .into_iter()
            .map(|(n, t)| (n, t.dtype(), t.shape().to_vec(), t.data().to_vec()))
            .collect();
        let mut json = serde_json::to_value(meta()).expect("serialises");
        change(&mut json, &mut list);
        let views: Vec<_> = list
            .iter()
            .map(|(n, d, s, b)| (n, TensorView::new(*d, s.clone(), b).expect("consistent")))
            .collect();
        safetensors::serialize(views, Some(HashMap::from([(METADATA_KEY.to_owned(), json.to_string())]))).expect("serialises")
    }

    fn message(bytes: &[u8]) -> String {
        Bundle::from_bytes(bytes).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_is_written_is_read_back_and_its_bytes_are_stable() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("model.safetensors");
        bundle().write(&path).expect("writes");
        let read = Bundle::open(&path).expect("reads");
        assert_eq!((read.meta(), read.weights()), (bundle().meta(), bundle().weights()));
        assert_eq!(fs::read(&path).expect("reads"), bundle().to_bytes().expect("serialises"));
        assert_eq!(read.digest(), bundle().digest());
        assert_eq!(
            fs::read_dir(folder.path()).expect("lists").count(),
            1,
            "nothing else is left behind"
        );
    }

    #[test]
    fn a_model_of_integers_is_smaller_and_forecasts_nearly_the_same() {
        let mut meta = meta();
        meta.config.linear_head = LinearHead {
            relative: true,
            lags: 9,
            rank: 2,
            per_variate: true,
            ..LinearHead::default()
        };
        let count = parameter_count(&meta.config).expect("valid");
        let weights = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) * 4e-3).collect();
        let single = Bundle::new(meta, weights).expect("valid");
        let int8 = single.to_int8().expect("valid");
        assert!(int8.weight_bytes() < single.weight_bytes() * 2 / 3, "{}", int8.weight_bytes());
        let read = Bundle::from_bytes(&int8.to_bytes().expect("serialises")).expect("reads");
        assert_eq!((read.weights(), read.integers()), (int8.weights(), int8.integers()));
        assert_eq!(read.digest(), int8.digest());
        let largest = |numbers: &[f32]| numbers.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let differences: Vec<f32> = single.numbers().iter().zip(int8.numbers()).map(|(a, b)| a - b).collect();
        assert!(largest(&differences) <= largest(&single.numbers()) / 253.0);
        // What is rounded once stays as it is.
        assert_eq!(int8.to_int8().expect("valid").integers(), int8.integers());
        let forecast = |bundle: &Bundle| {
            let model = bundle.model();
            let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
            let mut forecast = vec![0.0; 6];
            for t in 0..30 {
                let readings = [20.0 + (t % 7) as f32, 19.0 - (t % 5) as f32];
                let mut token = model.step(&mut state, &mut scratch, &readings, 0).expect("a step");
                token.forecast(&mut forecast).expect("a forecast");
            }
            forecast
        };
        for (a, b) in forecast(&single).iter().zip(forecast(&int8)) {
            assert!((a - b).abs() < 0.02 * 2.5, "{a} {b}");
        }
        for (a, b) in forecast(&int8.to_single().expect("valid")).iter().zip(forecast(&int8)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn the_identity_is_that_of_the_file_and_not_of_what_would_be_written() {
        let rewritten = altered(|_, _| {});
        let read = Bundle::from_bytes(&rewritten).expect("valid");
        assert_eq!(read.digest()[..], Sha256::digest(&rewritten)[..]);
        // The test's JSON has other spaces and another order of keys than the crate writes.
        assert_ne!(rewritten, read.to_bytes().expect("serialises"));
    }

    #[test]
    fn absent_keys_mean_their_defaults_and_defaults_are_not_written() {
        let mut json = serde_json::to_value(meta()).expect("serialises");
        for key in ["past_covariates", "future_covariates", "linear_head"] {
            assert!(json["config"].get(key).is_none(), "{json}");
        }
        assert!(json["config"]["network"].get("calendar").is_none(), "{json}");
        json["config"]["past_covariates"] = 1.into();
        json["config"]["linear_head"] = serde_json::json!({"lags": 2, "calendar": true});
        json["config"].as_object_mut().expect("an object").remove("network");
        let meta: Metadata = serde_json::from_value(json.clone()).expect("reads");
        assert_eq!(serde_json::to_value(&meta).expect("serialises"), json);
        let head = LinearHead {
            lags: 2,
            calendar: true,
            ..LinearHead::default()
        };
        assert_eq!((meta.config.network, meta.config.linear_head), (None, head));
    }

    #[test]
    fn targets_come_first_then_past_then_future_covariates() {
        let mut meta = meta();
        meta.variates.push(Variate {
            name: "c".into(),
            ..meta.variates[0].clone()
        });
        meta.config.variates = 3;
        (meta.config.past_covariates, meta.config.future_covariates) = (1, 1);
        let names = |variates: &[Variate]| variates.iter().map(|v| v.name.clone()).collect::<String>();
        assert_eq!(names(meta.targets()), "a");
        assert_eq!(names(meta.covariates()), "bc");
        assert_eq!(names(meta.past_covariates()), "b");
        assert_eq!(names(meta.future_covariates()), "c");
    }

    #[test]
    fn a_model_without_a_network_has_no_tensors_of_one() {
        let mut meta = meta();
        meta.config.network = None;
        meta.config.linear_head.lags = 4;
        let count = parameter_count(&meta.config).expect("valid");
        assert_eq!(count, 3 * 4);
        let bundle = Bundle::new(meta, vec![0.5; count]).expect("valid");
        let bytes = bundle.to_bytes().expect("serialises");
        let tensors = SafeTensors::deserialize(&bytes).expect("reads");
        let mut names = tensors.names();
        names.sort_unstable();
        assert_eq!(names, ["linear_head.blocks", "linear_head.weight"]);
        assert_eq!(Bundle::from_bytes(&bytes).expect("reads").weights(), bundle.weights());
    }

    #[test]
    fn a_small_file_that_demands_gigabytes_is_refused() {
        let demand = |change: fn(&mut Config)| {
            let mut meta = meta();
            (meta.config.network, meta.config.linear_head.lags) = (None, 1);
            change(&mut meta.config);
            let variates = 0..meta.config.variates;
            let variate = meta.variates[0].clone();
            meta.variates = variates
                .map(|i| Variate {
                    name: i.to_string(),
                    ..variate.clone()
                })
                .collect();
            let count = parameter_count(&meta.config).unwrap_or(0);
            assert!(count < 1 << 19, "a small file: {count}");
            Bundle::new(meta, vec![0.0; count]).expect_err("must be refused").to_string()
        };
        let seasons = demand(|config| {
            config.variates = 1000;
            config.linear_head.season = Some(tsm2_core::Season {
                period: 20_000,
                bins: None,
                rate: None,
            });
        });
        assert!(seasons.contains("the state of a stream"), "{seasons}");
        let lags = demand(|config| (config.variates, config.linear_head.lags) = (1000, 60_000));
        assert!(lags.contains("the state of a stream"), "{lags}");
        let forecast = demand(|config| (config.variates, config.horizon) = (1000, 60_000));
        assert!(forecast.contains("a forecast"), "{forecast}");
    }

    #[test]
    fn every_fault_is_refused_by_name() {
        assert!(message(b"not a model").starts_with("not a safetensors file"));
        let bytes = bundle().to_bytes().expect("serialises");
        for end in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(message(&bytes[..end]).starts_with("not a safetensors file, or cut short"), "{end}");
        }
        assert_eq!(
            message(&altered(|json, _| json["format_version"] = 9.into())),
            "format version 9 is not known; this program reads versions 1 to 2"
        );
        let old = message(&altered(|json, _| {
            json.as_object_mut().expect("an object").remove("format_version");
        }));
        assert!(old.starts_with("no `format_version`"), "{old}");
        assert!(message(&altered(|json, _| json["flavour"] = 1.into())).contains("unknown field `flavour`"));
        assert!(message(&altered(|json, _| json["config"]["network"]["d_model"] = "wide".into())).starts_with("metadata: invalid type"));
        assert_eq!(
            message(&altered(|json, _| json["config"]["network"]["layers"] = 99.into())),
            "configuration key `network.layers` must be from 1 to 8"
        );
        assert_eq!(
            message(&altered(|json, _| json["config"]["past_covariates"] = 2.into())),
            "configuration key `past_covariates` must be small enough to leave at least one target of the `variates`"
        );
        assert_eq!(
            message(&altered(|json, _| {
                json["config"]["past_covariates"] = 1.into();
                json["config"]["network"]["head"] = "per_variate".into();
            })),
            "tensor `head.weight` has shape [3, 8] where [1, 3, 8] is needed"
        );
        assert!(message(&altered(|json, _| json["config"]["network"]["stride"] = 1.into())).contains("unknown field `stride`"));
        assert_eq!(
            message(&altered(|json, _| json["variates"][0]["name"] = "b".into())),
            "variates: names must be unique and not empty"
        );
        assert!(message(&altered(|json, _| json["variates"][1]["std"] = 0.into())).contains("scaler of variate 1"));
        assert_eq!(
            message(&altered(|json, _| json["interval_ms"] = 0.into())),
            "interval_ms must be positive"
        );
        assert_eq!(
            message(&altered(|_, t| t.retain(|t| t.0 != "head.bias"))),
            "tensor `head.bias` is missing"
        );
        assert_eq!(
            message(&altered(|_, t| t.push(("extra".into(), Dtype::F32, vec![1], vec![0; 4])))),
            "tensor `extra` is not part of this model"
        );
        let head = |t: &mut Vec<Parts>, f: fn(&mut Parts)| {
            f(t.iter_mut().find(|t| t.0 == "head.weight").expect("there"));
        };
        assert_eq!(
            message(&altered(|_, t| head(t, |h| h.2 = vec![8, 3]))),
            "tensor `head.weight` has shape [8, 3] where [3, 8] is needed"
        );
        assert_eq!(
            message(&altered(|_, t| head(t, |h| h.1 = Dtype::I32))),
            "tensor `head.weight` is I32 where F32 is needed"
        );
        assert_eq!(
            message(&altered(|_, t| head(t, |h| h.3[..4].copy_from_slice(&f32::NAN.to_le_bytes())))),
            "tensor `head.weight` holds a number that is not finite"
        );
        let other = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).expect("serialises");
        assert_eq!(message(&other), "no `tsm2` entry in the file's metadata: this is not a TSM2 model");
        let missing = Bundle::open(Path::new("no/such/model.safetensors"))
            .expect_err("absent")
            .to_string();
        assert!(missing.starts_with("no/such/model.safetensors: "), "{missing}");
    }
}
