//! ONNX graphs where a model is measured: `tsm2 evaluate`, `report`, `compare` and `forecast`.

#![cfg(feature = "onnx")]

mod common;

use common::{Folder, arg, bundle, recording, stdout};
use serde_json::Value;

/// Runs `tsm2` with these arguments.
fn tsm2<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(tsm2(arguments))).unwrap()
}

fn close(a: &Value, b: &Value) {
    let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
    assert!((a - b).abs() <= 1e-4 * b.abs(), "{a} {b}");
}

#[test]
fn the_report_of_an_exported_graph_has_the_errors_of_its_bundle() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(600)), bundle(&folder));
    let graph = folder.path("graph.onnx");
    stdout(tsm2(["export", arg(&model), "--onnx", arg(&graph)]));
    let report = |model: &str, page: &str| {
        let page = folder.path(page);
        let of = [
            "report",
            "--model",
            model,
            "--data",
            arg(&data),
            "--split",
            "0.5,0.2,0.3",
            "--output",
            arg(&page),
            "--json",
        ];
        (json(&of), std::fs::read_to_string(page).unwrap())
    };
    let (own, _) = report(arg(&model), "own.html");
    let (of_graph, page) = report(arg(&graph), "graph.html");
    for (own, of_graph) in own["evaluation"]["results"]
        .as_array()
        .unwrap()
        .iter()
        .zip(of_graph["evaluation"]["results"].as_array().unwrap())
    {
        assert_eq!(own["horizon"], of_graph["horizon"]);
        close(&of_graph["mse"], &own["mse"]);
    }
    assert_eq!(
        own["evaluation"]["baselines"]["linear"],
        of_graph["evaluation"]["baselines"]["linear"]
    );
    assert_eq!(
        own["coverage_by_step"].as_array().unwrap().len(),
        of_graph["coverage_by_step"].as_array().unwrap().len()
    );
    assert!(
        of_graph["cost"]["state_bytes"].as_u64() > Some(0) && of_graph["cost"]["parameters"].is_null(),
        "{of_graph}"
    );
    for section in [
        "Errors by step",
        "Forecasts and what came",
        "Prediction intervals",
        "Missing readings and gaps",
        "Size and time",
    ] {
        assert!(page.contains(section), "{section}");
    }
    assert!(page.contains("Which rows trained an ONNX graph is not known here"), "{page}");
    for of_a_bundle in ["What each part adds", "The course of the training", "Raspberry"] {
        assert!(!page.contains(of_a_bundle), "{of_a_bundle}");
    }

    let of = [
        "compare",
        arg(&model),
        arg(&graph),
        "--data",
        arg(&data),
        "--split",
        "0.5,0.2,0.3",
        "--json",
    ];
    let compared = json(&of);
    for pair in compared["horizons"].as_array().unwrap() {
        close(&pair["b"]["mse"], &pair["a"]["mse"]);
    }
}

#[test]
fn a_graph_has_no_split_of_its_own() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(300)), bundle(&folder));
    let graph = folder.path("graph.onnx");
    stdout(tsm2(["export", arg(&model), "--onnx", arg(&graph)]));
    let output = tsm2(["evaluate", "--model", arg(&graph), "--data", arg(&data)]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("the split of its training is not known; give --split, such as 0.7,0.1,0.2"),
        "{error}"
    );
    let output = tsm2(["forecast", "--model", arg(&graph), "--data", arg(&data), "--at", "200"]);
    assert!(stdout(output).contains("after 200 rows"));
}
