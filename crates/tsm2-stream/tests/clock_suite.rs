//! Clock suite: random clock jumps of one sensor, of one sensor among three, and of three sensors
//! together. No reading counts twice; the others lose nothing; the table of what is lost and when
//! the stream recovers stands in `docs/explanation/time.md`.
//!
//! `UPDATE_DOCS=1 cargo test -p tsm2-stream --test clock_suite` writes the table.

use std::collections::HashSet;
use std::fmt::Write;

use tsm2_stream::{Accepted, Event, Reading, Resampler, ResamplerConfig};

const MINUTE: i64 = 60_000;
/// Minutes with right clocks, with wrong ones, and with right ones again.
const BEFORE: i64 = 200;
const WRONG: i64 = 60;
const AFTER: i64 = 60;
const TRIALS: u64 = 200;
const DAY: i64 = 24 * 60;

/// Sizes of jumps in minutes: name, least, largest.
const SIZES: [(&str, i64, i64); 5] = [
    ("1 to 3 intervals", 1, 3),
    ("4 to 59 intervals", 4, 59),
    ("an hour to a day", 60, DAY),
    ("a day to a month", DAY, 30 * DAY),
    ("a month to ten years", 30 * DAY, 3650 * DAY),
];

/// Whose clocks jump: name, number of sources, number of wrong ones.
const WHO: [(&str, u16, u16); 3] = [
    ("the only source", 1, 1),
    ("one of three sources", 3, 1),
    ("all of three sources", 3, 3),
];

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn between(&mut self, least: i64, largest: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut hash = self.0;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        least + (hash % (largest - least + 1) as u64) as i64
    }
}

/// What a jump cost, the worst of all trials.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Cost {
    /// Readings of the wrong sources that were not used.
    lost: u64,
    /// Readings of the others that were not used.
    others_lost: u64,
    /// Minutes until a reading of each wrong source was used; `None` while its clock was wrong: never.
    recovery: Option<i64>,
    /// Minutes from when the clocks are right again until a reading of each of them was used.
    back: Option<i64>,
}

impl Cost {
    fn worst(&mut self, other: Cost) {
        self.lost = self.lost.max(other.lost);
        self.others_lost = self.others_lost.max(other.others_lost);
        self.recovery = self.recovery.and_then(|worst| Some(worst.max(other.recovery?)));
        self.back = self.back.and_then(|worst| Some(worst.max(other.back?)));
    }
}

fn trial(sources: u16, wrong: u16, off: i64, wrong_minutes: i64, start: i64) -> Cost {
    let mut config = ResamplerConfig::new(usize::from(sources), MINUTE as u64, 1440);
    config.sources = (0..sources).collect();
    let mut resampler = Resampler::new(config).unwrap();
    let mut seen = vec![HashSet::new(); usize::from(sources)];
    let mut sent = vec![0u64; usize::from(sources)];
    let mut recovered = vec![None; usize::from(wrong)];
    let mut came_back = vec![None; usize::from(wrong)];
    for minute in 0..BEFORE + wrong_minutes + AFTER {
        let is_wrong = (BEFORE..BEFORE + wrong_minutes).contains(&minute);
        for source in 0..sources {
            let jump = if is_wrong && source < wrong { off } else { 0 };
            let reading = Reading {
                variate: usize::from(source),
                value: minute as f32,
                time_ms: (start + minute + jump) * MINUTE,
                arrival_ms: Some((start + minute) * MINUTE + 200 + i64::from(source)),
            };
            let on = |event: Event<'_>| {
                if let Event::TimeStep(step) = event {
                    for (seen, value) in seen.iter_mut().zip(step.values).filter(|(_, value)| !value.is_nan()) {
                        assert!(
                            seen.insert(value.to_bits()),
                            "the reading of minute {value} counted twice: off by {off}"
                        );
                    }
                }
            };
            let result = resampler.push(reading, on);
            sent[usize::from(source)] += 1;
            // A single wrong reading is over when a right one is used; a lasting jump when one at the new time is.
            let counts = minute >= BEFORE && (is_wrong || wrong_minutes == 1);
            if source < wrong && counts && result == Ok(Accepted::Used) {
                recovered[usize::from(source)].get_or_insert(minute - BEFORE);
            }
            let right = minute - BEFORE - wrong_minutes;
            if source < wrong && right >= 0 && result == Ok(Accepted::Used) {
                came_back[usize::from(source)].get_or_insert(right);
            }
        }
    }
    resampler.close(|event| {
        if let Event::TimeStep(step) = event {
            for (seen, value) in seen.iter_mut().zip(step.values).filter(|(_, value)| !value.is_nan()) {
                assert!(
                    seen.insert(value.to_bits()),
                    "the reading of minute {value} counted twice: off by {off}"
                );
            }
        }
    });
    let lost = |source: usize| sent[source] - seen[source].len() as u64;
    let longest = |minutes: Vec<Option<i64>>| minutes.into_iter().try_fold(0, |worst, minutes| Some(worst.max(minutes?)));
    Cost {
        lost: (0..usize::from(wrong)).map(lost).max().unwrap_or_default(),
        others_lost: (usize::from(wrong)..usize::from(sources)).map(lost).max().unwrap_or_default(),
        recovery: longest(recovered),
        back: longest(came_back),
    }
}

fn table() -> String {
    let mut rng = Rng(13);
    let mut table = String::from(
        "| clocks that jump | by | single: lost | lasting: lost | first wrong reading used | first right one after it | lost by the others |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (who, sources, wrong) in WHO {
        for (size, least, largest) in SIZES {
            for (direction, sign) in [("ahead", 1), ("back", -1)] {
                let mut worst = [Cost::default(); 2].map(|cost| Cost {
                    recovery: Some(0),
                    back: Some(0),
                    ..cost
                });
                for _ in 0..TRIALS {
                    let off = sign * rng.between(least, largest);
                    let start = rng.between(28_000_000, 30_000_000);
                    for (cost, minutes) in worst.iter_mut().zip([1, WRONG]) {
                        cost.worst(trial(sources, wrong, off, minutes, start));
                    }
                }
                let [single, lasting] = worst;
                let number = |minutes: Option<i64>| minutes.map_or("never".to_owned(), |minutes| format!("number {}", minutes + 1));
                let (followed, back) = (number(lasting.recovery), number(lasting.back));
                let others = if wrong == sources {
                    "".to_owned()
                } else {
                    single.others_lost.max(lasting.others_lost).to_string()
                };
                writeln!(
                    table,
                    "| {who} | {size} {direction} | {} | {} | {followed} | {back} | {others} |",
                    single.lost, lasting.lost
                )
                .unwrap();
                check(who, size, [single, lasting], wrong == sources);
            }
        }
    }
    table
}

/// What the documentation promises.
fn check(who: &str, size: &str, [single, lasting]: [Cost; 2], is_whole: bool) {
    let context = format!("{who}, {size}: {single:?} {lasting:?}");
    assert!(single.lost <= 8 && single.recovery.is_some_and(|minutes| minutes <= 7), "{context}");
    assert!(lasting.back.is_some_and(|minutes| minutes <= 7), "{context}");
    assert!(single.others_lost <= 3 && lasting.others_lost <= 3, "{context}");
    if is_whole {
        assert!(
            lasting.lost <= 10 && lasting.recovery.is_some_and(|minutes| minutes <= 7),
            "{context}"
        );
    } else {
        assert!(lasting.lost <= WRONG as u64 + 4, "{context}");
    }
}

#[test]
fn no_reading_counts_twice_and_a_jump_costs_few() {
    const BEGIN: &str = "<!-- clock suite -->\n";
    const END: &str = "<!-- end of the clock suite -->";
    let table = table();
    println!("{table}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/explanation/time.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (found, after) = rest.split_once(END).expect("the place has an end");
    let expected = format!("\n{table}\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "run UPDATE_DOCS=1 cargo test -p tsm2-stream --test clock_suite");
    }
}
