//! The resampler against hand-made cases: time steps, gaps, clock jumps, rejections.

mod common;

use common::{MINUTE, OwnedEvent, config, push, resampler, save};
use tsm2_stream::{Accepted, Aggregate, Counts, Event, MAX_GAP, Reading, Rejected, Resampler, ResamplerConfig, ResamplerError};

#[test]
fn a_time_step_is_emitted_when_every_variate_has_a_reading() {
    let mut resampler = resampler(2, 10);
    assert_eq!(push(&mut resampler, 0, 1.0, 5 * MINUTE).unwrap(), []);
    assert_eq!(
        push(&mut resampler, 1, 2.0, 5 * MINUTE + 7).unwrap(),
        [OwnedEvent::TimeStep(5 * MINUTE, vec![Some(1.0), Some(2.0)])]
    );
}

#[test]
fn a_time_step_is_emitted_without_silent_variates_when_the_next_bin_begins() {
    let mut resampler = resampler(2, 10);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    assert_eq!(
        push(&mut resampler, 1, 2.0, MINUTE).unwrap(),
        [OwnedEvent::TimeStep(0, vec![Some(1.0), None])]
    );
}

#[test]
fn the_last_reading_of_a_bin_counts() {
    let mut resampler = resampler(2, 10);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    push(&mut resampler, 0, 3.0, 10).unwrap();
    assert_eq!(
        push(&mut resampler, 1, 2.0, 20).unwrap(),
        [OwnedEvent::TimeStep(0, vec![Some(3.0), Some(2.0)])]
    );
}

#[test]
fn a_reading_that_is_not_finite_is_missing() {
    let mut resampler = resampler(2, 10);
    push(&mut resampler, 0, f32::NAN, 0).unwrap();
    assert_eq!(
        push(&mut resampler, 1, f32::INFINITY, 0).unwrap(),
        [OwnedEvent::TimeStep(0, vec![None, None])]
    );
}

#[test]
fn readings_belong_to_the_nearest_bin_also_before_1970() {
    let mut resampler = resampler(1, 10);
    assert_eq!(
        push(&mut resampler, 0, 1.0, -MINUTE - 29_999).unwrap(),
        [OwnedEvent::TimeStep(-MINUTE, vec![Some(1.0)])]
    );
    assert_eq!(
        push(&mut resampler, 0, 2.0, 29_999).unwrap(),
        [OwnedEvent::TimeStep(0, vec![Some(2.0)])]
    );
    assert_eq!(
        push(&mut resampler, 0, 3.0, 30_000).unwrap(),
        [OwnedEvent::TimeStep(MINUTE, vec![Some(3.0)])]
    );
}

#[test]
fn a_time_step_has_the_time_of_its_newest_reading() {
    let mut resampler = resampler(2, 10);
    let mut seen = Vec::new();
    for (variate, time_ms) in [(1, 7), (0, 3), (0, 3 * MINUTE)] {
        resampler
            .push(Reading::at(variate, 0.0, time_ms), |event| {
                if let Event::TimeStep(row) = event {
                    seen.push((row.time_ms, row.last_reading_ms));
                }
            })
            .unwrap();
    }
    assert_eq!(seen, [(0, Some(7)), (MINUTE, None), (2 * MINUTE, None)]);
}

#[test]
fn a_gap_is_bridged_with_empty_time_steps() {
    let mut resampler = resampler(1, 2);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    assert_eq!(
        push(&mut resampler, 0, 2.0, 3 * MINUTE).unwrap(),
        [
            OwnedEvent::TimeStep(MINUTE, vec![None]),
            OwnedEvent::TimeStep(2 * MINUTE, vec![None]),
            OwnedEvent::TimeStep(3 * MINUTE, vec![Some(2.0)])
        ]
    );
    assert_eq!(
        resampler.counts(),
        Counts {
            readings: 2,
            time_steps: 2,
            bridged_steps: 2,
            ..Counts::default()
        }
    );
}

#[test]
fn a_longer_silence_restarts_the_stream_and_loses_nothing() {
    let mut resampler = resampler(1, 2);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    assert_eq!(
        push(&mut resampler, 0, 2.0, 4 * MINUTE).unwrap(),
        [],
        "a clock jump waits for its confirmation"
    );
    assert_eq!(
        push(&mut resampler, 0, 3.0, 6 * MINUTE).unwrap(),
        [
            OwnedEvent::Restart(0, 4 * MINUTE),
            OwnedEvent::TimeStep(4 * MINUTE, vec![Some(2.0)]),
            OwnedEvent::TimeStep(5 * MINUTE, vec![None]),
            OwnedEvent::TimeStep(6 * MINUTE, vec![Some(3.0)]),
        ]
    );
    assert_eq!(
        resampler.counts(),
        Counts {
            readings: 3,
            time_steps: 3,
            bridged_steps: 1,
            restarts: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn an_open_bin_is_emitted_before_the_restart() {
    let mut resampler = resampler(2, 2);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    push(&mut resampler, 0, 2.0, 10 * MINUTE).unwrap();
    assert_eq!(
        push(&mut resampler, 0, 3.0, 11 * MINUTE).unwrap(),
        [
            OwnedEvent::TimeStep(0, vec![Some(1.0), None]),
            OwnedEvent::Restart(0, 10 * MINUTE),
            OwnedEvent::TimeStep(10 * MINUTE, vec![Some(2.0), None])
        ]
    );
}

#[test]
fn one_wrong_clock_does_not_end_the_stream() {
    let mut resampler = resampler(1, 2);
    push(&mut resampler, 0, 1.0, 0).unwrap();
    for time_ms in [i64::MAX, i64::MAX / 4, 4_102_444_800_000] {
        push(&mut resampler, 0, 9.0, time_ms).unwrap();
    }
    let events = push(&mut resampler, 0, 2.0, MINUTE).unwrap();
    assert_eq!(
        events,
        [
            OwnedEvent::ClockJumpDropped(4_102_444_800_000, 1),
            OwnedEvent::TimeStep(MINUTE, vec![Some(2.0)])
        ]
    );
    assert_eq!(
        resampler.counts(),
        Counts {
            readings: 2,
            time_steps: 2,
            clock_jump_readings: 3,
            ..Counts::default()
        }
    );
}

#[test]
fn late_duplicate_and_backward_readings_are_rejected_and_counted() {
    let mut resampler = resampler(1, 5);
    push(&mut resampler, 0, 1.0, 10 * MINUTE).unwrap();
    assert_eq!(push(&mut resampler, 0, 1.0, 10 * MINUTE), Err(Rejected::Late { behind_ms: 0 }));
    assert_eq!(
        push(&mut resampler, 0, 1.0, 7 * MINUTE),
        Err(Rejected::Late { behind_ms: 3 * MINUTE })
    );
    assert_eq!(resampler.counts().rejected, 2);
    assert_eq!(
        push(&mut resampler, 0, 2.0, 11 * MINUTE).unwrap(),
        [OwnedEvent::TimeStep(11 * MINUTE, vec![Some(2.0)])]
    );
}

#[test]
fn a_duplicate_in_an_open_bin_changes_nothing() {
    let mut resampler = resampler(2, 10);
    push(&mut resampler, 0, 1.0, 5).unwrap();
    push(&mut resampler, 0, 3.0, 10).unwrap();
    for (value, time_ms) in [(1.0, 5), (3.0, 10), (7.0, 10)] {
        assert_eq!(push(&mut resampler, 0, value, time_ms), Err(Rejected::Duplicate));
    }
    assert_eq!(
        push(&mut resampler, 1, 2.0, 5).unwrap(),
        [OwnedEvent::TimeStep(0, vec![Some(3.0), Some(2.0)])]
    );
    assert_eq!((resampler.counts().readings, resampler.counts().rejected), (3, 3));
}

#[test]
fn a_snapshot_of_another_shape_is_rejected() {
    let mut original = resampler(2, 10);
    push(&mut original, 0, 1.0, 0).unwrap();
    let mut saved = save(&original);
    let restore = |variates, interval_ms, bytes: &[u8]| {
        let config = ResamplerConfig::new(variates, interval_ms, 10);
        common::restore(config, bytes).map(|resampler| resampler.counts())
    };
    let mut means = config(2, 10);
    means.aggregates[1] = Aggregate::Mean;
    assert_eq!(common::restore(means, &saved).unwrap_err(), ResamplerError::Snapshot);
    assert_eq!(restore(2, MINUTE as u64, &saved), Ok(original.counts()));
    assert_eq!(restore(3, MINUTE as u64, &saved), Err(ResamplerError::Snapshot));
    assert_eq!(restore(2, 1000, &saved), Err(ResamplerError::Snapshot));
    for cut in 0..saved.len() {
        assert_eq!(restore(2, MINUTE as u64, &saved[..cut]), Err(ResamplerError::Snapshot));
    }
    saved.push(0);
    assert_eq!(restore(2, MINUTE as u64, &saved), Err(ResamplerError::Snapshot));
}

#[test]
fn unknown_variates_and_impossible_configurations_are_rejected() {
    assert_eq!(
        push(&mut resampler(2, 5), 2, 1.0, 0),
        Err(Rejected::UnknownVariate { variate: 2, variates: 2 })
    );
    assert_eq!(Resampler::new(config(0, 1)).unwrap_err(), ResamplerError::NoVariates);
    for interval_ms in [0, u64::MAX] {
        assert_eq!(
            Resampler::new(ResamplerConfig::new(1, interval_ms, 1)).unwrap_err(),
            ResamplerError::Interval { interval_ms }
        );
    }
    let mut rejected = ResamplerConfig::new(1, 1_000, 1);
    rejected.allowed_lateness_ms = 4_095_001;
    let max_ms = 4_095_000;
    assert_eq!(
        Resampler::new(rejected.clone()).unwrap_err(),
        ResamplerError::AllowedLateness {
            allowed_lateness_ms: 4_095_001,
            max_ms
        }
    );
    rejected.allowed_lateness_ms = max_ms;
    assert!(Resampler::new(rejected).is_ok());
}

#[test]
fn of_a_burst_without_device_times_every_reading_counts() {
    let mut config = config(2, 10);
    config.aggregates = vec![Aggregate::Sum, Aggregate::Mean];
    config.device_times = false;
    let mut resampler = Resampler::new(config).unwrap();
    for value in 1..=100 {
        for variate in 0..2 {
            let reading = Reading::at(variate, value as f32, 7);
            assert_eq!(resampler.push(reading, |_| ()), Ok(Accepted::Used));
        }
    }
    let step = OwnedEvent::TimeStep(0, vec![Some(5050.0), Some(50.5)]);
    assert_eq!(push(&mut resampler, 0, 1.0, MINUTE).unwrap(), [step]);
    assert_eq!((resampler.counts().readings, resampler.counts().rejected), (201, 0));
}

#[test]
fn without_device_times_the_last_to_arrive_is_the_newest_although_the_clock_was_set_back() {
    let mut config = config(2, 10);
    config.device_times = false;
    let mut resampler = Resampler::new(config).unwrap();
    push(&mut resampler, 0, 1.0, 20).unwrap();
    push(&mut resampler, 0, 2.0, 10).unwrap();
    let step = OwnedEvent::TimeStep(0, vec![Some(2.0), Some(3.0)]);
    assert_eq!(push(&mut resampler, 1, 3.0, 10).unwrap(), [step]);
}

#[test]
fn readings_of_a_bin_that_was_complete_are_surplus_and_not_rejected() {
    let mut resampler = resampler(2, 10);
    // A message with both variates every 10 s, a time step a minute: the first of each six completes its bin.
    for message in 0..12 {
        for variate in 0..2 {
            let reading = Reading::at(variate, message as f32, 30_000 + message * 10_000);
            let is_used = message % 6 == 0;
            let expected = if is_used { Accepted::Used } else { Accepted::Surplus };
            assert_eq!(resampler.push(reading, |_| ()), Ok(expected), "{message}");
        }
    }
    let counts = resampler.counts();
    assert_eq!((counts.readings, counts.surplus, counts.rejected, counts.time_steps), (4, 20, 0, 2));
    // An older one is late, and a duplicate of the newest is no surplus.
    assert!(matches!(push(&mut resampler, 0, 1.0, 60_000), Err(Rejected::Late { .. })));
    assert!(matches!(push(&mut resampler, 0, 1.0, 90_000), Err(Rejected::Late { behind_ms: 0 })));
}

#[test]
fn a_gap_that_one_reading_bridges_is_bounded_and_shows_each_step() {
    assert_eq!(
        Resampler::new(config(1, MAX_GAP + 1)).unwrap_err(),
        ResamplerError::MaxGap { max_gap: MAX_GAP + 1 }
    );
    let mut config = config(1, MAX_GAP);
    config.max_ahead = MAX_GAP;
    let mut resampler = Resampler::new(config).unwrap();
    push(&mut resampler, 0, 1.0, 0).unwrap();
    let mut steps = 0;
    let after = Reading::at(0, 2.0, (MAX_GAP as i64 + 1) * MINUTE);
    resampler.push(after, |_| steps += 1).unwrap();
    assert_eq!(steps, MAX_GAP + 1);
    // One further is a clock jump, which waits for its confirmation and bridges nothing.
    assert_eq!(
        push(&mut resampler, 0, 3.0, after.time_ms + (MAX_GAP as i64 + 2) * MINUTE),
        Ok(vec![])
    );
    assert_eq!(
        push(&mut resampler, 0, 3.0, i64::MAX).unwrap().len(),
        1,
        "only the jump before is dropped"
    );
}
