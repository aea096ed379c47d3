//! Exports of other programs, loggers and services.

use std::fmt::Write;

use super::{assert_ten_minutes, clock, contains, day, error, names, read, read_with, reading, table};
use tsm2_data::{Clock, Options};

/// Seconds since 1970 of the row, a row every ten minutes from 2024-03-04 on.
fn unix(row: usize) -> usize {
    1_709_510_400 + 600 * row
}

#[test]
fn json_lines_are_rows_and_members_of_objects_columns() {
    let mut text = String::new();
    for row in 0..60 {
        let (time, x) = (format!("2024-03-{:02}T{}:00Z", day(row), clock(row)), reading(row));
        writeln!(
            text,
            r#"{{"time":"{time}","data":{{"temp":{x},"open":{}}},"note":null}}"#,
            row % 2 == 0
        )
        .unwrap();
    }
    let (recording, report) = read(&text);
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["open", "temp"]);
    assert_eq!(recording.series[0].row(3, 2), [0.0, reading(3)]);
    // The last line is cut, as a running logger leaves it.
    assert_eq!(read(&text[..text.len() - 9]).1.rows, 59);
}

#[test]
fn a_json_array_and_an_object_of_arrays_are_tables() {
    let rows: Vec<String> = (0..60)
        .map(|row| format!(r#"{{"ts":{}000,"t":{}}}"#, unix(row), reading(row)))
        .collect();
    let (recording, report) = read(format!("[{}]", rows.join(",\n")));
    assert_ten_minutes(&report);
    assert_eq!(recording.series[0].values[7], reading(7));
    let values = |by: f32| (0..60).map(move |row| format!(r#"{{"ts":{}000,"value":"{}"}}"#, unix(row), reading(row) + by));
    let array = |by| values(by).collect::<Vec<_>>().join(",");
    let (recording, report) = read(format!(r#"{{"temp":[{}],"hum":[{}]}}"#, array(0.0), array(30.0)));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["hum", "temp"]);
    assert_eq!(recording.series[0].row(5, 2), [reading(5) + 30.0, reading(5)]);
}

#[test]
fn a_log_of_messages_with_json_payloads_keeps_topics_apart() {
    let mut text = String::new();
    for row in 0..60 {
        for (topic, by) in [("zigbee2mqtt/hall", 0.0), ("zigbee2mqtt/cellar", 5.0)] {
            writeln!(
                text,
                r#"{} {topic} {{"temperature":{},"state":"ON"}}"#,
                unix(row),
                reading(row) + by
            )
            .unwrap();
        }
    }
    let (recording, report) = read(text);
    assert_ten_minutes(&report);
    let temperatures: Vec<_> = names(&report).into_iter().filter(|name| name.contains("temperature")).collect();
    assert_eq!(temperatures, ["zigbee2mqtt/hall.temperature", "zigbee2mqtt/cellar.temperature"]);
    assert_eq!(names(&report).len(), 4, "and the states: {:?}", names(&report));
    let width = recording.variates.len();
    let row = recording.series[0].row(9, width);
    assert!(row.contains(&reading(9)) && row.contains(&(reading(9) + 5.0)), "{row:?}");
}

#[test]
fn a_log_of_topics_and_values_without_times_is_not_read_as_one_sensor() {
    let text: String = (0..60)
        .map(|row| format!("hall/temp {}\nhall/hum {}\n", reading(row), 50 + row % 7))
        .collect();
    let message = error(text);
    assert!(
        message.contains("`hall/temp`, `hall/hum`") && message.contains("mosquitto_sub -F '%I %t %p'"),
        "{message}"
    );
}

#[test]
fn broken_json_names_its_line() {
    let message = error("{\"a\":1}\n{\"a\":2}\n{\"a\":oops}\n{\"a\":4}\n");
    assert!(message.contains("line 3") && message.contains("JSON"), "{message}");
}

#[test]
fn a_json_line_that_is_cut_between_others_is_not_lost_in_silence() {
    let message = error("{\"a\":1}\n{\"a\":2}\n{\"a\":\n{\"a\":4}\n{\"a\":5}\n");
    assert!(message.contains("line 3") && message.contains("JSON"), "{message}");
}

#[test]
fn milliseconds_in_a_column_of_their_own_belong_to_the_time() {
    let row = |row: usize| {
        let ms = row * 250;
        format!(
            "04.03.2024;00:{:02}:{:02};{};{}",
            ms / 60_000,
            ms / 1000 % 60,
            ms % 1000,
            reading(row)
        )
    };
    let (_, report) = read(table("Date;Time;ms;Pressure", 400, row));
    assert_eq!((report.interval_s, names(&report)), (Some(0.25), vec!["Pressure"]));
    assert!(
        contains(&report.warnings, "`ms` is read as the milliseconds"),
        "{:?}",
        report.warnings
    );
    // A response time is a reading.
    let (_, report) = read(table("time,ms", 60, |row| {
        format!("2024-03-04 {}:00,{}", clock(row), row * 37 % 91)
    }));
    assert_eq!(names(&report), ["ms"]);
}

#[test]
fn an_hour_of_four_digits_is_a_time_of_day() {
    let row = |row: usize| format!("2024,{},{},{}", 64 + row / 24, row % 24 * 100, reading(row));
    let (_, report) = read(table("Year,DOY,Hour,Temp", 100, row));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
    assert_eq!(names(&report), ["Temp"]);
}

#[test]
fn a_and_p_stand_for_am_and_pm() {
    let row = |row: usize| {
        let (hour, minute) = (row / 6 % 24, row % 6 * 10);
        let half = if hour < 12 { 'a' } else { 'p' };
        let hour = (hour + 11) % 12 + 1;
        format!("{}/03/24\t{hour}:{minute:02}{half}\t{}", day(row), reading(row))
    };
    let (_, report) = read(table("Date\tTime\tTemp", 3000, row));
    assert_ten_minutes(&report);
}

#[test]
fn the_day_numbers_of_matlab_are_times() {
    let (_, report) = read(table("datenum,x", 200, |row| {
        format!("{:.9},{}", 739_315.0 + row as f64 / 144.0, reading(row))
    }));
    assert_ten_minutes(&report);
    assert_eq!(report.time_format.as_deref(), Some("matlab"));
}

#[test]
fn statistics_with_a_start_in_seconds_are_not_read_without_times() {
    let mut text = "statistic_id,mean,max,start\n".to_owned();
    for sensor in ["sensor.a", "sensor.b"] {
        for row in 0..100 {
            writeln!(
                text,
                "{sensor},{},{},{}",
                reading(row),
                reading(row) + 1.0,
                1_709_510_400 + 3600 * row
            )
            .unwrap();
        }
    }
    let (_, report) = read(&text);
    assert_eq!((report.interval_s, names(&report)), (Some(3600.0), vec!["sensor.a", "sensor.b"]));
    let options = Options {
        series: Some("statistic_id".into()),
        ..Options::default()
    };
    let (recording, report) = read_with(text, &options).unwrap();
    assert_eq!((recording.series.len(), report.interval_s), (2, Some(3600.0)));
    assert_eq!(names(&report), ["mean", "max"]);
}

#[test]
fn a_row_a_day_with_times_of_day_in_columns_is_one_series() {
    let header = (0..24).map(|hour| format!("{hour:02}:00")).collect::<Vec<_>>().join(";");
    let row = |day: usize| {
        let values: Vec<String> = (0..24)
            .map(|hour| format!("{}", reading(24 * day + hour)).replace('.', ","))
            .collect();
        format!("{:02}.03.2024;{}", 4 + day, values.join(";"))
    };
    let (recording, report) = read(table(&format!("Datum;{header}"), 20, row));
    assert_eq!(
        (report.start.as_deref(), report.interval_s),
        (Some("2024-03-04T00:00:00Z"), Some(3600.0))
    );
    assert_eq!(
        (recording.series[0].values.len(), recording.series[0].values[25]),
        (480, reading(25))
    );
    assert!(contains(&report.warnings, "`00:00` to `23:00`"), "{:?}", report.warnings);
}

#[test]
fn months_and_quarters_are_evenly_spaced_rows_in_order() {
    let short = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = |row: usize| format!("{}-{:02},{}", 2000 + row / 12, row % 12 + 1, reading(row));
    let named = |row: usize| format!("{}-{:02},{}", short[row % 12], row / 12, reading(row));
    let quarter = |row: usize| format!("{}Q{},{}", 1980 + row / 4, row % 4 + 1, reading(row));
    let first_day = |row: usize| format!("{}-{:02}-01,{}", 2000 + row / 12, row % 12 + 1, reading(row));
    for (row, apart) in [
        (&month as &dyn Fn(usize) -> String, "1 month"),
        (&named, "1 month"),
        (&quarter, "3 months"),
        (&first_day, "1 month"),
    ] {
        let (recording, report) = read(table("period,sales", 60, row));
        let series = &recording.series[0];
        assert_eq!(
            (recording.clock, series.values.len(), series.segments.len()),
            (Clock::None, 60, 1),
            "{}",
            row(0)
        );
        assert!(
            series.values.iter().enumerate().all(|(row, value)| *value == reading(row)),
            "{}",
            row(0)
        );
        assert!(contains(&report.warnings, apart), "{:?}", report.warnings);
    }
}

#[test]
fn a_date_without_a_year_asks_for_it() {
    for row in [
        |row: usize| format!("04.03. {}", clock(row)),
        |row| format!("Mar 04 {}:00", clock(row)),
    ] {
        let message = error(table("time,x", 60, |at| format!("{},{}", row(at), reading(at))));
        assert!(message.contains("without a year"), "{message}");
    }
}

#[test]
fn a_description_with_numbers_above_the_header_is_no_row() {
    let mut text = "LabVIEW Measurement\t\nDate\t2024/03/04\n***End_of_Header***\t\nChannels\t2\t\t\nSamples\t1\t1\t\n\
                    X_Dimension\tTime\tTime\t\n***End_of_Header***\t\t\t\nX_Value\tTemp\tPressure\tComment\n"
        .to_owned();
    for row in 0..100 {
        writeln!(text, "{:.3}\t{}\t{}\t", row as f64 * 0.5, reading(row), reading(row) * 2.0).unwrap();
    }
    let (_, report) = read(text);
    assert!(names(&report).starts_with(&["Temp", "Pressure"]), "{:?}", names(&report));
    assert_eq!(report.rows, 100);
}

#[test]
fn levels_of_an_inverters_header_are_no_rows() {
    let mut text = "sep=;\nVersion CSV1\n\n;SN: 2100;SN: 2100\n;STP;STP\n;2100;2100\n;Total yield;Power\n;Counter;Analog\n\
                    dd.MM.yyyy HH:mm;kWh;kW\n"
        .to_owned();
    for row in 0..100 {
        writeln!(
            text,
            "{:02}.03.2024 {};{};{}",
            day(row),
            clock(row),
            12_345.5 + (row * row) as f64,
            reading(row)
        )
        .unwrap();
    }
    let (_, report) = read(text);
    assert_ten_minutes(&report);
    assert!(report.dropped_rows.is_empty(), "{:?}", report.dropped_rows);
    let named: Vec<_> = report
        .variates
        .iter()
        .map(|variate| (variate.name.contains("Power"), variate.unit.as_deref()))
        .collect();
    assert_eq!(named, [(false, Some("kWh")), (true, Some("kW"))]);
}

#[test]
fn what_is_no_table_is_named_with_what_to_do() {
    for (text, named) in [
        ("<!DOCTYPE html>\n<html><table><tr><td>1</td></tr></table></html>", "a web page"),
        ("<?xml version=\"1.0\"?>\n<a><b>1</b></a>", "XML"),
        ("%PDF-1.7\n1 0 obj", "PDF"),
    ] {
        let message = error(text);
        assert!(message.contains(named) && message.contains("CSV"), "{message}");
    }
    let message = error(table("time", 20, |row| format!("2024-03-04 {}", clock(row))));
    assert!(message.contains("no column of numbers beside the time"), "{message}");
}

#[test]
fn a_column_to_ignore_may_hold_anything() {
    let text = table("when,last seen date,x", 60, |row| {
        format!("2024-03-{:02} {},13/13/2024,{}", day(row), clock(row), reading(row))
    });
    let options = Options {
        ignore: vec!["last seen date".into()],
        ..Options::default()
    };
    let (_, report) = read_with(&text, &options).unwrap();
    assert_ten_minutes(&report);
    assert!(report.dropped_columns.iter().any(|column| column.reason.contains("--ignore")));
    let unknown = Options {
        ignore: vec!["y".into()],
        ..Options::default()
    };
    assert!(
        read_with(&text, &unknown)
            .unwrap_err()
            .to_string()
            .contains("--ignore: there is no column `y`")
    );
}

#[test]
fn units_in_a_column_of_a_long_table_belong_to_their_variates() {
    let mut text = "time,sensor,value,unit\n".to_owned();
    for row in 0..60 {
        let time = format!("2024-03-{:02} {}", day(row), clock(row));
        writeln!(
            text,
            "{time},temp,{},°C\n{time},power,{},kW\n{time},state,1,",
            reading(row),
            row % 7
        )
        .unwrap();
    }
    let (_, report) = read(&text);
    let units: Vec<_> = report
        .variates
        .iter()
        .map(|variate| (variate.name.as_str(), variate.unit.as_deref()))
        .collect();
    assert_eq!(units, [("temp", Some("°C")), ("power", Some("kW")), ("state", None)]);
    let message = error(text.replacen(",kW", ",W", 1));
    assert!(
        message.contains("`power`") && message.contains("`kW`") && message.contains("`W`"),
        "{message}"
    );
}

#[test]
fn answers_of_services_in_json_are_tables() {
    let times: Vec<String> = (0..60).map(|row| format!("\"2024-03-{:02}T{}\"", day(row), clock(row))).collect();
    let values: Vec<String> = (0..60).map(|row| reading(row).to_string()).collect();
    let hourly = format!(r#"{{"time":[{}],"t":[{}]}}"#, times.join(","), values.join(","));
    let weather = format!(r#"{{"latitude":52.5,"hourly_units":{{"t":"°C"}},"hourly":{hourly}}}"#);
    let pairs: Vec<String> = (0..60).map(|row| format!("[{},{}]", times[row], reading(row))).collect();
    let influx = format!(
        r#"{{"results":[{{"series":[{{"name":"x","columns":["time","t"],"values":[{}]}}]}}]}}"#,
        pairs.join(",")
    );
    for text in [hourly, weather, influx] {
        let (recording, report) = read(&text);
        assert_ten_minutes(&report);
        assert_eq!((names(&report), recording.series[0].values[9]), (vec!["t"], reading(9)), "{text}");
    }
    let series = |room: &str, by: f32| {
        let pairs: Vec<String> = (0..60).map(|row| format!(r#"[{},"{}"]"#, unix(row), reading(row) + by)).collect();
        format!(
            r#"{{"metric":{{"__name__":"temp","room":"{room}"}},"values":[{}]}}"#,
            pairs.join(",")
        )
    };
    let text = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{},{}]}}}}"#,
        series("a", 0.0),
        series("b", 5.0)
    );
    let (recording, report) = read(text);
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["temp.a", "temp.b"]);
    assert_eq!(recording.series[0].row(4, 2), [reading(4), reading(4) + 5.0]);
    assert!(error(r#"{"a":{"b":1},"c":[1,2,3]}"#).contains("one object without rows"));
}

#[test]
fn narrow_spaces_group_thousands_and_a_clock_may_stand_before_its_date() {
    let row = |row: usize| format!("{}:00 {:02}.03.2024;1\u{202f}{},5", clock(row), day(row), 200 + row * 7 % 31);
    let (recording, report) = read(table("Horodatage;Débit", 60, row));
    assert_ten_minutes(&report);
    assert_eq!(recording.series[0].values[3], 1221.5);
}

#[test]
fn arrays_in_a_row_were_taken_for_columns_and_the_time_was_lost() {
    let row = |row: usize| {
        let time = format!("2024-03-{:02}T{}", day(row), clock(row));
        format!(
            r#"{{"time":"{time}","acc":[{},2,{row}.5],"gyro":[4,{},6]}}"#,
            reading(row),
            reading(row + 3)
        )
    };
    let rows: Vec<String> = (0..60).map(row).collect();
    let (recording, report) = read(format!("[{}]", rows.join(",")));
    assert_ten_minutes(&report);
    assert_eq!((report.rows, report.time_column.as_deref()), (60, Some("time")));
    let column = names(&report).iter().position(|name| *name == "acc.0").unwrap();
    assert_eq!(recording.series[0].row(9, recording.variates.len())[column], reading(9));
    assert!(error(r#"{"name":"x","a":[1,2,3],"b":[4,5,6]}"#).contains("one object without rows"));
}

#[test]
fn a_member_of_one_row_was_a_cell_of_every_row_whatever_memory_that_took() {
    let wide: Vec<String> = (0..19_000).map(|c| format!("\"c{c}\":1")).collect();
    let text = format!("{{{}}}\n{}", wide.join(","), "{\"a\":1}\n".repeat(4000));
    let message = error(text);
    assert!(message.contains("4001 rows with 19001 different members"), "{message}");
}
