//! Times as people and programs write them.

use tsm2_data::{Clock, Options};

use crate::{assert_ten_minutes, clock, contains, day, error, names, read, read_with, reading, table};

/// A table whose first column is written by `time`, a row every ten minutes from 2024-03-04 on.
fn with(header: &str, count: usize, time: impl Fn(usize) -> String) -> String {
    table(header, count, |row| format!("{},{:.1}", time(row), reading(row)))
}

fn zone(name: &str) -> Options {
    Options {
        time_zone: Some(name.into()),
        ..Options::default()
    }
}

fn am_pm(row: usize) -> String {
    let (hour, minute) = (row / 6 % 24, row % 6 * 10);
    format!(
        "{}:{minute:02}:00 {}",
        if hour % 12 == 0 { 12 } else { hour % 12 },
        if hour < 12 { "AM" } else { "PM" }
    )
}

#[test]
fn times_in_forms_of_other_programs_were_dropped_as_text() {
    type Form = fn(usize) -> String;
    let forms: [(&str, Form); 16] = [
        ("RFC 3339", |row| format!("2024-03-{:02}T{}:00Z", day(row), clock(row))),
        ("offset", |row| format!("2024-03-{:02} {}:00+00:00", day(row), clock(row))),
        ("minutes", |row| format!("2024-03-{:02} {}", day(row), clock(row))),
        ("slashes", |row| format!("2024/3/{} {}", day(row), clock(row))),
        ("German", |row| format!("{:02}.03.2024 {}", day(row), clock(row))),
        ("short German", |row| format!("{}.3.24 {}:00", day(row), clock(row))),
        ("day first", |row| format!("{:02}/03/2024 {}", day(row), clock(row))),
        ("month first, AM and PM", |row| format!("3/{}/2024 {}", day(row), am_pm(row))),
        ("month first, dashes", |row| format!("03-{:02}-2024 {}:00", day(row), clock(row))),
        ("compact", |row| format!("202403{:02}T{}00Z", day(row), clock(row).replace(':', ""))),
        ("compact digits", |row| {
            format!("202403{:02}{}", day(row), clock(row).replace(':', ""))
        }),
        ("UTC behind", |row| format!("2024-03-{:02} {}:00 UTC", day(row), clock(row))),
        ("month by name", |row| format!("{:02}-Mar-2024 {}", day(row), clock(row))),
        ("date of mail", |row| {
            format!("\"Mon, {:02} Mar 2024 {}:00 GMT\"", day(row), clock(row))
        }),
        ("dots in the time", |row| {
            format!("{:02}.03.2024 {}.00", day(row), clock(row).replace(':', "."))
        }),
        ("milliseconds with a comma", |row| {
            format!("\"2024-03-{:02} {}:00,000\"", day(row), clock(row))
        }),
    ];
    for (name, form) in forms {
        // Eleven days: the 13th of the month decides between day and month.
        let (_, report) = read(with("Timestamp,room", 1500, form));
        assert_eq!(report.start.as_deref(), Some("2024-03-04T00:00:00Z"), "{name}");
        assert_eq!((report.interval_s, report.rows), (Some(600.0), 1500), "{name}");
        assert_eq!(names(&report), ["room"], "{name}");
    }
}

#[test]
fn day_and_month_are_told_apart_by_the_days_that_follow_each_other() {
    let (_, report) = read(with("Timestamp,room", 400, |row| format!("{:02}/03/2024 {}", day(row), clock(row))));
    assert_ten_minutes(&report);
    assert!(contains(&report.warnings, "day first"), "{report:?}");
    let (_, report) = read(with("Timestamp,room", 400, |row| format!("03/{:02}/2024 {}", day(row), clock(row))));
    assert_ten_minutes(&report);
    assert!(contains(&report.warnings, "month first"), "{report:?}");
}

#[test]
fn day_and_month_that_cannot_be_told_apart_are_refused() {
    let daily = with("Date,flow", 12, |row| format!("{:02}/03/2024", row + 1));
    let message = error(&daily);
    assert!(
        message.contains("--time-format") && message.contains("`Date`") && message.contains("`01/03/2024`"),
        "{message}"
    );
    let one_day = with("Date,flow", 100, |row| format!("04/03/2024 {}", clock(row)));
    assert!(error(&one_day).contains("--time-format"));
    let options = Options {
        time_format: Some("dmy".into()),
        ..Options::default()
    };
    let (_, report) = read_with(daily, &options).unwrap();
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-01T00:00:00Z"), Some(86_400.0))
    );
    let options = Options {
        time_format: Some("%m/%d/%Y %H:%M".into()),
        ..Options::default()
    };
    assert_eq!(
        read_with(one_day, &options).unwrap().1.start.as_deref(),
        Some("2024-04-03T00:00:00Z")
    );
}

#[test]
fn date_and_time_of_day_in_two_columns_lost_one() {
    for (header, swap) in [
        ("Date,Time,power", false),
        ("Time,Date,power", true),
        ("Datum,Uhrzeit,Leistung", false),
    ] {
        let (_, report) = read(table(header, 300, |row| {
            let (date, time) = (format!("2024-03-{:02}", day(row)), format!("{}:00", clock(row)));
            let (a, b) = if swap { (time, date) } else { (date, time) };
            format!("{a},{b},{:.1}", reading(row))
        }));
        assert_ten_minutes(&report);
        assert_eq!(report.variates.len(), 1);
    }
}

#[test]
fn a_date_that_excel_wrote_with_midnight_is_joined_with_its_time() {
    let (_, report) = read(table("Date,Time,power", 300, |row| {
        format!("2024-03-{:02} 00:00:00,{},{:.1}", day(row), clock(row), reading(row))
    }));
    assert_ten_minutes(&report);
}

#[test]
fn year_month_day_and_hour_in_columns_of_their_own_are_the_time() {
    let (_, report) = read(table("No,year,month,day,hour,PM2.5,TEMP", 200, |row| {
        format!(
            "{},2024,3,{},{},{},{:.1}",
            row + 1,
            4 + row / 24,
            row % 24,
            row * 7 % 13,
            reading(row)
        )
    }));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
    assert_eq!(names(&report), ["PM2.5", "TEMP"]);
    let (_, report) = read(table("YEAR,DOY,HR,T2M", 100, |row| {
        format!("2024,{},{},{:.1}", 64 + row / 24, row % 24, reading(row))
    }));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
}

#[test]
fn a_date_with_the_hour_ending_beside_is_the_time() {
    let (_, report) = read(table("Date,Hour,Load", 100, |row| {
        format!("2024-03-{:02},{},{:.1}", 4 + row / 24, row % 24 + 1, reading(row))
    }));
    assert_eq!(
        (report.start.as_deref(), report.interval_s, report.rows),
        (Some("2024-03-04T01:00:00Z"), Some(3600.0), 100)
    );
}

#[test]
fn unix_time_in_every_unit_is_read() {
    for (zeros, unit) in [("", "unix-s"), ("000", "unix-ms"), ("000000", "unix-us"), ("000000000", "unix-ns")] {
        let (_, report) = read(with("timestamp,room", 100, |row| format!("{}{zeros}", 1_709_510_400 + row * 600)));
        assert_ten_minutes(&report);
        assert_eq!(report.time_format.as_deref(), Some(unit));
    }
    let (_, report) = read(with("timestamp,room", 100, |row| format!("{}.25", 1_709_510_400 + row * 600)));
    assert_eq!(report.interval_s, Some(600.0));
    // Without a header the first column may be one.
    let (_, report) = read(
        (0..50)
            .map(|row| format!("{},{:.1}\n", 1_709_510_400 + row * 600, reading(row)))
            .collect::<String>(),
    );
    assert_ten_minutes(&report);
}

#[test]
fn serial_dates_of_excel_are_times() {
    let (_, report) = read(with("Date,temperature", 300, |row| format!("{:.6}", 45_355.0 + row as f64 / 144.0)));
    assert_ten_minutes(&report);
    let (_, report) = read(table("Datum;Temperatur", 300, |row| {
        format!("{:.5};{:.1}", 45_355.0 + row as f64 / 144.0, reading(row)).replace('.', ",")
    }));
    assert_ten_minutes(&report);
}

#[test]
fn elapsed_time_is_read_when_its_unit_is_known() {
    let (recording, report) = read(with("Time (s),voltage", 100, |row| format!("{}", row * 5)));
    assert_eq!((report.interval_s, recording.clock), (Some(5.0), Clock::Elapsed));
    let text = with("time,voltage", 100, |row| row.to_string());
    let (_, report) = read(&text);
    assert_eq!(names(&report), ["voltage"]);
    assert!(report.dropped_columns[0].reason.contains("--time-format elapsed"), "{report:?}");
    let options = Options {
        time_format: Some("elapsed-h".into()),
        time_column: vec!["time".into()],
        ..Options::default()
    };
    assert_eq!(read_with(text, &options).unwrap().1.interval_s, Some(3600.0));
}

#[test]
fn uneven_numbers_called_time_are_refused() {
    let message = error(with("time,voltage", 100, |row| (row * row % 37).to_string()));
    assert!(message.contains("`time`") && message.contains("--time-format"), "{message}");
}

#[test]
fn local_time_is_read_by_its_zone() {
    let summer = with("time,a", 48, |row| format!("2024-07-01 {}", clock(row)));
    let (_, report) = read_with(&summer, &zone("Europe/Berlin")).unwrap();
    assert_eq!(
        (report.start.as_deref(), report.time_zone.as_deref()),
        (Some("2024-06-30T22:00:00Z"), Some("Europe/Berlin"))
    );
    assert_eq!(
        read_with(&summer, &zone("+05:30")).unwrap().1.start.as_deref(),
        Some("2024-06-30T18:30:00Z")
    );
    let message = read_with(&summer, &zone("Berlin")).unwrap_err().to_string();
    assert!(message.contains("--time-zone") && message.contains("Europe/Berlin"), "{message}");
}

#[test]
fn both_passes_of_the_autumn_hour_are_kept() {
    // 48 hours from 2024-10-26 in Berlin, of which the 27th has 25.
    let civil: Vec<String> = (0..49 * 6)
        .map(|row| {
            let minute = row * 10;
            let hour = match minute / 60 {
                hour @ ..27 => hour,
                hour => hour - 1,
            };
            format!("2024-10-{:02} {:02}:{:02}", 26 + hour / 24, hour % 24, minute % 60)
        })
        .collect();
    for newest_first in [false, true] {
        let mut rows: Vec<String> = civil
            .iter()
            .enumerate()
            .map(|(row, time)| format!("{time},{:.1}", reading(row)))
            .collect();
        if newest_first {
            rows.reverse();
        }
        let (recording, report) = read_with(format!("time,a\n{}\n", rows.join("\n")), &zone("Europe/Berlin")).unwrap();
        assert_eq!((report.rows, recording.rows()), (294, 294));
        assert!(!recording.series[0].values.iter().any(|value| value.is_nan()));
    }
}

#[test]
fn an_hour_that_comes_twice_without_a_zone_is_named() {
    let mut rows: Vec<String> = (0..72)
        .map(|row| format!("2024-10-{:02} {:02}:00,{:.1}", 26 + row / 24, row % 24, reading(row)))
        .collect();
    rows.insert(27, format!("2024-10-27 02:00,{:.1}", reading(99)));
    let (_, report) = read(format!("time,a\n{}\n", rows.join("\n")));
    assert!(contains(&report.warnings, "--time-zone"), "{report:?}");
}

#[test]
fn twenty_four_hundred_is_midnight_of_the_next_day() {
    let (_, report) = read(with("time,a", 300, |row| {
        let row = row + 1;
        let (day, minutes) = (4 + (row - 1) / 144, (row - 1) % 144 * 10 + 10);
        format!("2024-03-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
    }));
    assert_eq!(
        (report.start.as_deref(), report.interval_s, report.rows),
        (Some("2024-03-04T00:10:00Z"), Some(600.0), 300)
    );
    assert!(report.dropped_rows.is_empty() && !contains(&report.warnings, "gap"), "{report:?}");
}

#[test]
fn midnight_at_the_end_of_its_day_is_put_right() {
    let (recording, report) = read(with("date,a", 1440, |row| {
        let row = row + 1;
        let day = if row % 144 == 0 { 3 + row / 144 } else { 4 + row / 144 };
        format!("{day:02}/01/2024 {}", clock(row))
    }));
    assert_eq!((report.interval_s, report.rows, recording.rows()), (Some(600.0), 1440, 1440));
    assert!(contains(&report.warnings, "10 rows of 00:00"), "{report:?}");
}

#[test]
fn newest_first_and_unsorted_rows_are_sorted() {
    let mut rows: Vec<String> = (0..200)
        .map(|row| format!("2024-03-{:02} {},{:.1}", day(row), clock(row), reading(row)))
        .collect();
    let sorted = read(format!("time,a\n{}\n", rows.join("\n"))).0.series;
    rows.reverse();
    let (recording, report) = read(format!("time,a\n{}\n", rows.join("\n")));
    assert_eq!(recording.series, sorted);
    assert!(contains(&report.warnings, "newest first"), "{report:?}");
    rows.swap(3, 90);
    rows.swap(40, 41);
    let (recording, report) = read(format!("time,a\n{}\n", rows.join("\n")));
    assert_eq!(recording.series, sorted);
    assert!(contains(&report.warnings, "sorted by time"), "{report:?}");
}

#[test]
fn hours_in_digits_alone_are_no_seconds_since_1970() {
    let (_, report) = read(with("MESS_DATUM,T", 200, |row| format!("202403{:02}{:02}", 4 + row / 24, row % 24)));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
}

#[test]
fn am_and_pm_in_a_column_of_its_own_belong_to_the_time() {
    let (_, report) = read(table("DATE,TIME,AMPM,T", 300, |row| {
        let time = am_pm(row);
        let (clock, half) = time.split_once(' ').unwrap();
        format!("03/{:02}/2024,{clock},{half},{:.1}", day(row), reading(row))
    }));
    assert_ten_minutes(&report);
    assert_eq!((names(&report), report.rows), (vec!["T"], 300));
}

#[test]
fn short_dates_with_dots_beside_a_time_of_day_are_dates() {
    let (_, report) = read(table("Datum;Zeit;T", 300, |row| {
        format!("{:02}.03.24;{};{:.1}", day(row), clock(row), reading(row)).replacen(',', ".", 0)
    }));
    assert_ten_minutes(&report);
}

#[test]
fn of_a_time_from_to_the_first_counts() {
    let (_, report) = read(table("MTU,price", 300, |row| {
        format!("04.03.2024 {} - 04.03.2024 23:59,{:.2}", clock(row % 144), reading(row)).replace("04.03", &format!("{:02}.03", day(row)))
    }));
    assert_ten_minutes(&report);
}
