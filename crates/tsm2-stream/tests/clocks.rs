//! Clocks that go wrong and come right again, and old readings that are no clock rollback.

mod common;

use common::{MINUTE, OwnedEvent, config, push, push_reading, resampler, restore, save};
use proptest::prelude::*;
use tsm2_stream::{Accepted, Aggregate, Event, Reading, Rejected, Resampler, ResamplerConfig, ResamplerSnapshotV1};

/// Where the streams of these tests begin, in minutes.
const START: i64 = 1_000_000;
const HOUR: i64 = 60;
const MONTH: i64 = 30 * 24 * HOUR;

/// A sensor whose clock may be wrong, its readings received live.
struct Site {
    resampler: Resampler,
    /// The true time, in minutes.
    now: i64,
    events: Vec<OwnedEvent>,
}

impl Site {
    fn new(config: ResamplerConfig) -> Self {
        Site {
            resampler: Resampler::new(config).unwrap(),
            now: START,
            events: Vec::new(),
        }
    }

    /// One source for each variate.
    fn of_sources(sources: u16) -> Self {
        let mut config = config(usize::from(sources), 1440);
        config.sources = (0..sources).collect();
        Site::new(config)
    }

    /// A reading of a variate whose clock is off by so many minutes.
    fn reading(&mut self, variate: usize, off: i64) -> Result<Accepted, Rejected> {
        let reading = Reading {
            arrival_ms: Some(self.now * MINUTE + 400),
            ..Reading::at(variate, self.now as f32, (self.now + off) * MINUTE)
        };
        push_reading(&mut self.resampler, reading, &mut self.events)
    }

    /// A reading a minute of a single variate, off by so many minutes.
    fn minutes(&mut self, minutes: i64, off: i64) -> Vec<Result<Accepted, Rejected>> {
        let minute = |_| {
            let result = self.reading(0, off);
            self.now += 1;
            result
        };
        (0..minutes).map(minute).collect()
    }

    fn used(&self) -> u64 {
        self.resampler.counts().readings
    }
}

fn one() -> Site {
    Site::new(config(1, 1440))
}

#[test]
fn one_reading_from_the_near_future_costs_no_reading_but_itself() {
    for off in [5, 60, 8 * HOUR, MONTH, 10 * 12 * MONTH] {
        let mut site = one();
        site.minutes(10, 0);
        assert_eq!(site.reading(0, off), Ok(Accepted::Held));
        assert!(site.minutes(30, 0).iter().all(|result| *result == Ok(Accepted::Used)), "{off}");
        let counts = site.resampler.counts();
        assert_eq!((counts.readings, counts.time_steps, counts.bridged_steps), (40, 40, 0), "{off}");
        assert_eq!((counts.clock_jump_readings, counts.restarts), (1, 0), "{off}");
    }
}

#[test]
fn a_reading_ahead_by_max_ahead_costs_no_more_readings_than_that() {
    for off in 1..=3 {
        let mut site = one();
        site.minutes(10, 0);
        site.reading(0, off).unwrap();
        let lost = site.minutes(30, 0).iter().filter(|result| **result != Ok(Accepted::Used)).count();
        assert!(lost as i64 <= off + 1, "{off}: {lost}");
    }
}

#[test]
fn a_clock_set_ahead_or_back_for_good_is_followed_within_three_readings_and_costs_none() {
    for off in [6, HOUR, 8 * HOUR, MONTH, 120 * MONTH, -8, -HOUR, -8 * HOUR, -MONTH, -120 * MONTH] {
        let mut site = one();
        site.minutes(200, 0);
        let results = site.minutes(30, off);
        let followed = results.iter().position(|result| *result == Ok(Accepted::Used));
        assert!(followed.is_some_and(|held| held <= 2), "{off}: {results:?}");
        assert!(
            results[followed.unwrap()..].iter().all(|result| *result == Ok(Accepted::Used)),
            "{off}"
        );
        assert_eq!(site.used(), 230, "{off}: what was held is used");
        assert_eq!(site.resampler.counts().clock_rollbacks, u64::from(off < 0), "{off}");
        // And back.
        let results = site.minutes(30, 0);
        let followed = results.iter().position(|result| *result == Ok(Accepted::Used));
        assert!(followed.is_some_and(|held| held <= 2), "back from {off}: {results:?}");
        assert_eq!(site.used(), 260, "back from {off}");
    }
}

#[test]
fn a_clock_set_back_by_a_few_minutes_costs_only_those() {
    for off in 1..=7 {
        let mut site = one();
        site.minutes(50, 0);
        let lost = site
            .minutes(30, -off)
            .iter()
            .filter(|result| **result != Ok(Accepted::Used))
            .count();
        assert!(lost as i64 <= off, "{off}: {lost}");
        assert_eq!(site.resampler.counts().restarts, 0, "{off}");
    }
}

#[test]
fn a_confirmed_jump_is_reported() {
    let mut site = one();
    site.minutes(10, 0);
    let mut confirmed = Vec::new();
    for off in [HOUR, HOUR + 1] {
        let reading = Reading::at(0, 1.0, (site.now + off) * MINUTE);
        let on = |event: Event<'_>| {
            if let Event::ClockJumpConfirmed { last_ms, next_ms } = event {
                confirmed.push((last_ms, next_ms));
            }
        };
        site.resampler.push(reading, on).unwrap();
    }
    assert_eq!(confirmed, [((site.now - 1) * MINUTE, (site.now + HOUR) * MINUTE)]);
    assert_eq!(site.resampler.counts().restarts, 0, "an hour is bridged");
}

#[test]
fn the_first_reading_after_a_true_silence_is_believed_by_its_arrival() {
    for silence in [10, HOUR, MONTH] {
        let mut site = one();
        site.minutes(10, 0);
        site.now += silence;
        assert_eq!(site.reading(0, 0), Ok(Accepted::Used), "{silence}");
        assert_eq!(site.resampler.counts().restarts, u64::from(silence > 1440));
    }
    // Without a time of arrival, the second reading confirms the first.
    let mut resampler = resampler(1, 1440);
    for minute in (0..10).chain(100..103) {
        push(&mut resampler, 0, minute as f32, minute * MINUTE).unwrap();
    }
    assert_eq!((resampler.counts().readings, resampler.counts().time_steps), (13, 13));
}

#[test]
fn readings_further_apart_than_max_ahead_are_all_used() {
    for arrives in [true, false] {
        let mut resampler = resampler(1, 1440);
        for index in 0..100 {
            let time_ms = index * 7 * MINUTE;
            let reading = Reading {
                arrival_ms: arrives.then_some(time_ms),
                ..Reading::at(0, index as f32, time_ms)
            };
            resampler.push(reading, |_| ()).unwrap();
        }
        resampler.close(|_| ());
        let counts = resampler.counts();
        assert_eq!((counts.time_steps, counts.clock_jump_readings), (100, 0), "{arrives}");
    }
}

#[test]
fn a_stream_that_begins_at_a_wrong_time_comes_right() {
    for off in [-MONTH, HOUR, MONTH, 1200 * MONTH] {
        let mut site = one();
        site.minutes(1, off);
        let results = site.minutes(5, 0);
        assert!(
            results[2..].iter().all(|result| *result == Ok(Accepted::Used)),
            "{off}: {results:?}"
        );
        assert_eq!(site.used(), 6, "{off}");
    }
}

#[test]
fn a_clock_that_is_wrong_for_good_is_followed_although_its_readings_never_agree_with_their_arrival() {
    let mut site = one();
    site.minutes(20, 5 * HOUR);
    site.minutes(20, 4 * HOUR);
    site.minutes(20, 5 * HOUR);
    assert_eq!(site.used(), 60);
}

#[test]
fn another_source_confirms_a_jump() {
    let mut site = Site::of_sources(2);
    for _ in 0..10 {
        site.reading(0, 0).unwrap();
        site.reading(1, 0).unwrap();
        site.now += 1;
    }
    assert_eq!(site.reading(0, HOUR), Ok(Accepted::Held));
    assert_eq!(site.reading(1, HOUR), Ok(Accepted::Used), "the gateway's clock jumped");
    assert_eq!(site.used(), 22);
}

#[test]
fn a_fast_sensor_does_not_make_the_others_late() {
    for off in [1, 2, 3] {
        let mut site = Site::of_sources(3);
        let mut lost = 0;
        for minute in 0..100 {
            for variate in 0..3 {
                let is_used = site.reading(variate, if variate == 0 { off } else { 0 }) == Ok(Accepted::Used);
                lost += u64::from(!is_used && minute > 5);
            }
            site.now += 1;
        }
        assert_eq!(lost, 0, "ahead by {off}");
        assert!(site.resampler.counts().time_steps >= 97, "ahead by {off}");
    }
}

#[test]
fn a_sensor_that_is_wrong_for_good_does_not_move_the_others() {
    for off in [HOUR, -HOUR, MONTH, -MONTH] {
        let mut site = Site::of_sources(3);
        for minute in 0..200 {
            for variate in 0..3 {
                let is_wrong = variate == 0 && minute >= 20;
                let result = site.reading(variate, if is_wrong { off } else { 0 });
                assert!(is_wrong || result == Ok(Accepted::Used), "{off}: {result:?}");
            }
            site.now += 1;
        }
        let counts = site.resampler.counts();
        assert_eq!((counts.readings, counts.restarts), (2 * 200 + 20, 0), "{off}");
    }
}

#[test]
fn time_steps_wait_for_a_regular_source_that_is_behind_and_not_for_one_that_ended() {
    let mut site = Site::of_sources(2);
    for _ in 0..10 {
        site.reading(0, 0).unwrap();
        site.reading(1, 0).unwrap();
        site.now += 1;
    }
    let before = site.resampler.counts().time_steps;
    let steps: Vec<u64> = (0..6)
        .map(|_| {
            site.reading(0, 0).unwrap();
            site.now += 1;
            site.resampler.counts().time_steps - before
        })
        .collect();
    assert_eq!(steps, [0, 0, 0, 0, 4, 5], "after max_ahead time steps the others go on");
}

#[test]
fn a_slow_source_delays_no_time_step() {
    let mut site = Site::of_sources(2);
    let mut steps = 0;
    for minute in 0..100 {
        site.reading(0, 0).unwrap();
        if minute % 10 == 0 {
            site.reading(1, 0).unwrap();
        }
        site.now += 1;
        steps = site.resampler.counts().time_steps;
        assert!(steps as i64 + 2 >= minute, "{minute}: {steps}");
    }
    assert!(steps >= 99);
}

#[test]
fn redelivered_readings_are_no_clock_rollback() {
    let mut site = one();
    site.minutes(100, 0);
    // A tail comes again in a burst, several times; then in the pace in which it came at first.
    let (before, end) = (site.resampler.counts(), site.now);
    for pace in [0, 0, 1] {
        for minute in end - 50..end {
            let reading = Reading {
                arrival_ms: Some((end + pace * (minute - end + 50)) * MINUTE + 400),
                ..Reading::at(0, minute as f32, minute * MINUTE)
            };
            assert!(matches!(site.resampler.push(reading, |_| ()), Err(Rejected::Late { .. })));
        }
    }
    assert_eq!(site.resampler.counts().readings, before.readings);
    assert_eq!(site.resampler.counts().restarts, 0);
}

#[test]
fn readings_of_before_a_clock_rollback_that_come_again_are_not_used_a_second_time() {
    for has_arrival in [true, false] {
        let mut resampler = resampler(1, 1440);
        let mut arrival_ms = (START + 10_000) * MINUTE;
        // The clock is set back by ten minutes; it is wrong before and after.
        let before = (0..20).map(|minute| (START + minute, minute as f32));
        let after = (0..8).map(|minute| (START + 10 + minute, 100.0 + minute as f32));
        let sent: Vec<(i64, f32)> = before.chain(after).collect();
        let mut take = |resampler: &mut Resampler, (minute, value): (i64, f32), pace_ms: i64| {
            arrival_ms += pace_ms;
            let reading = Reading {
                arrival_ms: has_arrival.then_some(arrival_ms),
                ..Reading::at(0, value, minute * MINUTE)
            };
            resampler.push(reading, |_| ())
        };
        for &reading in &sent {
            take(&mut resampler, reading, MINUTE).unwrap();
        }
        let counts = resampler.counts();
        assert_eq!((counts.clock_rollbacks, counts.readings), (1, 28));
        // All of it comes again, in a burst.
        for &reading in &sent {
            assert!(!matches!(take(&mut resampler, reading, 10), Ok(Accepted::Used)), "{reading:?}");
        }
        assert_eq!(resampler.counts().readings, counts.readings);
        // The stream goes on through the minutes that it had before.
        for minute in 8..12 {
            let next = (START + 10 + minute, 100.0 + minute as f32);
            assert_eq!(take(&mut resampler, next, MINUTE), Ok(Accepted::Used));
        }
    }
}

#[test]
fn a_backlog_that_comes_in_a_burst_is_late_and_no_clock_rollback() {
    let mut site = one();
    site.minutes(30, 0);
    let missed = site.now..site.now + 50;
    site.now += 50;
    site.minutes(2, 0);
    for minute in missed {
        let reading = Reading {
            arrival_ms: Some(site.now * MINUTE),
            ..Reading::at(0, minute as f32, minute * MINUTE)
        };
        let result = site.resampler.push(reading, |_| ());
        assert!(result != Ok(Accepted::Used), "{result:?}");
    }
    assert!(site.minutes(10, 0).iter().all(|result| *result == Ok(Accepted::Used)));
    let counts = site.resampler.counts();
    assert_eq!(
        (counts.restarts, counts.readings, counts.clock_jump_readings + counts.rejected),
        (0, 42, 50)
    );
}

#[test]
fn times_of_arrival_that_go_back_are_followed() {
    // The daemon's own clock is set back; there are no times of the devices.
    let mut config = config(1, 1440);
    config.device_times = false;
    let mut resampler = Resampler::new(config).unwrap();
    for minute in (START..START + 500).chain(START + 100..START + 200) {
        push(&mut resampler, 0, 1.0, minute * MINUTE).unwrap();
    }
    assert_eq!((resampler.counts().readings, resampler.counts().clock_rollbacks), (600, 1));
}

#[test]
fn times_of_arrival_may_skip_bins_at_once() {
    let mut config = config(1, 1440);
    config.device_times = false;
    let mut resampler = Resampler::new(config).unwrap();
    for index in 0..20 {
        let events = push(&mut resampler, 0, 1.0, index * 30 * MINUTE).unwrap();
        assert_eq!(events.len(), if index == 0 { 1 } else { 30 }, "{index}");
    }
}

#[test]
fn stragglers_between_the_readings_of_the_stream_are_no_clock_rollback() {
    let mut site = one();
    site.minutes(200, 0);
    for _ in 0..50 {
        let straggler = site.reading(0, -100);
        assert!(straggler != Ok(Accepted::Used));
        assert_eq!(site.minutes(1, 0), [Ok(Accepted::Used)]);
    }
    assert_eq!(site.resampler.counts().restarts, 0);
}

#[test]
fn readings_redelivered_in_a_flood_are_no_clock_rollback() {
    // A broker hands over a backlog, a reading a millisecond, and then the most of it again.
    let mut resampler = Resampler::new(config(1, 1440)).unwrap();
    let (mut events, mut arrival_ms) = (Vec::new(), (START + 10_000) * MINUTE);
    for minute in (0..3000).chain(500..2500).chain(3000..3100) {
        arrival_ms += 1;
        let reading = Reading {
            arrival_ms: Some(arrival_ms),
            ..Reading::at(0, minute as f32, (START + minute) * MINUTE)
        };
        let _ = push_reading(&mut resampler, reading, &mut events);
    }
    let counts = resampler.counts();
    assert_eq!((counts.readings, counts.time_steps, counts.clock_rollbacks), (3100, 3100, 0));
}

#[test]
fn a_clock_set_back_is_followed_where_many_readings_share_a_bin() {
    let mut config = config(5, 1440);
    config.aggregates = vec![Aggregate::Mean; 5];
    let mut resampler = Resampler::new(config).unwrap();
    let mut used = 0;
    // Five readings a second; from the hundredth minute on the clock is 20 minutes behind.
    for second in 0..120 * 60 {
        let (arrival_ms, back) = (START * MINUTE + second * 1_000, if second < 100 * 60 { 0 } else { 20 * MINUTE });
        for variate in 0..5 {
            let reading = Reading {
                arrival_ms: Some(arrival_ms),
                ..Reading::at(variate, second as f32, arrival_ms - back)
            };
            let is_used = resampler.push(reading, |_| ()) == Ok(Accepted::Used);
            used += u64::from(is_used && second >= 100 * 60);
        }
    }
    assert_eq!(resampler.counts().clock_rollbacks, 1);
    assert!(used > 5 * 60 * 16, "{used} of 6000 are used");
}

#[test]
fn readings_that_come_again_do_not_jump_to_an_abandoned_time() {
    let mut site = one();
    site.minutes(10, 0);
    site.minutes(5, MONTH);
    site.minutes(10, 0);
    let restarts = site.resampler.counts().restarts;
    for minute in START + 10..START + 15 {
        let again = Reading {
            arrival_ms: Some(site.now * MINUTE),
            ..Reading::at(0, minute as f32, (minute + MONTH) * MINUTE)
        };
        assert_eq!(site.resampler.push(again, |_| ()), Err(Rejected::UntrustedTime));
    }
    site.minutes(10, 0);
    assert_eq!(site.resampler.counts().restarts, restarts);
}

#[test]
fn a_sensor_that_reports_at_half_past_each_minute_fills_every_time_step() {
    for first in [29_600, 30_400] {
        let mut resampler = resampler(1, 1440);
        let mut steps = Vec::new();
        for minute in 0..200 {
            let jitter = [-400, 380, -10, 250, 400, -333, 0][minute as usize % 7];
            let time_ms = if minute == 0 { first } else { minute * MINUTE + 30_000 + jitter };
            let events = push(&mut resampler, 0, minute as f32, time_ms).unwrap();
            steps.extend(events);
        }
        let start = match steps[0] {
            OwnedEvent::TimeStep(time_ms, _) => time_ms,
            _ => unreachable!(),
        };
        let expected: Vec<_> = (0..200)
            .map(|minute| OwnedEvent::TimeStep(start + minute * MINUTE, vec![Some(minute as f32)]))
            .collect();
        assert_eq!(steps, expected, "{first}");
    }
}

#[test]
fn with_allowed_lateness_a_sensor_at_half_past_fills_every_time_step_soon() {
    for aggregate in [Aggregate::Last, Aggregate::Mean] {
        let mut config = config(2, 1440);
        (config.aggregates, config.sources) = (vec![aggregate; 2], vec![0, 1]);
        config.allowed_lateness_ms = 90_000;
        let mut resampler = Resampler::new(config).unwrap();
        let mut rows = Vec::new();
        for minute in 0..200 {
            // A few tenths of a second early or late; the other sensor reports at the full minute.
            let jitter = [-400, 300, 100, -200, 350, -50][minute as usize % 6];
            for (variate, time_ms) in [(1, minute * MINUTE), (0, minute * MINUTE + 30_000 + jitter)] {
                rows.extend(push(&mut resampler, variate, minute as f32, time_ms).unwrap());
            }
        }
        let values: Vec<Vec<Option<f32>>> = rows
            .iter()
            .map(|row| match row {
                OwnedEvent::TimeStep(_, values) => values.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        let late = values.iter().skip(16);
        assert!(
            late.clone().all(|values| values[0].is_some_and(|value| value.fract() == 0.0)),
            "{values:?}"
        );
        assert!(late.clone().all(|values| values[1].is_some()));
        assert!(values.len() > 190);
    }
}

#[test]
fn a_sensor_that_drifts_over_the_border_of_its_bins_skips_or_merges_one_a_turn() {
    for interval_ms in [59_900, 60_100] {
        let mut resampler = resampler(1, 1440);
        for index in 0..1_200 {
            let jitter = [-400, 380, -10, 250, 400, -333, 0][index as usize % 7];
            push(&mut resampler, 0, index as f32, index * interval_ms + jitter).unwrap_or_default();
        }
        let counts = resampler.counts();
        assert!(
            counts.bridged_steps + counts.surplus + counts.rejected <= 4,
            "two turns: {counts:?}"
        );
    }
}

#[test]
fn forward_fill_ends_at_once_with_a_reading_without_a_number() {
    let mut config = config(2, 1440);
    config.forward_fill_limit = 10;
    let mut resampler = Resampler::new(config).unwrap();
    push(&mut resampler, 1, 7.0, 0).unwrap();
    let mut filled = Vec::new();
    for minute in 0..6 {
        let events = push(&mut resampler, 0, minute as f32, minute * MINUTE).unwrap();
        filled.extend(events.into_iter().map(|event| match event {
            OwnedEvent::TimeStep(_, values) => values[1],
            other => panic!("{other:?}"),
        }));
        if minute == 3 {
            // Home Assistant: `unavailable`.
            let events = push(&mut resampler, 1, f32::NAN, minute * MINUTE).unwrap();
            assert_eq!(events, [OwnedEvent::TimeStep(3 * MINUTE, vec![Some(3.0), None])]);
        }
    }
    assert_eq!(filled, [Some(7.0), Some(7.0), Some(7.0), None]);
}

#[test]
fn the_first_version_of_a_snapshot_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/resampler/v1.postcard");
    let bytes = std::fs::read(path).unwrap();
    let (saved, rest) = postcard::take_from_bytes::<ResamplerSnapshotV1>(&bytes).unwrap();
    assert!(rest.is_empty());
    let mut config = ResamplerConfig::new(2, MINUTE as u64, 100);
    config.aggregates = vec![Aggregate::Last, Aggregate::Mean];
    (config.allowed_lateness_ms, config.forward_fill_limit) = (90_000, 2);
    let mut resampler = Resampler::restore(config, saved.into()).unwrap();
    // Minutes 1000 to 1009 with two variates; 1008 and 1009 are open.
    assert_eq!(resampler.counts().readings, 30);
    assert_eq!(push(&mut resampler, 1, 0.5, 1_009 * MINUTE + 300), Err(Rejected::Duplicate));
    push(&mut resampler, 1, 4.0, 1_009 * MINUTE + 500).unwrap();
    let events: Vec<_> = (1_010..1_013)
        .flat_map(|minute| push(&mut resampler, 0, minute as f32, minute * MINUTE + 250).unwrap())
        .collect();
    let expected = [(1_008, 1.0), (1_009, 2.0), (1_010, 4.0)];
    let expected = expected.map(|(at, mean)| OwnedEvent::TimeStep(at * MINUTE, vec![Some(at as f32), Some(mean)]));
    assert_eq!(events, expected);
    assert!(push(&mut resampler, 0, 1.0, 1_002 * MINUTE).is_err());
}

proptest! {
    /// A clock that is wrong now and then, for one reading or for some: each reading is used, held
    /// or rejected once, all but the first few after a change are used, and neither save points nor
    /// a tail that comes again show.
    #[test]
    fn a_clock_that_goes_wrong_and_comes_right_is_followed_and_interruptions_do_not_show(
        bursts in prop::collection::vec((20i64..80, 1i64..8, prop_oneof![5i64..2_000, -100_000i64..-5, 2_000i64..5_000_000]), 1..5),
        interruptions in prop::collection::vec((0usize..400, 0usize..12), 0..10),
    ) {
        let mut readings = Vec::new();
        let mut now = START;
        for &(true_minutes, wrong_minutes, off) in &bursts {
            readings.extend((now..now + true_minutes).map(|minute| (minute, 0)));
            now += true_minutes;
            readings.extend((now..now + wrong_minutes).map(|minute| (minute, off)));
            now += wrong_minutes;
        }
        readings.extend((now..now + 20).map(|minute| (minute, 0)));
        let reading = |&(minute, off): &(i64, i64), now: i64| Reading {
            arrival_ms: Some(now * MINUTE + 300),
            ..Reading::at(0, minute as f32, (minute + off) * MINUTE)
        };

        let (mut whole, mut interrupted) = (resampler(1, 1440), resampler(1, 1440));
        let (mut expected, mut events) = (Vec::new(), Vec::new());
        for (index, taken) in readings.iter().enumerate() {
            let _ = push_reading(&mut whole, reading(taken, taken.0), &mut expected);
            let _ = push_reading(&mut interrupted, reading(taken, taken.0), &mut events);
            for _ in interruptions.iter().filter(|interruption| interruption.0 == index) {
                interrupted = restore(config(1, 1440), &save(&interrupted)).unwrap();
            }
        }
        prop_assert_eq!(&events, &expected);
        prop_assert_eq!(whole.counts(), interrupted.counts());
        let counts = whole.counts();
        let lost = readings.len() as u64 - counts.readings;
        prop_assert!(lost <= 8 * bursts.len() as u64, "{} of {} lost", lost, readings.len());

        // With tails that come again, no reading counts twice and the stream ends at the same time.
        let mut repeated = resampler(1, 1440);
        let mut events = Vec::new();
        for (index, taken) in readings.iter().enumerate() {
            let _ = push_reading(&mut repeated, reading(taken, taken.0), &mut events);
            for &(_, back) in interruptions.iter().filter(|interruption| interruption.0 == index) {
                for again in &readings[index.saturating_sub(back)..=index] {
                    let _ = push_reading(&mut repeated, reading(again, taken.0), &mut events);
                }
            }
        }
        let steps = |events: &[OwnedEvent]| {
            let values = events.iter().filter_map(|event| match event {
                OwnedEvent::TimeStep(_, values) => values[0].map(f32::to_bits),
                _ => None,
            });
            values.collect::<Vec<_>>()
        };
        let mut seen = steps(&events);
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), count, "a reading counted twice");
        prop_assert_eq!(repeated.newest_ms(), whole.newest_ms());
    }

    /// Several sources, each in order, interleaved in any way within a minute: the same readings are
    /// used.
    #[test]
    fn the_order_of_sources_within_a_time_step_does_not_matter(
        orders in prop::collection::vec(any::<[bool; 2]>(), 10..60),
        fast in 0i64..3,
    ) {
        let steps = |orders: &[[bool; 2]]| {
            let mut site = Site::of_sources(3);
            for &[first, second] in orders {
                let mut order = [0, 1, 2];
                if first { order.swap(0, 1); }
                if second { order.swap(1, 2); }
                for variate in order {
                    let _ = site.reading(variate, if variate == 0 { fast } else { 0 });
                }
                site.now += 1;
            }
            site.events
        };
        let in_order = vec![[false, false]; orders.len()];
        if fast == 0 {
            prop_assert_eq!(steps(&orders), steps(&in_order));
        } else {
            let complete = |events: &[OwnedEvent]| {
                let is_complete = |event: &&OwnedEvent| matches!(event, OwnedEvent::TimeStep(_, values) if values.iter().all(Option::is_some));
                events.iter().filter(is_complete).count()
            };
            prop_assert!(complete(&steps(&orders)) + 8 >= orders.len());
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
        let mut events = Vec::new();
        for &bin in &bins {
            events.extend(push(&mut resampler, 0, bin as f32, bin * MINUTE).unwrap());
        }
        let before = resampler.counts();
        for index in again {
            let bin = bins[index % bins.len()];
            prop_assert!(push(&mut resampler, 0, bin as f32, bin * MINUTE).is_err());
        }
        prop_assert_eq!(resampler.counts().restarts, before.restarts);
        let next = rows + silence + after;
        let step = OwnedEvent::TimeStep(next * MINUTE, vec![Some(next as f32)]);
        prop_assert_eq!(push(&mut resampler, 0, next as f32, next * MINUTE), Ok(vec![step]));
    }
}
