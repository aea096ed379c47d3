//! One model of several like devices.

#[expect(dead_code, reason = "recordings and models of its own")]
mod common;
#[path = "common/refused.rs"]
mod refused;

use std::fmt::Write;

use common::{Folder, arg, stdout};
use refused::refused_by;
use tsm2_data::Meter;
use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::table::Table;
use tsm2_train::linear::{LinearModel, Periods, choose_linear};
use tsm2_train::train::Size;
use tsm2_train::train::recipe::start_config;

/// Runs `tsm2` with these arguments.
fn tsm2(arguments: &[&str]) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

/// Minutes of a pump: an oscillation of this period that noise keeps going, at this level.
fn pump(level: f64, seed: u32, minutes: impl Iterator<Item = usize>) -> String {
    let (mut random, mut older, mut newer) = (seed, 0.0f64, 0.0f64);
    let mut text = "time,flow\n".to_owned();
    for minute in minutes {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let push = f64::from(random >> 8) / f64::from(1 << 24) - 0.5;
        (older, newer) = (newer, 1.8 * newer - 0.95 * older + push);
        writeln!(text, "{},{:.4}", 1_700_000_040 + 60 * minute, level + newer).unwrap();
    }
    text
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn several_files_train_one_model_that_is_measured_on_each_and_on_a_device_it_never_saw() {
    let folder = Folder::new();
    let files = [(1, 10.0), (2, 11.0), (3, 9.0)].map(|(seed, level)| {
        let path = folder.file(&format!("pump{seed}.csv"), pump(level, seed, 0..600));
        arg(&path).to_owned()
    });
    let out = folder.path("model");
    let data = ["--data", &files[0], &files[1], &files[2], "--hold-out", "pump3"];
    let train = [
        "train",
        "--horizon",
        "4",
        "--updates",
        "20",
        "--no-baselines",
        "--json",
        "--out",
        arg(&out),
    ];
    let trained = json(&stdout(tsm2(&[&train[..], &data].concat())));
    assert_eq!(trained["split"], serde_json::json!([840, 120, 240]), "pump3 is in no part");
    let model = out.join("model.safetensors");
    let evaluated = json(&stdout(tsm2(
        &[&["evaluate", "--json", "--model", arg(&model)][..], &data].concat(),
    )));
    let devices = evaluated["devices"].as_array().unwrap();
    let named: Vec<_> = devices
        .iter()
        .map(|device| (device["name"].as_str().unwrap(), &device["is_held_out"]))
        .collect();
    assert_eq!(named, [("pump1", &false.into()), ("pump2", &false.into()), ("pump3", &true.into())]);
    // 120 test rows of each device, none of whose forecasts crosses the border, and all rows of the third.
    let origins = |errors: &serde_json::Value| errors["results"][0]["origins"].as_u64().unwrap();
    assert_eq!(devices.iter().map(origins).collect::<Vec<_>>(), [117, 117, 596]);
    assert_eq!(origins(&evaluated), 234);
    for device in devices {
        let mse = |errors: &serde_json::Value| errors[0]["mse"].as_f64().unwrap();
        let (own, naive) = (mse(&device["results"]), mse(&device["baselines"]["naive"]));
        assert!(own < 0.5 * naive, "{device}");
    }
    // Without --hold-out the devices are those of the training, and no test row has trained the model.
    let evaluate = ["evaluate", "--json", "--model", arg(&model)];
    assert_eq!(json(&stdout(tsm2(&[&evaluate[..], &data[..4]].concat()))), evaluated);
    let notes = |held_out| {
        let output = tsm2(&[&evaluate[..], &data[..4], &["--hold-out", held_out]].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!notes("pump3").contains("--hold-out"));
    assert!(
        notes("pump2").contains("--hold-out: `pump2` was part of the training"),
        "{}",
        notes("pump2")
    );
    let printed = stdout(tsm2(&[&["evaluate", "--model", arg(&model)][..], &data].concat()));
    assert!(
        printed.contains("240 rows of 2 devices") && printed.contains("pump3 (held out)"),
        "{printed}"
    );
    refused_by(
        env!("CARGO_BIN_EXE_tsm2"),
        &[&train[..], &["--data", &files[0], &files[1], "--hold-out", "pump9"]].concat(),
        &["there is no device `pump9`", "`pump1`, `pump2`"],
    );
}

#[test]
fn files_of_one_name_in_two_folders_are_devices_of_their_own() {
    let folder = Folder::new();
    let files = ["north", "south"].map(|hall| {
        std::fs::create_dir(folder.path(hall)).unwrap();
        let path = folder.file(&format!("{hall}/pump.csv"), pump(0.0, 1, 0..100));
        arg(&path).to_owned()
    });
    let (table, _) = Table::read_with(&files.clone().map(Into::into), &tsm2_data::Options::default()).unwrap();
    let table = table.hold_out(&files[1..]).unwrap();
    assert_eq!(table.runs.held_out().collect::<Vec<_>>(), files[1..]);
    assert_eq!(table.runs.known_rows(), 100);
}

#[test]
fn a_gap_and_a_second_device_change_nothing_in_the_numbers_of_the_first() {
    let folder = Folder::new();
    let read = |name: &str, text: String| Table::read(&folder.file(name, text)).unwrap();
    let whole = read("whole.csv", pump(0.0, 1, 0..400));
    // The same rows, but the second half a week later.
    let broken = read("broken.csv", pump(0.0, 1, (0..200).chain(10_280..10_480)));
    assert_eq!(broken.runs.iter().collect::<Vec<_>>(), [0..200, 200..400]);
    assert_eq!(whole.values, broken.values);
    let split = whole.split("300,60,40".parse().unwrap()).unwrap();
    let pieces = broken.part(&split, Part::Train);
    assert_eq!(
        pieces.iter().map(|piece| piece.rows.clone()).collect::<Vec<_>>(),
        [0..200, 200..300]
    );
    assert_eq!(Scaler::fit(&whole, &split), Scaler::fit(&broken, &split));
    let config = start_config(&broken, 4);
    let (scaler, _) = Scaler::fit(&broken, &split);
    let choose = |table: &Table| {
        let size = (&Size::default(), None);
        choose_linear(&config, table, &split, &scaler, Periods::default(), size, &Meter::default()).unwrap()
    };
    let (gap, unbroken) = (choose(&broken), choose(&whole));
    // The forecasts across the gap are left out; the others fit a map that is as good.
    let mean = |model: &LinearModel| model.mse.iter().sum::<f64>();
    assert!(
        (mean(&gap) / mean(&unbroken) - 1.0).abs() < 0.1,
        "{} {}",
        mean(&gap),
        mean(&unbroken)
    );
}
