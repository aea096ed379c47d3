//! The daemon loses its power.

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::result::FaultResult;
use crate::test_bed::{TestBed, pause};
use tsm2_mqtt_testkit::rng::Rng;

/// The longest epoch, in milliseconds: most end within it, some before the first message.
const LONGEST_LIFE_MS: u64 = 1000;

pub(super) async fn kill(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    // A commit every few readings, so that many kills fall into one.
    let mut bed = TestBed::start(scale.seed, "state.commit_every_readings = 20").await;
    let generator = bed.feed(Feed::default());
    for _ in 0..scale.kills {
        pause(rng.below(LONGEST_LIFE_MS)).await;
        bed.kill_daemon();
        bed.start_daemon();
        bed.clear_fault();
    }
    let rows = generator.stop().await;
    let how = format!("{} times, 0 to {LONGEST_LIFE_MS} ms after the start", scale.kills);
    let mut result = finish(bed, "kill -9", how, rows).await;
    // What is committed has been published; what is not comes again.
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}
