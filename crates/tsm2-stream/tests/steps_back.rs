//! Clocks that go wrong and come right again, and old readings that are no step back.

mod common;

use common::{MINUTE, Said, grid, push};
use proptest::prelude::*;
use tsm2_stream::{Grid, Refused};

/// Far beyond any gap.
const WRONG: i64 = 1_000_000;

/// A stream of one variate with the rows 0 to `rows` - 1, then two at a wrong time ahead.
fn leapt(rows: i64) -> Grid {
    let mut grid = grid(1, 5);
    for at in (0..rows).chain([WRONG, WRONG + 1]) {
        push(&mut grid, 0, at as f32, at * MINUTE).unwrap();
    }
    assert_eq!(grid.counts().restarts, 1);
    grid
}

fn row(at: i64) -> Said {
    Said::Row(at * MINUTE, vec![Some(at as f32)])
}

fn at(grid: &mut Grid, slot: i64) -> Result<Vec<Said>, Refused> {
    push(grid, 0, slot as f32, slot * MINUTE)
}

#[test]
fn after_a_nonsense_leap_two_true_slots_bring_the_stream_back() {
    let mut grid = leapt(10);
    assert_eq!(at(&mut grid, 10), Ok(vec![]), "a step back waits for its confirmation");
    let back = Said::Restart((WRONG + 1) * MINUTE, 10 * MINUTE);
    assert_eq!(at(&mut grid, 11), Ok(vec![back, row(10), row(11)]));
    assert_eq!(at(&mut grid, 12), Ok(vec![row(12)]));
    assert_eq!((grid.counts().restarts, grid.counts().steps_back), (2, 1));
    assert_eq!(grid.counts().readings, 15);
}

#[test]
fn a_stream_that_begins_at_a_wrong_time_comes_right() {
    let mut grid = grid(1, 5);
    at(&mut grid, WRONG).unwrap();
    at(&mut grid, 3).unwrap();
    let back = Said::Restart(WRONG * MINUTE, 3 * MINUTE);
    assert_eq!(at(&mut grid, 4), Ok(vec![back, row(3), row(4)]));
}

#[test]
fn a_past_that_had_its_rows_is_never_believed() {
    let mut grid = leapt(10);
    for slot in (0..10).chain(0..10) {
        assert!(matches!(at(&mut grid, slot), Err(Refused::Late { .. })));
    }
    assert_eq!(grid.counts().steps_back, 0);
}

#[test]
fn of_two_clocks_the_one_heard_for_longer_is_right() {
    // A device that starts in 1970 until it has the time, twice.
    let mut grid = leapt(3);
    for slot in 2..20 {
        at(&mut grid, WRONG + slot).unwrap();
    }
    for slot in 3..19 {
        let said = at(&mut grid, slot).unwrap();
        assert!(!said.iter().any(|said| matches!(said, Said::Restart(..))), "{slot}");
    }
    assert_eq!(at(&mut grid, WRONG + 20).unwrap()[1..], [row(WRONG + 20)]);
    // Were it to stay there, it would be believed in the end.
    let told = (19..100).filter(|&slot| at(&mut grid, slot).unwrap().iter().any(|said| matches!(said, Said::Restart(..))));
    assert_eq!(told.collect::<Vec<_>>(), [37]);
}

#[test]
fn stragglers_near_the_line_and_between_its_readings_are_no_step_back() {
    let mut grid = leapt(10);
    assert!(
        matches!(at(&mut grid, WRONG - 3), Err(Refused::Late { .. })),
        "within the gap that is bridged"
    );
    assert!(matches!(at(&mut grid, WRONG - 2), Err(Refused::Late { .. })));
    for slot in 0..4 {
        at(&mut grid, 20 + slot).unwrap();
        let said = at(&mut grid, WRONG + 2 + slot).unwrap();
        assert_eq!(said, [Said::LeapDropped((20 + slot) * MINUTE, 1), row(WRONG + 2 + slot)]);
    }
    assert_eq!(at(&mut grid, 23), Err(Refused::Disproved));
    assert_eq!(grid.counts().steps_back, 0);
}

#[test]
fn what_was_left_is_not_leapt_to_by_what_comes_again() {
    let mut grid = leapt(10);
    for slot in 10..13 {
        at(&mut grid, slot).unwrap();
    }
    for slot in [WRONG, WRONG + 1] {
        assert_eq!(at(&mut grid, slot), Err(Refused::Disproved));
    }
    assert_eq!(at(&mut grid, 13), Ok(vec![row(13)]));
    // A new leap is another matter.
    at(&mut grid, WRONG + 2).unwrap();
    assert_eq!(at(&mut grid, WRONG + 3).unwrap().len(), 3);
}

#[test]
fn a_second_step_back_needs_a_second_leap() {
    let mut grid = leapt(10);
    for slot in [100, 101] {
        at(&mut grid, slot).unwrap();
    }
    assert_eq!(grid.counts().steps_back, 1);
    for slot in [50, 51, 52] {
        assert!(matches!(at(&mut grid, slot), Err(Refused::Late { .. })));
    }
}

proptest! {
    /// A true clock with nonsense in between, now and then a leap that is confirmed: each true reading but the first few after a leap has
    /// its row, wherever the grid is saved; and an unacknowledged tail that comes again, nonsense and all, changes no row after it.
    #[test]
    fn a_clock_that_goes_wrong_and_comes_right_is_followed_and_interruptions_do_not_show(
        bursts in prop::collection::vec((20i64..40, 1i64..5), 1..5),
        interruptions in prop::collection::vec((0usize..250, 0usize..12), 0..10),
    ) {
        let mut slots = Vec::new();
        let mut now = 0;
        for (index, &(before, nonsense)) in bursts.iter().enumerate() {
            slots.extend((now..now + before).map(|slot| (slot, true)));
            let wrong = WRONG * (1 + index as i64 % 2);
            slots.extend((0..nonsense).map(|slot| (wrong + 100 * index as i64 + slot, false)));
            now += before;
        }
        slots.extend((now..now + 20).map(|slot| (slot, true)));

        let (mut whole, mut interrupted) = (grid(1, 5), grid(1, 5));
        let (mut expected, mut said) = (Vec::new(), Vec::new());
        for (index, &(slot, _)) in slots.iter().enumerate() {
            expected.extend(at(&mut whole, slot).unwrap_or_default());
            said.extend(at(&mut interrupted, slot).unwrap_or_default());
            for &(_, back) in interruptions.iter().filter(|interruption| interruption.0 == index) {
                let mut saved = Vec::new();
                interrupted.save(&mut saved);
                interrupted = Grid::restore(common::config(1, 5), &saved).unwrap();
                for &(slot, _) in &slots[index.saturating_sub(back)..=index] {
                    said.extend(at(&mut interrupted, slot).unwrap_or_default());
                }
            }
        }
        let but_dropped = |all: &[Said]| all.iter().filter(|said| !matches!(said, Said::LeapDropped(..))).cloned().collect::<Vec<_>>();
        prop_assert_eq!(but_dropped(&said), but_dropped(&expected));
        for &(slot, is_true) in &slots {
            prop_assert!(!is_true || expected.contains(&row(slot)), "{} of {:?}", slot, slots);
        }
    }

    /// Whatever comes again of a finished past, in any order and any number of times, never moves the stream.
    #[test]
    fn a_finished_past_in_any_order_is_refused(
        rows in 1i64..50,
        silence in 6i64..1000,
        after in 2i64..50,
        again in prop::collection::vec(0usize..100, 1..200),
    ) {
        let mut grid = grid(1, 5);
        let slots: Vec<i64> = (0..rows).chain((0..after).map(|slot| rows + silence + slot)).collect();
        for &slot in &slots {
            at(&mut grid, slot).unwrap();
        }
        let before = grid.counts();
        for index in again {
            prop_assert!(at(&mut grid, slots[index % slots.len()]).is_err());
        }
        prop_assert_eq!(grid.counts().restarts, before.restarts);
        let next = rows + silence + after;
        prop_assert_eq!(at(&mut grid, next), Ok(vec![row(next)]));
    }
}
