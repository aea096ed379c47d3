//! The reader of replays, and what a replay makes of a row.

use std::path::PathBuf;

use tsm2_edge::cli::replay::messages;
use tsm2_edge::cli::table::{Record, Table, TableError};
use tsm2_mqtt::Template;

const NEW_YEAR: i64 = 1_704_067_200_000;

fn read(text: &str) -> Result<Table, TableError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("data.csv");
    std::fs::write(&path, text).unwrap();
    Table::open(&path)
}

#[test]
fn delimiters_and_the_column_of_times_are_found() {
    for text in [
        "date,a,b\n2024-01-01 00:00:00,1.5,-2\n2024-01-01 00:01:00,,x\n",
        "a;date;b\n1.5;2024-01-01T00:00:00Z;-2\n;2024-01-01T01:01:00+01:00;nan\n",
        "a\tb\tdate\n1.5\t-2\t2024/01/01 00:00\n \tx\t2024/01/01 00:01\n",
    ] {
        let table = read(text).unwrap();
        assert_eq!(table.names, ["a", "b"]);
        assert_eq!(
            table.rows[0],
            Record {
                time_ms: NEW_YEAR,
                values: vec![1.5, -2.0]
            }
        );
        assert_eq!(table.rows[1].time_ms, NEW_YEAR + 60_000);
        assert!(table.rows[1].values.iter().all(|v| v.is_nan()), "what is no number is missing");
    }
}

#[test]
fn a_slice_is_cut_to_what_there_is() {
    let table = read("date,a\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n").unwrap();
    assert_eq!(table.slice(1..2)[0].values, [2.0]);
    assert_eq!(table.slice(1..usize::MAX).len(), 2);
    assert!(table.slice(7..9).is_empty());
}

#[test]
fn a_row_becomes_one_message_or_one_per_variate() {
    let names = ["a".to_owned(), "b".to_owned()];
    let row = Record {
        time_ms: NEW_YEAR,
        values: vec![21.5, f64::NAN],
    };
    let texts = |template: &str| -> Vec<(String, String)> {
        let template = Template::parse(template).unwrap();
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        messages(&template, "s", &names, &row)
            .into_iter()
            .map(|m| (m.topic, text(&m.payload)))
            .collect()
    };
    let time = r#""time":"2024-01-01T00:00:00Z""#;
    assert_eq!(
        texts("x/{stream}"),
        [("x/s".to_owned(), format!(r#"{{"a":21.5,"b":null,{time}}}"#))]
    );
    assert_eq!(
        texts("x/{stream}/{variate}"),
        [
            ("x/s/a".to_owned(), format!(r#"{{{time},"value":21.5}}"#)),
            ("x/s/b".to_owned(), format!(r#"{{{time},"value":null}}"#)),
        ]
    );
}
