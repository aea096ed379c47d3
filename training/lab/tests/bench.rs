//! The yardsticks' protocols against published figures of naive and seasonal naive, which need no training.
//!
//! The data is not part of the project; `TSM2_DATA` names its folder. Where it is absent these tests say so and pass, unless
//! `TSM2_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use tsm2_lab::bench::gift::{RATES, Rate, summed};
use tsm2_train::data::table::Table;

/// The file of this name, or `None` (with a line saying so) where there is none.
fn data(name: &str) -> Option<Table> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("TSM2_DATA").map_or(beside, PathBuf::from).join(name);
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
    Some(Table::read(&path).expect("a recording"))
}

/// To the digits that are published.
fn assert_published(errors: &[f64], published: [f64; 3], digit: f64, what: &str) {
    for (error, known) in errors.iter().zip(published) {
        assert!(
            (error - known).abs() <= 0.5001 * digit,
            "{what}: {errors:?}, published {published:?}"
        );
    }
}

#[test]
fn naive_and_seasonal_naive_have_the_published_errors_of_gift_eval() {
    let Some(table) = data("ETTm1.csv") else { return };
    let known = [
        ([1.969, 1.823, 2.045], [0.934, 1.188, 1.191], [8.78, 12.9, 13.0], [0.01, 0.1, 0.1]),
        ([1.825, 2.033, 2.273], [0.977, 1.568, 1.479], [141.0, 205.0, 199.0], [1.0, 1.0, 1.0]),
    ];
    for (rate, (naive, seasonal, squared, digits)) in RATES.iter().zip(known) {
        let table = summed(table.clone(), rate.summed);
        let errors = |period| {
            let repeat = |origin, length| Ok::<_, std::convert::Infallible>(Rate::repeat(&table, period, origin, length));
            rate.errors(&table, "repeat", repeat).expect("never fails")
        };
        let mase = |period| errors(period).iter().filter_map(|measured| measured.mase).collect::<Vec<_>>();
        assert_published(&mase(1), naive, 0.001, rate.name);
        assert_published(&mase(rate.season), seasonal, 0.001, rate.name);
        for ((measured, known), digit) in errors(rate.season).iter().zip(squared).zip(digits) {
            assert!(
                (measured.mse - known).abs() <= 0.5001 * digit,
                "{}: {measured:?}, published {known}",
                rate.name
            );
        }
    }
}
