//! The daemon loses its power.

use super::{Scale, finish};
use crate::chance::Chance;
use crate::feeder::Feed;
use crate::plant::{Plant, pause};
use crate::verdict::Verdict;

/// The longest life, in milliseconds: most end within it, some before the first message.
const LONGEST_LIFE_MS: u64 = 1000;

pub(super) async fn kill(scale: &Scale) -> Verdict {
    let mut chance = Chance::new(scale.seed);
    // A commit every few readings, so that many kills fall into one.
    let mut plant = Plant::start(scale.seed, "state.commit_every_readings = 20").await;
    let feeder = plant.feed(Feed::default());
    for _ in 0..scale.kills {
        pause(chance.below(LONGEST_LIFE_MS)).await;
        plant.kill_daemon();
        plant.start_daemon();
        plant.heal();
    }
    let rows = feeder.stop().await;
    let how = format!("{} times, 0 to {LONGEST_LIFE_MS} ms after the start", scale.kills);
    let mut verdict = finish(plant, "kill -9", how, rows).await;
    // What is committed has been published; what is not comes again.
    verdict.require(verdict.passed == verdict.due, "a forecast never passed");
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}
