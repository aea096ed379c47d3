//! The resampler's invariants, whatever arrives and wherever it is interrupted.

mod common;

use common::{MINUTE, OwnedEvent, config, push, resampler, restore, save};
use proptest::prelude::*;
use tsm2_stream::{Accepted, Aggregate, Counts, Reading, Resampler};

fn aggregate() -> impl Strategy<Value = Aggregate> {
    prop::sample::select(vec![
        Aggregate::Last,
        Aggregate::Mean,
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
    ])
}

/// Aggregates, allowed lateness and forward-fill limit; often the defaults.
fn rules() -> impl Strategy<Value = (Vec<Aggregate>, u64, u64)> {
    let lateness = prop_oneof![Just(0), 1u64..400_000];
    prop_oneof![
        (1usize..4).prop_map(|variates| (vec![Aggregate::Last; variates], 0, 0)),
        (prop::collection::vec(aggregate(), 1..4), lateness, 0u64..4),
    ]
}

proptest! {
    /// Whatever arrives: no panic, time steps in strictly increasing time and without holes except
    /// at restarts, a bounded number of time steps per reading, and every reading accounted for.
    #[test]
    fn any_readings_keep_the_invariants(
        rules in rules(),
        max_gap in 0u64..20,
        readings in prop::collection::vec((0usize..4, prop_oneof![Just(f32::NAN), -1e3f32..1e3],
            prop_oneof![8 => -2_000_000i64..2_000_000, 1 => any::<i64>()]), 0..200),
    ) {
        let (aggregates, allowed_lateness_ms, forward_fill_limit) = rules;
        let variates = aggregates.len();
        let open = allowed_lateness_ms.div_ceil(MINUTE as u64) + 1;
        let mut config = config(variates, max_gap);
        (config.aggregates, config.allowed_lateness_ms, config.forward_fill_limit) = (aggregates, allowed_lateness_ms, forward_fill_limit);
        let mut resampler = Resampler::new(config).unwrap();
        let mut longest = 0;
        let (mut last, mut restarted, mut rejected) = (None::<i64>, false, 0u64);
        for &(variate, value, time_ms) in &readings {
            let events = match push(&mut resampler, variate, value, time_ms) {
                Ok(events) => events,
                Err(_) => { rejected += 1; continue }
            };
            prop_assert!(events.len() as u64 <= 3 * max_gap + 2 * open + 8);
            longest = longest.max(save(&resampler).len());
            for event in events {
                match event {
                    OwnedEvent::TimeStep(time_ms, values) => {
                        prop_assert_eq!(values.len(), variates);
                        if let Some(last) = last {
                            prop_assert!(restarted || time_ms > last);
                            prop_assert!(restarted || time_ms == last + MINUTE);
                        }
                        (last, restarted) = (Some(time_ms), false);
                    }
                    OwnedEvent::Restart(_, _) => restarted = true,
                    OwnedEvent::ClockJumpDropped(_, readings) => prop_assert!(readings > 0),
                }
            }
        }
        let counts = resampler.counts();
        let taken = readings.len() as u64 - rejected;
        prop_assert!(counts.readings + counts.clock_jump_readings <= taken);
        prop_assert!(counts.time_steps <= counts.readings);
        prop_assert!(counts.forward_filled <= variates as u64 * (counts.time_steps + counts.bridged_steps));
        // A snapshot is bounded: the readings of 64 known bins, and at most 350 bytes per variate and open bin, those of the pending
        // jumps included.
        prop_assert!(longest as u64 <= 500 + 64 * 32 + (open + 4) * (40 + 350 * variates as u64));
    }

    /// Readings in order, each within its bin, give the time steps they were made from, in whatever
    /// order the variates come.
    #[test]
    fn complete_time_steps_in_are_the_same_time_steps_out(
        rows in prop::collection::vec((prop::collection::vec(prop::option::of(-1e3f32..1e3), 3), -20_000i64..20_000, any::<bool>()), 1..60),
    ) {
        let mut resampler = resampler(3, 100);
        let mut out = Vec::new();
        for (index, (values, offset, reverse)) in rows.iter().enumerate() {
            let mut order: Vec<usize> = (0..3).collect();
            if *reverse { order.reverse(); }
            for variate in order {
                let value = values[variate].unwrap_or(f32::NAN);
                out.extend(push(&mut resampler, variate, value, 1_000 * MINUTE + index as i64 * MINUTE + offset).unwrap());
            }
        }
        let expected: Vec<OwnedEvent> = rows.iter().enumerate().map(|(i, row)| OwnedEvent::TimeStep((1_000 + i as i64) * MINUTE, row.0.clone())).collect();
        prop_assert_eq!(out, expected);
    }

    /// Saved and restored anywhere, any number of times, a resampler emits what it would have
    /// emitted.
    #[test]
    fn an_interrupted_resampler_goes_on_as_if_it_had_not_been(
        rules in rules(),
        max_gap in 0u64..20,
        readings in prop::collection::vec((0usize..3, prop_oneof![Just(f32::NAN), -1e3f32..1e3],
            prop_oneof![8 => -2_000_000i64..2_000_000, 1 => any::<i64>()], any::<bool>()), 0..200),
    ) {
        let (aggregates, allowed_lateness_ms, forward_fill_limit) = rules;
        let mut config = config(aggregates.len(), max_gap);
        (config.aggregates, config.allowed_lateness_ms, config.forward_fill_limit) = (aggregates, allowed_lateness_ms, forward_fill_limit);
        let (mut whole, mut interrupted) = (Resampler::new(config.clone()).unwrap(), Resampler::new(config.clone()).unwrap());
        for &(variate, value, time_ms, interrupt) in &readings {
            if interrupt {
                interrupted = restore(config.clone(), &save(&interrupted)).unwrap();
            }
            prop_assert_eq!(push(&mut whole, variate, value, time_ms), push(&mut interrupted, variate, value, time_ms));
            prop_assert_eq!(whole.counts(), interrupted.counts());
        }
    }

    /// Readings in the order of their times that come again, as an unacknowledged tail does, are
    /// not used a second time.
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
        let (mut whole, mut interrupted) = (resampler(3, 100), resampler(3, 100));
        let (mut expected, mut events) = (Vec::new(), Vec::new());
        for (index, &(variate, value, time_ms)) in readings.iter().enumerate() {
            expected.extend(push(&mut whole, variate, value, time_ms).unwrap_or_default());
            events.extend(push(&mut interrupted, variate, value, time_ms).unwrap_or_default());
            for &(_, back) in repeats.iter().filter(|repeat| repeat.0 == index) {
                for &(variate, value, time_ms) in &readings[index.saturating_sub(back)..=index] {
                    let again = interrupted.push(Reading::at(variate, value, time_ms), |_| ());
                    prop_assert!(!matches!(again, Ok(Accepted::Used)));
                }
            }
        }
        prop_assert_eq!(events, expected);
        let but_late = |counts: Counts| Counts { rejected: 0, surplus: 0, ..counts };
        prop_assert_eq!(but_late(interrupted.counts()), but_late(whole.counts()));
    }

    /// No bytes make a resampler panic, neither when they are restored nor afterwards.
    #[test]
    fn any_bytes_are_rejected_or_used_without_a_panic(
        changes in prop::collection::vec((0usize..10_000, any::<u8>()), 0..6),
        readings in prop::collection::vec((0usize..2, -1e3f32..1e3, prop_oneof![-2_000_000i64..2_000_000, any::<i64>()]), 0..20),
    ) {
        let mut config = config(2, 5);
        (config.aggregates[1], config.allowed_lateness_ms) = (Aggregate::Mean, 90_000);
        let mut original = Resampler::new(config.clone()).unwrap();
        for time_ms in [0, 1, MINUTE, 100 * MINUTE] {
            push(&mut original, 0, 1.0, time_ms).unwrap();
        }
        let mut saved = save(&original);
        for (at, value) in changes {
            let at = at % saved.len();
            saved[at] = value;
        }
        if let Ok(mut resampler) = restore(config, &saved) {
            for (variate, value, time_ms) in readings {
                let _ = push(&mut resampler, variate, value, time_ms);
            }
        }
    }
}
