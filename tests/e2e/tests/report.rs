//! The pages of `tsm2 train` and `tsm2 compare` in a real browser: light, dark, on a phone, in print.

use tempfile::tempdir;
use tsm2_demo::simulator::{Building, NAMES};
use tsm2_e2e::browser::script;
use tsm2_e2e::process::run_tsm2;
use tsm2_mqtt::rfc3339;

/// Rows of the recording, one a minute.
const ROWS: usize = 1200;

#[test]
fn report_and_comparison_are_readable_in_every_look_and_ask_for_nothing() {
    let folder = tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let data = path("building.csv");
    let columns = [0, 3, 6, 10];
    let mut text = columns.iter().fold("time".to_owned(), |line, &column| line + "," + NAMES[column]);
    for (number, row) in Building::new(5, 1_772_409_600_000).take(ROWS).enumerate() {
        // A gap, and a sensor that is silent now and then.
        if (500..520).contains(&number) {
            continue;
        }
        text += &format!("\n{}", rfc3339(row.time_ms));
        for &column in &columns {
            match (column, number % 50) {
                (3, 0..5) => text += ",",
                _ => text += &format!(",{}", row.values[column]),
            }
        }
    }
    std::fs::write(&data, text).expect("a file");
    let tsm2 = |arguments: &[&str]| {
        let output = run_tsm2(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let outs = [path("first"), path("second")];
    for (out, horizon) in outs.iter().zip(["30", "20"]) {
        tsm2(&["train", "--data", &data, "--horizon", horizon, "--updates", "4", "--out", out]);
    }
    let models = outs.each_ref().map(|out| format!("{out}/model.safetensors"));
    let comparison = path("comparison.html");
    tsm2(&["compare", &models[0], &models[1], "--data", &data, "--output", &comparison]);
    for page in [format!("{}/report.html", outs[0]), comparison] {
        let Some(mut script) = script("look.mjs", [page.clone()]) else {
            return;
        };
        let output = script.output().expect("node starts");
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{page}: {}", said.concat());
    }
}
