//! A table that no linear map can forecast, for tests that train.

use std::path::Path;

use tsm2_train::data::table::Table;

/// Two coupled logistic maps, observed as they are, `x` and `y`; readings of `y` are missing in the rows that `is_missing` tells.
pub fn logistic_maps(rows: usize, is_missing: impl Fn(usize) -> bool) -> Table {
    let (mut x, mut y) = (0.3f64, 0.6f64);
    let mut text = String::from("x,y\n");
    for row in 0..rows {
        let (next_x, next_y) = (3.8 * x * (1.0 - x), 3.7 * y * (1.0 - y));
        (x, y) = (0.8 * next_x + 0.2 * next_y, 0.2 * next_x + 0.8 * next_y);
        let second = if is_missing(row) { String::new() } else { format!("{y:.5}") };
        text.push_str(&format!("{x:.5},{second}\n"));
    }
    Table::parse(Path::new("chaos.csv"), text.as_bytes()).expect("a table")
}
