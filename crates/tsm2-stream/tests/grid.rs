//! The grid against hand-made cases and against a slow model of itself.

use proptest::prelude::*;
use tsm2_stream::{Counts, Event, Grid, GridConfig, GridError, Reading, Refused};

const MINUTE: i64 = 60_000;

/// What a grid said, in a form that compares (NaN written as None).
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Row(i64, Vec<Option<f32>>),
    Restart(i64, i64),
    LeapDropped(i64, u64),
}

fn grid(variates: usize, max_gap: u64) -> Grid {
    Grid::new(GridConfig {
        variates,
        interval_ms: MINUTE as u64,
        max_gap,
    })
    .unwrap()
}

fn push(grid: &mut Grid, variate: usize, value: f32, time_ms: i64) -> Result<Vec<Said>, Refused> {
    let mut said = Vec::new();
    grid.push(Reading { variate, value, time_ms }, |event| {
        said.push(match event {
            Event::Row(row) => Said::Row(row.time_ms, row.values.iter().map(|&v| (!v.is_nan()).then_some(v)).collect()),
            Event::Restart { last_ms, next_ms } => Said::Restart(last_ms, next_ms),
            Event::LeapDropped { time_ms, readings } => Said::LeapDropped(time_ms, readings),
            _ => panic!("an event this test does not know"),
        });
    })?;
    Ok(said)
}

#[test]
fn a_row_closes_when_every_variate_was_heard() {
    let mut grid = grid(2, 10);
    assert_eq!(push(&mut grid, 0, 1.0, 5 * MINUTE).unwrap(), []);
    assert_eq!(
        push(&mut grid, 1, 2.0, 5 * MINUTE + 7).unwrap(),
        [Said::Row(5 * MINUTE, vec![Some(1.0), Some(2.0)])]
    );
}

#[test]
fn a_row_closes_without_those_that_stay_silent_when_the_next_slot_begins() {
    let mut grid = grid(2, 10);
    push(&mut grid, 0, 1.0, 0).unwrap();
    assert_eq!(push(&mut grid, 1, 2.0, MINUTE).unwrap(), [Said::Row(0, vec![Some(1.0), None])]);
}

#[test]
fn the_last_reading_of_a_slot_counts() {
    let mut grid = grid(2, 10);
    push(&mut grid, 0, 1.0, 0).unwrap();
    push(&mut grid, 0, 3.0, 10).unwrap();
    assert_eq!(push(&mut grid, 1, 2.0, 20).unwrap(), [Said::Row(0, vec![Some(3.0), Some(2.0)])]);
}

#[test]
fn non_finite_is_heard_and_missing() {
    let mut grid = grid(2, 10);
    push(&mut grid, 0, f32::NAN, 0).unwrap();
    assert_eq!(push(&mut grid, 1, f32::INFINITY, 0).unwrap(), [Said::Row(0, vec![None, None])]);
}

#[test]
fn readings_belong_to_the_nearest_slot_also_before_1970() {
    let mut grid = grid(1, 10);
    assert_eq!(
        push(&mut grid, 0, 1.0, -MINUTE - 29_999).unwrap(),
        [Said::Row(-MINUTE, vec![Some(1.0)])]
    );
    assert_eq!(push(&mut grid, 0, 2.0, 29_999).unwrap(), [Said::Row(0, vec![Some(2.0)])]);
    assert_eq!(push(&mut grid, 0, 3.0, 30_000).unwrap(), [Said::Row(MINUTE, vec![Some(3.0)])]);
}

#[test]
fn a_row_knows_the_time_of_its_newest_reading() {
    let mut grid = grid(2, 10);
    let mut seen = Vec::new();
    for (variate, time_ms) in [(1, 7), (0, 3), (0, 3 * MINUTE)] {
        grid.push(
            Reading {
                variate,
                value: 0.0,
                time_ms,
            },
            |event| {
                if let Event::Row(row) = event {
                    seen.push((row.time_ms, row.last_reading_ms));
                }
            },
        )
        .unwrap();
    }
    assert_eq!(seen, [(0, Some(7)), (MINUTE, None), (2 * MINUTE, None)]);
}

#[test]
fn a_gap_is_bridged_with_missing_rows() {
    let mut grid = grid(1, 2);
    push(&mut grid, 0, 1.0, 0).unwrap();
    assert_eq!(
        push(&mut grid, 0, 2.0, 3 * MINUTE).unwrap(),
        [
            Said::Row(MINUTE, vec![None]),
            Said::Row(2 * MINUTE, vec![None]),
            Said::Row(3 * MINUTE, vec![Some(2.0)])
        ]
    );
    assert_eq!(
        grid.counts(),
        Counts {
            readings: 2,
            rows: 2,
            gap_rows: 2,
            ..Counts::default()
        }
    );
}

#[test]
fn a_longer_silence_restarts_the_stream_and_loses_nothing() {
    let mut grid = grid(1, 2);
    push(&mut grid, 0, 1.0, 0).unwrap();
    assert_eq!(
        push(&mut grid, 0, 2.0, 4 * MINUTE).unwrap(),
        [],
        "a leap waits for its confirmation"
    );
    assert_eq!(
        push(&mut grid, 0, 3.0, 6 * MINUTE).unwrap(),
        [
            Said::Restart(0, 4 * MINUTE),
            Said::Row(4 * MINUTE, vec![Some(2.0)]),
            Said::Row(5 * MINUTE, vec![None]),
            Said::Row(6 * MINUTE, vec![Some(3.0)]),
        ]
    );
    assert_eq!(
        grid.counts(),
        Counts {
            readings: 3,
            rows: 3,
            gap_rows: 1,
            restarts: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn an_open_row_leaves_before_the_restart() {
    let mut grid = grid(2, 2);
    push(&mut grid, 0, 1.0, 0).unwrap();
    push(&mut grid, 0, 2.0, 10 * MINUTE).unwrap();
    assert_eq!(
        push(&mut grid, 0, 3.0, 11 * MINUTE).unwrap(),
        [
            Said::Row(0, vec![Some(1.0), None]),
            Said::Restart(0, 10 * MINUTE),
            Said::Row(10 * MINUTE, vec![Some(2.0), None])
        ]
    );
}

#[test]
fn one_nonsense_clock_does_not_end_the_stream() {
    let mut grid = grid(1, 2);
    push(&mut grid, 0, 1.0, 0).unwrap();
    for time_ms in [i64::MAX, i64::MAX / 2, 4_102_444_800_000] {
        push(&mut grid, 0, 9.0, time_ms).unwrap();
    }
    let said = push(&mut grid, 0, 2.0, MINUTE).unwrap();
    assert_eq!(said, [Said::LeapDropped(4_102_444_800_000, 1), Said::Row(MINUTE, vec![Some(2.0)])]);
    assert_eq!(
        grid.counts(),
        Counts {
            readings: 2,
            rows: 2,
            leapt: 3,
            ..Counts::default()
        }
    );
}

#[test]
fn late_duplicate_and_backward_readings_are_refused_and_counted() {
    let mut grid = grid(1, 5);
    push(&mut grid, 0, 1.0, 10 * MINUTE).unwrap();
    assert_eq!(push(&mut grid, 0, 1.0, 10 * MINUTE), Err(Refused::Late { behind_ms: 0 }));
    assert_eq!(push(&mut grid, 0, 1.0, 7 * MINUTE), Err(Refused::Late { behind_ms: 3 * MINUTE }));
    assert_eq!(push(&mut grid, 0, 1.0, i64::MIN), Err(Refused::Late { behind_ms: i64::MAX }));
    assert_eq!(grid.counts().late, 3);
    assert_eq!(
        push(&mut grid, 0, 2.0, 11 * MINUTE).unwrap(),
        [Said::Row(11 * MINUTE, vec![Some(2.0)])]
    );
}

#[test]
fn unknown_variates_and_impossible_grids_are_refused() {
    assert_eq!(
        push(&mut grid(2, 5), 2, 1.0, 0),
        Err(Refused::UnknownVariate { variate: 2, variates: 2 })
    );
    assert_eq!(
        Grid::new(GridConfig {
            variates: 0,
            interval_ms: 1,
            max_gap: 1
        })
        .unwrap_err(),
        GridError::NoVariates
    );
    for interval_ms in [0, u64::MAX] {
        assert_eq!(
            Grid::new(GridConfig {
                variates: 1,
                interval_ms,
                max_gap: 1
            })
            .unwrap_err(),
            GridError::Interval { interval_ms }
        );
    }
}

proptest! {
    /// Whatever arrives: no panic, rows in strictly increasing time and without holes except at restarts, a bounded number of rows per
    /// reading, and every reading accounted for.
    #[test]
    fn any_readings_keep_the_invariants(
        variates in 1usize..4,
        max_gap in 0u64..20,
        readings in prop::collection::vec((0usize..4, prop_oneof![Just(f32::NAN), -1e3f32..1e3],
            prop_oneof![8 => -2_000_000i64..2_000_000, 1 => any::<i64>()]), 0..200),
    ) {
        let mut grid = grid(variates, max_gap);
        let (mut last, mut restarted, mut refused) = (None::<i64>, false, 0u64);
        for &(variate, value, time_ms) in &readings {
            let said = match push(&mut grid, variate, value, time_ms) {
                Ok(said) => said,
                Err(_) => { refused += 1; continue }
            };
            prop_assert!(said.len() as u64 <= max_gap + 5);
            for event in said {
                match event {
                    Said::Row(time_ms, values) => {
                        prop_assert_eq!(values.len(), variates);
                        if let Some(last) = last {
                            prop_assert!(time_ms > last);
                            prop_assert!(restarted || time_ms == last + MINUTE);
                        }
                        (last, restarted) = (Some(time_ms), false);
                    }
                    Said::Restart(_, _) => restarted = true,
                    Said::LeapDropped(_, readings) => prop_assert!(readings > 0),
                }
            }
        }
        let counts = grid.counts();
        let taken = readings.len() as u64 - refused;
        prop_assert!(counts.readings + counts.leapt <= taken);
        prop_assert!(counts.rows <= counts.readings);
    }

    /// Readings in order, each within its slot, arrive as the rows they were made from, however the variates are shuffled within a row.
    #[test]
    fn rows_in_are_rows_out(
        rows in prop::collection::vec((prop::collection::vec(prop::option::of(-1e3f32..1e3), 3), -20_000i64..20_000, any::<bool>()), 1..60),
    ) {
        let mut grid = grid(3, 100);
        let mut out = Vec::new();
        for (index, (values, offset, reverse)) in rows.iter().enumerate() {
            let mut order: Vec<usize> = (0..3).collect();
            if *reverse { order.reverse(); }
            for variate in order {
                let value = values[variate].unwrap_or(f32::NAN);
                out.extend(push(&mut grid, variate, value, 1_000 * MINUTE + index as i64 * MINUTE + offset).unwrap());
            }
        }
        let expected: Vec<Said> = rows.iter().enumerate().map(|(i, row)| Said::Row((1_000 + i as i64) * MINUTE, row.0.clone())).collect();
        prop_assert_eq!(out, expected);
    }
}
