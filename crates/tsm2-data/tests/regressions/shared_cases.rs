//! Recordings of the kinds that people reported, where they lie beside the project. Their absence is a failure with
//! `TSM2_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use tsm2_data::{Kind, Options, Recording, Report, Steps};

use crate::{contains, names};

/// The folder of shared files, above this workspace or a worktree of it.
fn shared() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("cases").is_dir());
    assert!(
        found.is_some() || std::env::var_os("TSM2_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "the folder shared/cases is missing beside the project"
    );
    found
}

/// Reads a file of the shared folder; `None` where there is no such folder.
fn read_with(file: &str, options: &Options) -> Option<(Recording, Report)> {
    let path = shared()?.join(file);
    Some(tsm2_data::read(&[path], options).unwrap_or_else(|error| panic!("{error}")))
}

fn read(file: &str) -> Option<(Recording, Report)> {
    read_with(file, &Options::default())
}

/// Reads, and compares rows, interval and names.
fn check(file: &str, rows: u64, interval_s: Option<f64>, variates: &[&str]) -> Option<(Recording, Report)> {
    let (recording, report) = read(file)?;
    assert_eq!((report.rows, report.interval_s), (rows, interval_s), "{file}");
    assert_eq!(names(&report), variates, "{file}");
    Some((recording, report))
}

const HALL: [&str; 3] = ["Temperatur Halle", "Feuchte Halle", "CO2"];
const ROOM: [&str; 2] = ["room_c", "power_kw"];

#[test]
fn decimal_commas() {
    for file in ["oldest_first", "newest_first", "whole_numbers_without_comma"] {
        check(&format!("cases/01-decimal-comma/{file}.csv"), 900, Some(600.0), &HALL);
    }
}

#[test]
fn times_that_are_numbers() {
    check("cases/03-number-times/influx_ns.csv", 900, Some(600.0), &["temperature", "power"]);
    check("cases/03-number-times/microseconds.csv", 900, Some(600.0), &["temperature"]);
    check("cases/03-number-times/excel_serial_dates.csv", 900, Some(600.0), &["temperature"]);
    if let Some((_, report)) = check(
        "cases/03-number-times/hours_since_start.csv",
        900,
        None,
        &["cell_voltage", "cell_temperature"],
    ) {
        assert!(report.dropped_columns[0].reason.contains("--time-format elapsed"), "{report:?}");
    }
}

#[test]
fn long_tables() {
    for file in ["history_numbers_only", "history_unavailable"] {
        if let Some((recording, report)) = read(&format!("cases/05-home-assistant-history/{file}.csv")) {
            assert_eq!(names(&report), ["sensor.plant_room_temperature", "sensor.heat_pump_power"]);
            assert_eq!(recording.interval_ms, Some(60_000));
        }
    }
    for file in [
        "grafana_series_time_value",
        "grafana_with_sep_line",
        "unique_id_ds_y",
        "interleaved",
    ] {
        check(&format!("cases/06-long-forms/{file}.csv"), 600, Some(600.0), &["supply", "return"]);
    }
    check(
        "cases/06-long-forms/interleaved_sensor_number.csv",
        600,
        Some(600.0),
        &["sensor_1", "sensor_2"],
    );
}

#[test]
fn date_and_time_in_two_columns() {
    check(
        "cases/08-date-and-time-columns/two_columns.csv",
        1600,
        Some(10_800.0),
        &["power_kw", "outdoor_c"],
    );
    check("cases/08-date-and-time-columns/time_first.csv", 1600, Some(10_800.0), &["power_kw"]);
}

#[test]
fn dates_of_other_countries() {
    for file in ["us_am_pm", "us_dashes", "german", "day_first", "unpadded", "utc_suffix", "compact"] {
        if let Some((recording, report)) = check(&format!("cases/10-other-dates/{file}.csv"), 864, Some(600.0), &ROOM) {
            assert_eq!(
                (report.start.as_deref(), report.end.as_deref()),
                (Some("2024-03-04T00:00:00Z"), Some("2024-03-10T05:50:00Z")),
                "{file}"
            );
            assert_eq!(recording.rows(), 900, "six hours are missing");
        }
    }
}

#[test]
fn row_numbers_and_first_lines_that_are_no_header() {
    for file in ["header_one_short.txt", "unnamed_index.csv"] {
        check(
            &format!("cases/13-row-numbers/{file}"),
            900,
            Some(60.0),
            &["Temperature", "Humidity", "CO2", "Occupancy"],
        );
    }
    check("cases/13-row-numbers/no_header_with_a_word.csv", 900, Some(600.0), &["v0"]);
    check("cases/13-row-numbers/no_header_with_dates.data", 700, Some(1800.0), &["7", "9"]);
}

#[test]
fn training_and_replay_read_the_same() {
    for (file, variates) in [
        ("unix_s", ["temperature", "power"]),
        ("unix_ms", ["temperature", "power"]),
        ("pipes", ["temperature", "power"]),
        ("no_header", ["v0", "v1"]),
    ] {
        let file = format!("cases/15-replay-reads-otherwise/{file}.csv");
        let Some((steps, _)) = check(&file, 900, Some(600.0), &variates) else {
            continue;
        };
        let Some((rows, _)) = read_with(
            &file,
            &Options {
                steps: Steps::AsWritten,
                ..Options::default()
            },
        ) else {
            continue;
        };
        assert_eq!(rows.series, steps.series);
    }
}

#[test]
fn a_change_of_the_interval() {
    for (file, rows) in [("mostly_15_min", 1700), ("mostly_1_min", 2900)] {
        if let Some((_, report)) = check(&format!("cases/17-interval-changed/{file}.csv"), rows, Some(900.0), &["ac_kw"]) {
            assert!(contains(&report.warnings, "from 900 s to 60 s in line 902"), "{report:?}");
        }
    }
}

#[test]
fn codes_and_words_for_no_reading() {
    if let Some((_, report)) = check(
        "cases/20-sentinels/sentinels.csv",
        1500,
        Some(3600.0),
        &["co_mg_m3", "boiler_c", "tank_c", "humidity"],
    ) {
        for note in [
            "co_mg_m3: -200 in 18 % of the rows",
            "boiler_c: -127",
            "boiler_c: 85",
            "tank_c: -26240",
            "humidity: 9999",
        ] {
            assert!(contains(&report.warnings, note), "{note}: {report:?}");
        }
    }
    if let Some((_, report)) = check("cases/20-sentinels/words.csv", 900, Some(600.0), &ROOM) {
        assert!(
            contains(&report.warnings, "`?` in 36 cells") && contains(&report.warnings, "`Bad` in 15 cells"),
            "{report:?}"
        );
    }
}

#[test]
fn damaged_files() {
    for (file, rows, reason, first_line) in [
        ("zeros_in_the_middle", 899, "zero bytes", 401),
        ("last_line_cut", 899, "cut", 901),
        ("header_again", 900, "the header again", 402),
        ("header_again_only", 900, "the header again", 401),
        ("summary_below", 900, "time cannot be read", 902),
    ] {
        if let Some((_, report)) = check(&format!("cases/22-damaged-files/{file}.csv"), rows, Some(600.0), &ROOM) {
            let found = report
                .dropped_rows
                .iter()
                .any(|rows| rows.reason.contains(reason) && rows.first_line == first_line);
            assert!(found, "{file}: {report:?}");
        }
    }
}

#[test]
fn a_pump_that_is_on_or_off() {
    let file = "cases/32-unavailable-and-on-off/on_off.csv";
    if let Some((_, report)) = check(file, 900, Some(60.0), &["boiler_temp", "room_temp", "pump"]) {
        let pump = &report.variates[2];
        assert_eq!(
            (pump.kind, pump.min, pump.max, pump.missing),
            (Kind::OnOff, Some(0.0), Some(1.0), 0)
        );
    }
}

#[test]
fn the_air_of_an_italian_street() {
    let Some((_, report)) = read("cases/files/AirQualityUCI.csv") else {
        return;
    };
    assert_eq!((report.rows, report.interval_s, report.variates.len()), (9357, Some(3600.0), 13));
    assert_eq!(
        (report.start.as_deref(), report.time_column.as_deref()),
        (Some("2004-03-10T18:00:00Z"), Some("Date + Time"))
    );
    assert_eq!(report.dropped_columns.len(), 2);
    assert_eq!(
        (report.dropped_rows[0].count, report.dropped_rows[0].reason.as_str()),
        (114, "no cell is filled")
    );
    for count in [
        "CO(GT) 1683 times",
        "NMHC(GT) 8443 times",
        "NOx(GT) 1639 times",
        "NO2(GT) 1642 times",
        "T 366 times",
        "AH 366 times",
    ] {
        assert!(contains(&report.warnings, count), "{count}: {report:?}");
    }
    let options = Options {
        missing_values: vec!["-200".into()],
        ..Options::default()
    };
    let Some((_, report)) = read_with("cases/files/AirQualityUCI.csv", &options) else {
        return;
    };
    assert_eq!((report.variates[0].missing, report.variates[0].min), (1683, Some(0.1)));
}

#[test]
fn a_steel_plant() {
    let Some((recording, report)) = read("cases/files/Steel_industry_data.csv") else {
        return;
    };
    assert_eq!((report.rows, report.interval_s, report.variates.len()), (35_040, Some(900.0), 6));
    assert_eq!(
        (report.start.as_deref(), report.end.as_deref()),
        (Some("2018-01-01T00:15:00Z"), Some("2019-01-01T00:00:00Z"))
    );
    assert_eq!(recording.rows(), 35_040);
    assert!(contains(&report.warnings, "365 rows of 00:00"), "{report:?}");
    let reasons: Vec<(&str, bool)> = report
        .dropped_columns
        .iter()
        .map(|column| (column.name.as_str(), column.reason.contains("clock")))
        .collect();
    assert_eq!(reasons.len(), 4);
    assert!(
        reasons.contains(&("NSM", true)) && reasons.contains(&("Day_of_week", false)),
        "{report:?}"
    );
    assert!(report.dropped_rows.is_empty(), "{report:?}");
}

#[test]
fn the_climate_of_an_office() {
    let columns = ["Temperature", "Humidity", "Light", "CO2", "HumidityRatio", "Occupancy"];
    if let Some((_, report)) = check("cases/files/occupancy_datatest2.txt", 9752, Some(60.0), &columns) {
        assert_eq!(report.variates[5].kind, Kind::OnOff);
        assert!(report.dropped_rows.is_empty(), "{report:?}");
    }
}

#[test]
fn recordings_that_models_are_trained_on() {
    for (file, rows, interval_s, variates) in [
        ("data/ETTh1.csv", 17_420, Some(3600.0), 7),
        ("data/exchange_rate.txt", 7588, None, 8),
        ("data/skab_anomaly_free.csv", 9405, Some(1.0), 8),
        ("data/weather.csv", 52_696, Some(600.0), 21),
        ("data/building.csv", 40_320, Some(60.0), 11),
    ] {
        let Some((_, report)) = read(file) else { return };
        assert_eq!(
            (report.rows, report.interval_s, report.variates.len()),
            (rows, interval_s, variates),
            "{file}"
        );
        assert!(
            report.variates.iter().all(|variate| variate.missing == 0) && report.dropped_columns.is_empty(),
            "{file}: {report:?}"
        );
    }
    let Some((_, report)) = read("data/weather.csv") else { return };
    assert_eq!(
        (report.variates[1].name.as_str(), report.variates[1].unit.as_deref()),
        ("T (degC)", Some("degC"))
    );
    assert!(contains(&report.warnings, "OT 50 times"), "{report:?}");
}
