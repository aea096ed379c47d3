//! Delimiters, decimal characters, encodings, and lines above the rows.

use tsm2_data::Options;

use crate::{assert_ten_minutes, clock, contains, day, error, names, read, read_with, reading, table};

fn german(row: usize) -> String {
    format!(
        "{:02}.03.2024 {};{:.1};{}",
        day(row),
        clock(row),
        reading(row),
        400 + row * 7919 % 97
    )
    .replace('.', ",")
    .replacen(',', ".", 2)
}

#[test]
fn numbers_with_decimal_commas_became_text() {
    let (recording, report) = read(table("Zeit;Temperatur [°C];CO2", 200, german));
    assert_ten_minutes(&report);
    assert_eq!(recording.series[0].values[0], 20.0);
    assert!((recording.series[0].values[2] - reading(1)).abs() < 1e-5);
    assert_eq!(report.variates[0].unit.as_deref(), Some("°C"));
}

#[test]
fn whole_numbers_among_decimal_commas_are_numbers() {
    let (recording, _) = read(table("t;a", 50, |row| {
        format!(
            "2024-03-04 {};{}",
            clock(row),
            if row % 3 == 0 { "21".into() } else { format!("21,{}", row % 10) }
        )
    }));
    assert_eq!(recording.series[0].values[..3], [21.0, 21.1, 21.2]);
}

#[test]
fn thousands_are_grouped_by_dots_before_decimal_commas() {
    let (recording, _) = read(table("t;power", 20, |row| {
        format!("2024-03-04 {};1.{:03},5", clock(row), 100 + row * 7 % 11)
    }));
    assert_eq!(recording.series[0].values[..2], [1100.5, 1107.5]);
}

#[test]
fn thousands_are_grouped_by_commas_in_quotes() {
    let (recording, _) = read(table("t,power,volume", 20, |row| {
        format!("2024-03-04 {},\"1,{:03}.5\",\"12,345\"", clock(row), 100 + row * 7 % 11)
    }));
    assert_eq!(recording.series[0].values[..2], [1100.5, 12_345.0]);
}

#[test]
fn decimal_commas_between_commas_are_refused_by_name() {
    let text = table("time,a,b", 30, |row| {
        format!("2024-03-04 {},19,{},44,{}", clock(row), row % 10, row * 3 % 10)
    });
    let message = error(text);
    assert!(message.contains("decimal comma") && message.contains("recording.csv"), "{message}");
}

#[test]
fn every_delimiter_is_found() {
    for delimiter in [",", ";", "\t", "|", " ", "   "] {
        let (recording, report) = read(
            table("time,a,b", 30, |row| {
                format!("2024-03-04T{},{},{}", clock(row), row * 7 % 5, row * 3 % 7)
            })
            .replace(',', delimiter),
        );
        assert_eq!(names(&report), ["a", "b"], "{delimiter:?}");
        assert_eq!(recording.series[0].values[..4], [0.0, 0.0, 2.0, 3.0]);
    }
}

#[test]
fn a_table_aligned_by_spaces_with_date_and_time_is_read() {
    let text = table("  date        time      temp   hum", 60, |row| {
        format!(
            "  2024-03-04  {}:00  {:6.2}  {:5.1}",
            clock(row),
            reading(row),
            40.0 + (row % 9) as f32
        )
    });
    let (_, report) = read(text);
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["temp", "hum"]);
}

#[test]
fn text_in_latin_1_and_utf_16_is_read() {
    let text = table("Zeit;Außen °C", 30, |row| {
        format!("2024-03-04 {};{:.1}", clock(row), reading(row))
    });
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let utf_16 = |mark: bool| {
        mark.then_some(0xfeff)
            .into_iter()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let with_mark = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
    for bytes in [latin, utf_16(true), utf_16(false), with_mark, text.clone().into_bytes()] {
        let (_, report) = read(bytes);
        assert_eq!(names(&report), ["Außen °C"]);
        assert_ten_minutes(&report);
    }
}

#[test]
fn carriage_returns_end_lines() {
    for ending in ["\r\n", "\r"] {
        let text = table("time,a", 30, |row| {
            format!(
                "2024-03-04 {},{}",
                clock(row),
                if row == 7 { "x".into() } else { (row % 7).to_string() }
            )
        })
        .replace('\n', ending);
        let (_, report) = read_with(
            text,
            &Options {
                force: true,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(names(&report), ["a"]);
        assert!(report.dropped_rows.is_empty(), "{report:?}");
        assert!(contains(&report.warnings, "in line 9"), "{report:?}");
    }
}

#[test]
fn the_separator_line_of_excel_is_skipped() {
    for line in ["sep=;", "\"sep=;\"", "SEP=;\r"] {
        let (_, report) = read(format!("{line}\n{}", table("Zeit;a", 30, german)));
        assert_ten_minutes(&report);
    }
}

#[test]
fn titles_and_comments_above_the_header_are_skipped() {
    let rows = table("time,supply,return", 50, |row| {
        format!("2024-03-04 {},{:.1},{:.1}", clock(row), reading(row), reading(row + 3))
    });
    for above in [
        "Report of plant 7\n\n",
        "Plant,7\nSerial number,1234\nFirmware,1.2.3\n\n",
        "# made by a logger\n# second line\n",
        "Messwerte der Anlage\nvon: 01.03.2024 bis: 31.03.2024\nErsteller: x, y, z, a, b\n",
    ] {
        let (_, report) = read(format!("{above}{rows}"));
        assert_eq!(names(&report), ["supply", "return"], "{above}");
        assert_ten_minutes(&report);
        assert!(contains(&report.warnings, "skipped"), "{report:?}");
    }
}

#[test]
fn a_header_in_a_comment_is_the_header() {
    let (_, report) = read(table("# station 12\n#time,supply", 30, |row| {
        format!("2024-03-04 {},{:.1}", clock(row), reading(row))
    }));
    assert_eq!(names(&report), ["supply"]);
    assert_eq!(report.time_column.as_deref(), Some("time"));
}

#[test]
fn a_line_of_units_below_the_header_is_no_row() {
    let (recording, report) = read(table("time,temp,power\n,°C,kW", 40, |row| {
        format!("2024-03-04 {},{:.1},{}", clock(row), reading(row), row % 5)
    }));
    assert_eq!(recording.series[0].values[0], 20.0);
    assert_eq!(
        report.variates.iter().map(|variate| variate.unit.as_deref()).collect::<Vec<_>>(),
        [Some("°C"), Some("kW")]
    );
}

#[test]
fn a_campbell_logger_file_is_read() {
    let above = "\"TOA5\",\"CR1000X\",\"CR1000X\",\"12345\",\"CR1000X.Std.05.01\",\"CPU:met.CR1X\",\"1234\",\"Met\"\n\"TIMESTAMP\",\"RECORD\",\"BattV\",\"AirTC_Avg\"\n\"TS\",\"RN\",\"Volts\",\"Deg C\"\n\"\",\"\",\"Smp\",\"Avg\"";
    let (_, report) = read(table(above, 60, |row| {
        let value = if row == 5 {
            "\"NAN\"".into()
        } else {
            format!("{:.2}", reading(row))
        };
        format!("\"2024-03-04 {}:00\",{},13.{},{value}", clock(row), 4000 + row, row % 7)
    }));
    assert_ten_minutes(&report);
    assert_eq!(names(&report), ["BattV", "AirTC_Avg"]);
    assert_eq!(report.variates[1].unit.as_deref(), Some("Deg C"));
    assert_eq!(report.variates[1].missing, 1);
    assert_eq!(report.dropped_columns[0].name, "RECORD");
}

#[test]
fn a_hobo_logger_file_is_read() {
    let above = "\"Plot Title: greenhouse\"\n\"#\",\"Date Time, GMT-05:00\",\"Temp, °C (LGR S/N: 10, SEN S/N: 10)\",\"RH, % (LGR S/N: 10, SEN S/N: 10)\",\"Host Connected (LGR S/N: 10)\"";
    let (_, report) = read(table(above, 60, |row| {
        let (hour, minute) = (row / 6 % 24, row % 6 * 10);
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        format!(
            "{},03/14/24 {twelve:02}:{minute:02}:00 {},{:.3},{:.3},",
            row + 1,
            if hour < 12 { "AM" } else { "PM" },
            reading(row),
            50.0 + (row % 7) as f32
        )
    }));
    assert_eq!(report.start.as_deref(), Some("2024-03-14T05:00:00Z"));
    assert_eq!(report.interval_s, Some(600.0));
    assert_eq!(report.variates.len(), 2);
    assert_eq!(report.variates[0].unit.as_deref(), Some("°C"));
}

#[test]
fn row_names_without_a_header_shifted_all_columns() {
    let (_, report) = read(table("\"date\",\"Temperature\",\"CO2\"", 60, |row| {
        format!(
            "\"{}\",\"2024-03-04 {}:00\",{:.2},{}",
            row + 1,
            clock(row),
            reading(row),
            400 + row % 7
        )
    }));
    assert_eq!(names(&report), ["Temperature", "CO2"]);
    assert_ten_minutes(&report);
}

#[test]
fn a_delimiter_at_the_end_of_each_line_makes_no_column() {
    for header in ["time;a;b", "time;a;b;"] {
        let (_, report) = read(table(header, 40, |row| {
            format!("2024-03-04 {};{};{};", clock(row), row * 3 % 7, row * 5 % 11)
        }));
        assert_eq!(names(&report), ["a", "b"]);
    }
}

#[test]
fn a_header_of_two_lines_makes_names_unique() {
    let (_, report) = read(table(",Room 1,,Room 2,\ntime,temp,hum,temp,hum", 40, |row| {
        format!(
            "2024-03-04 {},{:.1},{},{:.1},{}",
            clock(row),
            reading(row),
            row % 7,
            reading(row + 2),
            row * 3 % 11
        )
    }));
    let unique: std::collections::HashSet<&str> = names(&report).into_iter().collect();
    assert_eq!(unique.len(), 4, "{report:?}");
}

#[test]
fn names_that_are_numbers_are_a_header() {
    let (_, report) = read("date,0,1,OT\n2024-01-01,1,2,3\n2024-01-02,4,5,9\n");
    assert_eq!(names(&report), ["0", "1", "OT"]);
}

#[test]
fn a_table_without_header_and_time_has_numbered_variates() {
    let (recording, report) = read("1.5,2\n3.5,9\n2.5,1\n");
    assert_eq!(names(&report), ["v0", "v1"]);
    assert_eq!(recording.series[0].values, [1.5, 2.0, 3.5, 9.0, 2.5, 1.0]);
    assert!(recording.interval_ms.is_none());
}
