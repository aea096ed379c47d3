//! Recordings from the database of Home Assistant's recorder, of each of its schemas.

#[expect(dead_code, reason = "this test needs less of it")]
mod common;
#[path = "common/refused.rs"]
mod refused;

use common::{Folder, arg, stdout};
use refused::refused_by;
use rusqlite::Connection;
use tsm2_data::{Options, Report};

const SINCE_2023: &str = "
    CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));
    CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, shared_attrs TEXT);
    CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id CHAR(0), state VARCHAR(255), attributes CHAR(0), last_changed CHAR(0),
        last_changed_ts FLOAT, last_updated CHAR(0), last_updated_ts FLOAT, attributes_id INTEGER, metadata_id INTEGER);
    CREATE TABLE statistics_meta (id INTEGER PRIMARY KEY, statistic_id VARCHAR(255), unit_of_measurement VARCHAR(255));
    CREATE TABLE statistics (id INTEGER PRIMARY KEY, start CHAR(0), start_ts FLOAT, metadata_id INTEGER, mean FLOAT, state FLOAT, sum FLOAT);
    INSERT INTO states_meta VALUES (1, 'sensor.hall'), (2, 'binary_sensor.door');
    INSERT INTO state_attributes VALUES (1, '{\"unit_of_measurement\":\"°C\",\"friendly_name\":\"Hall\"}'), (2, '{}');
    INSERT INTO statistics_meta VALUES (1, 'sensor.hall', '°C'), (2, 'sensor.energy', 'kWh');";

const BEFORE_2022: &str = "
    CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id VARCHAR(255), state VARCHAR(255), attributes TEXT,
        last_changed DATETIME, last_updated DATETIME);";

/// Seconds since 1970 of the row, a row every minute.
fn time(row: usize) -> f64 {
    1_709_510_400.25 + 60.0 * row as f64
}

fn database(folder: &Folder, name: &str, schema: &str, fill: impl Fn(&Connection)) -> std::path::PathBuf {
    let path = folder.path(name);
    let database = Connection::open(&path).unwrap();
    database.execute_batch(schema).unwrap();
    let transaction = database.unchecked_transaction().unwrap();
    fill(&database);
    transaction.commit().unwrap();
    path
}

fn tsm2(arguments: &[&str]) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

/// Imports and describes.
fn imported(folder: &Folder, db: &std::path::Path, entities: &str, more: &[&str]) -> Report {
    let output = folder.path("recording.csv");
    let import = [
        "import",
        "homeassistant",
        "--db",
        arg(db),
        "--entity",
        entities,
        "--output",
        arg(&output),
    ];
    stdout(tsm2(&[&import[..], more].concat()));
    tsm2_data::read(&[output], &Options::default()).unwrap().1
}

#[test]
fn states_of_the_present_schema_have_their_units_and_times() {
    let folder = Folder::new();
    let db = database(&folder, "new.db", SINCE_2023, |database| {
        let insert = "INSERT INTO states (state, last_changed_ts, last_updated_ts, attributes_id, metadata_id) VALUES (?, ?, ?, ?, ?)";
        for row in 0..120 {
            let value = if row == 7 {
                "unavailable".to_owned()
            } else {
                format!("{:.1}", 20.0 + row as f64 * 0.1)
            };
            // `last_changed_ts` is empty where it is that of the update.
            database.execute(insert, (value, None::<f64>, time(row), 1, 1)).unwrap();
            let door = if row % 9 < 4 { "on" } else { "off" };
            database.execute(insert, (door, time(row), time(row) + 3.0, 2, 2)).unwrap();
        }
    });
    let report = imported(&folder, &db, "sensor.hall,binary_sensor.door", &[]);
    let variates: Vec<_> = report
        .variates
        .iter()
        .map(|variate| (variate.name.as_str(), variate.unit.as_deref()))
        .collect();
    assert_eq!(variates, [("sensor.hall", Some("°C")), ("binary_sensor.door", None)]);
    assert_eq!(
        (report.interval_s, report.rows, report.start.as_deref()),
        (Some(60.0), 120, Some("2024-03-04T00:00:00Z"))
    );
    let listed = stdout(tsm2(&["import", "homeassistant", "--db", arg(&db)]));
    assert!(listed.contains("sensor.hall") && listed.contains("120"), "{listed}");
    let json = |more: &[&str]| {
        let arguments = [&["import", "homeassistant", "--db", arg(&db), "--json"], more].concat();
        serde_json::from_str::<serde_json::Value>(&stdout(tsm2(&arguments))).unwrap()
    };
    assert_eq!(
        json(&[])["entities"][1],
        serde_json::json!({ "entity": "sensor.hall", "rows": 120 })
    );
    let (file, entity) = (folder.path("hall.csv"), ["--entity", "sensor.hall"]);
    let written = json(&[&entity[..], &["--output", arg(&file)]].concat());
    assert_eq!(written, serde_json::json!({ "file": arg(&file), "rows": 120 }));
    let both = [
        "import",
        "homeassistant",
        "--db",
        arg(&db),
        "--entity",
        "sensor.hall",
        "--json",
        "--output",
        "-",
    ];
    refused_by(env!("CARGO_BIN_EXE_tsm2"), &both, &["--json", "--output"]);
}

#[test]
fn states_of_an_old_database_are_read_too() {
    let folder = Folder::new();
    let db = database(&folder, "old.db", BEFORE_2022, |database| {
        for row in 0..120 {
            let time = format!("2024-03-04 {:02}:{:02}:00.250000", row / 60, row % 60);
            let insert = "INSERT INTO states (entity_id, state, attributes, last_changed, last_updated) VALUES ('sensor.hall', ?, ?, ?, ?)";
            let attributes = "{\"unit_of_measurement\":\"°C\"}";
            database
                .execute(insert, (format!("{:.1}", 20.0 + row as f64 * 0.1), attributes, &time, &time))
                .unwrap();
        }
    });
    let report = imported(&folder, &db, "sensor.hall", &[]);
    assert_eq!(
        (report.interval_s, report.start.as_deref()),
        (Some(60.0), Some("2024-03-04T00:00:00Z"))
    );
    assert_eq!(report.variates[0].unit.as_deref(), Some("°C"));
}

#[test]
fn statistics_give_the_mean_of_a_sensor_and_the_sum_of_a_meter() {
    let folder = Folder::new();
    let db = database(&folder, "new.db", SINCE_2023, |database| {
        let insert = "INSERT INTO statistics (start_ts, metadata_id, mean, state, sum) VALUES (?, ?, ?, ?, ?)";
        for row in 0..200 {
            let start = 1_709_510_400.0 + 3600.0 * f64::from(row);
            database
                .execute(insert, (start, 1, 20.0 + f64::from(row % 7), None::<f64>, None::<f64>))
                .unwrap();
            database
                .execute(insert, (start, 2, None::<f64>, 5.0, f64::from(row * row)))
                .unwrap();
        }
    });
    let report = imported(&folder, &db, "sensor.hall,sensor.energy", &["--statistics"]);
    let variates: Vec<_> = report
        .variates
        .iter()
        .map(|variate| (variate.name.as_str(), variate.unit.as_deref(), variate.max))
        .collect();
    assert_eq!(
        variates,
        [
            ("sensor.hall", Some("°C"), Some(26.0)),
            ("sensor.energy", Some("kWh"), Some(39_601.0))
        ]
    );
    assert_eq!(report.interval_s, Some(3600.0));
}

#[test]
fn an_entity_or_a_database_that_is_not_there_is_named() {
    let folder = Folder::new();
    let db = database(&folder, "new.db", SINCE_2023, |database| {
        let insert = "INSERT INTO states (state, last_updated_ts, metadata_id) VALUES ('1', 1.0, 1)";
        database.execute(insert, ()).unwrap();
    });
    let other = database(&folder, "other.db", "CREATE TABLE x (y)", |_| {});
    let text = folder.file(
        "text.db",
        "no database at all, but long enough for a header of one hundred bytes .......................................",
    );
    let earlier = folder.file("recording.csv", "time,hall\n");
    let import = |db, named: &[&str]| {
        refused_by(
            env!("CARGO_BIN_EXE_tsm2"),
            &[
                "import",
                "homeassistant",
                "--db",
                arg(db),
                "--entity",
                "sensor.attic",
                "--output",
                arg(&earlier),
            ],
            named,
        );
    };
    import(&db, &["new.db", "sensor.attic", "`sensor.hall`"]);
    assert_eq!(
        std::fs::read_to_string(&earlier).unwrap(),
        "time,hall\n",
        "an earlier recording is lost"
    );
    assert!(!folder.path("recording.csv.part").exists());
    import(&other, &["other.db", "no table `states`"]);
    import(&text, &["text.db"]);
}
