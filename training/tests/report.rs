//! `tsm2 report`: the page that a training ends in.

mod common;

use std::path::Path;

use common::{Folder, arg, bundle, recording, stdout};
use serde_json::Value;
use tsm2_bundle::{Bundle, Variate};

/// Runs `tsm2` with these arguments.
fn tsm2<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(tsm2(arguments))).unwrap()
}

fn page(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().replace(" class=\"best\"", "")
}

#[test]
fn the_page_has_the_numbers_of_evaluate() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let of = |command: &str| [command, "--model", arg(&model), "--data", arg(&data), "--json"].map(str::to_owned);
    let evaluate: Vec<String> = of("evaluate")
        .into_iter()
        .chain(["--horizons", "1,3,6"].map(str::to_owned))
        .collect();
    let evaluated = json(&evaluate.iter().map(String::as_str).collect::<Vec<_>>());
    let reported = json(&of("report").each_ref().map(String::as_str));
    assert_eq!(reported["evaluation"], evaluated);
    assert_eq!(reported["report"], arg(&folder.path("report.html")));

    let page = page(&folder.path("report.html"));
    for i in 0..3 {
        let mse = |errors: &Value| format!("<td>{:.4}</td>", errors[i]["mse"].as_f64().unwrap());
        let mut row = format!("<th scope=\"row\">{}</th>", evaluated["results"][i]["horizon"]);
        row += &mse(&evaluated["results"]);
        for baseline in ["naive", "seasonal_naive", "linear", "linear_all", "sparse_tsf"] {
            row += &mse(&evaluated["baselines"][baseline]);
        }
        row += &format!("<td>{}</td>", evaluated["results"][i]["origins"]);
        assert!(page.contains(&row), "{row}");
    }
    // Of the sensors, the last horizon.
    for sensor in evaluated["sensors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sensor| sensor["horizon"] == 6)
    {
        let mae = |key: &str| format!("<td>{:.4}</td>", sensor[key].as_f64().unwrap());
        let name = sensor["name"].as_str().unwrap();
        let row = format!("<th scope=\"row\">{name}</th><td>K</td>{}{}", mae("mae"), mae("naive_mae"));
        assert!(page.contains(&row), "{row}");
    }
    // Weights that mean nothing are worse than naive, a linear map is better, and the page says so first.
    assert_eq!(reported["summary"]["advice"], "naive");
    assert!(
        page.contains("This model does not beat naive") && page.contains("test part"),
        "{page}"
    );
    for section in [
        "Forecasts and what came",
        "Prediction intervals",
        "What each part adds",
        "Missing readings and gaps",
    ] {
        assert!(page.contains(section), "{section}");
    }
    assert!(page.contains("A typical forecast, origin 2024-01-01"), "times of the origins");
    assert!(
        !page.contains("Not measured") && !page.contains("NaN") && !page.contains("inf "),
        "{page}"
    );
}

#[test]
fn the_page_needs_no_other_file_and_no_script() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let output = folder.path("pages");
    std::fs::create_dir(&output).unwrap();
    let output = output.join("page.html");
    let printed = stdout(tsm2([
        "report",
        "--model",
        arg(&model),
        "--data",
        arg(&data),
        "--output",
        arg(&output),
    ]));
    assert!(
        printed.contains("page.html") && printed.contains("A baseline is better"),
        "{printed}"
    );
    let page = page(&output);
    for word in ["http:", "https:", "src=", "url(", "<script", "<link", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn names_from_files_are_escaped() {
    let folder = Folder::new();
    let hostile = "<script>alert('x')</script>&\"";
    let text = recording(1000).replacen("time,a,b,c", &format!("time,\"{}\",b,c", hostile.replace('"', "\"\"")), 1);
    let (data, model) = (folder.file("<i>data.csv", text), bundle(&folder));
    let opened = Bundle::open(&model).unwrap();
    let mut meta = opened.meta().clone();
    meta.name = hostile.into();
    meta.variates[0] = Variate {
        name: hostile.into(),
        unit: Some(hostile.into()),
        ..meta.variates[0].clone()
    };
    meta.provenance.decisions = vec![hostile.into()];
    meta.provenance.data = hostile.into();
    Bundle::new(meta, opened.weights().to_vec()).unwrap().write(&model).unwrap();
    let curves = format!(
        "network,candidate,update,seconds,loss,validation_error_relative_to_linear\ntsm2,\"{}\",1,1.0,1.0,0.9\n",
        hostile.replace('"', "\"\"")
    );
    folder.file("curves.csv", curves);
    stdout(tsm2(["report", "--model", arg(&model), "--data", arg(&data)]));
    let page = page(&folder.path("report.html"));
    assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&amp;"), "{page}");
    assert!(
        page.matches("&lt;script").count() >= 5,
        "name, sensor, unit, decision, file, candidate"
    );
}

#[test]
fn a_recording_without_times_and_with_gaps_has_a_page_too() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let without_times: String = recording(1000)
        .lines()
        .map(|line| line.split_once(',').unwrap().1.to_owned() + "\n")
        .collect();
    let data = folder.file("plain.csv", without_times);
    let reported = json(&["report", "--model", arg(&model), "--data", arg(&data), "--json"]);
    assert_eq!(reported["coverage_by_step"].as_array().unwrap().len(), 6);
    // Two pieces, two days apart.
    let late = |line: &str| line.replacen("2024-01-01", "2024-01-09", 1);
    let all = recording(1000);
    let lines: Vec<&str> = all.lines().collect();
    let gap: String = lines[..=700].iter().map(|line| format!("{line}\n")).collect::<String>()
        + &lines[701..].iter().map(|line| late(line) + "\n").collect::<String>();
    let data = folder.file("gap.csv", gap);
    stdout(tsm2(["report", "--model", arg(&model), "--data", arg(&data)]));
    assert!(page(&folder.path("report.html")).contains("in 2 pieces without a long gap"));
}

#[test]
fn a_training_ends_in_a_page_on_the_validation_rows() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(600));
    let out = folder.path("model");
    let arguments = [
        "train",
        "--data",
        arg(&data),
        "--horizon",
        "6",
        "--updates",
        "2",
        "--no-baselines",
        "--json",
        "--out",
        arg(&out),
    ];
    let trained = json(&arguments);
    assert_eq!(trained["report"], arg(&out.join("report.html")));
    let page = page(&out.join("report.html"));
    assert!(
        page.contains("Measured on the validation part") && page.contains("rows 420..480"),
        "{page}"
    );
    assert!(!page.contains("Measured on the test part"));
    // The errors that the training printed.
    let last = trained["validation"].as_array().unwrap().last().unwrap();
    assert!(page.contains(&format!("<td>{:.4}</td>", last["mse"].as_f64().unwrap())), "{last}");
}

/// A copy of a model, under another name, with its variates in another order.
fn renamed(model: &Path, folder: &Folder, name: &str) -> std::path::PathBuf {
    let opened = Bundle::open(model).unwrap();
    let mut meta = opened.meta().clone();
    meta.name = name.into();
    let path = folder.path(&format!("{name}.safetensors"));
    Bundle::new(meta, opened.weights().iter().map(|weight| 0.5 * weight).collect())
        .unwrap()
        .write(&path)
        .unwrap();
    path
}

#[test]
fn two_models_are_compared_by_the_numbers_of_evaluate() {
    let folder = Folder::new();
    let (data, a) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let b = renamed(&a, &folder, "half");
    let output = folder.path("compare.html");
    let compared = json(&[
        "compare",
        arg(&a),
        arg(&b),
        "--data",
        arg(&data),
        "--horizons",
        "6,1",
        "--json",
        "--output",
        arg(&output),
    ]);
    for (side, model) in [("a", &a), ("b", &b)] {
        let evaluated = json(&[
            "evaluate",
            "--model",
            arg(model),
            "--data",
            arg(&data),
            "--horizons",
            "1,6",
            "--json",
        ]);
        for i in 0..2 {
            assert_eq!(compared["horizons"][i][side], evaluated["results"][i], "{side} {i}");
        }
        let mae = &evaluated["sensors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|sensor| sensor["name"] == "b" && sensor["horizon"] == 6)
            .unwrap()["mae"];
        assert_eq!(&compared["sensors"][1][&format!("mae_{side}")], mae);
    }
    let interval = &compared["horizons"][1]["interval"];
    let ratio = compared["horizons"][1]["ratio"].as_f64().unwrap();
    assert!(
        interval[0].as_f64().unwrap() < ratio && ratio < interval[1].as_f64().unwrap(),
        "{compared}"
    );
    let page = page(&output);
    assert!(
        page.contains("half compared with small") && page.contains("Errors of each sensor"),
        "{page}"
    );

    // A model against itself differs by nothing.
    let same = stdout(tsm2(["compare", arg(&a), arg(&a), "--data", arg(&data)]));
    assert!(
        same.contains("differ by no more than chance") && same.contains("+0.0 % to +0.0 %"),
        "{same}"
    );
}

#[test]
fn models_of_different_sensors_are_not_compared() {
    let folder = Folder::new();
    let (data, a) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let opened = Bundle::open(&a).unwrap();
    let mut meta = opened.meta().clone();
    meta.variates.swap(0, 1);
    meta.variates[0].name = "d".into();
    let b = folder.path("other.safetensors");
    Bundle::new(meta, opened.weights().to_vec()).unwrap().write(&b).unwrap();
    let text = std::fs::read_to_string(&data).unwrap().replacen("time,a,b,c", "time,a,d,c", 1);
    let both: String = text
        .lines()
        .zip(recording(1000).lines())
        .map(|(one, other)| format!("{one},{}\n", other.split(',').nth(2).unwrap()))
        .collect();
    let data = folder.file("both.csv", both);
    let refused = tsm2(["compare", arg(&a), arg(&b), "--data", arg(&data)]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(message.contains("forecasts `b`") && message.contains("same sensors"), "{message}");
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line_itself() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let text = stdout(tsm2(["completions", shell]));
        assert!(text.contains("tsm2") && text.contains("compare"), "{shell}");
    }
    let pages = folder.path("man1");
    stdout(tsm2(["manual", arg(&pages)]));
    let page = std::fs::read_to_string(pages.join("tsm2-report.1")).unwrap();
    assert!(page.contains("Examples"), "{page}");
    assert!(pages.join("tsm2.1").exists());
}
