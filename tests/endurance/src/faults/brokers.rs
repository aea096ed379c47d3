//! The broker goes and comes back.

use super::{Scale, finish};
use crate::feeder::Feed;
use crate::plant::{Plant, pause};
use crate::verdict::Verdict;

/// How long the broker is away, in milliseconds.
const AWAY_MS: u64 = 500;

pub(super) async fn restart(scale: &Scale) -> Verdict {
    let mut verdict = come_and_go(scale, Plant::stop_broker, "broker restarts, with its persistence").await;
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings although it keeps them");
    verdict
}

pub(super) async fn forget(scale: &Scale) -> Verdict {
    // Whatever it loses, it loses what the sensors were told it has.
    come_and_go(scale, |plant| plant.kill_broker(true), "broker killed, without its persistence").await
}

async fn come_and_go(scale: &Scale, go: fn(&mut Plant), fault: &str) -> Verdict {
    let mut plant = Plant::start(scale.seed, "").await;
    let feeder = plant.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    for time in 0..scale.times {
        pause(scale.standing_ms).await;
        go(&mut plant);
        pause(AWAY_MS).await;
        plant.start_broker();
        plant.heal();
        plant.is_online(2 + u64::from(time)).await;
        plant.has_recovered().await;
    }
    pause(scale.standing_ms).await;
    let rows = feeder.stop().await;
    let how = format!("{} times, away for {AWAY_MS} ms, sensors go on", scale.times);
    finish(plant, fault, how, rows).await
}
