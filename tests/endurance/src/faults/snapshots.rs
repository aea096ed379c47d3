//! The state's file is not what it was.

use std::path::Path;

use tsm2_e2e::process::Running;

use super::Scale;
use crate::chance::Chance;
use crate::feeder::Feed;
use crate::plant::Plant;
use crate::verdict::{Life, Verdict};

pub(super) async fn corrupt(scale: &Scale) -> Verdict {
    let damage = |bytes: &mut Vec<u8>, chance: &mut Chance| {
        // A page of anything at a random place, and a bit in the header.
        let at = chance.below(bytes.len() as u64) as usize;
        let noise = chance.bytes(4096.min(bytes.len() - at));
        bytes[at..at + noise.len()].copy_from_slice(&noise);
        let bit = chance.below(8 * 512) as usize;
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

pub(super) async fn truncated(scale: &Scale) -> Verdict {
    let damage = |bytes: &mut Vec<u8>, chance: &mut Chance| bytes.truncate(1 + chance.below(bytes.len() as u64 - 1) as usize);
    damaged(scale, damage, "truncated snapshot file", "at a random length").await
}

/// Runs of so many rows each, the file damaged between them. A file that the daemon moves aside ends a life: all streams start anew. One that
/// it takes must be as good as undamaged.
async fn damaged(scale: &Scale, damage: fn(&mut Vec<u8>, &mut Chance), fault: &str, how: &str) -> Verdict {
    let mut chance = Chance::new(scale.seed);
    let mut plant = Plant::prepare(scale.seed, None, Running::start_quiet, "").await;
    let mut verdict = Verdict::default();
    let rows = scale.rows / 5;
    let (mut from, mut begun, mut moved) = (0, 0, 0);
    let mut stored = Vec::new();
    for time in 0..=scale.times {
        plant.start_daemon();
        plant.heal();
        plant.is_online(1 + u64::from(time)).await;
        let aside = plant.state().with_extension("redb.damaged");
        if aside.exists() {
            moved += 1;
            std::fs::remove_file(&aside).expect("the damaged file");
            verdict.weigh(&plant, &life(from..begun), &stored);
            from = begun;
        }
        let feed = Feed {
            from: begun,
            until: Some(begun + rows),
            ..Feed::default()
        };
        begun = plant.feed(feed).done().await;
        verdict.require(plant.has_forecast(begun - 1, 0).await, "the last row has no forecast");
        plant.stop_daemon().await;
        stored = plant.stored();
        if time < scale.times {
            change(plant.state(), &mut chance, damage);
        }
    }
    verdict.weigh(&plant, &life(from..begun), &stored);
    verdict.fault = fault.into();
    verdict.how = format!("{} times, {how}; {moved} moved aside and begun anew", scale.times);
    verdict.recovery_s = plant.recoveries();
    verdict.require(verdict.passed == verdict.due, "a forecast never passed");
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}

fn life(rows: std::ops::Range<i64>) -> Life {
    Life { rows, clock_ms: 0 }
}

fn change(path: &Path, chance: &mut Chance, damage: fn(&mut Vec<u8>, &mut Chance)) {
    let mut bytes = std::fs::read(path).expect("the state's file");
    damage(&mut bytes, chance);
    std::fs::write(path, bytes).expect("the state's file");
}
