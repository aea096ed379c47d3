//! What must stop reading, or stand in the report.

use tsm2_data::{Options, read_bytes};

use crate::{clock, contains, day, error, names, read, read_with, reading, table};

fn at(row: usize) -> String {
    format!("2024-03-{:02} {}", day(row), clock(row))
}

fn force() -> Options {
    Options {
        force: true,
        ..Options::default()
    }
}

#[test]
fn a_time_column_that_cannot_be_read_was_dropped_as_text() {
    for (header, cell) in [
        ("time,a", "day 64 of 2024 {}"),
        ("timestamp,a", "week 10 {}"),
        ("Datum,a", "2024|03|04 {}"),
        ("when measured,a", "2024/03-04 {}:00"),
        ("fecha y hora,a", "4 de 3 de 2024 {}"),
        ("Month,a", "2024-13"),
    ] {
        let message = error(table(header, 60, |row| {
            format!("{},{:.1}", cell.replace("{}", &clock(row)), reading(row))
        }));
        let column = header.split(',').next().unwrap();
        assert!(
            message.contains(&format!("`{column}`"))
                && message.contains("--time-format")
                && message.contains("line 2")
                && message.contains("line 3"),
            "{message}"
        );
    }
}

#[test]
fn a_time_of_day_without_a_date_is_refused() {
    let message = error(table("Time,a", 100, |row| format!("{},{:.1}", clock(row), reading(row))));
    assert!(message.contains("without a date") && message.contains("--time-column"), "{message}");
    let options = Options {
        time_format: Some("none".into()),
        ..Options::default()
    };
    assert_eq!(
        names(
            &read_with(table("Time,a", 100, |row| format!("{},{:.1}", clock(row), reading(row))), &options)
                .unwrap()
                .1
        ),
        ["a"]
    );
}

#[test]
fn numbers_that_rise_evenly_were_forecast_as_sensors() {
    type Form = fn(usize) -> String;
    let forms: [(&str, Form); 5] = [
        ("", |row| row.to_string()),
        ("No", |row| (row + 1).to_string()),
        ("x", |row| format!("{}", row * 10)),
        ("count down", |row| (5000 - row).to_string()),
        ("Unnamed: 0", |row| row.to_string()),
    ];
    for (name, form) in forms {
        let text = table(&format!("{name},time,a"), 100, |row| {
            format!("{},{},{:.1}", form(row), at(row), reading(row))
        });
        let (_, report) = read(&text);
        assert_eq!(names(&report), ["a"], "{name}");
        assert!(report.dropped_columns[0].reason.contains("evenly"), "{report:?}");
    }
    let text = table("x,time,a", 100, |row| format!("{row},{},{:.1}", at(row), reading(row)));
    assert_eq!(
        names(
            &read_with(
                text,
                &Options {
                    keep: vec!["x".into()],
                    ..Options::default()
                }
            )
            .unwrap()
            .1
        ),
        ["x", "a"]
    );
}

#[test]
fn a_row_number_that_begins_again_is_still_one() {
    let (_, report) = read(table("RECORD,time,a", 200, |row| {
        format!("{},{},{:.1}", row % 120, at(row), reading(row))
    }));
    assert_eq!(names(&report), ["a"]);
}

#[test]
fn columns_that_repeat_the_clock_are_no_sensors() {
    let (_, report) = read(table("time,year,month,hour,NSM,weekday,a", 2000, |row| {
        format!(
            "{},2024,3,{},{},{},{:.1}",
            at(row),
            row / 6 % 24,
            row % 144 * 600,
            (row / 144) % 7,
            reading(row)
        )
    }));
    assert_eq!(names(&report), ["a"]);
    assert_eq!(report.dropped_columns.len(), 5, "{report:?}");
    assert!(
        report.dropped_columns.iter().all(|column| column.reason.contains("clock")),
        "{report:?}"
    );
}

#[test]
fn a_year_as_the_only_time_is_not_forecast() {
    let (_, report) = read(table("Year,output", 40, |row| format!("{},{:.1}", 1980 + row, reading(row))));
    assert_eq!(names(&report), ["output"]);
}

#[test]
fn many_rows_dropped_for_one_reason_stop_reading() {
    let text = table("time,a,b", 200, |row| {
        if row % 20 == 3 {
            format!("{},1", at(row))
        } else {
            format!("{},{:.1},{}", at(row), reading(row), row % 5)
        }
    });
    let message = error(&text);
    assert!(
        message.contains("10 of 200 rows") && message.contains("fewer cells") && message.contains("line 5") && message.contains("--force"),
        "{message}"
    );
    let (_, report) = read_with(&text, &force()).unwrap();
    assert_eq!(report.rows, 190);
    assert!(contains(&report.warnings, "--force: 10 of 200 rows"), "{report:?}");
    assert_eq!((report.dropped_rows[0].count, report.dropped_rows[0].first_line), (10, 5));
}

#[test]
fn many_unreadable_times_stop_reading() {
    let message = error(table("time,a", 100, |row| {
        format!("{},{:.1}", if row % 10 == 4 { "later".into() } else { at(row) }, reading(row))
    }));
    assert!(
        message.contains("`time`") && message.contains("`later`") && message.contains("line 6"),
        "{message}"
    );
    let (_, report) = read_with(
        table("time,a", 100, |row| {
            format!("{},{:.1}", if row % 10 == 4 { "later".into() } else { at(row) }, reading(row))
        }),
        &force(),
    )
    .unwrap();
    assert_eq!(report.rows, 90);
    assert!(contains(&report.warnings, "--force"), "{report:?}");
}

#[test]
fn text_columns_are_named_with_their_words() {
    let (_, report) = read(table("time,mode,a", 100, |row| {
        format!("{},{},{:.1}", at(row), ["AUTO", "MANUAL"][row % 2], reading(row))
    }));
    assert_eq!(report.dropped_columns[0].reason, "text: `AUTO`, `MANUAL`");
}

#[test]
fn a_file_without_numbers_names_its_columns() {
    let message = error(table("time,mode", 50, |row| format!("{},AUTO", at(row))));
    assert!(message.contains("`mode` (text: `AUTO` throughout)"), "{message}");
}

#[test]
fn empty_files_and_headers_alone_are_refused() {
    assert!(error("").contains("empty"));
    assert!(error("\n\n  \n").contains("empty"));
    assert!(error("time,a,b\n").contains("no row of readings"));
    let message = read_bytes(std::path::Path::new("x.xlsx"), b"PK\x03\x04....", &Options::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("CSV"), "{message}");
}

#[test]
fn names_and_zones_that_do_not_exist_are_refused_with_those_that_do() {
    let text = table("time,a", 20, |row| format!("{},{:.1}", at(row), reading(row)));
    for options in [
        Options {
            time_column: vec!["date".into()],
            ..Options::default()
        },
        Options {
            series: Some("device".into()),
            ..Options::default()
        },
        Options {
            difference: vec!["b".into()],
            ..Options::default()
        },
        Options {
            name_column: Some("tag".into()),
            ..Options::default()
        },
    ] {
        let message = read_with(&text, &options).unwrap_err().to_string();
        assert!(message.contains("--") && message.contains("`a`"), "{message}");
    }
}

#[test]
fn a_title_between_number_signs_was_a_spreadsheets_narrow_column() {
    let message = error("#### Station log ####\ntime,temp,hum\n");
    assert!(message.contains("no row of readings"), "{message}");
}

/// Rows of two devices whose clocks differ by seconds: no time comes twice.
fn of_two_devices(header: &str, device: impl Fn(usize) -> usize) -> String {
    table(header, 240, |row| {
        let (device, minute) = (device(row), row / 2);
        let minute = if header.contains("block") { row % 120 } else { minute };
        let name = ["kitchen", "hall"][device];
        let time = format!("2024-03-04 {:02}:{:02}:{:02}", minute / 60, minute % 60, 7 * device + row % 5);
        format!("{time},{name},{},{}", reading(row), 50.0 + reading(row))
    })
}

#[test]
fn rows_of_named_devices_were_mixed_where_no_time_came_twice() {
    for header in ["time,location,temp,humidity", "time,station,temp,humidity"] {
        let text = of_two_devices(header, |row| row % 2);
        let message = error(&text);
        let column = header.split(',').nth(1).unwrap();
        assert!(
            message.contains(&format!("--series {column}")) && message.contains("`kitchen`"),
            "{message}"
        );
        let options = Options {
            series: Some(column.into()),
            ..Options::default()
        };
        assert_eq!(read_with(&text, &options).unwrap().0.series.len(), 2);
        let options = Options {
            ignore: vec![column.into()],
            ..Options::default()
        };
        assert_eq!(read_with(&text, &options).unwrap().0.series.len(), 1);
    }
    // One device's rows after the other's, over the same hours.
    let message = error(of_two_devices("time,device,temp,block", |row| row / 120));
    assert!(message.contains("--series device"), "{message}");
}

#[test]
fn a_place_that_changes_at_times_is_no_device() {
    let places = table("time,location,temp,humidity", 240, |row| {
        let place = ["depot", "road"][row / 120];
        format!(
            "2024-03-{:02}T{}:00Z,{place},{},{}",
            day(row),
            clock(row),
            reading(row),
            50.0 + reading(row)
        )
    });
    let (_, report) = read(places);
    assert_eq!(names(&report), ["temp", "humidity"]);
}

#[test]
fn modes_and_numbers_of_a_converter_were_said_to_be_devices() {
    let row = |cell: &str, row: usize| format!("{},{cell},{},{}", at(row), reading(row), 50.0 + reading(row));
    let modes = |header: &str, words: [&str; 3], rows: usize| table(header, 240, |at| row(words[at / rows % 3], at));
    for text in [
        modes("time,name,temp,power", ["heat", "idle", "cool"], 4),
        modes("time,location,temp,speed", ["depot", "road", "customer"], 10),
        table("time,source,temp,hum", 240, |at| {
            row(if at % 7 < 2 { "estimated" } else { "measured" }, at)
        }),
    ] {
        assert_eq!(read(text).1.variates.len(), 2);
    }
    let counts = table("time,sensor,temp,hum", 240, |at| {
        row(&(500 + ((at * 2_654_435_761) >> 9) % 101).to_string(), at)
    });
    assert_eq!(names(&read(counts).1), ["sensor", "temp", "hum"]);
    // A simulation draws the machine of each row.
    let drawn = table("time,machine_id,temp,hum", 240, |at| {
        row(&(((at * 2_654_435_761) >> 9) % 9).to_string(), at)
    });
    assert!(error(drawn).contains("--series machine_id"));
}

#[test]
fn products_at_irregular_times_and_keys_of_rows_were_said_to_be_devices() {
    let cells = |row: usize| format!("{},{}", reading(row), 50.0 + reading(row));
    // Rows come when they like, a product for many of them.
    let products = table("time,name,temp,speed", 240, |row| {
        format!(
            "{}:{:02},{},{}",
            at(row),
            row * row * 7919 % 45,
            ["PP-20", "PE-11", "ABS"][row / 20 % 3],
            cells(row)
        )
    });
    assert_eq!(names(&read(products).1), ["temp", "speed"]);
    let keys = table("time,id,temp,hum", 4000, |row| {
        format!("{},{},{}", at(row), (row * 2_654_435_761) % 1_000_003, cells(row))
    });
    assert!(names(&read(keys).1).ends_with(&["temp", "hum"]));
}

#[test]
fn a_replaced_sensor_was_said_to_be_two_where_rows_changed_places() {
    let (_, report) = read(table("time,sensor,temp,hum", 240, |row| {
        let at = at(if row < 100 { row ^ 1 } else { row });
        format!("{at},{},{},{}", ["A1", "B7"][row / 120], reading(row), 50.0 + reading(row))
    }));
    assert_eq!(names(&report), ["temp", "hum"]);
}

#[test]
fn rows_of_named_devices_were_mixed_where_one_came_only_once() {
    let message = error(of_two_devices("time,station,temp,humidity", |row| row % 2).replacen("hall", "attic", 1));
    assert!(message.contains("--series station"), "{message}");
}
