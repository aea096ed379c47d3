//! The model that a training writes: fitted to all rows after it was measured, and as small as asked for.

#[expect(dead_code, reason = "a recording is all that is needed")]
mod common;
#[path = "common/refused.rs"]
mod refused;

use std::path::Path;

use common::{Folder, arg, recording, stdout};
use refused::refused_by;
use tsm2_bundle::Bundle;
use tsm2_core::Precision;

const TSM2: &str = env!("CARGO_BIN_EXE_tsm2");

/// Trains on a recording of 400 rows, with further options.
fn train(folder: &Folder, more: &[&str]) -> String {
    train_on(&folder.file("data.csv", recording(400)), &folder.path("out"), more)
}

fn train_on(data: &Path, out: &Path, more: &[&str]) -> String {
    let train = [
        "train",
        "--data",
        arg(data),
        "--horizon",
        "4",
        "--updates",
        "40",
        "--no-baselines",
        "--out",
        arg(out),
    ];
    stdout(common::run(TSM2, [&train[..], more].concat()))
}

#[test]
fn a_model_that_has_learned_from_the_test_rows_is_not_measured_on_them() {
    let folder = Folder::new();
    train(&folder, &[]);
    let [model, measured] = ["out/model.safetensors", "out/measured.safetensors"].map(|file| folder.path(file));
    let (of_all, of_training) = (Bundle::open(&model).unwrap(), Bundle::open(&measured).unwrap());
    assert!(of_all.meta().provenance.refit && !of_training.meta().provenance.refit);
    assert_ne!(of_all.numbers(), of_training.numbers());
    assert_eq!(of_all.meta().config, of_training.meta().config);
    assert_eq!(of_all.meta().provenance.metrics, of_training.meta().provenance.metrics);
    let data = folder.path("data.csv");
    let evaluate = |model| common::run(TSM2, ["evaluate", "--json", "--model", arg(model), "--data", arg(&data)]);
    let output = evaluate(&model);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("measured.safetensors is measured"), "{notes}");
    assert_eq!(stdout(output), stdout(evaluate(&measured)));
    // Rows that it has not seen.
    let newer = folder.file("newer.csv", recording(600));
    let on_newer = ["evaluate", "--model", arg(&model), "--data", arg(&newer)];
    let asked = common::run(TSM2, [&on_newer[..], &["--split", "300,100,200"]].concat());
    assert!(asked.status.success());
    assert!(!String::from_utf8_lossy(&asked.stderr).contains("measured.safetensors"));
    // The recording has grown, and the split of the training lies in rows that the model may have learned.
    let grown = common::run(TSM2, on_newer);
    let notes = String::from_utf8_lossy(&grown.stderr).into_owned();
    assert!(
        notes.contains("may have learned") && notes.contains("measured.safetensors is measured"),
        "{notes}"
    );
    // A later training in the same folder.
    let earlier = folder.path("out/earlier.safetensors");
    std::fs::copy(&model, &earlier).unwrap();
    train(&folder, &["--seed", "3"]);
    refused_by(
        TSM2,
        &["evaluate", "--model", arg(&earlier), "--data", arg(&data)],
        &["earlier.safetensors has learned", "measured.safetensors: of another model"],
    );
    std::fs::remove_file(&measured).unwrap();
    refused_by(
        TSM2,
        &["evaluate", "--model", arg(&model), "--data", arg(&data)],
        &["model.safetensors has learned from these rows", "measured.safetensors"],
    );
}

#[test]
fn a_model_is_as_small_as_asked_for() {
    let folder = Folder::new();
    let printed = train(&folder, &["--size", "micro"]);
    assert!(printed.contains("KiB of weights"), "{printed}");
    let bundle = Bundle::open(&folder.path("out/model.safetensors")).unwrap();
    assert!(bundle.weight_bytes() <= 64 << 10, "{} bytes", bundle.weight_bytes());
    assert_eq!(bundle.meta().config.precision, Precision::Int8);
    let decisions = &bundle.meta().provenance.decisions;
    assert!(decisions.iter().any(|line| line.starts_with("8-bit integers: validation MSE")));
    // The linear part alone has 5 KiB.
    train(&folder, &["--max-kib", "5"]);
    let small = Bundle::open(&folder.path("out/model.safetensors")).unwrap();
    assert!(small.weight_bytes() <= 5 << 10, "{} bytes", small.weight_bytes());
    assert_eq!(small.meta().config.precision, Precision::Single);
}

#[test]
fn an_earlier_model_and_one_of_the_grown_recording_are_compared_on_rows_that_neither_has_learned() {
    let folder = Folder::new();
    train(&folder, &[]);
    let grown = folder.file("grown.csv", recording(700));
    train_on(&grown, &folder.path("later"), &[]);
    let [a, b] = ["out/model.safetensors", "later/model.safetensors"].map(|file| folder.path(file));
    let output = common::run(TSM2, ["compare", arg(&a), arg(&b), "--data", arg(&grown)]);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("later/measured.safetensors is measured"), "{notes}");
    assert!(!notes.contains("out/measured.safetensors"), "{notes}");
    let printed = stdout(output);
    assert!(printed.contains("on rows 560..700"), "{printed}");
    // Rows that the training has used are not called unused.
    let page = folder.path("page.html");
    let data = folder.path("data.csv");
    let report = [
        "report",
        "--model",
        arg(&a),
        "--data",
        arg(&data),
        "--split",
        "0.1,0.1,0.8",
        "--output",
    ];
    stdout(common::run(TSM2, [&report[..], &[arg(&page)]].concat()));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("may have used") && !page.contains("never used"));
}
