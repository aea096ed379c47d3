//! Files that a power cut, a restart or another program has marked.

use crate::{assert_ten_minutes, clock, contains, day, error, read, reading, table};

fn row(row: usize) -> String {
    format!("2024-03-{:02} {},{:.2},{}", day(row), clock(row), reading(row), row % 7)
}

fn rows() -> Vec<String> {
    let text = table("time,room,power", 300, row);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn zero_bytes_of_a_power_cut_cost_their_row_only() {
    let mut lines = rows();
    lines[100] = format!("{}{}", "\0".repeat(480), lines[100]);
    let (_, report) = read(lines.join("\n") + "\n");
    assert_ten_minutes(&report);
    assert_eq!(report.rows, 299);
    assert_eq!((report.dropped_rows[0].count, report.dropped_rows[0].first_line), (1, 101));
    assert!(report.dropped_rows[0].reason.contains("zero bytes"), "{report:?}");
}

#[test]
fn a_header_that_comes_again_is_no_row() {
    let mut lines = rows();
    lines.insert(150, "Logging to: LD0030.CSV".into());
    lines.insert(151, lines[0].clone());
    let (_, report) = read(lines.join("\n") + "\n");
    assert_eq!(report.rows, 300);
    assert_eq!(
        report
            .dropped_rows
            .iter()
            .map(|rows| (rows.reason.as_str(), rows.first_line))
            .collect::<Vec<_>>(),
        [("fewer cells than the header", 151), ("the header again", 152)]
    );
}

#[test]
fn a_last_line_that_is_cut_is_left_out() {
    let text = rows().join("\n");
    for cut in [3, 12, 14] {
        let (_, report) = read(format!("{text}\n{}", &row(300)[..cut]));
        assert_eq!(report.rows, 300);
        assert_eq!(report.dropped_rows[0].reason, "the last line is cut");
        assert_eq!(report.dropped_rows[0].first_line, 302);
    }
}

#[test]
fn a_summary_below_the_rows_is_left_out() {
    let (_, report) = read(rows().join("\n") + "\nAverage,20.51,1.602\nMax,23.4,3.1\n");
    assert_eq!(
        (report.rows, report.dropped_rows[0].count, report.dropped_rows[0].first_line),
        (300, 2, 302)
    );
    assert!(contains(&report.warnings, "`Average`"), "{report:?}");
}

#[test]
fn lines_of_delimiters_are_counted_and_left_out() {
    let (_, report) = read(rows().join("\n") + "\n" + &",,\n".repeat(100));
    assert_eq!((report.rows, report.dropped_rows[0].count), (300, 100));
    assert_eq!(report.dropped_rows[0].reason, "no cell is filled");
}

#[test]
fn a_quote_that_is_not_closed_is_named_with_its_line() {
    let mut lines = rows();
    lines[40] = "2024-03-04 06:30,\"20.5,3".into();
    let message = error(lines.join("\n") + "\n");
    assert!(message.contains("quote") && message.contains("line 41"), "{message}");
}

#[test]
fn a_clock_that_jumped_to_another_age_costs_its_row_only() {
    for wrong in ["2061-01-01 00:00", "2000-01-01 00:00", "1970-01-01 00:00"] {
        let mut lines = rows();
        lines[200] = format!("{wrong},20.0,1");
        let (recording, report) = read(lines.join("\n") + "\n");
        assert_ten_minutes(&report);
        assert_eq!(recording.rows(), 300, "{wrong}");
        assert!(
            report.dropped_rows.iter().any(|rows| rows.reason.contains("clock jump")),
            "{report:?}"
        );
    }
}

#[test]
fn rows_of_an_export_that_overlaps_are_read_once() {
    let lines = rows();
    let text = lines[..=200].join("\n") + "\n" + &lines[101..].join("\n") + "\n";
    let (recording, report) = read(text);
    assert_eq!(recording.rows(), 300);
    assert!(contains(&report.warnings, "100 rows come twice"), "{report:?}");
}

#[test]
fn rows_of_empty_cells_without_a_time_column_stay_time_steps() {
    let cell = |row: usize| match row {
        40..50 => ",".to_owned(),
        row => format!("{:.2},{}", reading(row), row % 7),
    };
    let rows: String = (0..100).map(|row| cell(row) + "\n").collect();
    let (recording, report) = read(format!("room,power\n{rows},\n,\n"));
    assert_eq!(report.rows, 100);
    assert_eq!((report.variates[0].missing, report.variates[1].missing), (10, 10));
    assert!(recording.series[0].values[80..100].iter().all(|value| value.is_nan()));
    assert_eq!(
        (report.dropped_rows.len(), report.dropped_rows[0].count),
        (1, 2),
        "the end of the file is no time step"
    );
}
