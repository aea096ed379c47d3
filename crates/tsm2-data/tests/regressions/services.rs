//! Tables of weather services, meters, laboratories and portals.

use std::fmt::Write;

use super::{assert_ten_minutes, clock, day, error, names, read, read_with, reading, table};
use tsm2_data::Options;

/// `YYYY-MM-DD HH:MM` of the row.
fn at(row: usize) -> String {
    format!("2024-03-{:02} {}", day(row), clock(row))
}

#[test]
fn a_header_of_properties_above_was_the_header_of_the_readings() {
    let row = |row: usize| format!("{},{},{},3,4,{}", at(row), reading(row), row % 7, row % 5);
    let header = "latitude,longitude,elevation,offset,timezone,abbreviation\n52.52,13.41,38.0,0,GMT,GMT\n\ntime,temp (°C),hum (%),a,b,c";
    let (_, report) = read(table(header, 60, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["temp (°C)", "hum (%)", "a", "b", "c"]);

    let header = "Source,ID,City,Zone,Units,Version,x,y\nNSRDB,123456,-,-7,w/m2,v3.2.0,-,-\nYear,Month,Day,Hour,Minute,GHI,DNI,Temp";
    let row = |row: usize| {
        let (hour, minute) = (row / 6 % 24, row % 6 * 10);
        format!("2024,3,{},{hour},{minute},{},{},{}", day(row), row % 11, row % 13, reading(row))
    };
    let (_, report) = read(table(header, 300, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["GHI", "DNI", "Temp"]);
}

#[test]
fn months_and_minutes_called_mm_were_forecast() {
    let header = "#YY  MM DD hh mm WDIR WSPD  GST WVHT   PRES  ATMP  WTMP\n#yr  mo dy hr mn degT  m/s  m/s    m    hPa  degC  degC";
    let row = |row: usize| {
        let (hour, minute, x) = (row / 6 % 24, row % 6 * 10, reading(row));
        format!(
            "2024 03 {:02} {hour:02} {minute:02}  {} {x:.1}  {x:.2}  1.5 1013.{} {x:.1} 4.{}",
            day(row),
            row * 37 % 360,
            row % 7,
            row % 9
        )
    };
    let (_, report) = read(table(header, 300, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["WDIR", "WSPD", "GST", "WVHT", "PRES", "ATMP", "WTMP"]);
    assert_eq!(report.variates[5].unit.as_deref(), Some("degC"));
}

#[test]
fn counts_that_do_not_start_in_1970_were_read_as_times_of_another_age() {
    // Each count at 2024-03-04T00:00:00Z, and its units in ten minutes.
    for (start, step, format) in [
        (638_451_072_000_000_000, 6_000_000_000, "dotnet"),
        (133_539_840_000_000_000, 6_000_000_000, "filetime"),
        (3_792_355_200, 600, "labview"),
    ] {
        let (_, report) = read(table("Timestamp,temp", 60, |row| {
            format!("{},{}", start + row as u64 * step, reading(row))
        }));
        assert_ten_minutes(&report);
        assert_eq!(report.time_format.as_deref(), Some(format));
    }
}

#[test]
fn hours_in_single_quotes_were_names_of_variates() {
    let row = |row: usize| format!("DE1;{:02}.03.2024;'{:02}:00';{}", 4 + row / 24, row % 24 + 1, reading(row));
    let (_, report) = read(table("Station;Datum;Uhrzeit;NO2 in µg/m³", 60, row));
    assert_eq!((report.rows, report.interval_s), (60, Some(3600.0)));
    assert_eq!(report.start.as_deref(), Some("2024-03-04T01:00:00Z"));
}

#[test]
fn a_line_of_quantities_below_names_of_devices_was_skipped() {
    let header = "\"timestamp\",\"Charger [258]\",\"Charger [258]\",\"Monitor [256]\"\n\"\",\"Voltage\",\"PV power\",\"Charge\"\n\"Europe/Berlin (+01:00)\",\"V\",\"W\",\"%\"";
    let row = |row: usize| format!("\"{}\",\"{}\",\"{}\",\"{}\"", at(row), reading(row), row % 9, row % 50);
    let (_, report) = read(table(header, 60, row));
    assert_eq!(
        names(&report),
        ["Charger [258] Voltage", "Charger [258] PV power", "Monitor [256] Charge"]
    );
    assert_eq!(report.variates[1].unit.as_deref(), Some("W"));
}

#[test]
fn columns_without_name_and_cells_cost_the_header() {
    let (_, report) = read(table("Date,,Temp,,Hum,,", 60, |row| {
        format!("{},,{},,{},,", at(row), reading(row), row % 9)
    }));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["Temp", "Hum"]);
}

#[test]
fn a_sign_apart_from_its_digits_made_a_number_text() {
    let (recording, report) = read(table("Time,CH1,CH2", 60, |row| format!("{},+  {},- 0.5", at(row), reading(row))));
    assert_eq!(names(&report), ["CH1", "CH2"]);
    assert_eq!(recording.series[0].row(3, 2), [reading(3), -0.5]);
    let (recording, _) = read(table("Zeit;CH1", 60, |row| {
        format!("{};+ {}", at(row), reading(row).to_string().replace('.', ","))
    }));
    assert_eq!(recording.series[0].values[3], reading(3));
}

#[test]
fn signs_of_degrees_are_units_in_every_form() {
    let (_, report) = read(table("Date,Temp(℃),Temperature°C,sea", 60, |row| {
        format!("{},{},{},2.5", at(row), reading(row), row % 9)
    }));
    let units: Vec<_> = report.variates.iter().map(|variate| variate.unit.as_deref()).collect();
    assert_eq!(units, [Some("℃"), Some("°C"), None]);
}

#[test]
fn errors_of_spreadsheets_in_other_languages_are_missing_readings() {
    for word in ["#NV", "#WERT!", "#VALEUR!", "#¡VALOR!", "#RIF!", "n/e"] {
        let row = |row: usize| {
            format!(
                "{};{}",
                at(row),
                if row % 5 == 1 { word.to_owned() } else { reading(row).to_string() }
            )
        };
        let (_, report) = read(table("Zeit;Temp", 60, row));
        assert_eq!(report.variates[0].missing, 12, "{word}");
    }
}

#[test]
fn numbers_of_devices_that_take_turns_were_forecast() {
    let row = |row: usize| {
        format!(
            "{},Tower,{},{},{}",
            at(row),
            [42, 77, 42, 13][row % 4],
            reading(row) + (row % 2) as f32 * 20.0,
            row % 50
        )
    };
    let text = table("time,model,id,temperature_C,humidity", 80, row);
    let message = error(&text);
    assert!(
        message.contains("column `id` names the device") && message.contains("--series id"),
        "{message}"
    );
    let options = Options {
        series: Some("id".into()),
        ..Options::default()
    };
    assert_eq!(read_with(&text, &options).unwrap().0.series.len(), 3);
    let options = Options {
        keep: vec!["id".into()],
        ..Options::default()
    };
    assert_eq!(names(&read_with(&text, &options).unwrap().1), ["id", "temperature_C", "humidity"]);
}

#[test]
fn objects_with_times_for_keys_are_rows() {
    let (mut rows, mut temp, mut hum) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..60 {
        let time = format!("2024-03-{:02}T{}:00Z", day(row), clock(row));
        rows.push(format!("\"{time}\":{{\"temp\":{},\"hum\":{}}}", reading(row), row % 9));
        let ms = 1_709_510_400_000 + 600_000 * row as u64;
        temp.push(format!("\"{ms}\":{}", reading(row)));
        hum.push(format!("\"{ms}\":{}", row % 9));
    }
    // As pandas writes a table by rows and by columns.
    let by_columns = format!("{{\"temp\":{{{}}},\"hum\":{{{}}}}}", temp.join(","), hum.join(","));
    for text in [format!("{{{}}}", rows.join(",")), by_columns] {
        let (recording, report) = read(&text);
        assert_ten_minutes(&report);
        let column = names(&report).iter().position(|name| *name == "temp").unwrap();
        assert_eq!(recording.series[0].row(9, 2)[column], reading(9));
    }
}

#[test]
fn tables_that_cannot_be_read_are_named_with_what_to_do() {
    let mut nem12 = "100,NEM12,202403050000,MDA,RET\n200,6100000000,E1,E1,E1,N1,1234,KWH,30,\n".to_owned();
    for row in 0..30 {
        let values: Vec<String> = (0..48).map(|step| reading(row * 48 + step).to_string()).collect();
        writeln!(nem12, "300,202403{:02},{},A,,,20240405000000,", row + 1, values.join(",")).unwrap();
    }
    let message = error(nem12);
    assert!(message.contains("NEM12") && message.contains("nemreader"), "{message}");
    for value in [String::from("20.5"), String::from("20,5")] {
        let message = error(table("Zeit;Temp", 60, |row| format!("########;{value}{row}")));
        assert!(message.contains("too narrow"), "{message}");
    }
}

#[test]
fn serial_numbers_and_days_for_keys_of_tables_were_times() {
    let rows = |device: usize| {
        let row = |row: usize| format!(r#"{{"time":"{}","temp":{}}}"#, at(row), reading(row + device));
        (0..60).map(row).collect::<Vec<_>>().join(",")
    };
    let text = format!(r#"{{"4012345678":[{}],"4012345679":[{}]}}"#, rows(0), rows(5));
    let options = Options {
        series: Some("key".into()),
        ..Options::default()
    };
    let (recording, report) = read_with(text, &options).unwrap();
    assert_eq!((recording.series.len(), report.rows, names(&report)), (2, 120, vec!["temp"]));
    assert_eq!(recording.series[1].values[9], reading(14));

    let day = |day: usize, time: fn(usize) -> String| {
        let rows = day * 144..(day + 1) * 144;
        let times: Vec<_> = rows.clone().map(|row| format!("\"{}\"", time(row))).collect();
        let temps: Vec<_> = rows.map(|row| reading(row).to_string()).collect();
        let (times, temps) = (times.join(","), temps.join(","));
        format!(r#""2024-03-{:02}":{{"time":[{times}],"temp":[{temps}]}}"#, 4 + day)
    };
    for time in [at, clock] {
        let (recording, report) = read(format!("{{{},{}}}", day(0, time), day(1, time)));
        assert_ten_minutes(&report);
        assert_eq!((report.rows, names(&report)), (288, vec!["temp"]));
        assert_eq!(recording.series[0].values[150], reading(150));
    }

    // Vectors below a time are cells of its row.
    let row = |row: usize| format!(r#""{}":{{"acc":[{},2],"gyro":[3,{}]}}"#, at(row), reading(row), reading(row + 1));
    let (_, report) = read(format!("{{{}}}", (0..60).map(row).collect::<Vec<_>>().join(",")));
    assert_ten_minutes(&report);
    assert_eq!(report.rows, 60);
}

#[test]
fn a_scalar_beside_arrays_with_times_cost_the_rows() {
    let list = |cell: &dyn Fn(usize) -> String| (0..60).map(cell).collect::<Vec<_>>().join(",");
    let times = list(&|row| (1_709_510_400 + 600 * row).to_string());
    let closes = list(&|row| reading(row).to_string());
    for beside in [r#""s":"ok""#, r#""units":{"c":"EUR","t":"s"},"count":60"#] {
        let (recording, report) = read(format!(r#"{{{beside},"t":[{times}],"c":[{closes}]}}"#));
        assert_ten_minutes(&report);
        assert_eq!((report.rows, names(&report)), (60, vec!["c"]));
        assert_eq!(recording.series[0].values[9], reading(9));
    }
    // `t` and `r` are a translation and a rotation here: the object has a time of its own.
    let row = |row: usize| format!(r#"{{"time":"{}","t":[{},2],"r":[3,{}]}}"#, at(row), reading(row), reading(row + 1));
    let (_, report) = read(format!("[{}]", list(&row)));
    assert_ten_minutes(&report);
    assert_eq!((report.rows, report.time_column.as_deref()), (60, Some("time")));
}

#[test]
fn names_that_are_also_states_and_lines_of_strokes_cost_the_header() {
    let row = |row: usize| format!("{},{},{}", at(row), reading(row), reading(row + 3));
    let (_, report) = read(table("Price,Close,Open\nTicker,AAPL,AAPL\nDate,,", 60, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["Close", "Open"]);

    let row = |row: usize| format!("{},{},{},{}", at(row), reading(row), reading(row + 3), reading(row + 7));
    let header = "time,ph,ratio,index\n-,-,-,-\n,probe A,probe B,probe C";
    let (_, report) = read(table(header, 60, row));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["ph", "ratio", "index"]);
}

#[test]
fn a_long_note_was_repeated_for_each_time_of_its_day_whatever_memory_that_took() {
    let clocks: Vec<String> = (0..288).map(|step| format!("{:02}:{:02}", step / 12, step % 12 * 5)).collect();
    let note = "x".repeat(25_000);
    let row = |row: usize| {
        let values: Vec<String> = (0..288).map(|step| reading(row * 288 + step).to_string()).collect();
        format!("2024-03-{:02},{note},{}", 4 + row, values.join(","))
    };
    let message = error(table(&format!("date,note,{}", clocks.join(",")), 12, row));
    assert!(message.contains("`date`, `note`") && message.contains("remove"), "{message}");
}

#[test]
fn two_columns_of_one_time_of_day_were_rows_of_one_time() {
    let clocks: Vec<String> = (0..24).map(|hour| format!("{hour:02}:00")).collect();
    let row = |row: usize| {
        let values: Vec<String> = (0..48)
            .map(|step| (reading(row * 24 + step % 24) + (step / 24) as f32 * 100.0).to_string())
            .collect();
        format!("2024-03-{:02},{}", 4 + row, values.join(","))
    };
    let (_, report) = read(table(&format!("date,{0},{0}", clocks.join(",")), 20, row));
    assert_eq!((report.rows, report.interval_s), (20, Some(86_400.0)));
    assert_eq!(names(&report)[24], "00:00_2");
}
