//! Clean stops and reloads while readings arrive, and streams that come and go.

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::readings::{STREAMS, VARIATES, payload, time_ms, topic};
use crate::result::{Epoch, FaultResult};
use crate::test_bed::{TestBed, pause};
use tsm2_mqtt_testkit::rng::Rng;

/// The longest time between a start and the next stop or reload, in milliseconds.
const LONGEST_MS: u64 = 1000;

pub(super) async fn stop(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::start(scale.seed, "state.commit_every_readings = 20").await;
    let generator = bed.feed(Feed::default());
    let times = scale.kills.div_ceil(2);
    for time in 0..times {
        // Before it is online it may not listen to signals yet.
        bed.is_online(1 + u64::from(time)).await;
        pause(rng.below(LONGEST_MS)).await;
        bed.stop_daemon().await;
        bed.start_daemon();
        bed.clear_fault();
    }
    let rows = generator.stop().await;
    let how = format!("{times} times by SIGTERM, 0 to {LONGEST_MS} ms after it came online");
    let mut result = finish(bed, "stop under load", how, rows).await;
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

pub(super) async fn reload(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::start(scale.seed, "state.commit_every_readings = 20").await;
    let generator = bed.feed(Feed::default());
    for _ in 0..scale.times {
        pause(rng.below(LONGEST_MS)).await;
        bed.daemon().signal("HUP");
        bed.clear_fault();
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let how = format!("{} times by SIGHUP, 0 to {LONGEST_MS} ms after the last forecast", scale.times);
    let mut result = finish(bed, "reload under load", how, rows).await;
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

/// Every row brings a stream that sends one reading and nothing more.
pub(super) async fn names(scale: &Scale) -> FaultResult {
    let (rows_per_s, forget_after_s) = (50, 5);
    // Silent streams are looked for as often as they are to be forgotten.
    let room = 3 * i64::from(rows_per_s) * forget_after_s;
    let extra = format!(
        "input.max_streams = {}\nstate.forget_after_s = {forget_after_s}",
        STREAMS.len() as i64 + room
    );
    let mut bed = TestBed::start(scale.seed, &extra).await;
    let rows = 2 * scale.rows;
    let guest = |index| vec![(topic(&format!("guest-{index}"), VARIATES[0]), payload(time_ms(index), 1.0))];
    let feed = Feed {
        until: Some(rows),
        rows_per_s,
        extra: Some(Box::new(guest)),
        ..Feed::default()
    };
    bed.feed(feed).done().await;
    let arrived = bed.has_forecast(rows - 1, 0).await;
    let summary = bed.stop_daemon().await;
    let mut result = FaultResult {
        fault: "names that come and go".into(),
        how: format!("{rows} streams of one reading each, forgotten after {forget_after_s} s; room for {room}"),
        ..FaultResult::default()
    };
    result.require(arrived, "the last row has no forecast");
    result.weigh(&bed, &Epoch::until(rows), &bed.stored());
    result.require_rejected(&summary);
    result
}
