//! A flood in which a broker hands over old readings again, and some readings for the first time
//! long after their turn: the time steps are those of the readings that came in order.

mod common;

use common::{MINUTE, OwnedEvent, config, push_reading};
use proptest::prelude::*;
use tsm2_stream::{Aggregate, Counts, Reading, Resampler, ResamplerConfig};

const START: i64 = 1_000_000;

/// Old readings between newer ones.
#[derive(Debug, Clone)]
struct Stretch {
    /// After how many readings it comes, of a thousand.
    at: usize,
    /// How many readings back it begins.
    back: usize,
    /// How many readings it has.
    readings: usize,
    /// How many of its readings come between two newer ones.
    at_once: usize,
}

fn stretches(most: usize) -> impl Strategy<Value = Vec<Stretch>> {
    let back = prop_oneof![1usize..20, 1usize..130, 1usize..6_000];
    let at_once = prop_oneof![Just(usize::MAX), 1usize..6];
    let stretch = (0usize..1000, back, 1usize..300, at_once);
    let stretch = stretch.prop_map(|(at, back, readings, at_once)| Stretch {
        at,
        back,
        readings,
        at_once,
    });
    prop::collection::vec(stretch, 0..most)
}

/// The numbers of the readings in the order in which they come: `late` ones not at their turn but in
/// a stretch later, all stretches again and again.
fn deliveries(count: usize, again: &[Stretch], is_late: &[bool]) -> Vec<usize> {
    let (mut all, mut newest) = (Vec::new(), 0);
    let mut waiting: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
    for number in 0..count {
        if !is_late[number] {
            all.push(number);
            newest = number;
        }
        let begun = again.iter().filter(|stretch| count * stretch.at / 1000 == number);
        waiting.extend(begun.map(|stretch| {
            let from = number.saturating_sub(stretch.back);
            (from..(from + stretch.readings).min(number + 1), stretch.at_once)
        }));
        for (stretch, at_once) in &mut waiting {
            all.extend(stretch.take(*at_once).filter(|&again| again <= newest));
        }
        waiting.retain(|(stretch, _)| !stretch.is_empty());
    }
    all
}

/// The time bin of each reading: silences lie between the readings, each longer than one reading may
/// skip.
fn bins(variates: usize, count: usize, silences: &[(usize, i64)]) -> Vec<i64> {
    let bin = |number: usize| {
        let before = silences.iter().filter(|(at, _)| count * at / 1000 / variates <= number / variates);
        START + (number / variates) as i64 + before.map(|(_, bins)| bins).sum::<i64>()
    };
    (0..count).map(bin).collect()
}

fn silences() -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop::collection::vec((0usize..1000, 4i64..1_000), 0..5)
}

/// What a resampler makes of these deliveries, a reading each `pace_ms`.
fn run(config: &ResamplerConfig, bins: &[i64], deliveries: &[usize], pace_ms: Option<i64>) -> (Vec<OwnedEvent>, Counts) {
    let variates = config.aggregates.len();
    let mut resampler = Resampler::new(config.clone()).unwrap();
    let mut events = Vec::new();
    for (index, &number) in deliveries.iter().enumerate() {
        let reading = Reading {
            arrival_ms: pace_ms.map(|pace_ms| 2 * START * MINUTE + index as i64 * pace_ms),
            ..Reading::at(number % variates, number as f32, bins[number] * MINUTE)
        };
        let _ = push_reading(&mut resampler, reading, &mut events);
    }
    resampler.close(|_| ());
    events.retain(|event| !matches!(event, OwnedEvent::ClockJumpDropped(..)));
    (events, resampler.counts())
}

/// Counts without those of readings that were not used.
fn of_stream(counts: Counts) -> Counts {
    Counts {
        rejected: 0,
        surplus: 0,
        clock_jump_readings: 0,
        ..counts
    }
}

fn rules() -> impl Strategy<Value = ResamplerConfig> {
    (1usize..4, any::<bool>(), prop_oneof![Just(0u64), 1u64..200_000], any::<bool>()).prop_map(|(variates, is_mean, lateness, apart)| {
        let mut config = config(variates, 1440);
        if is_mean {
            config.aggregates = vec![Aggregate::Mean; variates];
        }
        config.allowed_lateness_ms = lateness;
        if apart {
            config.sources = (0..variates as u16).collect();
        }
        config
    })
}

proptest! {
    #[test]
    fn readings_that_come_again_in_a_flood_change_nothing(
        config in rules(),
        count in 100usize..8_000,
        silences in silences(),
        again in stretches(8),
        pace_ms in prop::option::of(0i64..200),
    ) {
        let in_order: Vec<usize> = (0..count).collect();
        let bins = bins(config.aggregates.len(), count, &silences);
        let (expected, counts) = run(&config, &bins, &in_order, pace_ms);
        let (events, again_counts) = run(&config, &bins, &deliveries(count, &again, &vec![false; count]), pace_ms);
        prop_assert_eq!(events, expected);
        prop_assert_eq!(of_stream(again_counts), of_stream(counts));
    }

    /// Readings that come late, and come again later still, move the stream neither back nor ahead.
    #[test]
    fn readings_that_come_late_in_a_flood_are_no_clock_rollback(
        count in 100usize..8_000,
        silences in silences(),
        again in stretches(8),
        late in prop::collection::vec((0usize..1000, 1usize..4), 0..20),
        pace_ms in 0i64..200,
    ) {
        let config = config(1, 1440);
        let mut is_late = vec![false; count];
        for (at, readings) in late {
            // Gaps of up to three bins: a longer one is a clock jump.
            let from = 10 + (count - 20) * at / 1000;
            if !is_late[from - 1..from + readings + 1].contains(&true) {
                is_late[from..from + readings].fill(true);
            }
        }
        let in_order: Vec<usize> = (0..count).filter(|&number| !is_late[number]).collect();
        let bins = bins(1, count, &silences);
        let (expected, counts) = run(&config, &bins, &in_order, Some(pace_ms));
        let (events, late_counts) = run(&config, &bins, &deliveries(count, &again, &is_late), Some(pace_ms));
        prop_assert_eq!(events, expected);
        prop_assert_eq!(of_stream(late_counts), of_stream(counts));
    }
}
