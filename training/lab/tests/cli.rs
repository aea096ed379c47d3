//! What `tsm2-lab` prints for a model and a recording that are in order, and how it refuses what is not.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/refused.rs"]
mod refused;

use common::{Folder, arg, bundle, recording, stdout};
use tsm2_bundle::Bundle;
use tsm2_lab::ablation::Variant;
use tsm2_train::cli::common::scaler;
use tsm2_train::data::split::Split;
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::{Protocol, baseline_errors, model_errors};

/// Runs `tsm2-lab` with these arguments.
fn lab<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2-lab"), arguments)
}

/// Runs a command that must fail with one line of error containing all of `named`.
fn refused(arguments: &[&str], named: &[&str]) {
    refused::refused_by(env!("CARGO_BIN_EXE_tsm2-lab"), arguments, named);
}

#[test]
fn robustness_prints_the_same_lines_as_a_table_as_csv_and_as_json() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let run = |test: &str, more: &[&str]| {
        let arguments = [test, "--model", arg(&model), "--data", arg(&data), "--horizons", "1,6"];
        stdout(lab(arguments.iter().chain(more)))
    };
    let json = |text: String| serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap();
    let (opened, table) = (Bundle::open(&model).unwrap(), Table::read(&data).unwrap());
    let (scaler, split) = (
        scaler(opened.meta()),
        Split {
            train: 600,
            validation: 200,
            test: 200,
        },
    );
    let own = model_errors(
        &(&opened).into(),
        &table,
        &scaler,
        &(800..1000).into(),
        &[1, 6],
        Protocol::Carried,
        &|_| (),
    )
    .unwrap()
    .total;
    let (baselines, _) = baseline_errors(&table, &scaler, &split, &(800..1000).into(), &[1, 6]).unwrap();
    let missing = json(run("missing", &["--json"]));
    for i in 0..2 {
        assert_eq!(missing[i]["missing_percent"], 0);
        assert_eq!(
            (&missing[i]["horizon"], &missing[i]["origins"]),
            (&own[i].horizon.into(), &own[i].origins.into())
        );
        assert_eq!((&missing[i]["mse"], &missing[i]["mae"]), (&own[i].mse.into(), &own[i].mae.into()));
        assert_eq!(missing[i]["naive_mse"], baselines.naive[i].mse);
    }
    assert_eq!(missing[7]["missing_percent"], 30);

    let file = folder.path("lines.csv");
    // A day does not fit in 200 rows of a minute each, an hour does.
    for (test, first, lines) in [
        ("missing", "missing_percent,horizon,mse", 8),
        ("gap", "gap,gap_rows,", 2 * 7),
        ("cold-start", "samples,", 2 * 7),
    ] {
        let printed = run(test, &["--csv", "-"]);
        assert!(printed.starts_with(first), "{printed}");
        assert_eq!(
            (printed.lines().count(), json(run(test, &["--json"])).len()),
            (1 + lines, lines),
            "{printed}"
        );
        assert_eq!(run(test, &["--csv", arg(&file)]), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
        let table = run(test, &[]);
        assert!(
            table.contains("rows 800..1000") && printed.lines().next().unwrap().split(',').all(|name| table.contains(name)),
            "{table}"
        );
    }
    let other = run("missing", &["--csv", "-", "--seed", "1"]);
    assert_ne!(other, run("missing", &["--csv", "-"]));
}

#[test]
fn every_part_is_ablated_and_told() {
    let folder = Folder::new();
    let (data, csv) = (folder.file("data.csv", recording(400)), folder.path("parts.csv"));
    let arguments = [
        "ablate",
        "--data",
        arg(&data),
        "--horizons",
        "1,4",
        "--updates",
        "3",
        "--seeds",
        "0,1",
    ];
    let printed = stdout(lab(arguments.iter().chain(&["--csv", arg(&csv)])));
    let lines = std::fs::read_to_string(&csv).unwrap();
    let parts: Vec<&str> = Variant::ALL
        .iter()
        .map(|v| v.name())
        .filter(|name| *name != "variate-mlp")
        .collect();
    let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["part", "seed", "updates", "parameters", "seconds", "horizon", "mse"]);
    let of = |seed: &str, horizon: &str| {
        let lines = lines.iter().filter(|line| (line[1], line[5]) == (seed, horizon));
        lines.map(|line| line[0]).collect::<Vec<_>>()
    };
    for (seed, horizon) in [("0", "1"), ("0", "4"), ("1", "1"), ("1", "4")] {
        assert_eq!(of(seed, horizon), parts);
    }
    assert!(lines[1..].iter().all(|line| line[6].parse::<f64>().unwrap() > 0.0));
    assert!(parts.iter().all(|part| printed.contains(part)), "{printed}");
    let two = ["--seeds", "0", "--horizons", "4", "--parts", "no-gate,variate-s6"];
    let printed = stdout(lab(arguments[..3].iter().chain(&["--updates", "3", "--csv", "-"]).chain(&two)));
    let parts: Vec<&str> = printed.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(parts, ["recipe", "variate-s6", "no-gate"]);
}

#[test]
fn transfer_measures_every_model_on_every_device_that_trained_nothing() {
    let folder = Folder::new();
    let files: Vec<_> = (0..4).map(|i| folder.file(&format!("device{i}.csv"), recording(500 + i))).collect();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|i| arg(&files[i]));
    let csv = folder.path("transfer.csv");
    let sizes = ["--horizon", "4", "--horizons", "1,4", "--budget", "1s", "--csv", arg(&csv)];
    let devices = ["transfer", "--data", first, second, "--unseen", third, fourth];
    stdout(lab(devices.iter().chain(&sizes)));
    let lines = std::fs::read_to_string(&csv).unwrap();
    // Two devices, two horizons; the model of both, that of the first alone, and naive.
    assert_eq!(lines.lines().count(), 1 + 2 * 2 * 3, "{lines}");
    for line in ["device2,together,2 devices,1,", "device3,alone,device0,4,", "device3,naive,,4,"] {
        assert!(lines.contains(line), "{lines}");
    }
    refused(
        &[
            "transfer",
            "--data",
            first,
            second,
            "--unseen",
            third,
            "--horizon",
            "4",
            "--horizons",
            "5",
        ],
        &["--horizons"],
    );
}

#[test]
fn paper_prints_a_line_per_training_and_writes_the_same_to_a_file() {
    let folder = Folder::new();
    // A name that the paper's figures go with, and rows that its split would not fit.
    let data = folder.file("exchange.csv", recording(1000));
    let file = folder.path("lines.csv");
    let run = |more: &[&str]| {
        let arguments = ["paper", "horizons", "--data", arg(&data), "--horizons", "96,5", "--updates", "2"];
        stdout(lab(arguments.iter().chain(more)))
    };
    let printed = run(&["--seeds", "3,4", "--csv", arg(&file)]);
    for part in ["Exchange", "tsm2", "0.1630", "2 updates of 32 windows", "spread", "S6 over time"] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    let written = std::fs::read_to_string(&file).unwrap();
    let mut reader = csv::Reader::from_reader(written.as_bytes());
    let place = |name: &str| reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    let [horizon, seed, updates, mse, paper] = ["horizon", "seed", "updates", "mse", "paper_mse"].map(place);
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let names: Vec<_> = lines.iter().map(|line| (line[horizon].to_owned(), line[seed].to_owned())).collect();
    assert_eq!(
        names,
        [("96", "3"), ("96", "4"), ("5", "3"), ("5", "4")].map(|(h, s)| (h.to_owned(), s.to_owned()))
    );
    assert_eq!((&lines[0][updates], &lines[0][paper], &lines[2][paper]), ("2", "0.163000", ""));
    assert_ne!(lines[0][mse], lines[1][mse]);
    // The same seed makes the same line, in whatever form it is printed.
    let again = run(&["--seeds", "3", "--csv", "-"]);
    assert_eq!(again.lines().nth(1), written.lines().nth(1));
    let json: serde_json::Value = serde_json::from_str(&run(&["--seeds", "3", "--json"])).unwrap();
    assert_eq!((&json[0]["horizon"], &json[1]["paper_mse"]), (&96.into(), &serde_json::Value::Null));
}

#[test]
fn paper_has_a_line_for_every_variant_and_every_mixer() {
    let folder = Folder::new();
    let data = folder.file("plant.csv", recording(800));
    for (table, variants) in [
        (
            "ablations",
            &["time-only", "one-direction", "both-directions", "tsm2", "tsm2-mlp", "linear-time"][..],
        ),
        ("spans", &["span-0", "span-1", "span-2", "span-all"]),
    ] {
        let printed = stdout(lab([
            "paper",
            table,
            "--data",
            arg(&data),
            "--horizons",
            "2",
            "--updates",
            "0",
            "--csv",
            "-",
        ]));
        let found: Vec<&str> = printed.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(found, variants, "{printed}");
    }
}

#[test]
fn robustness_that_cannot_be_measured() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let robustness = |test| [test, "--model", arg(&model), "--data", arg(&data)];
    for test in ["missing", "gap", "cold-start"] {
        refused(
            &[&robustness(test)[..], &["--horizons", "7"]].concat(),
            &["--horizons", "horizon 7", "6"],
        );
        refused(
            &[&robustness(test)[..], &["--split", "800,150,100"]].concat(),
            &["data.csv", "1050", "1000"],
        );
        let unwritable = folder.path("no/such.csv");
        refused(&[&robustness(test)[..], &["--csv", arg(&unwritable)]].concat(), &["no/such.csv"]);
    }
    refused(
        &[&robustness("gap")[..], &["--split", "800,150,50"]].concat(),
        &["data.csv", "test part has 50 rows", "a gap of 60 rows"],
    );
    refused(
        &[&robustness("cold-start")[..], &["--split", "800,150,6"]].concat(),
        &["data.csv", "test part has 6 rows", "cold start"],
    );
    let told = String::from_utf8(lab(robustness("gap")).stderr).unwrap();
    assert!(
        told.contains("data.csv: the test part has 200 rows") && told.contains("1440 rows"),
        "{told}"
    );
    let times = recording(1000)
        .lines()
        .map(|line| line.split_once(',').unwrap().1.to_string() + "\n")
        .collect::<String>();
    let timeless = folder.file("timeless.csv", times);
    let output = lab(["gap", "--model", arg(&model), "--data", arg(&timeless), "--csv", "-"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("gaps of 1 and of 24 rows"));
    assert!(stdout(output).lines().any(|line| line.starts_with("24 rows,24,")));
}

#[test]
fn ablations_that_cannot_be() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(200));
    let ablate = ["ablate", "--data", arg(&data), "--updates", "1", "--seeds", "1"];
    refused(&[&ablate[..], &["--horizons", "0"]].concat(), &["--horizons"]);
    refused(
        &[&ablate[..], &["--horizons", "21"]].concat(),
        &["data.csv", "validation part has 20 rows", "horizon of 21"],
    );
    refused(
        &[&ablate[..], &["--horizons", "2", "--parts", "variate-mlp"]].concat(),
        &["--parts: variate-mlp", "data.csv"],
    );
    let output = lab(["ablate", "--data", arg(&data), "--parts", "engine"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && told.contains("'engine'") && told.contains("no-gate"),
        "{told}"
    );
    let unwritable = folder.path("no/such.csv");
    refused(
        &[&ablate[..], &["--horizons", "2", "--csv", arg(&unwritable)]].concat(),
        &["no/such.csv"],
    );
}

#[test]
fn paper_without_rows_steps_or_samples_enough() {
    let folder = Folder::new();
    let data = folder.file("short.csv", recording(300));
    let data = arg(&data);
    refused(
        &["paper", "horizons", "--data", data],
        &["short.csv", "210 rows", "lookback of 512"],
    );
    refused(&["paper", "spans", "--data", "no/such.csv"], &["no/such.csv", "cannot be read"]);
    refused(
        &["paper", "ablations", "--data", data, "--horizons", "0"],
        &["short.csv", "horizon"],
    );
}

#[test]
fn help_is_there_for_every_command() {
    for command in ["paper", "ablate", "missing", "gap", "cold-start"] {
        let help = stdout(lab([command, "--help"]));
        assert!(help.contains("Example"), "{help}");
    }
    assert_eq!(lab(["frobnicate"]).status.code(), Some(2));
}
