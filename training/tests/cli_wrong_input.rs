//! Wrong input at the command line: each gives one line on stderr that names the culprit, exit code 1, and nothing on stdout.

mod common;
#[path = "common/refused.rs"]
mod refused;

use common::{Folder, arg, bundle, recording, stdout};

/// Runs `tsm2` with these arguments.
fn tsm2<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

/// Runs a command that must fail with one line of error containing all of `named`.
fn refused(arguments: &[&str], named: &[&str]) {
    refused::refused_by(env!("CARGO_BIN_EXE_tsm2"), arguments, named);
}

/// What is wrong with a file is said by every command that reads it; training is the one that needs no model.
fn training_refused(name: &str, content: impl AsRef<[u8]>, named: &[&str]) {
    let folder = Folder::new();
    let path = folder.file(name, content);
    let named: Vec<_> = named.iter().chain([&name]).copied().collect();
    refused(
        &["train", "--data", arg(&path), "--horizon", "4", "--out", arg(&folder.path("out"))],
        &named,
    );
    assert!(!folder.path("out").join("model.safetensors").exists());
}

#[test]
fn missing_or_empty_csv() {
    refused(&["train", "--data", "no/such.csv"], &["no/such.csv", "cannot be read"]);
    training_refused("empty.csv", "", &["empty"]);
    training_refused("blank.csv", "\n\n  \n", &["empty"]);
    training_refused("header.csv", "time,a,b\n", &["header", "no row"]);
}

#[cfg(not(feature = "onnx"))]
#[test]
fn without_the_feature_a_graph_is_refused_by_name() {
    let folder = Folder::new();
    let (data, graph) = (folder.file("data.csv", recording(100)), folder.file("model.onnx", ""));
    refused(
        &["report", "--model", arg(&graph), "--data", arg(&data)],
        &["model.onnx: an ONNX graph, and this program was built without the feature `onnx`"],
    );
}

#[test]
fn no_column_of_numbers() {
    training_refused(
        "text.csv",
        "time,room,state\n2024-01-01,kitchen,warm\n2024-01-02,hall,cold\n2024-01-03,attic,cool\n",
        &["no column of numbers", "`room`", "`state`"],
    );
    training_refused("times.csv", "time\n2024-01-01\n2024-01-02\n", &["no column of numbers"]);
    training_refused(
        "image.csv",
        [0x89, b'P', b'N', b'G', 0xff, 0xfe, 0, 1, b'\n', 2, 3, b'\n'],
        &["no row of readings"],
    );
}

#[test]
fn times_that_are_none() {
    training_refused(
        "far.csv",
        "time,a\n2024-01-01 00:00,1\n2024-01-01 00:01,1\n2224-01-01 00:00,2\n",
        &["`time`", "line 4", "--time-format"],
    );
}

#[test]
fn a_horizon_of_no_steps_is_refused_by_the_option() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(100));
    let output = tsm2(["train", "--data", arg(&data), "--horizon", "0"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--horizon"), "{message}");
}

#[test]
fn a_budget_of_no_time_is_refused_by_the_option() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(100));
    let train = ["train", "--data", arg(&data)];
    refused(&[&train[..], &["--budget=-3m"]].concat(), &["--budget", "at least 1 s"]);
    refused(&[&train[..], &["--budget", "0s"]].concat(), &["--budget", "at least 1 s"]);
    let both = tsm2([&train[..], &["--budget", "1m", "--updates", "5"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn resume_without_a_checkpoint_names_the_remedy() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(400)), folder.path("out"));
    let arguments = [
        "train",
        "--data",
        arg(&data),
        "--horizon",
        "4",
        "--updates",
        "2",
        "--out",
        arg(&out),
        "--resume",
    ];
    refused(&arguments, &["progress.json", "no checkpoint", "without --resume"]);
}

#[test]
fn options_of_the_reader_that_cannot_be() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(100));
    for (option, value, named) in [
        ("--aggregate", "median", "last, mean, sum, min or max"),
        ("--interval", "0s", "at least 1 ms"),
    ] {
        refused(&["describe", arg(&data), option, value], &[option, named]);
    }
    refused(&["describe", arg(&data), "--columns", "a,nothing"], &["data.csv", "`nothing`"]);
    refused(
        &["describe", arg(&data), "--aggregate", "nothing:mean"],
        &["data.csv", "--aggregate", "`nothing`", "`a`, `b`, `c`"],
    );
    refused(&["describe", arg(&data), arg(&data)], &["data.csv", "given twice"]);
}

#[test]
fn devices_that_are_too_short_are_refused_by_their_pieces() {
    let folder = Folder::new();
    let rows = |device: &str| {
        (0..40)
            .map(|r| format!("2024-01-01 00:{r:02},{device},{}\n", r * r % 17))
            .collect::<String>()
    };
    let data = folder.file("pumps.csv", format!("time,pump,a\n{}{}", rows("north"), rows("south")));
    refused(
        &["train", "--data", arg(&data), "--series", "pump"],
        &["pumps.csv", "training part has 56 rows in 2 pieces", "32 in one piece are needed"],
    );
}

#[test]
fn fewer_rows_than_a_patch() {
    training_refused("short.csv", "a\n1\n5\n3\n", &["training part has 2 rows", "patch"]);
    // Enough to train on, too little to choose on.
    let rows: String = (0..30).map(|r| format!("{}\n", r * r % 17)).collect();
    training_refused(
        "unchosen.csv",
        format!("a\n{rows}"),
        &["validation part has 3 rows", "horizon of 4"],
    );
}

#[test]
fn split_larger_than_the_file() {
    let folder = Folder::new();
    let (data, model) = (folder.file("small.csv", recording(100)), bundle(&folder));
    let larger = ["--split", "8640,2880,2880"];
    refused(
        &[&["train", "--data", arg(&data)], &larger[..]].concat(),
        &["small.csv", "14400", "100"],
    );
    refused(
        &[&["evaluate", "--model", arg(&model), "--data", arg(&data)], &larger[..]].concat(),
        &["small.csv", "14400", "100"],
    );
    // The split the model was trained with, when none is given.
    refused(
        &["evaluate", "--model", arg(&model), "--data", arg(&data)],
        &["small.csv", "1000", "100"],
    );
    for split in ["1,2", "0.9,0.2,0.2", "a,b,c"] {
        let output = tsm2(["train", "--data", arg(&data), "--split", split]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(split));
    }
}

#[test]
fn a_constant_column_is_a_warning_that_names_it() {
    let folder = Folder::new();
    let rows: String = (0..120).map(|r| format!("{}.5,5\n", r * 37 % 101)).collect();
    let data = folder.file("constant.csv", format!("a,stuck\n{rows}"));
    let (out, model) = (folder.path("out"), folder.path("out/model.safetensors"));
    let output = tsm2([
        "train",
        "--data",
        arg(&data),
        "--horizon",
        "2",
        "--updates",
        "2",
        "--out",
        arg(&out),
        "--json",
    ]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("constant.csv: column `stuck` is constant in the 84 training rows"),
        "{told}"
    );
    stdout(output);
    let inspected = stdout(tsm2(["inspect", arg(&model), "--json"]));
    let object: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(
        (
            &object["metadata"]["variates"][1]["mean"],
            &object["metadata"]["variates"][1]["std"]
        ),
        (&5.0.into(), &1.0.into())
    );
}

#[test]
fn runs_of_missing_readings_are_told_and_do_no_harm() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let mut lines: Vec<String> = recording(1000).lines().map(String::from).collect();
    for line in &mut lines[820..870] {
        let cells: Vec<_> = line.split(',').collect();
        *line = format!("{},nan,NA,", cells[0]);
    }
    let data = folder.file("holes.csv", lines.join("\n"));
    let output = tsm2([
        "evaluate",
        "--model",
        arg(&model),
        "--data",
        arg(&data),
        "--horizons",
        "1,6",
        "--json",
    ]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("holes.csv"), "{told}");
    let report: serde_json::Value = serde_json::from_str(&stdout(output)).unwrap();
    assert!(report["results"][1]["mse"].as_f64().is_some_and(f64::is_finite), "{report}");
    assert!(
        report["baselines"]["linear"][1]["mse"].as_f64().is_some_and(f64::is_finite),
        "{report}"
    );
    // Nothing but missing readings where they would be compared with.
    let mut lines: Vec<String> = recording(1000).lines().map(String::from).collect();
    for line in &mut lines[801..] {
        *line = format!("{},,,", line.split(',').next().unwrap());
    }
    let data = folder.file("dark.csv", lines.join("\n"));
    refused(
        &["evaluate", "--model", arg(&model), "--data", arg(&data)],
        &["dark.csv", "rows 800..1000", "no reading"],
    );
}

/// Trains for two updates on columns `a` to `c` of which cell (row, column) is empty where `empty` says so; stderr.
fn trained_with_holes(empty: impl Fn(usize, usize) -> bool) -> String {
    let folder = Folder::new();
    let row = |(row, line): (usize, &str)| {
        let cell = |(column, cell): (usize, &str)| match row > 0 && column > 0 && empty(row - 1, column - 1) {
            true => String::new(),
            false => cell.to_string(),
        };
        line.split(',').enumerate().map(cell).collect::<Vec<_>>().join(",")
    };
    let lines: Vec<String> = recording(400).lines().enumerate().map(row).collect();
    let (data, out) = (folder.file("holes.csv", lines.join("\n")), folder.path("out"));
    let arguments = ["--split", "250,75,75", "--horizon", "6", "--updates", "2", "--json"];
    let output = tsm2(["train", "--data", arg(&data), "--out", arg(&out)].iter().chain(&arguments));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: serde_json::Value = serde_json::from_str(&stdout(output)).unwrap();
    assert!(report["validation"][0]["mse"].as_f64().is_some_and(f64::is_finite), "{report}");
    told
}

#[test]
fn a_model_is_trained_whatever_is_missing() {
    let told = trained_with_holes(|row, column| column == 1 && row < 250);
    assert!(told.contains("column `b` has no reading in the 250 training rows"), "{told}");
    trained_with_holes(|row, column| column == 1 && (250..325).contains(&row));
    trained_with_holes(|row, _| row < 100);
    trained_with_holes(|row, _| (250..290).contains(&row));
    // No forecast has all of its rows.
    trained_with_holes(|row, column| row % 5 == column);
    trained_with_holes(|row, column| column > 0 && row % 10 > 0);
    trained_with_holes(|row, _| row >= 325);
}

#[test]
fn a_part_without_readings_is_named() {
    let row = |row: usize, hole: bool| {
        if hole {
            ",\n".into()
        } else {
            format!("{},{}\n", row % 7, row * row % 17)
        }
    };
    let rows = |hole: std::ops::Range<usize>| (0..100).map(|r| row(r, hole.contains(&r))).collect::<String>();
    training_refused(
        "dark.csv",
        format!("a,b\n{}", rows(70..80)),
        &["validation part, rows 70..80", "no reading"],
    );
    // With times, since rows of empty cells above the first reading of a table without times are left out.
    let timed = |text: String| {
        let lines = text.lines().enumerate();
        lines
            .map(|(r, line)| format!("2026-01-01T{:02}:{:02}:00Z,{line}\n", r / 60, r % 60))
            .collect::<String>()
    };
    training_refused(
        "late.csv",
        format!("time,a,b\n{}", timed(rows(0..70))),
        &["training part, rows 0..70", "no reading"],
    );
}

#[test]
fn the_smallest_recordings_and_no_network_at_all() {
    let folder = Folder::new();
    let rows: String = (0..40).map(|r| format!("{}\n", r * r % 17)).collect();
    let data = folder.file("few.csv", format!("a\n{rows}"));
    for (split, horizon, updates) in [
        ("9,1,1", "1", "3"),
        ("12,4,4", "4", "3"),
        ("20,9,0", "3", "0"),
        ("20,9,2", "3", "0"),
    ] {
        let out = folder.path(split);
        let arguments = ["--split", split, "--horizon", horizon, "--updates", updates];
        let output = tsm2(["train", "--data", arg(&data), "--out", arg(&out)].iter().chain(&arguments));
        assert!(stdout(output).contains("MSE"), "{split}");
        assert!(out.join("model.safetensors").exists());
    }
}

#[test]
fn columns_are_matched_by_name() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let missing = folder.file("missing.csv", recording(50).replace("time,a,b,c", "time,a,b,d"));
    refused(
        &["forecast", "--model", arg(&model), "--data", arg(&missing), "--at", "9"],
        &["missing.csv", "no column `c`", "`d`"],
    );
}

#[test]
fn covariates_that_cannot_be() {
    let folder = Folder::new();
    let data = folder.file("fifty.csv", recording(50));
    for (covariates, said) in [
        ("b,d", &["no column `d`", "`a`, `b`, `c`"][..]),
        ("b,c,b", &["`b` is named twice"]),
        ("c,b,a", &["nothing is left to forecast", "`a`, `b`, `c`"]),
    ] {
        let named: Vec<&str> = said.iter().chain(&["fifty.csv"]).copied().collect();
        for role in ["--past-covariates", "--future-covariates"] {
            refused(&["train", "--data", arg(&data), role, covariates], &named);
        }
    }
}

#[test]
fn static_covariates_that_cannot_be() {
    let folder = Folder::new();
    let data = folder.file("fifty.csv", recording(50));
    for (text, said) in [
        ("name,floor\na,1\nc,2\n", "no line for `b`"),
        ("name,floor\na,1\nb,2\nc,2\nb,3\n", "line 5: a second line for `b`"),
        ("name,floor\na,1\nb,1\nc,1\n", "no feature"),
        ("name,floor\na,1\nb,1,7\nc,1\n", "line 3 has 3 cells"),
    ] {
        let sensors = folder.file("sensors.csv", text);
        let arguments = ["train", "--data", arg(&data), "--static-covariates", arg(&sensors)];
        refused(&arguments, &["sensors.csv", said]);
    }
    refused(
        &["train", "--data", arg(&data), "--static-covariates", "nowhere.csv"],
        &["nowhere.csv"],
    );
}

#[test]
fn rows_that_are_not_there() {
    let folder = Folder::new();
    let (data, model) = (folder.file("fifty.csv", recording(50)), bundle(&folder));
    for at in ["0", "51", "3,51"] {
        refused(
            &["forecast", "--model", arg(&model), "--data", arg(&data), "--at", at],
            &["--at", "50 rows", "fifty.csv"],
        );
    }
}

#[test]
fn horizons_that_cannot_be() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let evaluate = ["evaluate", "--model", arg(&model), "--data", arg(&data), "--horizons"];
    refused(&[&evaluate[..], &["7"]].concat(), &["--horizons", "horizon 7", "6"]);
    refused(&[&evaluate[..], &["0"]].concat(), &["--horizons", "at least 1"]);
    let endless = ["train", "--data", arg(&data), "--horizon", "18446744073709551615"];
    refused(&endless, &["data.csv", "training part has 700 rows", "a shorter horizon"]);
    refused(
        &[&evaluate[..], &["6", "--split", "900,95,5"]].concat(),
        &["test part has 5 rows", "horizon of 6"],
    );
    refused(
        &[&evaluate[..], &["6", "--split", "900,5,95"]].concat(),
        &["validation part has 5 rows", "horizon of 6"],
    );
}

#[test]
fn shares_that_are_none() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(100));
    for share in ["1", "-0.1", "nan", "ten"] {
        let output = tsm2(["train", "--data", arg(&data), &format!("--missing-rate={share}")]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("--missing-rate") && told.contains(&format!("`{share}`")), "{told}");
    }
}

#[test]
fn an_export_that_cannot_be() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let binary = folder.path("no/such/model.bin");
    let export = ["export", arg(&model), "--firmware", arg(&binary)];
    refused(&export, &["no/such/model.bin", "No such file"]);
    refused(&[&export[..], &["--coverage", "1.5"]].concat(), &["--coverage", "choose a number"]);
}

#[test]
fn a_bundle_that_is_none() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(50)), bundle(&folder));
    let good = std::fs::read(&model).unwrap();
    let header_len = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&good[8..8 + header_len]).unwrap();
    let with_header = |header: String| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &good[8 + header_len..]].concat();

    let truncated = good[..good.len() - 10].to_vec();
    let version = with_header(header.replace(r#"\"format_version\":2,"#, r#"\"format_version\":99,"#));
    let shape = with_header(header.replace(r#""shape":[8,4]"#, r#""shape":[4,8]"#));
    for (changed, what) in [(&version, "version"), (&shape, "shape")] {
        assert_ne!(changed, &good, "the {what} was not found in {header}");
    }
    let cases = [
        ("truncated.safetensors", truncated, vec!["cut short"]),
        ("version.safetensors", version, vec!["99"]),
        ("shape.safetensors", shape, vec!["embed.weight", "[4, 8]", "[8, 4]"]),
        (
            "letter.safetensors",
            b"Dear reader, this is a letter.".to_vec(),
            vec!["not a safetensors file"],
        ),
        ("empty.safetensors", Vec::new(), vec!["not a safetensors file"]),
    ];
    for (name, bytes, mut named) in cases {
        let path = folder.file(name, bytes);
        named.push(name);
        refused(&["inspect", arg(&path)], &named);
        refused(&["forecast", "--model", arg(&path), "--data", arg(&data), "--at", "9"], &named);
        refused(&["evaluate", "--model", arg(&path), "--data", arg(&data)], &named);
    }
    refused(&["inspect", "no/such.safetensors"], &["no/such.safetensors"]);
}
