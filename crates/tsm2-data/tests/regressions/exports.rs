//! Exports of loggers, meters, weather services and databases, each in the form in which its program writes it.

use std::fmt::Write as _;

use crate::{assert_ten_minutes, clock, contains, day, error, names, read, reading, table};

/// `2024-03-04 00:10` of the row, a row every ten minutes.
fn at(row: usize) -> String {
    format!("2024-03-{:02} {}", day(row), clock(row))
}

fn reasons(report: &tsm2_data::Report) -> Vec<String> {
    let reason = |column: &tsm2_data::DroppedColumn| format!("{}: {}", column.name, column.reason);
    report.dropped_columns.iter().map(reason).collect()
}

#[test]
fn an_identifier_of_each_row_named_a_variate_of_each_row() {
    let row = |row: usize| format!("0F{row:08X}G,{},{} UTC", reading(row), at(row));
    let (_, report) = read(table("id,value,created_at", 80, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["value"]);
}

#[test]
fn lines_of_numbers_above_a_second_header_were_rows() {
    let rows = (0..60).fold(String::new(), |mut rows, row| {
        writeln!(rows, "{row};{};{};{}", reading(row), row * 2, reading(row) + 7.0).unwrap();
        rows
    });
    let scope = "Start;133540000000000000;Monday, 4 March 2024;00:00:00\n\nName;MAIN.a;Other;MAIN.b\n";
    let labview = "Channels;2;;\nSamples;500;500;500\nX_Value;MAIN.a;X2;MAIN.b\n";
    for head in [scope, labview] {
        let (_, report) = read(format!("{head}{rows}"));
        assert_eq!((report.rows, names(&report)), (60, vec!["MAIN.a", "MAIN.b"]), "{head}");
    }
}

#[test]
fn a_title_as_wide_as_the_header_was_the_header() {
    let row = |row: usize| format!("{};{:02}.03.2024 {}:00;{}", row + 1, day(row), clock(row), reading(row));
    let text = table("\"id:\";\"1\"\n\"Datum / Uhrzeit\";\"1 [°C] Temperatur\"", 60, row);
    let (_, report) = read(text);
    assert_ten_minutes(&report);
    assert_eq!(report.time_column.as_deref(), Some("Datum / Uhrzeit"));
    assert_eq!(names(&report), ["1 [°C] Temperatur"]);
}

#[test]
fn a_serial_number_in_the_first_row_alone_cost_the_header() {
    let row = |row: usize| {
        let serial = if row == 0 { ",010036" } else { "" };
        format!("{},{},{},{}{serial}", row + 1, at(row), reading(row), reading(row) + 20.0)
    };
    let (_, report) = read(table("Logger,Time,Celsius(°C),Humidity(%rh),Serial Number", 100, row));
    assert_eq!(names(&report), ["Celsius(°C)", "Humidity(%rh)"]);
    assert_eq!((report.rows, report.interval_s), (99, Some(600.0)));
}

#[test]
fn types_below_the_header_were_units() {
    let head = "\"#NAMES\"\n\"Date\",\"Tank/Level\",\"Tank/Temp\"\n\"#TYPES\"\n\"date\",\"F\",\"F\"\n\"#ROWS\",\"60\"";
    let (_, report) = read(table(head, 60, |row| {
        format!("\"{}\",\"{}\",\"{}\"", at(row), reading(row), reading(row + 3))
    }));
    assert_eq!(names(&report), ["Tank/Level", "Tank/Temp"]);
    assert!(report.variates.iter().all(|variate| variate.unit.is_none()), "{report:?}");
}

#[test]
fn a_local_time_beside_seconds_since_1970_was_read_as_utc() {
    let unix = |row: usize| 1_709_510_400 + 600 * row;
    let row = |row: usize| format!("{};\"{}\";{}", unix(row), at(row + 6), reading(row));
    let (_, report) = read(table("Timestamp;\"Timezone : Europe/Berlin\";T", 60, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["T"]);
    assert!(reasons(&report)[0].contains("another time"), "{report:?}");
}

#[test]
fn a_second_time_in_numbers_was_forecast() {
    let unix = |row: usize| 1_709_510_400 + 600 * row + row * 7 % 5;
    let row = |row: usize| format!("{}Z,{},{}", at(row), unix(row), reading(row));
    let (_, report) = read(table("time,unixtime,x", 60, row));
    assert_eq!(names(&report), ["x"]);
    assert!(reasons(&report)[0].contains("another time"), "{report:?}");
}

#[test]
fn the_place_in_a_time_columns_name_is_its_zone() {
    let head = "timestamp,Battery [256],Battery [256]\nEurope/Amsterdam (+01:00),State,Voltage\n,%,V";
    let row = |row: usize| format!("{},{},{}", at(row + 6), row * 7 % 31, reading(row));
    let (_, report) = read(table(head, 60, row));
    assert_ten_minutes(&report);
    assert_eq!(report.time_zone.as_deref(), Some("Europe/Amsterdam"));
    assert!(contains(&report.warnings, "--time-zone decides"), "{report:?}");
    assert_eq!(report.variates[1].unit.as_deref(), Some("V"));
}

#[test]
fn times_of_day_with_spaced_halves_are_read() {
    for half in ["a. m.", "a.m.", "\u{202f}AM", "\u{a0}a.\u{a0}m."] {
        let half = |row: usize| {
            if row / 6 % 24 < 12 {
                half.to_owned()
            } else {
                half.replace('a', "p").replace('A', "P")
            }
        };
        let row = |row: usize| {
            format!(
                "{:02}/03/2024 {}:{:02} {};{}",
                day(row),
                (row / 6 + 11) % 12 + 1,
                row % 6 * 10,
                half(row),
                reading(row)
            )
        };
        let (_, report) = read(table("Fecha;Temperatura", 3000, row));
        assert_ten_minutes(&report);
        assert_eq!(report.rows, 3000);
    }
}

#[test]
fn dates_in_the_characters_of_east_asia_were_dropped_as_text() {
    let hour = |row: usize| row / 6 % 24;
    let japanese = |row: usize| format!("2024年3月{}日 {}時{}分", day(row), hour(row), row % 6 * 10);
    let chinese = |row: usize| {
        let half = if hour(row) < 12 { "上午" } else { "下午" };
        format!("2024/3/{} {half}{}:{:02}:00", day(row), (hour(row) + 11) % 12 + 1, row % 6 * 10)
    };
    let korean = |row: usize| {
        let half = if hour(row) < 12 { "오전" } else { "오후" };
        format!("2024. 3. {}. {half} {}:{:02}:00", day(row), (hour(row) + 11) % 12 + 1, row % 6 * 10)
    };
    for time in [&japanese as &dyn Fn(usize) -> String, &chinese, &korean] {
        let (_, report) = read(table("時刻,室温(℃)", 200, |row| format!("{},{}", time(row), reading(row))));
        assert_ten_minutes(&report);
        assert_eq!(names(&report), ["室温(℃)"]);
    }
}

#[test]
fn weeks_and_days_of_the_year_are_dates() {
    let week = |row: usize| format!("{}-W{:02}", 2020 + row / 52, row % 52 + 1);
    let (_, report) = read(table("Week,Gas", 52, |row| format!("{},{}", week(row), reading(row))));
    assert_eq!((report.rows, report.interval_s), (52, Some(604_800.0)));
    let (_, report) = read(table("Date,Gas", 300, |row| format!("2023-{:03},{}", row + 1, reading(row))));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2023-01-01T00:00:00Z"), Some(86_400.0))
    );
}

#[test]
fn a_meters_time_has_its_season_behind_it() {
    let row = |row: usize| format!("2403{:02}{}00W,{}", day(row), clock(row).replace(':', ""), reading(row));
    let (_, report) = read(table("timestamp,power", 60, row));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-03T23:00:00Z"), Some(600.0))
    );
}

#[test]
fn seconds_in_a_column_of_their_own_belong_to_the_time() {
    let row = |row: usize| {
        format!(
            "2024-03-04,{:02}:{:02},{:02},{}",
            row / 360,
            row / 6 % 60,
            row % 6 * 10,
            reading(row)
        )
    };
    let (_, report) = read(table("Date,Hour:Min,Sec,T1", 500, row));
    assert_eq!((names(&report), report.interval_s), (vec!["T1"], Some(10.0)));
    assert!(contains(&report.warnings, "`Sec` is read as the seconds"), "{report:?}");
}

#[test]
fn year_month_day_and_hour_without_a_header_were_forecast() {
    let row = |row: usize| {
        let hour = row % 24;
        format!(
            "2024 03 {:02} {hour:02} {:5} {:5} {:5}",
            4 + row / 24,
            reading(row) * 10.0,
            10_000 + row * 7 % 31,
            -9999
        )
    };
    let (_, report) = read(table("", 300, row).trim_start());
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
    assert_eq!(report.variates.len(), 3);
    let row = |row: usize| {
        format!(
            "300,2024{:02}{:02},{},{}",
            1 + row / 28,
            1 + row % 28,
            reading(row),
            reading(row + 5)
        )
    };
    let (_, report) = read(table("", 28, row).trim_start());
    assert_eq!(
        (report.interval_s, report.time_format.as_deref()),
        (Some(86_400.0), Some("YYYYMMDD"))
    );
}

#[test]
fn a_temperature_called_t_was_refused_as_a_time() {
    let mut text = "# KNMI\n# T         : Temperatuur (in 0.1 graden Celsius)\n# \n# STN,YYYYMMDD,   HH,    T,    U\n".to_owned();
    for row in 0..300 {
        writeln!(
            text,
            "  260,202403{:02},{:5},{:5},{:5}",
            4 + row / 24,
            row % 24 + 1,
            200 + row * 7 % 31,
            40 + row * 5 % 31
        )
        .unwrap();
    }
    let (_, report) = read(text);
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T01:00:00Z"), Some(3600.0))
    );
    assert_eq!(report.time_column.as_deref(), Some("YYYYMMDD + HH"));
    assert!(names(&report).ends_with(&["T", "U"]), "{report:?}");
}

#[test]
fn a_reading_with_its_quality_behind_a_comma_was_a_decimal() {
    let row = |row: usize| {
        format!(
            "\"{}:00\",\"+0{}0,5\",\"{},5,9,N\",\"{}\"",
            at(row),
            15 + row % 9,
            22_000 + row % 7,
            reading(row)
        )
    };
    let (_, report) = read(table("\"DATE\",\"TMP\",\"CIG\",\"x\"", 60, row));
    assert_eq!(names(&report), ["x"]);
    assert!(reasons(&report).iter().all(|reason| reason.contains("text")), "{report:?}");
}

#[test]
fn a_currency_may_stand_before_its_number() {
    let (recording, report) = read(table("time,cost,x", 60, |row| {
        format!("{},${},{}", at(row), reading(row), reading(row))
    }));
    assert_eq!((names(&report), report.variates[0].unit.as_deref()), (vec!["cost", "x"], Some("$")));
    assert_eq!(recording.series[0].row(3, 2), [reading(3); 2]);
}

#[test]
fn spaces_and_tabs_may_part_cells_in_one_file() {
    let row = |row: usize| format!("{}   {}\t{}", 1_709_510_400 + 600 * row, reading(row), reading(row + 1));
    let (_, report) = read(table("# time temp power", 60, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["temp", "power"]);
}

#[test]
fn tables_as_databases_print_them_are_read() {
    let frame = "+------------------+-------+\n";
    let mysql = (0..60).fold(format!("{frame}| ts               | temp  |\n{frame}"), |mut text, row| {
        writeln!(text, "| {} | {:>5} |", at(row), reading(row)).unwrap();
        text
    });
    let flux = (0..60).fold(
        "Result: _result\nTable: keys: [_start, _field]\n   _start:time    _field:string     _time:time        _value:float\n\
         --------------  -------------  ----------------  --------------\n"
            .to_owned(),
        |mut text, row| {
            writeln!(
                text,
                "2024-03-01T00:00:00Z    temp   {}Z   {}",
                at(row).replace(' ', "T"),
                reading(row)
            )
            .unwrap();
            text
        },
    );
    for text in [mysql + frame + "60 rows in set\n", flux] {
        let (_, report) = read(&text);
        assert_ten_minutes(&report);
        assert_eq!((names(&report), report.rows), (vec!["temp"], 60), "{text}");
    }
}

#[test]
fn times_in_the_header_make_a_row_a_series() {
    let times: Vec<String> = (0..60).map(|row| format!("{}:00.000Z", at(row).replace(' ', "T"))).collect();
    let values = |by: f32| (0..60).map(|row| (reading(row) + by).to_string()).collect::<Vec<_>>().join(",");
    let text = format!(
        "entity_id,type,unit,{}\nsensor.grid,grid_consumption,kWh,{}\nsensor.sun,solar,kWh,{}\n",
        times.join(","),
        values(0.0),
        values(5.0)
    );
    let (recording, report) = read(text);
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["sensor.grid", "sensor.sun"]);
    assert_eq!(report.variates[0].unit.as_deref(), Some("kWh"));
    assert_eq!(recording.series[0].row(7, 2), [reading(7), reading(7) + 5.0]);
    assert!(contains(&report.warnings, "a row a series"), "{report:?}");
}

#[test]
fn marks_of_a_panel_are_no_variates() {
    let mut text = "\"VarName\";\"TimeString\";\"VarValue\";\"Validity\"\n".to_owned();
    for row in 0..60 {
        writeln!(text, "\"Tank\";\"{:02}.03.2024 {}:00\";{};1", day(row), clock(row), reading(row)).unwrap();
    }
    text += "\"$RT_OFF$\";\"04.03.2024 10:00:00\";0;2\n";
    let (_, report) = read(text);
    assert_eq!(names(&report), ["Tank"]);
    assert!(contains(&reasons(&report), "a mark of WinCC"), "{report:?}");
}

#[test]
fn values_of_objects_are_pivoted_by_the_objects_name() {
    let row = |row: usize| {
        let object = ["ZN-T", "OA-T"][row % 2];
        format!(
            "{},NAE:x/{object},{object},{} deg C,true",
            at(row / 2),
            reading(row / 2) + (row % 2) as f32
        )
    };
    let (recording, report) = read(table("Time,Name Path Reference,Object Name,Object Value,Is Reliable", 120, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["ZN-T", "OA-T"]);
    assert_eq!(recording.series[0].row(9, 2), [reading(9), reading(9) + 1.0]);
}

#[test]
fn options_in_errors_are_quoted_for_the_shell() {
    let row = |row: usize| format!("{},{},{},{}", at(row / 2), ["a b", "c"][row % 2], reading(row), reading(row + 1));
    assert!(error(table("Time,My Room,x,y", 120, row)).contains("--series 'My Room'"));
}

#[test]
fn years_beside_months_were_forecast() {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let long = table("Year,Month,Sales", 120, |row| {
        format!("{},{},{}", 2000 + row / 12, MONTHS[row % 12], reading(row))
    });
    let (recording, report) = read(long);
    assert_eq!((names(&report), report.rows), (vec!["Sales"], 120));
    assert!(contains(&report.warnings, "1 month apart"), "{report:?}");
    assert_eq!(recording.series[0].values[13], reading(13));
    let header = format!("Year,{}", MONTHS.join(","));
    let row = |row: usize| {
        let cells: Vec<String> = (0..12).map(|month| reading(row * 12 + month).to_string()).collect();
        format!("{},{}", 1950 + row, cells.join(","))
    };
    let (recording, report) = read(table(&header, 40, row));
    assert_eq!((names(&report), report.rows), (vec!["value"], 480));
    assert!(contains(&report.warnings, "a row a year"), "{report:?}");
    assert_eq!(recording.series[0].values[100], reading(100));
}

#[test]
fn a_dot_that_may_group_thousands_was_a_decimal_without_a_word() {
    let row = |row: usize| format!("{:02}.03.2024 {};1.{}", day(row), clock(row), 200 + row * 7 % 31);
    let (_, report) = read(table("Zeit;kWh", 60, row));
    assert!(contains(&report.warnings, "--decimal ,"), "{report:?}");
}

#[test]
fn a_time_for_each_value_was_dropped_without_a_word() {
    let row = |row: usize| format!("{},{},{}:01,{}", at(row), reading(row), at(row), reading(row + 1));
    let (_, report) = read(table("T1 Time,T1,T2 Time,T2", 60, row));
    assert!(contains(&report.warnings, "each value has a time of its own"), "{report:?}");
}

#[test]
fn a_start_and_an_end_beside_two_values_were_said_to_be_times_of_their_own() {
    let row = |row: usize| format!("{},{}:09,{},{}", at(row), at(row), reading(row), reading(row + 1));
    let (_, report) = read(table("start,end,consumption,cost", 60, row));
    assert_eq!(names(&report), ["consumption", "cost"]);
    assert!(!contains(&report.warnings, "time of its own"), "{report:?}");
}

#[test]
fn seconds_called_t_are_elapsed_time() {
    let (_, report) = read(table("t (min),temp", 60, |row| format!("{}.0,{}", row * 10, reading(row))));
    assert_eq!((names(&report), report.time_format.as_deref()), (vec!["temp"], Some("elapsed-min")));
}

#[test]
fn a_header_with_more_names_than_cells_in_any_row_was_cut_without_a_word() {
    let row = |row: usize| format!("{},{},{}", at(row), reading(row), reading(row) + 20.0);
    let (_, report) = read(table("time,voltage,inside,outside", 60, row));
    assert_eq!(names(&report).len(), 2);
    assert!(!names(&report).contains(&"voltage"), "{report:?}");
    assert!(contains(&report.warnings, "no header found"), "{report:?}");
    let serial = |at: usize| format!("{}{}", row(at), if at == 0 { ",010036" } else { "" });
    let (_, report) = read(table("time,inside,outside,serial number", 60, serial));
    assert_eq!(names(&report), ["inside", "outside"]);
    assert!(contains(&report.warnings, "left out: `serial number`"), "{report:?}");
}

#[test]
fn hour_zero_with_a_half_of_the_day_was_refused() {
    let time = |row: usize| {
        let half = if row / 6 % 24 < 12 { "午前" } else { "午後" };
        format!("2024年3月{}日 {half}{}時{}分", day(row), row / 6 % 12, row % 6 * 10)
    };
    let (_, report) = read(table("時刻,室温(℃)", 200, |row| format!("{},{}", time(row), reading(row))));
    assert_ten_minutes(&report);
    assert_eq!(report.rows, 200);
}
