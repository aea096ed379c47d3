//! The broker goes and comes back.

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::result::FaultResult;
use crate::test_bed::{TestBed, pause};

/// How long the broker is away, in milliseconds.
const AWAY_MS: u64 = 500;

pub(super) async fn restart(scale: &Scale) -> FaultResult {
    let mut result = come_and_go(scale, TestBed::stop_broker, "broker restarts, with its persistence").await;
    result.require(result.lost_by_broker == 0, "the broker lost readings although it keeps them");
    result
}

pub(super) async fn forget(scale: &Scale) -> FaultResult {
    // Whatever it loses, it loses what the sensors were told it has.
    come_and_go(scale, |bed| bed.kill_broker(true), "broker killed, without its persistence").await
}

async fn come_and_go(scale: &Scale, go: fn(&mut TestBed), fault: &str) -> FaultResult {
    let mut bed = TestBed::start(scale.seed, "").await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    for time in 0..scale.times {
        pause(scale.standing_ms).await;
        go(&mut bed);
        pause(AWAY_MS).await;
        bed.start_broker();
        bed.clear_fault();
        bed.is_online(2 + u64::from(time)).await;
        bed.wait_for_recovery().await;
    }
    pause(scale.standing_ms).await;
    let rows = generator.stop().await;
    let how = format!("{} times, away for {AWAY_MS} ms, sensors go on", scale.times);
    finish(bed, fault, how, rows).await
}
