//! Allowed lateness, aggregates and forward-fill: the value of a bin, and when its time step is
//! emitted.

mod common;

use common::{MINUTE, OwnedEvent, config, late_resampler, push, restore, save};
use proptest::prelude::*;
use tsm2_stream::{Aggregate, Counts, Rejected, Resampler};

const ALL: [Aggregate; 5] = [Aggregate::Last, Aggregate::Mean, Aggregate::Sum, Aggregate::Min, Aggregate::Max];

/// A resampler that fills forward for `forward_fill_limit` time steps.
fn filling(aggregates: &[Aggregate], forward_fill_limit: u64) -> Resampler {
    let mut config = config(aggregates.len(), 10);
    (config.aggregates, config.forward_fill_limit) = (aggregates.to_vec(), forward_fill_limit);
    Resampler::new(config).unwrap()
}

#[test]
fn each_variate_is_aggregated_in_its_own_way() {
    let mut resampler = late_resampler(&ALL, 0);
    for (offset, value) in [3.0, 1.0, 5.0].into_iter().enumerate() {
        for variate in 0..ALL.len() {
            assert_eq!(
                push(&mut resampler, variate, value, offset as i64).unwrap(),
                [],
                "the bin is not over"
            );
        }
    }
    let row = [5.0, 3.0, 9.0, 1.0, 5.0].map(Some).to_vec();
    assert_eq!(push(&mut resampler, 0, 0.0, MINUTE).unwrap(), [OwnedEvent::TimeStep(0, row)]);
    assert_eq!((resampler.counts().readings, resampler.counts().merged), (16, 10));
}

#[test]
fn readings_without_a_number_count_only_where_there_is_no_other() {
    let mut resampler = late_resampler(&ALL, 0);
    for (offset, value) in [2.0, f32::NAN].into_iter().enumerate() {
        for variate in 0..ALL.len() {
            push(&mut resampler, variate, value, offset as i64).unwrap();
        }
    }
    let row = vec![None, Some(2.0), Some(2.0), Some(2.0), Some(2.0)];
    assert_eq!(push(&mut resampler, 0, 0.0, MINUTE).unwrap(), [OwnedEvent::TimeStep(0, row)]);
    push(&mut resampler, 1, f32::INFINITY, MINUTE).unwrap();
    let row = vec![Some(0.0), None, None, None, None];
    assert_eq!(
        push(&mut resampler, 0, 0.0, 2 * MINUTE).unwrap(),
        [OwnedEvent::TimeStep(MINUTE, row)]
    );
}

#[test]
fn a_sum_too_large_for_a_reading_is_missing_and_its_mean_is_not() {
    let mut resampler = late_resampler(&[Aggregate::Sum, Aggregate::Mean], 0);
    for variate in 0..2 {
        push(&mut resampler, variate, f32::MAX, 0).unwrap();
        push(&mut resampler, variate, f32::MAX, 1).unwrap();
    }
    let events = push(&mut resampler, 0, 0.0, MINUTE).unwrap();
    assert_eq!(events, [OwnedEvent::TimeStep(0, vec![None, Some(f32::MAX)])]);
}

#[test]
fn a_time_step_waits_for_the_allowed_lateness_and_no_longer() {
    let mut resampler = late_resampler(&[Aggregate::Last], 90_000);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    assert_eq!(push(&mut resampler, 0, 2.0, MINUTE).unwrap(), []);
    assert_eq!(push(&mut resampler, 0, 3.0, 119_999).unwrap(), []);
    assert_eq!(push(&mut resampler, 0, 1.5, 29_999).unwrap(), [], "still open");
    assert_eq!(
        push(&mut resampler, 0, 4.0, 2 * MINUTE).unwrap(),
        [OwnedEvent::TimeStep(0, vec![Some(1.5)])]
    );
    assert_eq!(push(&mut resampler, 0, 9.0, 29_999), Err(Rejected::Late { behind_ms: 2 * MINUTE }));
    assert_eq!(
        push(&mut resampler, 0, 5.0, 5 * MINUTE).unwrap(),
        [(1, Some(2.0)), (2, Some(4.0)), (3, None)].map(|(at, value)| OwnedEvent::TimeStep(at * MINUTE, vec![value])),
        "the end of bin 3 lies just the lateness back"
    );
}

#[test]
fn a_stream_begins_with_the_earliest_reading_that_is_not_late() {
    let mut resampler = late_resampler(&[Aggregate::Last], 5 * MINUTE as u64);
    push(&mut resampler, 0, 4.0, 10 * MINUTE).unwrap();
    push(&mut resampler, 0, 3.0, 8 * MINUTE).unwrap();
    push(&mut resampler, 0, 4.5, 13 * MINUTE).unwrap();
    let events = push(&mut resampler, 0, 5.0, 16 * MINUTE).unwrap();
    assert_eq!(
        events,
        [(8, Some(3.0)), (9, None), (10, Some(4.0))].map(|(at, value)| OwnedEvent::TimeStep(at * MINUTE, vec![value])),
        "no rows for the bins before it"
    );
}

#[test]
fn duplicates_in_open_bins_are_known_by_variate_and_time() {
    let mut resampler = late_resampler(&[Aggregate::Sum, Aggregate::Sum], 90_000);
    for time_ms in [5, 3, 9] {
        push(&mut resampler, 0, 1.0, time_ms).unwrap();
    }
    for time_ms in [5, 3, 9] {
        assert_eq!(push(&mut resampler, 0, 7.0, time_ms), Err(Rejected::Duplicate));
    }
    push(&mut resampler, 1, 1.0, 5).unwrap();
    let events = push(&mut resampler, 0, 0.0, 2 * MINUTE).unwrap();
    assert_eq!(events, [OwnedEvent::TimeStep(0, vec![Some(3.0), Some(1.0)])]);
}

#[test]
fn a_silent_variate_repeats_its_last_reading_and_then_is_missing() {
    let mut resampler = filling(&[Aggregate::Last, Aggregate::Max, Aggregate::Sum], 2);
    for variate in 0..3 {
        push(&mut resampler, variate, 7.0, 0).unwrap();
        push(&mut resampler, variate, 5.0, 1).unwrap();
    }
    let rows: Vec<_> = (1..=4)
        .flat_map(|at| push(&mut resampler, 0, at as f32, at * MINUTE).unwrap())
        .collect();
    assert_eq!(
        rows,
        [
            OwnedEvent::TimeStep(0, vec![Some(5.0), Some(7.0), Some(12.0)]),
            OwnedEvent::TimeStep(MINUTE, vec![Some(1.0), Some(5.0), None]),
            OwnedEvent::TimeStep(2 * MINUTE, vec![Some(2.0), Some(5.0), None]),
            OwnedEvent::TimeStep(3 * MINUTE, vec![Some(3.0), None, None]),
        ]
    );
    assert_eq!(resampler.counts().forward_filled, 2);
}

#[test]
fn a_gap_is_bridged_with_forward_filled_values_and_a_restart_forgets_them() {
    let mut resampler = filling(&[Aggregate::Last, Aggregate::Last], 2);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    push(&mut resampler, 1, 2.0, 0).unwrap();
    let events = push(&mut resampler, 0, 3.0, 4 * MINUTE).unwrap();
    let forward_filled = vec![Some(1.0), Some(2.0)];
    let bridge = [forward_filled.clone(), forward_filled, vec![None, None]];
    assert_eq!(
        events,
        [1, 2, 3].map(|at| OwnedEvent::TimeStep(at * MINUTE, bridge[at as usize - 1].clone()))
    );
    push(&mut resampler, 1, 2.0, 4 * MINUTE).unwrap();
    push(&mut resampler, 0, 1.0, 100 * MINUTE).unwrap();
    let events = push(&mut resampler, 0, 1.0, 101 * MINUTE).unwrap();
    let after = OwnedEvent::TimeStep(100 * MINUTE, vec![Some(1.0), None]);
    assert_eq!(events, [OwnedEvent::Restart(4 * MINUTE, 100 * MINUTE), after]);
}

#[test]
fn a_reading_without_a_number_is_not_forward_filled_and_a_filled_value_completes_no_time_step() {
    let mut resampler = filling(&[Aggregate::Last, Aggregate::Last], 5);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    assert_eq!(push(&mut resampler, 1, f32::NAN, 0).unwrap().len(), 1);
    assert_eq!(push(&mut resampler, 0, 2.0, MINUTE).unwrap(), [], "the other may come yet");
    let events = push(&mut resampler, 1, 3.0, 2 * MINUTE).unwrap();
    assert_eq!(events, [OwnedEvent::TimeStep(MINUTE, vec![Some(2.0), None])]);
}

#[test]
fn another_allowed_lateness_loses_no_time_step() {
    for (before, after) in [(300_000, 0), (0, 300_000), (300_000, 90_000)] {
        let mut original = late_resampler(&[Aggregate::Mean], before);
        let mut events = Vec::new();
        for at in 0..4 {
            events.extend(push(&mut original, 0, at as f32, at * MINUTE).unwrap());
        }
        let saved = save(&original);
        let mut config = config(1, 10);
        (config.aggregates, config.allowed_lateness_ms) = (vec![Aggregate::Mean], after);
        let mut resampler = restore(config, &saved).unwrap();
        assert_eq!(
            push(&mut resampler, 0, 9.0, 3 * MINUTE),
            Err(Rejected::Duplicate),
            "{before} {after}"
        );
        for at in 4..20 {
            events.extend(push(&mut resampler, 0, at as f32, at * MINUTE).unwrap());
        }
        let rows: Vec<_> = (0..events.len() as i64)
            .map(|at| OwnedEvent::TimeStep(at * MINUTE, vec![Some(at as f32)]))
            .collect();
        assert_eq!(events, rows, "{before} {after}");
        assert!(events.len() > 13, "{before} {after}");
    }
}

/// Readings with distinct times per variate, and for each how late it comes, at most `lateness`
/// milliseconds.
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

fn rows(resampler: &mut Resampler, readings: impl IntoIterator<Item = (usize, f32, i64)>) -> Vec<OwnedEvent> {
    let mut events: Vec<_> = readings
        .into_iter()
        .flat_map(|(variate, value, time_ms)| push(resampler, variate, value, time_ms).unwrap_or_default())
        .collect();
    // Whatever waits is emitted.
    events.extend(push(resampler, 0, 0.0, 2_000 * MINUTE).unwrap());
    events.extend(push(resampler, 0, 0.0, 2_010 * MINUTE).unwrap());
    events
}

/// The sum of the sizes of all finite readings.
fn total_size(readings: &[(usize, f32, i64, i64)]) -> f64 {
    readings
        .iter()
        .map(|reading| f64::from(reading.1).abs())
        .filter(|size| size.is_finite())
        .sum()
}

/// Whether the events are the same: means and sums to within a unit in the last place and 2^-50 of
/// `size`, the sum of all sizes of readings; all other values to the bit.
fn agree(one: &[OwnedEvent], other: &[OwnedEvent], size: f64) -> bool {
    let same = |(variate, (one, other)): (usize, (&Option<f32>, &Option<f32>))| match (ALL[variate], one, other) {
        (Aggregate::Mean | Aggregate::Sum, &Some(one), &Some(other)) => {
            let tolerance = f64::from(one.abs()) * f64::from(f32::EPSILON) + size * 2_f64.powi(-50);
            (f64::from(one) - f64::from(other)).abs() <= tolerance
        }
        _ => one.map(f32::to_bits) == other.map(f32::to_bits),
    };
    let pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs.into_iter().all(|events| match events {
            (OwnedEvent::TimeStep(time_ms, values), OwnedEvent::TimeStep(other_ms, others)) => {
                time_ms == other_ms && values.iter().zip(others).enumerate().all(same)
            }
            (one, other) => one == other,
        })
}

proptest! {
    /// Any order within the allowed lateness gives the time steps of the sorted order: to the bit
    /// for `last`, `min` and `max`, to rounding for `mean` and `sum`. Duplicates change nothing.
    #[test]
    fn the_order_within_the_allowed_lateness_does_not_matter(
        mut readings in readings(170_000),
        repeats in prop::collection::vec((0usize..150, 0usize..40), 0..20),
        forward_fill_limit in 0u64..3,
    ) {
        let resampler = || {
            let mut config = config(ALL.len(), 2_000);
            (config.aggregates, config.allowed_lateness_ms, config.forward_fill_limit) = (ALL.to_vec(), 170_000, forward_fill_limit);
            Resampler::new(config).unwrap()
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
        let expected = rows(&mut resampler(), sorted);
        let size = total_size(&readings);
        let in_another_order = rows(&mut resampler(), shuffled.clone());
        prop_assert!(agree(&in_another_order, &expected, size), "{:?} {:?}", in_another_order, expected);
        // In the order of arrival to the bit, also with duplicates.
        prop_assert_eq!(&rows(&mut resampler(), shuffled), &in_another_order);
        prop_assert_eq!(&rows(&mut resampler(), repeated), &in_another_order);
    }

    /// Also where readings come once per interval at the border of their bins, which then move.
    #[test]
    fn the_order_does_not_matter_where_bins_move(
        lateness in 0i64..200_000,
        phase in prop_oneof![4 => 29_000i64..31_000, 1 => 0i64..60_000],
        minutes in prop::collection::vec((-3_000i64..3_000, 0i64..=1_000, prop::bool::weighted(0.05)), 10..150),
    ) {
        let resampler = || {
            let mut config = config(1, 2_000);
            (config.aggregates, config.allowed_lateness_ms) = (vec![Aggregate::Max], lateness as u64);
            // No silence comes within the allowed lateness of it: a reading that overtook others was a jump.
            config.max_ahead = 20;
            Resampler::new(config).unwrap()
        };
        let of_minute = |(minute, &(jitter, late, is_missing)): (i64, &(i64, i64, bool))| {
            let time_ms = (1_000 + minute) * MINUTE + phase + jitter;
            (!is_missing).then_some((0, minute as f32, time_ms, time_ms + late * lateness / 1_000))
        };
        let mut readings: Vec<_> = (0..).zip(&minutes).filter_map(of_minute).collect();
        let reading = |&(variate, value, time_ms, _): &(usize, f32, i64, i64)| (variate, value, time_ms);
        let expected = rows(&mut resampler(), readings.iter().map(reading).collect::<Vec<_>>());
        readings.sort_by_key(|&(_, _, _, arrival)| arrival);
        prop_assert_eq!(rows(&mut resampler(), readings.iter().map(reading).collect::<Vec<_>>()), expected);
    }

    /// Time steps are what a plain calculation over their readings gives.
    #[test]
    fn a_time_step_is_the_aggregate_of_its_readings(values in prop::collection::vec(-1e6f32..1e6, 1..32)) {
        let mut resampler = late_resampler(&ALL, 1_000);
        for (offset, &value) in values.iter().enumerate() {
            for variate in 0..ALL.len() {
                push(&mut resampler, variate, value, 1000 - offset as i64 * 7).unwrap_or_default();
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
        let events = push(&mut resampler, 0, 0.0, MINUTE + 1_000).unwrap();
        prop_assert_eq!(events, vec![OwnedEvent::TimeStep(0, expected.map(Some).to_vec())]);
        prop_assert_eq!(resampler.counts(), Counts {
            readings: 4 * values.len() as u64 + 2,
            merged: 4 * (values.len() as u64 - 1),
            time_steps: 1,
            rejected: values.len() as u64 - 1,
            ..Counts::default()
        });
    }
}
