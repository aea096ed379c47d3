//! The state's file is not what it was.

use std::path::Path;

use tsm2_e2e::process::Running;

use super::Scale;
use crate::load_generator::Feed;
use crate::result::{Epoch, FaultResult};
use crate::test_bed::TestBed;
use tsm2_mqtt_testkit::rng::Rng;

pub(super) async fn corrupt(scale: &Scale) -> FaultResult {
    let damage = |bytes: &mut Vec<u8>, rng: &mut Rng| {
        // A page of anything at a random place, and a bit in the header.
        let at = rng.below(bytes.len() as u64) as usize;
        let noise = rng.bytes(4096.min(bytes.len() - at));
        bytes[at..at + noise.len()].copy_from_slice(&noise);
        let bit = rng.below(8 * 512) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
    };
    damaged(
        scale,
        damage,
        "corrupt snapshot file",
        "a random page and a bit of the header changed",
    )
    .await
}

pub(super) async fn truncated(scale: &Scale) -> FaultResult {
    let damage = |bytes: &mut Vec<u8>, rng: &mut Rng| bytes.truncate(1 + rng.below(bytes.len() as u64 - 1) as usize);
    damaged(scale, damage, "truncated snapshot file", "at a random length").await
}

/// Runs of so many rows each, the file damaged between them. A file that the daemon moves aside ends a epoch: all streams start anew. One that
/// it takes must be as good as undamaged.
async fn damaged(scale: &Scale, damage: fn(&mut Vec<u8>, &mut Rng), fault: &str, how: &str) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::prepare(scale.seed, None, Running::start_quiet, "").await;
    let mut result = FaultResult::default();
    let rows = scale.rows / 5;
    let (mut from, mut begun, mut moved) = (0, 0, 0);
    let mut stored = Vec::new();
    for time in 0..=scale.times {
        bed.start_daemon();
        bed.clear_fault();
        bed.is_online(1 + u64::from(time)).await;
        let aside = bed.state().with_extension("redb.damaged");
        if aside.exists() {
            moved += 1;
            std::fs::remove_file(&aside).expect("the damaged file");
            result.weigh(&bed, &epoch(from..begun), &stored);
            from = begun;
        }
        let feed = Feed {
            from: begun,
            until: Some(begun + rows),
            ..Feed::default()
        };
        begun = bed.feed(feed).done().await;
        result.require(bed.has_forecast(begun - 1, 0).await, "the last row has no forecast");
        bed.stop_daemon().await;
        stored = bed.stored();
        if time < scale.times {
            change(bed.state(), &mut rng, damage);
        }
    }
    result.weigh(&bed, &epoch(from..begun), &stored);
    result.fault = fault.into();
    result.how = format!("{} times, {how}; {moved} moved aside and begun anew", scale.times);
    result.recovery_s = bed.recoveries();
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

fn epoch(rows: std::ops::Range<i64>) -> Epoch {
    Epoch { rows, clock_ms: 0 }
}

fn change(path: &Path, rng: &mut Rng, damage: fn(&mut Vec<u8>, &mut Rng)) {
    let mut bytes = std::fs::read(path).expect("the state's file");
    damage(&mut bytes, rng);
    std::fs::write(path, bytes).expect("the state's file");
}
