//! Cells: units, states, words for no reading, codes, counters.

use tsm2_data::{Kind, Options};

use crate::{clock, contains, day, error, names, read, read_with, reading, table};

fn at(row: usize) -> String {
    format!("2024-03-{:02} {}", day(row), clock(row))
}

#[test]
fn units_in_cells_made_columns_text() {
    let (recording, report) = read(table("Time,Room,Power,Valve", 100, |row| {
        format!("{},{:.1} °C,{} kW,{}%", at(row), reading(row), row % 7, row % 11)
    }));
    assert_eq!(recording.series[0].values[..3], [20.0, 0.0, 0.0]);
    assert_eq!(
        report.variates.iter().map(|variate| variate.unit.as_deref()).collect::<Vec<_>>(),
        [Some("°C"), Some("kW"), Some("%")]
    );
}

#[test]
fn two_units_in_a_column_are_refused() {
    let message = error(table("Time,Power", 100, |row| {
        format!(
            "{},{}",
            at(row),
            if row == 50 { "900 W".into() } else { format!("1.{} kW", row % 10) }
        )
    }));
    assert!(
        message.contains("`W`") && message.contains("`kW`") && message.contains("line 52") && message.contains("`Power`"),
        "{message}"
    );
}

#[test]
fn words_for_no_reading_are_missing_and_named() {
    let words = [
        "",
        "NA",
        "null",
        "?",
        "unavailable",
        "unknown",
        "-",
        "Bad",
        "#N/A",
        "NaN",
        "No Data",
        "---",
    ];
    let (_, report) = read(table("time,a", 240, |row| {
        format!(
            "{},{}",
            at(row),
            if row % 2 == 0 {
                words[row / 2 % 12].into()
            } else {
                format!("{:.1}", reading(row))
            }
        )
    }));
    assert_eq!((report.variates[0].missing, report.rows), (120, 240));
    assert!(contains(&report.warnings, "`?` in 10 cells (first in line 8)"), "{report:?}");
    assert!(!contains(&report.warnings, "`NA`"), "{report:?}");
}

#[test]
fn unknown_words_among_numbers_are_refused_with_the_option() {
    let text = table("time,a", 100, |row| {
        format!(
            "{},{}",
            at(row),
            if row % 10 == 3 {
                "Störung".into()
            } else {
                format!("{:.1}", reading(row))
            }
        )
    });
    let message = error(&text);
    assert!(
        message.contains("--missing-values 'Störung'") && message.contains("line 5") && message.contains("`a`"),
        "{message}"
    );
    let options = Options {
        missing_values: vec!["Störung".into()],
        ..Options::default()
    };
    assert_eq!(read_with(&text, &options).unwrap().1.variates[0].missing, 10);
    // A single one is named and left out.
    let (_, report) = read(text.replacen("Störung", "20.0", 9));
    assert_eq!(report.variates[0].missing, 1);
    assert!(contains(&report.warnings, "`Störung` in line 95"), "{report:?}");
}

#[test]
fn states_are_one_and_zero() {
    for (on, off) in [("on", "off"), ("True", "False"), ("OPEN", "CLOSED"), ("ein", "aus"), ("yes", "no")] {
        let (recording, report) = read(table("time,pump,temp", 60, |row| {
            format!("{},{},{:.1}", at(row), if row % 3 == 0 { on } else { off }, reading(row))
        }));
        assert_eq!(report.variates[0].kind, Kind::OnOff, "{on}");
        assert_eq!(recording.series[0].values[0], 1.0);
        assert_eq!(recording.series[0].values[2], 0.0);
    }
}

#[test]
fn states_with_unavailable_among_them_are_states() {
    let (_, report) = read(table("time,pump", 60, |row| {
        format!("{},{}", at(row), ["on", "off", "unavailable"][row % 3])
    }));
    assert_eq!((report.variates[0].kind, report.variates[0].missing), (Kind::OnOff, 20));
}

#[test]
fn codes_for_no_reading_are_named_and_left_out_on_request() {
    let text = table("time,co,level", 300, |row| {
        format!(
            "{},{},{}",
            at(row),
            if row % 6 == 0 {
                "-200".into()
            } else {
                format!("{:.1}", reading(row) / 10.0)
            },
            4 + row % 5
        )
    });
    let (_, report) = read(&text);
    assert_eq!(report.variates[0].min, Some(-200.0));
    assert!(contains(&report.warnings, "co: -200 in 17 % of the rows (50 times)"), "{report:?}");
    assert!(!contains(&report.warnings, "level"), "{report:?}");
    for value in ["-200", "co:-200", "co:-200.0"] {
        let options = Options {
            missing_values: vec![value.into()],
            ..Options::default()
        };
        let (_, report) = read_with(&text, &options).unwrap();
        assert_eq!((report.variates[0].missing, report.variates[0].min), (50, Some(2.0)), "{value}");
        assert!(!contains(&report.warnings, "-200 in"), "{report:?}");
    }
}

#[test]
fn a_counter_is_named_and_its_increase_read_on_request() {
    // Beyond the digits of an `f32`: the increase of 0.25 would be lost.
    let text = table("time,energy,temp", 200, |row| {
        format!(
            "{},{},{:.1}",
            at(row),
            123_456_789.0 + row as f64 * 0.25 + f64::from(row as u32 % 3) * 0.05,
            reading(row)
        )
    });
    let (_, report) = read(&text);
    assert!(contains(&report.warnings, "--difference energy"), "{report:?}");
    let options = Options {
        difference: vec!["energy".into()],
        ..Options::default()
    };
    let (recording, report) = read_with(&text, &options).unwrap();
    assert!(recording.series[0].values[0].is_nan());
    assert!(
        (recording.series[0].values[2] - 0.3).abs() < 1e-6,
        "{}",
        recording.series[0].values[2]
    );
    assert!(!contains(&report.warnings, "--difference"), "{report:?}");
    // Newest first the increase is the same, and a reset begins at zero.
    let reset = table("time,energy", 100, |row| {
        format!(
            "{},{}",
            at(row),
            if row < 50 {
                1000 + row * row % 50 + row * 50
            } else {
                (row - 49) * 3 + row % 2
            }
        )
    });
    let options = Options {
        difference: vec!["energy".into()],
        ..Options::default()
    };
    let (recording, _) = read_with(reset, &options).unwrap();
    assert!(
        recording.series[0].values[1..].iter().all(|value| *value >= 0.0),
        "{:?}",
        recording.series[0].values
    );
}

#[test]
fn columns_of_one_name_are_told_apart() {
    let (_, report) = read(table("time,temp,temp", 50, |row| {
        format!("{},{:.1},{:.1}", at(row), reading(row), reading(row + 5))
    }));
    assert_eq!(names(&report), ["temp", "temp_2"]);
    assert!(contains(&report.warnings, "two columns are named `temp`"), "{report:?}");
}

#[test]
fn infinities_and_numbers_beyond_single_precision_are_missing() {
    let (recording, report) = read(table("time,a", 100, |row| {
        format!("{},{}", at(row), ["1.5", "inf", "1e300", "-Infinity"][row % 4])
    }));
    assert_eq!(report.variates[0].missing, 75);
    assert!(recording.series[0].values.iter().all(|value| value.is_nan() || value.is_finite()));
}

#[test]
fn columns_are_chosen_by_name_and_order() {
    let text = table("time,a,b,c", 50, |row| format!("{},{},{},{}", at(row), row % 7, row % 5, row % 3));
    let options = Options {
        columns: vec!["c".into(), "a".into()],
        ..Options::default()
    };
    let (_, report) = read_with(&text, &options).unwrap();
    assert_eq!(names(&report), ["c", "a"]);
    assert_eq!(report.dropped_columns[0].reason, "not named by --columns");
    let options = Options {
        columns: vec!["d".into()],
        ..Options::default()
    };
    let message = read_with(&text, &options).unwrap_err().to_string();
    assert!(message.contains("`d`") && message.contains("`a`, `b`, `c`"), "{message}");
}

#[test]
fn many_signs_before_a_number_overflowed_the_stack_or_were_read_as_one() {
    for cell in ["+ ".repeat(500_000) + "3", "+ + 3".into(), "- + 3".into(), "+ +3".into()] {
        let row = |row: usize| match row {
            30 => format!("{},{cell}", at(row)),
            _ => format!("{},{:.1}", at(row), reading(row)),
        };
        let (recording, report) = read(table("time,temp", 60, row));
        assert_eq!(report.variates[0].missing, 1, "{:.20}", cell);
        assert!(recording.series[0].values[30].is_nan());
    }
}

#[test]
fn a_header_of_many_equal_names_took_hours() {
    let cells = |cell: &str| vec![cell; 20_000].join(",");
    let (_, report) = read(table(&format!("time,{}", cells("a")), 4, |row| {
        format!("{},{}", at(row), cells(&reading(row).to_string()))
    }));
    let names = names(&report);
    assert_eq!((names.len(), names[1], names[19_999]), (20_000, "a_2", "a_20000"));
}

#[test]
fn numbers_of_equal_names_skip_those_of_the_header() {
    let (_, report) = read(table("time,a_2,a,a,b,a", 50, |row| {
        let x = reading(row);
        format!("{},{x},{},{},{},{}", at(row), x + 1.0, x + 2.0, x + 3.0, x + 4.0)
    }));
    assert_eq!(names(&report), ["a_2", "a", "a_3", "b", "a_4"]);
}
