//! Clean stops and reloads while readings arrive.

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::result::FaultResult;
use crate::test_bed::{TestBed, pause};
use tsm2_mqtt_testkit::rng::Rng;

/// The longest time between a start and the next stop or reload, in milliseconds.
const LONGEST_MS: u64 = 1000;

pub(super) async fn stop(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::start(scale.seed, "state.commit_every_readings = 20").await;
    let generator = bed.feed(Feed::default());
    let times = scale.kills.div_ceil(2);
    for _ in 0..times {
        pause(rng.below(LONGEST_MS)).await;
        bed.stop_daemon().await;
        bed.start_daemon();
        bed.clear_fault();
    }
    let rows = generator.stop().await;
    let how = format!("{times} times by SIGTERM, 0 to {LONGEST_MS} ms after the start");
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
