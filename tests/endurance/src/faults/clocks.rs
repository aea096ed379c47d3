//! Sensors whose clocks are wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tsm2_e2e::site::MINUTE;

use super::Scale;
use crate::chance::Chance;
use crate::feeder::{Extra, Feed};
use crate::plant::Plant;
use crate::readings::{payload, time_ms, topic};
use crate::verdict::{Life, Verdict};

/// Rows that the daemon bridges; beyond, a reading is a leap until another confirms it.
const MAX_GAP: i64 = 1440;

/// Single readings from other times among the good ones, all to be refused; then all clocks are set a year ahead, for good.
pub(super) async fn jumps(scale: &Scale) -> Verdict {
    let mut chance = Chance::new(scale.seed);
    let mut plant = Plant::start(scale.seed, "").await;
    let sent = Arc::<AtomicU64>::default();
    let counted = sent.clone();
    let extra: Extra = Box::new(move |index| {
        let messages = if index % 3 == 2 {
            vec![astray(&mut chance, index)]
        } else {
            Vec::new()
        };
        counted.fetch_add(messages.len() as u64, Ordering::Relaxed);
        messages
    });
    let feed = Feed {
        until: Some(scale.rows),
        extra: Some(extra),
        ..Feed::default()
    };
    plant.feed(feed).done().await;
    let mut verdict = Verdict {
        fault: "clock jumps".into(),
        how: "single readings hours back and years ahead; then all clocks a year ahead, for good".into(),
        nonsense: sent.load(Ordering::Relaxed),
        ..Verdict::default()
    };
    verdict.require(plant.has_forecast(scale.rows - 1, 0).await, "the last row has no forecast");
    let summary = plant.stop_daemon().await;
    let before = plant.stored();
    verdict.weigh(&plant, &Life::until(scale.rows), &before);
    verdict.require_refused(&summary);

    let year_ms = 365 * 24 * 60 * MINUTE;
    plant.start_daemon();
    plant.heal();
    plant.is_online(2).await;
    let life = Life {
        rows: scale.rows..2 * scale.rows,
        clock_ms: year_ms,
    };
    let feed = Feed {
        from: life.rows.start,
        until: Some(life.rows.end),
        clock_ms: year_ms,
        ..Feed::default()
    };
    plant.feed(feed).done().await;
    verdict.require(plant.has_forecast(life.rows.end - 1, year_ms).await, "no forecast at the new time");
    let summary = plant.stop_daemon().await;
    let mut stored = plant.stored();
    for (after, before) in stored.iter_mut().zip(before) {
        after.readings -= before.readings;
        after.rows -= before.rows;
        after.gap_rows -= before.gap_rows;
    }
    verdict.weigh(&plant, &life, &stored);
    verdict.require(
        summary["restarts"] == 3,
        format!("{} restarts where each stream should", summary["restarts"]),
    );
    verdict.recovery_s = plant.recoveries();
    verdict.require(verdict.passed == verdict.due, "a forecast never passed");
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}

/// A reading for row `index` whose clock leapt, far enough that it cannot count.
fn astray(chance: &mut Chance, index: i64) -> (String, Bytes) {
    let rows = match chance.below(4) {
        0 => -60,                                          // an hour back, as at the end of summer time
        1 => -1 - chance.below(100_000) as i64,            // anywhere in the past
        2 => MAX_GAP + 100 + chance.below(100_000) as i64, // days or weeks ahead
        _ => 75 * 365 * 24 * 60,                           // a clock gone mad
    };
    let stream = ["a", "b"][chance.below(2) as usize];
    (topic(stream, "temp"), payload(time_ms(index + rows) + 1, 99.0))
}
