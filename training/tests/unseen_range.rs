//! A channel that hardly moves in the training rows and moves later: the forecasts then are those of the newest reading, not worse.

use std::fmt::Write;
use std::path::Path;

use candle_core::Device;
use tsm2_bundle::Bundle;
use tsm2_train::data::mask::Rate;
use tsm2_train::data::runs::Part;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::{Protocol, model_errors};
use tsm2_train::train::{self, Budget, Size, Stop, TrainOptions};

const TRAIN: usize = 1400;
const VALIDATION: usize = 200;

/// `people`: noise about nought as in an empty building, and from row 1,600 on waves of fifty times its deviation; `room` follows its own past.
fn building(rows: usize) -> Table {
    let (mut text, mut room, mut random) = (String::from("people,room\n"), 0.0f64, 1u32);
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(random >> 8) / f64::from(1 << 23) - 1.0
    };
    for row in 0..rows {
        let day = row.saturating_sub(TRAIN + VALIDATION) as f64 / 300.0;
        let people = 0.4 * next() + 10.0 * (1.0 - (std::f64::consts::TAU * day).cos());
        room = 0.95 * room + 0.1 * next();
        let _ = writeln!(text, "{people:.4},{room:.4}");
    }
    Table::parse(Path::new("building.csv"), text.as_bytes()).expect("a table")
}

#[test]
fn a_channel_that_stood_still_in_training_and_moves_later_does_not_make_the_forecasts_worse_than_the_newest_reading() {
    let table = building(3200);
    let out = tempfile::tempdir().expect("a folder");
    let options = TrainOptions {
        split: SplitSpec::Rows([TRAIN, VALIDATION, 1600]),
        horizon: 6,
        out: out.path().to_owned(),
        name: "building".into(),
        seed: 0,
        budget: Some(Budget::Updates(4)),
        calendar: false,
        size: Size::default(),
        statics: None,
        missing_rate: Rate::default(),
        tensorboard: false,
        resume: false,
        from: None,
        baselines: false,
        device: Device::Cpu,
        stop: Stop::default(),
    };
    let trained = train::run(&table, &options, &mut |_| ()).expect("a model");
    let bundle = Bundle::open(&trained.measured).expect("a bundle");
    let meta = bundle.meta();
    let scaler = tsm2_train::cli::common::scaler(meta);
    let split = Split {
        train: TRAIN,
        validation: VALIDATION,
        test: 1600,
    };
    let rows = table.part(&split, Part::Test);
    let errors = model_errors(&(&bundle).into(), &table, &scaler, &rows, &[1], Protocol::Carried, &|_| ()).expect("errors");
    let steps = |row: usize| (0..2).map(move |v| (row, v));
    let naive: f64 = (TRAIN + VALIDATION..table.len())
        .flat_map(steps)
        .map(|(row, v)| f64::from((table.row(row)[v] - table.row(row - 1)[v]) / scaler.std[v]).powi(2))
        .sum::<f64>()
        / 3200.0;
    let error = errors.total[0].mse;
    assert!(error < 1.02 * naive, "{error} where the newest reading has {naive}");
}
