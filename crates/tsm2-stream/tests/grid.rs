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
fn a_reading_that_its_open_row_has_already_changes_nothing() {
    let mut grid = grid(2, 10);
    push(&mut grid, 0, 1.0, 5).unwrap();
    push(&mut grid, 0, 3.0, 10).unwrap();
    for (value, time_ms) in [(1.0, 5), (3.0, 10), (7.0, 10)] {
        assert_eq!(push(&mut grid, 0, value, time_ms), Err(Refused::NotNewer));
    }
    assert_eq!(push(&mut grid, 1, 2.0, 5).unwrap(), [Said::Row(0, vec![Some(3.0), Some(2.0)])]);
    assert_eq!((grid.counts().readings, grid.counts().late), (3, 3));
}

#[test]
fn what_is_no_saved_grid_of_this_shape_is_refused() {
    let mut saved = Vec::new();
    let mut original = grid(2, 10);
    push(&mut original, 0, 1.0, 0).unwrap();
    original.save(&mut saved);
    let config = |variates, interval_ms| GridConfig {
        variates,
        interval_ms,
        max_gap: 10,
    };
    let restore = |variates, interval_ms, bytes: &[u8]| Grid::restore(config(variates, interval_ms), bytes).map(|grid| grid.counts());
    assert_eq!(restore(2, MINUTE as u64, &saved), Ok(original.counts()));
    assert_eq!(restore(3, MINUTE as u64, &saved), Err(GridError::Saved));
    assert_eq!(restore(2, 1000, &saved), Err(GridError::Saved));
    for cut in 0..saved.len() {
        assert_eq!(restore(2, MINUTE as u64, &saved[..cut]), Err(GridError::Saved));
    }
    saved.push(0);
    assert_eq!(restore(2, MINUTE as u64, &saved), Err(GridError::Saved));
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

    /// Saved and restored anywhere, any number of times, a grid says what it would have said; and what was taken before comes again, all of
    /// it, without a trace in the rows.
    #[test]
    fn an_interrupted_grid_goes_on_as_if_it_had_not_been(
        variates in 1usize..4,
        max_gap in 0u64..20,
        readings in prop::collection::vec((0usize..3, prop_oneof![Just(f32::NAN), -1e3f32..1e3],
            prop_oneof![8 => -2_000_000i64..2_000_000, 1 => any::<i64>()], any::<bool>()), 0..200),
    ) {
        let config = GridConfig { variates, interval_ms: MINUTE as u64, max_gap };
        let (mut whole, mut interrupted) = (grid(variates, max_gap), grid(variates, max_gap));
        for &(variate, value, time_ms, interrupt) in &readings {
            if interrupt {
                let mut saved = Vec::new();
                interrupted.save(&mut saved);
                interrupted = Grid::restore(config, &saved).unwrap();
            }
            prop_assert_eq!(push(&mut whole, variate, value, time_ms), push(&mut interrupted, variate, value, time_ms));
            prop_assert_eq!(whole.counts(), interrupted.counts());
        }
    }

    /// Readings in the order of their times that come again after a restart, as an unacknowledged tail does, are not taken a second time.
    #[test]
    fn a_tail_that_comes_again_is_not_taken_twice(
        readings in prop::collection::vec((0usize..3, -1e3f32..1e3, 1i64..50_000), 1..100),
        repeats in prop::collection::vec((0usize..100, 0usize..30), 1..10),
    ) {
        let mut time_ms = 0;
        let readings: Vec<_> = readings.into_iter().map(|(variate, value, step_ms)| {
            time_ms += step_ms;
            (variate, value, time_ms)
        }).collect();
        let (mut whole, mut interrupted) = (grid(3, 100), grid(3, 100));
        let (mut expected, mut said) = (Vec::new(), Vec::new());
        for (index, &(variate, value, time_ms)) in readings.iter().enumerate() {
            expected.extend(push(&mut whole, variate, value, time_ms).unwrap_or_default());
            said.extend(push(&mut interrupted, variate, value, time_ms).unwrap_or_default());
            for &(_, back) in repeats.iter().filter(|repeat| repeat.0 == index) {
                for &(variate, value, time_ms) in &readings[index.saturating_sub(back)..=index] {
                    prop_assert!(push(&mut interrupted, variate, value, time_ms).is_err());
                }
            }
        }
        prop_assert_eq!(said, expected);
        let but_late = |counts| Counts { late: 0, ..counts };
        prop_assert_eq!(but_late(interrupted.counts()), but_late(whole.counts()));
    }

    /// No bytes make a grid panic, neither when they are restored nor afterwards.
    #[test]
    fn any_saved_bytes_are_refused_or_work(
        changes in prop::collection::vec((0usize..1000, any::<u8>()), 0..6),
        readings in prop::collection::vec((0usize..2, -1e3f32..1e3, prop_oneof![-2_000_000i64..2_000_000, any::<i64>()]), 0..20),
    ) {
        let mut original = grid(2, 5);
        for time_ms in [0, 1, MINUTE, 100 * MINUTE] {
            push(&mut original, 0, 1.0, time_ms).unwrap();
        }
        let mut saved = Vec::new();
        original.save(&mut saved);
        for (at, value) in changes {
            let at = at % saved.len();
            saved[at] = value;
        }
        if let Ok(mut grid) = Grid::restore(GridConfig { variates: 2, interval_ms: MINUTE as u64, max_gap: 5 }, &saved) {
            for (variate, value, time_ms) in readings {
                let _ = push(&mut grid, variate, value, time_ms);
            }
        }
    }
}
