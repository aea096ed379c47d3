//! Baselines on real data against figures that are known: published, or found by another program in another language.
//!
//! The data is not part of the project; `TSM2_DATA` names its folder. Where it is absent these tests say so and pass, unless
//! `TSM2_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::baselines::Series;
use tsm2_train::evaluate::{BaselineErrors, HorizonError, baseline_errors};

/// The file of this name, or `None` (with a line saying so) where there is none.
fn data(name: &str) -> Option<Table> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("TSM2_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        assert_ne!(
            std::env::var("TSM2_REQUIRE_ALL").as_deref(),
            Ok("1"),
            "{} is required and absent",
            path.display()
        );
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(Table::read(&path).unwrap())
}

/// Errors at the test origins, and the season found.
fn figures(table: &Table, split: SplitSpec, horizons: &[usize]) -> (BaselineErrors, Option<usize>, Split) {
    let split = table.split(split).unwrap();
    let (scaler, warnings) = Scaler::fit(table, &split);
    assert!(warnings.is_empty(), "{warnings:?}");
    let (errors, period) = baseline_errors(table, &scaler, &split, &table.part(&split, Part::Test), horizons).unwrap();
    println!("{}: season {period:?}", table.path.display());
    for (name, errors) in errors.named() {
        for e in errors {
            println!(
                "  {name} {}: mse {:.4} mae {:.4} over {} origins",
                e.horizon, e.mse, e.mae, e.origins
            );
        }
    }
    (errors, period, split)
}

fn assert_close(errors: &[HorizonError], known: &[f64], tolerance: f64) {
    for (error, known) in errors.iter().zip(known) {
        assert!(
            (error.mse / known - 1.0).abs() < tolerance,
            "mse {} at {} where {known} is known",
            error.mse,
            error.horizon
        );
    }
}

/// At least as good as the known figure, within `tolerance`: the choice of lags here is wider.
fn assert_at_most(errors: &[HorizonError], known: &[f64], tolerance: f64) {
    for (error, known) in errors.iter().zip(known) {
        assert!(
            error.mse <= known * (1.0 + tolerance),
            "mse {} at {} where {known} is known",
            error.mse,
            error.horizon
        );
    }
}

#[test]
fn etth1() {
    let Some(table) = data("ETTh1.csv") else { return };
    assert_eq!((table.len(), table.variates(), table.interval_ms), (17_420, 7, Some(3_600_000)));
    let (errors, period, _) = figures(&table, SplitSpec::Rows([8640, 2880, 2880]), &[96, 192]);
    assert_eq!(period, Some(24));
    assert_eq!(errors.linear[0].origins, 2880 - 96 + 1);
    assert_at_most(&errors.linear, &[0.366, 0.400], 0.02);
    // The paper's own figures, of the map that it learns by gradient descent.
    assert_close(&errors.sparse_tsf.unwrap(), &[0.362, 0.403], 0.04);
}

#[test]
fn exchange() {
    let Some(table) = data("exchange_rate.txt") else { return };
    assert_eq!((table.len(), table.variates(), table.interval_ms), (7588, 8, None));
    let (errors, period, _) = figures(&table, SplitSpec::default(), &[96]);
    assert_eq!(period, None);
    assert_close(&errors.naive, &[0.0811], 0.005);
    assert_eq!(errors.seasonal_naive[0].mse, errors.naive[0].mse);
}

#[test]
fn lorenz96() {
    let Some(table) = data("lorenz96.csv") else { return };
    let (errors, period, _) = figures(&table, SplitSpec::default(), &[6, 12, 24]);
    assert_eq!(period, None);
    assert_close(&errors.naive, &[0.756, 1.420, 1.883], 0.005);
    assert_at_most(&errors.linear, &[0.249, 0.568, 0.758], 0.02);
    assert_at_most(&errors.linear_all.unwrap(), &[0.177, 0.394, 0.593], 0.02);
}

#[test]
fn building() {
    let Some(table) = data("building.csv") else { return };
    let (errors, period, split) = figures(&table, SplitSpec::default(), &[15, 60]);
    assert_eq!(period, Some(1440));
    assert_close(&errors.naive, &[0.119, 0.411], 0.01);
    assert_at_most(&errors.linear, &[0.099, 0.256], 0.02);
    assert_close(&errors.linear_all.unwrap(), &[0.0865, 0.1868], 0.01);
    assert_eq!(split.test, 8064);
}

#[test]
fn skab_is_read_with_its_gaps() {
    let Some(table) = data("skab_anomaly_free.csv") else { return };
    assert_eq!((table.interval_ms, table.variates()), (Some(1_000), 8));
    // 9405 rows in the file, in as many time steps as they span.
    let missing = (0..table.len()).filter(|&r| table.row(r).iter().all(|x| x.is_nan())).count();
    assert!(
        table.len() - missing <= 9405 && table.len() - missing > 9000,
        "{} - {missing}",
        table.len()
    );
    let series = Series::new(&table.values, table.variates());
    assert!(series.values.iter().flatten().all(|value| value.is_finite()));
}
