//! Sensors whose clocks are wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tsm2_e2e::site::MINUTE;

use super::scale::Scale;
use crate::load_generator::{Extra, Feed};
use crate::readings::{STREAMS, payload, time_ms, topic};
use crate::result::{Epoch, FaultResult};
use crate::test_bed::TestBed;
use tsm2_mqtt_testkit::rng::Rng;

/// Rows that the daemon bridges; beyond, a reading is a leap until another confirms it.
const MAX_GAP: i64 = 1440;

/// Single readings from other times among the good ones, all to be refused; then all clocks are set a year ahead, for good.
pub(super) async fn jumps(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::start(scale.seed, "").await;
    let sent = Arc::<AtomicU64>::default();
    let counted = sent.clone();
    let rows = scale.rows;
    let extra: Extra = Box::new(move |index| {
        // A reading of the stream follows each, and disproves it.
        let messages = if index % 3 == 2 && index + 1 < rows {
            vec![astray(&mut rng, index)]
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
    bed.feed(feed).done().await;
    let mut result = FaultResult {
        fault: "clock jumps".into(),
        how: "single readings hours back and years ahead; then all clocks a year ahead, for good".into(),
        nonsense: sent.load(Ordering::Relaxed),
        ..FaultResult::default()
    };
    result.require(bed.has_forecast(scale.rows - 1, 0).await, "the last row has no forecast");
    let summary = bed.stop_daemon().await;
    let before = bed.stored();
    result.weigh(&bed, &Epoch::until(scale.rows), &before);
    result.require_rejected(&summary);

    let year_ms = 365 * 24 * 60 * MINUTE;
    bed.start_daemon();
    bed.clear_fault();
    bed.is_online(2).await;
    let epoch = Epoch {
        rows: scale.rows..2 * scale.rows,
        clock_ms: year_ms,
    };
    let feed = Feed {
        from: epoch.rows.start,
        until: Some(epoch.rows.end),
        clock_ms: year_ms,
        ..Feed::default()
    };
    bed.feed(feed).done().await;
    result.require(bed.has_forecast(epoch.rows.end - 1, year_ms).await, "no forecast at the new time");
    let summary = bed.stop_daemon().await;
    let mut stored = bed.stored();
    for (after, before) in stored.iter_mut().zip(before) {
        after.readings -= before.readings;
        after.rows -= before.rows;
        after.gap_rows -= before.gap_rows;
    }
    result.weigh(&bed, &epoch, &stored);
    result.require(
        summary["restarts"] == 3,
        format!("{} restarts where each stream should", summary["restarts"]),
    );
    result.recovery_s = bed.recoveries();
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

/// One reading of one sensor, less than `max_gap` ahead: it is held and dropped, and its stream loses
/// nothing else.
pub(super) async fn short_jump(scale: &Scale) -> FaultResult {
    const AT: i64 = 20;
    const AHEAD: i64 = 30;
    let mut bed = TestBed::start(scale.seed, "").await;
    let extra: Extra = Box::new(|index| match index {
        AT => vec![(topic("a", "temp"), payload(time_ms(AT + AHEAD) + 1, 99.0))],
        _ => Vec::new(),
    });
    let rows = scale.rows.min(200);
    let feed = Feed {
        until: Some(rows),
        extra: Some(extra),
        ..Feed::default()
    };
    bed.feed(feed).done().await;
    let mut result = FaultResult {
        fault: "short clock jump".into(),
        nonsense: 1,
        sent: 2 * (STREAMS.len() as i64 * rows) as u64,
        ..FaultResult::default()
    };
    result.require(bed.has_forecast(rows - 1, 0).await, "the last row has no forecast");
    let summary = bed.stop_daemon().await;
    let stored = bed.stored();
    result.consumed = stored.iter().map(|stored| stored.readings).sum();
    let rejected = (result.sent + 1).saturating_sub(result.consumed);
    result.how = format!(
        "one reading {AHEAD} time steps ahead, once; {rejected} readings of its stream rejected: {}",
        summary["rejected"]
    );
    let others = stored.iter().filter(|stored| stored.readings >= 2 * rows as u64).count();
    result.require(others >= STREAMS.len() - 1, "another stream lost readings");
    result.require(rejected <= 1, "more was rejected than the wrong reading");
    result
}

/// A reading for row `index` whose clock leapt, far enough that it cannot count.
fn astray(rng: &mut Rng, index: i64) -> (String, Bytes) {
    let rows = match rng.below(4) {
        0 => -60,                                       // an hour back, as at the end of summer time
        1 => -1 - rng.below(100_000) as i64,            // anywhere in the past
        2 => MAX_GAP + 100 + rng.below(100_000) as i64, // days or weeks ahead
        _ => 75 * 365 * 24 * 60,                        // a clock gone mad
    };
    let stream = ["a", "b"][rng.below(2) as usize];
    (topic(stream, "temp"), payload(time_ms(index + rows) + 1, 99.0))
}
