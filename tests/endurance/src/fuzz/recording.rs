//! A file of readings: any bytes are a recording that keeps its promises, or an error.

use std::path::Path;

use tsm2_data::{Options, Recording, Steps, read_bytes};

/// Reads the bytes as a file, with options that the first byte chooses.
pub fn recording(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let has = |bit: u8| choice >> bit & 1 == 1;
    let options = Options {
        force: has(0),
        steps: if has(1) { Steps::AsWritten } else { Steps::Regular },
        interval_ms: has(2).then_some(60_000),
        time_zone: has(3).then(|| "Europe/Berlin".into()),
        forward_fill_limit: u64::from(has(4)) * 3,
        time_format: match choice >> 5 {
            1 => Some("dmy".into()),
            2 => Some("unix-ms".into()),
            3 => Some("%d.%m.%Y %H:%M".into()),
            4 => Some("elapsed-h".into()),
            _ => None,
        },
        ..Options::default()
    };
    if let Ok((recording, report)) = read_bytes(Path::new("recording.csv"), file, &options) {
        check(&recording, options.steps);
        assert_eq!(report.variates.len(), recording.variates.len());
        assert!(report.brief().lines().count() <= 11 && !report.drawing(80).is_empty());
    }
}

fn check(recording: &Recording, steps: Steps) {
    let variates = recording.variates.len();
    assert!(variates > 0 && !recording.series.is_empty());
    for series in &recording.series {
        let rows = series.rows(variates);
        assert_eq!(series.values.len(), rows * variates);
        assert!(series.values.iter().all(|value| value.is_nan() || value.is_finite()));
        assert!(series.times_ms.is_empty() || series.times_ms.len() == rows);
        let ends: Vec<usize> = series.segments.iter().map(|segment| segment.end).collect();
        let starts: Vec<usize> = series.segments.iter().map(|segment| segment.start).collect();
        assert!(rows == 0 || starts.first() == Some(&0) && ends.last() == Some(&rows) && starts[1..] == ends[..ends.len() - 1]);
        if let (Some(interval), Steps::Regular) = (recording.interval_ms, steps) {
            for segment in series.segments.iter().filter(|_| !series.times_ms.is_empty()) {
                let times = &series.times_ms[segment.clone()];
                assert!(times.windows(2).all(|pair| pair[1] - pair[0] == interval as i64));
            }
        }
    }
}
