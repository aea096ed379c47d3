//! Rows to regular time steps.

use std::path::PathBuf;

use tsm2_data::{Aggregate, Options, Steps};

use crate::{clock, contains, day, error, read, read_with, reading, table};

fn minute(minute: usize) -> String {
    format!("2024-03-{:02} {:02}:{:02}:00", 4 + minute / 1440, minute / 60 % 24, minute % 60)
}

#[test]
fn a_change_of_the_interval_is_named_and_averaged() {
    let minutes: Vec<usize> = (0..300).map(|row| row * 15).chain((1..400).map(|row| 299 * 15 + row)).collect();
    let text = table("time,ac", minutes.len(), |row| {
        format!(
            "{},{}",
            minute(minutes[row]),
            if row < 300 { 1.0 } else { f64::from(row as u32 % 2) * 2.0 }
        )
    });
    let (recording, report) = read(&text);
    assert_eq!(report.interval_s, Some(900.0));
    assert!(contains(&report.warnings, "900 s to 60 s in line 302"), "{report:?}");
    assert!(
        recording.series[0].values[305..320].iter().all(|value| (0.8..1.2).contains(value)),
        "{:?}",
        &recording.series[0].values[300..]
    );
    let (_, report) = read_with(
        &text,
        &Options {
            interval_ms: Some(60_000),
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(report.interval_s, Some(60.0));
}

#[test]
fn a_gap_is_bridged_by_missing_readings() {
    let text = table("time,a", 200, |row| {
        format!("{},{:.1}", minute(if row < 100 { row } else { row + 30 }), reading(row))
    });
    let (recording, report) = read(text);
    assert_eq!(recording.series[0].values.len(), 230);
    assert_eq!(recording.series[0].values.iter().filter(|value| value.is_nan()).count(), 30);
    assert_eq!((report.rows, report.variates[0].missing), (200, 0));
    assert!(
        contains(&report.warnings, "1 gap in time bridged by 30 missing time steps"),
        "{report:?}"
    );
}

#[test]
fn long_pauses_begin_segments() {
    // Ten shifts of an hour at one second, a day apart.
    let text = table("time,a", 10 * 600, |row| {
        let (shift, second) = (row / 600, row % 600);
        format!(
            "2024-03-{:02} 08:{:02}:{:02},{:.1}",
            4 + shift,
            second / 60,
            second % 60,
            reading(row)
        )
    });
    let (recording, report) = read(text);
    assert_eq!(report.interval_s, Some(1.0));
    assert_eq!(
        recording.series[0].segments,
        (0..10).map(|shift| shift * 600..(shift + 1) * 600).collect::<Vec<_>>()
    );
    assert!(contains(&report.warnings, "9 pauses"), "{report:?}");
}

#[test]
fn mixed_cadence_is_resampled_as_asked() {
    let text = table("time,fast,slow", 600, |row| {
        format!(
            "{},{},{}",
            minute(row),
            row % 10,
            if row % 10 == 0 { (row / 10 % 7).to_string() } else { String::new() }
        )
    });
    let (recording, report) = read_with(
        &text,
        &Options {
            interval_ms: Some(600_000),
            aggregate: Some(Aggregate::Mean),
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(report.interval_s, Some(600.0));
    // Time bins reach half an interval to either side.
    assert_eq!(recording.series[0].values[2..4], [4.5, 1.0]);
    let (recording, _) = read_with(
        &text,
        &Options {
            forward_fill_limit: 9,
            ..Options::default()
        },
    )
    .unwrap();
    assert!(!recording.series[0].values.iter().any(|value| value.is_nan()));
    let (recording, _) = read_with(
        &text,
        &Options {
            forward_fill_limit: 2,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(recording.series[0].values.iter().filter(|value| value.is_nan()).count(), 59 * 7 + 7);
}

#[test]
fn rows_with_one_reading_each_share_time_steps() {
    let (recording, report) = read(table("time,a,b,c", 900, |row| {
        let cells: Vec<String> = (0..3)
            .map(|c| {
                if row % 3 == c {
                    format!("{:.1}", reading(row))
                } else {
                    String::new()
                }
            })
            .collect();
        format!("{}.{}00,{}", minute(row / 3), row % 3, cells.join(","))
    }));
    assert_eq!((report.interval_s, recording.rows()), (Some(60.0), 300));
    assert!(!recording.series[0].values.iter().any(|value| value.is_nan()));
}

#[test]
fn aggregates_are_chosen_by_variate() {
    let text = table("time,a,b", 600, |row| format!("{},{},{}", minute(row), row % 10, row % 10));
    let options = Options {
        interval_ms: Some(600_000),
        aggregate: Some(Aggregate::Min),
        aggregates: [("b".to_owned(), Aggregate::Sum)].into(),
        ..Options::default()
    };
    let (recording, _) = read_with(text, &options).unwrap();
    assert_eq!(recording.series[0].values[2..4], [0.0, 45.0]);
}

#[test]
fn rows_as_written_keep_their_times() {
    let text = table("time,a", 100, |row| {
        format!("2024-03-04 00:{:02}:{:02}.250,{:.1}", row / 60 * 7, row % 60, reading(row))
    });
    let (recording, _) = read_with(
        text,
        &Options {
            steps: Steps::AsWritten,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(recording.series[0].times_ms[0] % 1000, 250);
    assert_eq!(recording.series[0].times_ms.len(), 100);
}

#[test]
fn an_interval_that_needs_too_much_memory_is_refused() {
    let text = table("time,a", 1000, |row| {
        format!("2024-03-04 {},{:.1}", clock(row % 144), reading(row)).replace("-04", &format!("-{:02}", 4 + row / 144))
    });
    let message = read_with(
        text,
        &Options {
            interval_ms: Some(1),
            max_gap: 10_000_000,
            ..Options::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("--interval"), "{message}");
    let text = table("time,a", 100, |row| format!("{},{:.1}", minute(row * 10), reading(row)));
    let message = read_with(
        text,
        &Options {
            interval_ms: Some(0),
            ..Options::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("--interval"), "{message}");
}

#[test]
fn times_that_all_are_the_same_are_refused() {
    assert!(error(table("time,a", 40, |row| format!("2024-03-04 00:00,{}", row % 7))).contains("same time"));
}

#[test]
fn files_of_like_devices_are_series_and_parts_of_one_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, header: &str, first: usize| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(
            &path,
            table(header, 144, |row| {
                format!("2024-03-{:02} {},{},{}", day(row + first), clock(row), row % 7, row % 5)
            }),
        )
        .unwrap();
        path
    };
    let (a, b, c) = (
        write("a.csv", "time,x,y", 0),
        write("b.csv", "time,x,y", 144),
        write("c.csv", "time,y,x", 288),
    );
    let (recording, report) = tsm2_data::read(&[&a, &b, &c], &Options::default()).unwrap();
    assert_eq!(
        recording
            .series
            .iter()
            .map(|series| (series.name.as_str(), series.times_ms.len()))
            .collect::<Vec<_>>(),
        [("a", 144), ("b", 144), ("c", 144)]
    );
    assert_eq!((report.rows, report.files.len()), (432, 3));
    // The columns of the third stand in another order.
    assert_eq!(recording.series[2].values[12..14], [1.0, 6.0]);
    let (recording, _) = tsm2_data::read(
        &[&c, &b, &a],
        &Options {
            join: true,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!((recording.series.len(), recording.rows()), (1, 432));
    assert!(recording.series[0].times_ms.windows(2).all(|pair| pair[1] - pair[0] == 600_000));
    let d = write("d.csv", "time,x,z", 0);
    let message = tsm2_data::read(&[&a, &d], &Options::default()).unwrap_err().to_string();
    assert!(
        message.contains("d.csv") && message.contains("`y`") && message.contains("--columns"),
        "{message}"
    );
}

#[cfg(feature = "compressed")]
#[test]
fn compressed_files_are_read() {
    use std::io::Write;
    let text = table("time,a", 200, |row| format!("{},{:.1}", minute(row), reading(row)));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    for bytes in [gzip.finish().unwrap(), zstd] {
        assert_eq!(read(&bytes).1.rows, 200);
        assert!(read_with(&bytes[..bytes.len() / 2], &Options::default()).is_err());
    }
}

#[cfg(feature = "compressed")]
#[test]
fn all_but_the_first_frame_of_a_zstd_file_were_lost() {
    let text = table("time,a", 200, |row| format!("{},{:.1}", minute(row), reading(row)));
    let frame = |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let (first, second) = text.split_at(text.len() / 3);
    let (first, second) = (frame(first), frame(second));
    // Three bytes that a decoder skips.
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
    let skippable = skippable.as_slice();
    for frames in [
        vec![first.as_slice(), &second],
        vec![&first, skippable, &second],
        vec![skippable, &first, &second, skippable],
        vec![&first, &frame(""), &second],
    ] {
        assert_eq!(read(frames.concat()).1.rows, 200);
    }
    for damaged in [&second[..second.len() - 4], &second[..3], &skippable[..9], b"no frame"] {
        assert!(read_with([&first, damaged].concat(), &Options::default()).is_err());
    }
}
