//! The bundle format holds: every committed version is read for ever, the specification's test vector is true, and the
//! specification's reader in Python agrees with the device's step.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tsm2_bundle::Bundle;
use tsm2_conformance::case::Case;
use tsm2_conformance::catalogue::{Faults, recipes, stream};
use tsm2_conformance::engines::STEP;
use tsm2_conformance::tolerance::{Distance, Tolerance};
use tsm2_conformance::{Run, Stream};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn numbers(list: &Value) -> Vec<f32> {
    let number = |value: &Value| value.as_f64().map_or(f32::NAN, |x| x as f32);
    list.as_array().expect("a list").iter().map(number).collect()
}

/// Time steps and forecasts out of the list of steps that the specification describes.
fn steps(bundle: &Bundle, list: &Value) -> (Stream, Run) {
    let (mut stream, mut run) = (Stream::default(), Run::default());
    for step in list.as_array().expect("a list of steps") {
        stream.times.push(step["time"].as_i64().expect("a time"));
        stream.readings.extend(numbers(&step["readings"]));
        for values in step["future"].as_array().expect("a list") {
            let unset = || vec![f32::NAN; bundle.meta().config.horizon + 1];
            stream.future.extend(if values.is_null() { unset() } else { numbers(values) });
        }
        run.forecasts.extend(numbers(&step["forecast"]));
    }
    (stream, run)
}

fn check(bundle: &Bundle, list: &Value) {
    let (stream, expected) = steps(bundle, list);
    let got = (STEP.run)(bundle, &stream);
    let distance = Distance::new(bundle, &got, &expected).forecasts;
    assert!(distance <= Tolerance::Close.limit(), "{}: {distance:e}", bundle.meta().name);
}

#[test]
fn every_committed_version_of_the_format_is_read_and_gives_its_forecasts() {
    let folder = repository().join("tests/golden/bundle");
    let mut read = 0;
    for entry in std::fs::read_dir(&folder).expect("the golden files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            let bundle = Bundle::open(&path).unwrap_or_else(|error| panic!("{error}"));
            let expected = std::fs::read_to_string(path.with_extension("json")).expect("the expected forecasts");
            check(&bundle, &serde_json::from_str(&expected).expect("JSON"));
            read += 1;
        }
    }
    assert!(read >= 3, "{read} golden files");
}

#[test]
fn the_test_vector_of_the_specification_is_true() {
    let text = std::fs::read_to_string(repository().join("docs/reference/bundle.md")).expect("the specification");
    let vector = text.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let vector: Value = serde_json::from_str(vector.expect("a JSON block")).expect("JSON");
    let tensor = |(name, tensor): (&String, &Value)| {
        let numbers = numbers(&tensor["numbers"]);
        let integers = || numbers.iter().flat_map(|&x| (x as i32).to_le_bytes()).collect::<Vec<u8>>();
        let (dtype, bytes) = match name.ends_with("blocks") {
            true => (Dtype::I32, integers()),
            false => (Dtype::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect()),
        };
        let shape = serde_json::from_value::<Vec<usize>>(tensor["shape"].clone()).expect("a shape");
        (name.clone(), dtype, shape, bytes)
    };
    let tensors: Vec<_> = vector["tensors"].as_object().expect("tensors").iter().map(tensor).collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).expect("consistent")));
    let metadata = HashMap::from([("tsm2".to_owned(), vector["metadata"].to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).expect("serialises");
    check(&Bundle::from_bytes(&bytes).expect("a valid bundle"), &vector["steps"]);
}

/// SHA-256 of the bits of the shipped models' forecasts. The numbers of a model do not change with the code; only a newly
/// trained model has another line here.
const SHIPPED: [(&str, &str); 2] = [
    ("building", "fc1d9997754525f57fe9ee2ec977e4ff162fc9d49e61599d3fe3c1b630659233"),
    ("etth1", "3a25ae292f07a3ee356284f9ea0876de4acdac2b7d27b3d01f036e7b5cafd5b0"),
];

#[test]
fn the_shipped_models_give_the_same_forecasts_to_the_bit() {
    for (name, expected) in SHIPPED {
        let bundle = shipped(name).1;
        let interval = bundle
            .meta()
            .interval_ms
            .and_then(|ms| i64::try_from(ms).ok())
            .expect("an interval");
        let stream = stream(&bundle, 200, interval, Faults::Missing, 77);
        let run = (STEP.run)(&bundle, &stream);
        let bits: Vec<u8> = run.forecasts.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
        let digest: String = Sha256::digest(bits).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected, "{name}");
    }
}

fn shipped(name: &str) -> (PathBuf, Bundle) {
    let path = repository().join(format!("models/{name}/model.safetensors"));
    let bundle = Bundle::open(&path).unwrap_or_else(|error| panic!("{error}"));
    (path, bundle)
}

/// The forecasts of the reader in Python; none where Python or numpy is missing.
fn by_the_reader(model: &Path, bundle: &Bundle, stream: &Stream) -> Option<Run> {
    let list = |x: &[f32]| -> Value { x.iter().map(|&x| if x.is_finite() { json!(x) } else { Value::Null }).collect() };
    let config = &bundle.meta().config;
    let step = |(t, step): (usize, tsm2_conformance::TimeStep<'_>)| {
        let set: HashMap<usize, &[f32]> = step.future().collect();
        let first = config.variates - config.future_covariates;
        let future = (first..config.variates).map(|m| set.get(&m).map_or(Value::Null, |values| list(values)));
        json!({"time": stream.times[t], "readings": list(step.readings), "future": future.collect::<Vec<_>>()})
    };
    let steps: Vec<Value> = stream.steps(bundle).enumerate().map(step).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("steps.json");
    std::fs::write(&path, Value::from(steps).to_string()).expect("writes");
    let python = std::env::var_os("TSM2_PYTHON").unwrap_or_else(|| "python3".into());
    let has_numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("TSM2_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "python3 with numpy is required; TSM2_PYTHON names another interpreter");
        println!("skipped: python3 with numpy is not installed");
        return None;
    }
    let reader = repository().join("docs/reference/bundle_reader.py");
    let output = Command::new(&python).args([&reader, model, &path]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let forecasts = lines.lines().flat_map(|line| {
        let targets: Value = serde_json::from_str(line).expect("a forecast");
        targets.as_array().expect("targets").iter().flat_map(numbers).collect::<Vec<_>>()
    });
    Some(Run {
        forecasts: forecasts.collect(),
        state: Vec::new(),
    })
}

#[test]
fn the_reader_of_the_specification_gives_the_forecasts_of_every_case() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for recipe in recipes() {
        let case = Case::open(recipe.name);
        let model = folder.path().join("model.safetensors");
        case.bundle.write(&model).expect("writes");
        let Some(got) = by_the_reader(&model, &case.bundle, &case.stream) else {
            return;
        };
        let distance = Distance::new(&case.bundle, &got, &case.expected).forecasts;
        println!("{}: {distance:.1e}", recipe.name);
        assert!(distance <= Tolerance::Rounding.limit(), "{}: {distance:e}", recipe.name);
    }
}

#[test]
fn the_reader_of_the_specification_reads_the_shipped_models() {
    for name in ["building", "etth1"] {
        let (model, bundle) = shipped(name);
        let interval = bundle
            .meta()
            .interval_ms
            .and_then(|ms| i64::try_from(ms).ok())
            .expect("an interval");
        let stream = stream(&bundle, 60, interval, Faults::Missing, 4);
        let Some(got) = by_the_reader(&model, &bundle, &stream) else {
            return;
        };
        let distance = Distance::new(&bundle, &got, &(STEP.run)(&bundle, &stream)).forecasts;
        println!("{name}: {distance:.1e}");
        assert!(distance <= Tolerance::Long.limit(), "{name}: {distance:e}");
    }
}
