//! Clock rollbacks: clocks that go wrong and come right again, and old readings that are no
//! rollback.

mod common;

use common::{MINUTE, OwnedEvent, push, resampler, restore, save};
use proptest::prelude::*;
use tsm2_stream::{Rejected, Resampler};

/// Far beyond any gap.
const WRONG: i64 = 1_000_000;

/// A stream of one variate with the time steps 0 to `rows` - 1, then two at a wrong time ahead.
fn after_a_clock_jump(rows: i64) -> Resampler {
    let mut resampler = resampler(1, 5);
    for at in (0..rows).chain([WRONG, WRONG + 1]) {
        push(&mut resampler, 0, at as f32, at * MINUTE).unwrap();
    }
    assert_eq!(resampler.counts().restarts, 1);
    resampler
}

fn time_step(at: i64) -> OwnedEvent {
    OwnedEvent::TimeStep(at * MINUTE, vec![Some(at as f32)])
}

fn at(resampler: &mut Resampler, bin: i64) -> Result<Vec<OwnedEvent>, Rejected> {
    push(resampler, 0, bin as f32, bin * MINUTE)
}

#[test]
fn after_a_wrong_clock_jump_two_true_bins_bring_the_stream_back() {
    let mut resampler = after_a_clock_jump(10);
    assert_eq!(at(&mut resampler, 10), Ok(vec![]), "a clock rollback waits for its confirmation");
    let back = OwnedEvent::Restart((WRONG + 1) * MINUTE, 10 * MINUTE);
    assert_eq!(at(&mut resampler, 11), Ok(vec![back, time_step(10), time_step(11)]));
    assert_eq!(at(&mut resampler, 12), Ok(vec![time_step(12)]));
    assert_eq!((resampler.counts().restarts, resampler.counts().clock_rollbacks), (2, 1));
    assert_eq!(resampler.counts().readings, 15);
}

#[test]
fn a_stream_that_begins_at_a_wrong_time_comes_right() {
    let mut resampler = resampler(1, 5);
    at(&mut resampler, WRONG).unwrap();
    at(&mut resampler, 3).unwrap();
    let back = OwnedEvent::Restart(WRONG * MINUTE, 3 * MINUTE);
    assert_eq!(at(&mut resampler, 4), Ok(vec![back, time_step(3), time_step(4)]));
}

#[test]
fn readings_of_emitted_time_steps_are_never_a_clock_rollback() {
    let mut resampler = after_a_clock_jump(10);
    for bin in (0..10).chain(0..10) {
        assert!(matches!(at(&mut resampler, bin), Err(Rejected::Late { .. })));
    }
    assert_eq!(resampler.counts().clock_rollbacks, 0);
}

#[test]
fn of_two_clocks_the_one_heard_for_longer_is_right() {
    // A device that starts in 1970 until it has the time, twice.
    let mut resampler = after_a_clock_jump(3);
    for bin in 2..20 {
        at(&mut resampler, WRONG + bin).unwrap();
    }
    for bin in 3..19 {
        let events = at(&mut resampler, bin).unwrap();
        assert!(!events.iter().any(|events| matches!(events, OwnedEvent::Restart(..))), "{bin}");
    }
    assert_eq!(at(&mut resampler, WRONG + 20).unwrap()[1..], [time_step(WRONG + 20)]);
    // Readings that stay there are believed in the end.
    let restarts = (19..100).filter(|&bin| {
        at(&mut resampler, bin)
            .unwrap()
            .iter()
            .any(|events| matches!(events, OwnedEvent::Restart(..)))
    });
    assert_eq!(restarts.collect::<Vec<_>>(), [37]);
}

#[test]
fn stragglers_near_the_segment_and_between_its_readings_are_no_clock_rollback() {
    let mut resampler = after_a_clock_jump(10);
    assert!(
        matches!(at(&mut resampler, WRONG - 3), Err(Rejected::Late { .. })),
        "within the gap that is bridged"
    );
    assert!(matches!(at(&mut resampler, WRONG - 2), Err(Rejected::Late { .. })));
    for bin in 0..4 {
        at(&mut resampler, 20 + bin).unwrap();
        let events = at(&mut resampler, WRONG + 2 + bin).unwrap();
        assert_eq!(
            events,
            [OwnedEvent::ClockJumpDropped((20 + bin) * MINUTE, 1), time_step(WRONG + 2 + bin)]
        );
    }
    assert_eq!(at(&mut resampler, 23), Err(Rejected::UntrustedTime));
    assert_eq!(resampler.counts().clock_rollbacks, 0);
}

#[test]
fn readings_that_come_again_do_not_jump_to_an_abandoned_time() {
    let mut resampler = after_a_clock_jump(10);
    for bin in 10..13 {
        at(&mut resampler, bin).unwrap();
    }
    for bin in [WRONG, WRONG + 1] {
        assert_eq!(at(&mut resampler, bin), Err(Rejected::UntrustedTime));
    }
    assert_eq!(at(&mut resampler, 13), Ok(vec![time_step(13)]));
    // A new clock jump is another matter.
    at(&mut resampler, WRONG + 2).unwrap();
    assert_eq!(at(&mut resampler, WRONG + 3).unwrap().len(), 3);
}

#[test]
fn a_second_clock_rollback_needs_a_second_clock_jump() {
    let mut resampler = after_a_clock_jump(10);
    for bin in [100, 101] {
        at(&mut resampler, bin).unwrap();
    }
    assert_eq!(resampler.counts().clock_rollbacks, 1);
    for bin in [50, 51, 52] {
        assert!(matches!(at(&mut resampler, bin), Err(Rejected::Late { .. })));
    }
}

proptest! {
    /// A true clock with wrong times in between, now and then a clock jump that is confirmed: each
    /// true reading but the first few after a jump has its time step, wherever the resampler is
    /// saved; and an unacknowledged tail that comes again, wrong times included, changes no time
    /// step after it.
    #[test]
    fn a_clock_that_goes_wrong_and_comes_right_is_followed_and_interruptions_do_not_show(
        bursts in prop::collection::vec((20i64..40, 1i64..5), 1..5),
        interruptions in prop::collection::vec((0usize..250, 0usize..12), 0..10),
    ) {
        let mut bins = Vec::new();
        let mut now = 0;
        for (index, &(before, wrong_bins)) in bursts.iter().enumerate() {
            bins.extend((now..now + before).map(|bin| (bin, true)));
            let wrong = WRONG * (1 + index as i64 % 2);
            bins.extend((0..wrong_bins).map(|bin| (wrong + 100 * index as i64 + bin, false)));
            now += before;
        }
        bins.extend((now..now + 20).map(|bin| (bin, true)));

        let (mut whole, mut interrupted) = (resampler(1, 5), resampler(1, 5));
        let (mut expected, mut events) = (Vec::new(), Vec::new());
        for (index, &(bin, _)) in bins.iter().enumerate() {
            expected.extend(at(&mut whole, bin).unwrap_or_default());
            events.extend(at(&mut interrupted, bin).unwrap_or_default());
            for &(_, back) in interruptions.iter().filter(|interruption| interruption.0 == index) {
                interrupted = restore(common::config(1, 5), &save(&interrupted)).unwrap();
                for &(bin, _) in &bins[index.saturating_sub(back)..=index] {
                    events.extend(at(&mut interrupted, bin).unwrap_or_default());
                }
            }
        }
        let but_dropped = |all: &[OwnedEvent]| all.iter().filter(|events| !matches!(events, OwnedEvent::ClockJumpDropped(..))).cloned().collect::<Vec<_>>();
        prop_assert_eq!(but_dropped(&events), but_dropped(&expected));
        for &(bin, is_true) in &bins {
            prop_assert!(!is_true || expected.contains(&time_step(bin)), "{} of {:?}", bin, bins);
        }
    }

    /// Whatever comes again of a finished past, in any order and any number of times, never moves
    /// the stream.
    #[test]
    fn a_finished_past_in_any_order_is_rejected(
        rows in 1i64..50,
        silence in 6i64..1000,
        after in 2i64..50,
        again in prop::collection::vec(0usize..100, 1..200),
    ) {
        let mut resampler = resampler(1, 5);
        let bins: Vec<i64> = (0..rows).chain((0..after).map(|bin| rows + silence + bin)).collect();
        for &bin in &bins {
            at(&mut resampler, bin).unwrap();
        }
        let before = resampler.counts();
        for index in again {
            prop_assert!(at(&mut resampler, bins[index % bins.len()]).is_err());
        }
        prop_assert_eq!(resampler.counts().restarts, before.restarts);
        let next = rows + silence + after;
        prop_assert_eq!(at(&mut resampler, next), Ok(vec![time_step(next)]));
    }
}
