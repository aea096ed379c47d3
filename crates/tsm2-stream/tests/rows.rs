//! Lateness, aggregation and hold: what the readings of a slot come to, and when its row leaves.

mod common;

use common::{MINUTE, Said, config, late_grid, push};
use proptest::prelude::*;
use tsm2_stream::{Aggregate, Counts, Grid, Refused};

const ALL: [Aggregate; 5] = [Aggregate::Last, Aggregate::Mean, Aggregate::Sum, Aggregate::Min, Aggregate::Max];

/// A grid that holds for `max_hold` rows.
fn holding(aggregates: &[Aggregate], max_hold: u64) -> Grid {
    let mut config = config(aggregates.len(), 10);
    (config.aggregates, config.max_hold) = (aggregates.to_vec(), max_hold);
    Grid::new(config).unwrap()
}

#[test]
fn each_variate_is_aggregated_in_its_own_way() {
    let mut grid = late_grid(&ALL, 0);
    for (offset, value) in [3.0, 1.0, 5.0].into_iter().enumerate() {
        for variate in 0..ALL.len() {
            assert_eq!(push(&mut grid, variate, value, offset as i64).unwrap(), [], "the slot is not over");
        }
    }
    let row = [5.0, 3.0, 9.0, 1.0, 5.0].map(Some).to_vec();
    assert_eq!(push(&mut grid, 0, 0.0, MINUTE).unwrap(), [Said::Row(0, row)]);
    assert_eq!((grid.counts().readings, grid.counts().further), (16, 10));
}

#[test]
fn readings_without_a_number_count_only_where_there_is_no_other() {
    let mut grid = late_grid(&ALL, 0);
    for (offset, value) in [2.0, f32::NAN].into_iter().enumerate() {
        for variate in 0..ALL.len() {
            push(&mut grid, variate, value, offset as i64).unwrap();
        }
    }
    let row = vec![None, Some(2.0), Some(2.0), Some(2.0), Some(2.0)];
    assert_eq!(push(&mut grid, 0, 0.0, MINUTE).unwrap(), [Said::Row(0, row)]);
    push(&mut grid, 1, f32::INFINITY, MINUTE).unwrap();
    let row = vec![Some(0.0), None, None, None, None];
    assert_eq!(push(&mut grid, 0, 0.0, 2 * MINUTE).unwrap(), [Said::Row(MINUTE, row)]);
}

#[test]
fn a_sum_too_large_for_a_reading_is_missing_and_its_mean_is_not() {
    let mut grid = late_grid(&[Aggregate::Sum, Aggregate::Mean], 0);
    for variate in 0..2 {
        push(&mut grid, variate, f32::MAX, 0).unwrap();
        push(&mut grid, variate, f32::MAX, 1).unwrap();
    }
    let said = push(&mut grid, 0, 0.0, MINUTE).unwrap();
    assert_eq!(said, [Said::Row(0, vec![None, Some(f32::MAX)])]);
}

#[test]
fn a_row_waits_until_its_lateness_is_over_and_no_longer() {
    let mut grid = late_grid(&[Aggregate::Last], 90_000);
    push(&mut grid, 0, 1.0, 0).unwrap();
    assert_eq!(push(&mut grid, 0, 2.0, MINUTE).unwrap(), []);
    assert_eq!(push(&mut grid, 0, 3.0, 119_999).unwrap(), []);
    assert_eq!(push(&mut grid, 0, 1.5, 29_999).unwrap(), [], "still open");
    assert_eq!(push(&mut grid, 0, 4.0, 2 * MINUTE).unwrap(), [Said::Row(0, vec![Some(1.5)])]);
    assert_eq!(push(&mut grid, 0, 9.0, 29_999), Err(Refused::Late { behind_ms: 2 * MINUTE }));
    assert_eq!(
        push(&mut grid, 0, 5.0, 5 * MINUTE).unwrap(),
        [(1, Some(2.0)), (2, Some(4.0)), (3, None)].map(|(at, value)| Said::Row(at * MINUTE, vec![value])),
        "the end of slot 3 lies just the lateness back"
    );
}

#[test]
fn a_stream_begins_with_the_earliest_reading_that_is_not_late() {
    let mut grid = late_grid(&[Aggregate::Last], 5 * MINUTE as u64);
    push(&mut grid, 0, 4.0, 10 * MINUTE).unwrap();
    push(&mut grid, 0, 3.0, 8 * MINUTE).unwrap();
    let said = push(&mut grid, 0, 5.0, 16 * MINUTE).unwrap();
    assert_eq!(
        said,
        [(8, Some(3.0)), (9, None), (10, Some(4.0))].map(|(at, value)| Said::Row(at * MINUTE, vec![value])),
        "no rows for the slots before it"
    );
}

#[test]
fn duplicates_in_open_rows_are_known_by_variate_and_time() {
    let mut grid = late_grid(&[Aggregate::Sum, Aggregate::Sum], 90_000);
    for time_ms in [5, 3, 9] {
        push(&mut grid, 0, 1.0, time_ms).unwrap();
    }
    for time_ms in [5, 3, 9] {
        assert_eq!(push(&mut grid, 0, 7.0, time_ms), Err(Refused::NotNewer));
    }
    push(&mut grid, 1, 1.0, 5).unwrap();
    let said = push(&mut grid, 0, 0.0, 2 * MINUTE).unwrap();
    assert_eq!(said, [Said::Row(0, vec![Some(3.0), Some(1.0)])]);
}

#[test]
fn a_silent_variate_repeats_its_last_reading_and_then_is_missing() {
    let mut grid = holding(&[Aggregate::Last, Aggregate::Max, Aggregate::Sum], 2);
    for variate in 0..3 {
        push(&mut grid, variate, 7.0, 0).unwrap();
        push(&mut grid, variate, 5.0, 1).unwrap();
    }
    let rows: Vec<_> = (1..=4).flat_map(|at| push(&mut grid, 0, at as f32, at * MINUTE).unwrap()).collect();
    assert_eq!(
        rows,
        [
            Said::Row(0, vec![Some(5.0), Some(7.0), Some(12.0)]),
            Said::Row(MINUTE, vec![Some(1.0), Some(5.0), None]),
            Said::Row(2 * MINUTE, vec![Some(2.0), Some(5.0), None]),
            Said::Row(3 * MINUTE, vec![Some(3.0), None, None]),
        ]
    );
    assert_eq!(grid.counts().held, 2);
}

#[test]
fn a_gap_is_bridged_with_what_is_held_and_a_restart_forgets_it() {
    let mut grid = holding(&[Aggregate::Last, Aggregate::Last], 2);
    push(&mut grid, 0, 1.0, 0).unwrap();
    push(&mut grid, 1, 2.0, 0).unwrap();
    let said = push(&mut grid, 0, 3.0, 4 * MINUTE).unwrap();
    let held = vec![Some(1.0), Some(2.0)];
    let bridge = [held.clone(), held, vec![None, None]];
    assert_eq!(said, [1, 2, 3].map(|at| Said::Row(at * MINUTE, bridge[at as usize - 1].clone())));
    push(&mut grid, 1, 2.0, 4 * MINUTE).unwrap();
    push(&mut grid, 0, 1.0, 100 * MINUTE).unwrap();
    let said = push(&mut grid, 0, 1.0, 101 * MINUTE).unwrap();
    let after = Said::Row(100 * MINUTE, vec![Some(1.0), None]);
    assert_eq!(said, [Said::Restart(4 * MINUTE, 100 * MINUTE), after]);
}

#[test]
fn what_had_nothing_to_tell_is_not_held_and_what_is_held_completes_no_row() {
    let mut grid = holding(&[Aggregate::Last, Aggregate::Last], 5);
    push(&mut grid, 0, 1.0, 0).unwrap();
    assert_eq!(push(&mut grid, 1, f32::NAN, 0).unwrap().len(), 1);
    assert_eq!(push(&mut grid, 0, 2.0, MINUTE).unwrap(), [], "the other may come yet");
    let said = push(&mut grid, 1, 3.0, 2 * MINUTE).unwrap();
    assert_eq!(said, [Said::Row(MINUTE, vec![Some(2.0), None])]);
}

#[test]
fn a_grid_goes_on_with_another_lateness_and_loses_no_row() {
    for (before, after) in [(300_000, 0), (0, 300_000), (300_000, 90_000)] {
        let mut original = late_grid(&[Aggregate::Mean], before);
        let mut said = Vec::new();
        for at in 0..4 {
            said.extend(push(&mut original, 0, at as f32, at * MINUTE).unwrap());
        }
        let mut saved = Vec::new();
        original.save(&mut saved);
        let mut config = config(1, 10);
        (config.aggregates, config.lateness_ms) = (vec![Aggregate::Mean], after);
        let mut grid = Grid::restore(config, &saved).unwrap();
        assert_eq!(push(&mut grid, 0, 9.0, 3 * MINUTE), Err(Refused::NotNewer), "{before} {after}");
        for at in 4..20 {
            said.extend(push(&mut grid, 0, at as f32, at * MINUTE).unwrap());
        }
        let rows: Vec<_> = (0..said.len() as i64)
            .map(|at| Said::Row(at * MINUTE, vec![Some(at as f32)]))
            .collect();
        assert_eq!(said, rows, "{before} {after}");
        assert!(said.len() > 13, "{before} {after}");
    }
}

/// Readings with distinct times per variate, and for each how late it comes, at most `lateness`.
fn readings(lateness: i64) -> impl Strategy<Value = Vec<(usize, f32, i64, i64)>> {
    let value = prop_oneof![9 => -1e3f32..1e3, 1 => any::<f32>()];
    prop::collection::vec((0..ALL.len(), value, 1i64..20_000, 0..=lateness), 1..150).prop_map(|steps| {
        let mut time_ms = 1_000 * MINUTE;
        let later = |(variate, value, step_ms, late_ms)| {
            time_ms += step_ms;
            (variate, value, time_ms, time_ms + late_ms)
        };
        steps.into_iter().map(later).collect()
    })
}

fn rows(grid: &mut Grid, readings: impl IntoIterator<Item = (usize, f32, i64)>) -> Vec<Said> {
    let mut said: Vec<_> = readings
        .into_iter()
        .flat_map(|(variate, value, time_ms)| push(grid, variate, value, time_ms).unwrap_or_default())
        .collect();
    // Whatever waits leaves.
    said.extend(push(grid, 0, 0.0, 2_000 * MINUTE).unwrap());
    said.extend(push(grid, 0, 0.0, 2_010 * MINUTE).unwrap());
    said
}

proptest! {
    /// Any order within the lateness gives the rows of the sorted order, to the bit, for every aggregation; so does every duplicate.
    #[test]
    fn the_order_within_the_lateness_does_not_matter(
        mut readings in readings(170_000),
        repeats in prop::collection::vec((0usize..150, 0usize..40), 0..20),
        max_hold in 0u64..3,
    ) {
        let grid = || {
            let mut config = config(ALL.len(), 2_000);
            (config.aggregates, config.lateness_ms, config.max_hold) = (ALL.to_vec(), 170_000, max_hold);
            Grid::new(config).unwrap()
        };
        let reading = |&(variate, value, time_ms, _): &(usize, f32, i64, i64)| (variate, value, time_ms);
        let sorted: Vec<_> = readings.iter().map(reading).collect();
        readings.sort_by_key(|&(_, _, _, arrival)| arrival);
        let shuffled: Vec<_> = readings.iter().map(reading).collect();
        let mut repeated = Vec::new();
        for (index, &reading) in shuffled.iter().enumerate() {
            repeated.push(reading);
            for &(_, back) in repeats.iter().filter(|repeat| repeat.0 == index) {
                repeated.extend_from_slice(&shuffled[index.saturating_sub(back)..=index]);
            }
        }
        let expected = rows(&mut grid(), sorted);
        prop_assert_eq!(&rows(&mut grid(), shuffled), &expected);
        prop_assert_eq!(&rows(&mut grid(), repeated), &expected);
    }

    /// Rows are what a plain reckoning of their slots' readings gives.
    #[test]
    fn a_row_is_what_its_readings_come_to(values in prop::collection::vec(-1e6f32..1e6, 1..32)) {
        let mut grid = late_grid(&ALL, 1_000);
        for (offset, &value) in values.iter().enumerate() {
            for variate in 0..ALL.len() {
                push(&mut grid, variate, value, 1000 - offset as i64 * 7).unwrap_or_default();
            }
        }
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        let expected = [
            values[0],
            (sum / values.len() as f64) as f32,
            sum as f32,
            values.iter().copied().fold(f32::INFINITY, f32::min),
            values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        ];
        let said = push(&mut grid, 0, 0.0, MINUTE + 1_000).unwrap();
        prop_assert_eq!(said, vec![Said::Row(0, expected.map(Some).to_vec())]);
        prop_assert_eq!(grid.counts(), Counts {
            readings: 4 * values.len() as u64 + 2,
            further: 4 * (values.len() as u64 - 1),
            rows: 1,
            late: values.len() as u64 - 1,
            ..Counts::default()
        });
    }
}
