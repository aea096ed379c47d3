//! One value a row: exports of Home Assistant, Grafana, InfluxDB and of forecasting libraries; several devices in a file.

use tsm2_data::Options;

use crate::{assert_ten_minutes, clock, contains, day, error, names, read, read_with, reading, table};

fn at(row: usize) -> String {
    format!("2024-03-{:02}T{}:00Z", day(row), clock(row))
}

#[test]
fn the_history_of_home_assistant_is_pivoted() {
    let state = |entity: usize, row: usize| match (entity, row % 50) {
        (0, 7) => "unavailable".to_owned(),
        (1, _) => ["on", "off"][row / 3 % 2].into(),
        (2, _) => ["sunny", "cloudy"][row % 2].into(),
        _ => format!("{:.1}", reading(row)),
    };
    let entities = ["sensor.room", "binary_sensor.window", "weather.home"];
    let (recording, report) = read(table("entity_id,state,last_changed", 900, |row| {
        let (entity, row) = (row / 300, row % 300);
        let seconds = row * 600 + row * row * 7919 % 480;
        format!(
            "{},{},2024-03-{:02}T{:02}:{:02}:{:02}.123Z",
            entities[entity],
            state(entity, row),
            4 + seconds / 86_400,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60
        )
    }));
    assert_eq!(names(&report), ["sensor.room", "binary_sensor.window"]);
    assert_eq!(recording.interval_ms, Some(600_000));
    assert!(
        report
            .dropped_columns
            .iter()
            .any(|column| column.name == "weather.home" && column.reason.contains("sunny")),
        "{report:?}"
    );
    assert!(contains(&report.warnings, "`unavailable`"), "{report:?}");
}

#[test]
fn a_history_of_one_entity_is_one_variate() {
    let (_, report) = read(table("entity_id,state,last_changed", 100, |row| {
        format!("sensor.room,{:.1},{}", reading(row), at(row))
    }));
    assert_eq!(names(&report), ["sensor.room"]);
}

#[test]
fn series_of_grafana_and_of_forecasting_libraries_are_pivoted() {
    let series_by_series = |row: usize| (["supply", "return"][row / 200], row % 200);
    let time_by_time = |row: usize| (["supply", "return"][row % 2], row / 2);
    type Order = fn(usize) -> (&'static str, usize);
    let forms: [(&str, Order, bool); 3] = [
        ("Series;Time;Value", series_by_series, false),
        ("unique_id,ds,y", series_by_series, false),
        ("time,sensor,value", time_by_time, true),
    ];
    for (header, order, time_first) in forms {
        let delimiter = if header.contains(';') { ";" } else { "," };
        let (recording, report) = read(table(header, 400, |row| {
            let (name, row) = order(row);
            let value = format!("{:.2}", reading(row) + if name == "supply" { 20.0 } else { 0.0 });
            if time_first {
                [at(row), name.into(), value].join(delimiter)
            } else {
                [name.into(), at(row), value].join(delimiter)
            }
        }));
        assert_eq!(names(&report), ["supply", "return"], "{header}");
        assert_ten_minutes(&report);
        assert_eq!((report.rows, recording.rows()), (200, 200));
        assert_eq!(recording.series[0].values[..2], [40.0, 20.0]);
    }
}

#[test]
fn sensors_that_are_numbers_are_pivoted() {
    let (_, report) = read(table("time,sensor,value", 400, |row| {
        format!("{},{},{:.2}", at(row / 2), row % 2 + 1, reading(row))
    }));
    assert_eq!(names(&report), ["sensor_1", "sensor_2"]);
}

#[test]
fn annotated_csv_of_influxdb_is_pivoted() {
    let above = "#group,false,false,true,true,false,false,true,true,true\n#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string\n#default,mean,,,,,,,,\n,result,table,_start,_stop,_time,_value,_field,_measurement,room";
    let (_, report) = read(table(above, 400, |row| {
        let (series, row) = (row / 100, row % 100);
        format!(
            ",,{series},2024-03-01T00:00:00Z,2024-04-01T00:00:00Z,{},{:.2},{},climate,{}",
            at(row),
            reading(row),
            ["temperature", "humidity"][series % 2],
            ["kitchen", "hall"][series / 2]
        )
    }));
    assert_ten_minutes(&report);
    assert_eq!(
        names(&report),
        ["kitchen.temperature", "kitchen.humidity", "hall.temperature", "hall.humidity"]
    );
    assert_eq!(report.time_column.as_deref(), Some("_time"));
}

#[test]
fn line_protocol_of_influxdb_is_pivoted() {
    let lines = |row: usize| {
        let time = 1_709_510_400 + row * 600;
        format!(
            "climate,room=kitchen temperature={:.1},people={}i,open=t {time}000000000\nclimate,room=living\\ room temperature={:.1},note=\"a, b=c\" {time}000000000\n",
            reading(row),
            row % 4,
            reading(row + 3)
        )
    };
    let (recording, report) = read((0..100).map(lines).collect::<String>());
    assert_ten_minutes(&report);
    assert_eq!(
        names(&report),
        ["kitchen.temperature", "kitchen.people", "kitchen.open", "living room.temperature"]
    );
    assert_eq!(recording.series[0].values[..3], [20.0, 0.0, 1.0]);
}

#[test]
fn columns_without_names_are_pivoted_when_times_repeat() {
    let (_, report) = read(
        (0..400)
            .map(|row| {
                format!(
                    "{},{:02}/{:02}/24,{}:00,{}\n",
                    7 + row % 2 * 2,
                    3,
                    4 + row / 288,
                    clock(row / 2),
                    row * 7 % 9
                )
            })
            .collect::<String>(),
    );
    assert_eq!(names(&report), ["7", "9"]);
}

#[test]
fn many_devices_in_a_file_are_refused_with_the_option_and_read_with_it() {
    let text = table("device,time,temp,power", 600, |row| {
        format!("pump-{},{},{:.1},{}", row % 3, at(row / 3), reading(row), row % 7)
    });
    let message = error(&text);
    assert!(
        message.contains("--series device") && message.contains("`pump-0`") && message.contains("3 times"),
        "{message}"
    );
    let (recording, report) = read_with(
        &text,
        &Options {
            series: Some("device".into()),
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(
        recording.series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(),
        ["pump-0", "pump-1", "pump-2"]
    );
    assert_eq!(names(&report), ["temp", "power"]);
    assert_eq!(recording.series[1].times_ms.len(), 200);
    assert_eq!(report.rows, 600);
}

#[test]
fn a_long_table_of_several_devices_is_read_by_both_names() {
    let text = table("plant,tag,time,value", 800, |row| {
        format!(
            "{},{},{},{:.1}",
            ["north", "south"][row / 400],
            ["temp", "flow"][row % 2],
            at(row % 400 / 2),
            reading(row)
        )
    });
    let options = Options {
        series: Some("plant".into()),
        ..Options::default()
    };
    let (recording, report) = read_with(&text, &options).unwrap();
    assert_eq!(names(&report), ["temp", "flow"]);
    assert_eq!(recording.series.len(), 2);
    assert_eq!(recording.series[0].values.len(), 400);
}

#[test]
fn columns_of_a_long_table_can_be_named() {
    let text = table("when,what,how_much,quality", 400, |row| {
        format!(
            "{},{},{:.1},{}",
            at(row / 2),
            ["temp", "flow"][row % 2],
            reading(row),
            100 + row % 3
        )
    });
    let options = Options {
        name_column: Some("what".into()),
        value_column: Some("how_much".into()),
        ..Options::default()
    };
    let (_, report) = read_with(&text, &options).unwrap();
    assert_eq!(names(&report), ["temp", "flow"]);
    assert_eq!(report.dropped_columns[0].name, "quality");
}

#[test]
fn a_constant_name_beside_columns_of_numbers_is_no_long_table() {
    let (_, report) = read(table("name,tags,time,temperature,power", 100, |row| {
        format!("climate,,{}000000000,{:.1},{}", 1_709_510_400 + row * 600, reading(row), row % 7)
    }));
    assert_eq!(names(&report), ["temperature", "power"]);
}

#[test]
fn duplicate_times_without_a_name_are_refused() {
    let message = error(table("time,temp", 200, |row| format!("{},{:.1}", at(row / 2), reading(row))));
    assert!(message.contains("--series") && message.contains("same time"), "{message}");
}

#[test]
fn an_archive_of_a_control_system_is_pivoted() {
    let (_, report) = read(table(
        "\"VarName\";\"TimeString\";\"VarValue\";\"Validity\";\"Time_ms\"",
        400,
        |row| {
            let serial = 45_355_000_000.0 + (row / 2) as f64 * 1e6 / 144.0;
            format!(
                "\"Temp_{}\";\"{:02}.03.2024 {}:00\";{:.3};1;{serial:.4}",
                row % 2,
                day(row / 2),
                clock(row / 2),
                reading(row)
            )
            .replace('.', ",")
            .replacen(',', ".", 2)
        },
    ));
    assert_eq!(names(&report), ["Temp_0", "Temp_1"]);
    assert_ten_minutes(&report);
}

#[test]
fn a_rising_counter_was_taken_for_the_column_of_names() {
    let text = table("time,count,value", 240, |row| {
        format!("2024-03-04T{},{},{}", clock(row / 6 * 6), 7 * row + 3, reading(row))
    });
    match read_with(text, &Options::default()) {
        Ok((_, report)) => assert!(names(&report).len() <= 2, "{report:?}"),
        Err(error) => assert!(!error.to_string().contains("`count`"), "{error}"),
    }
}
