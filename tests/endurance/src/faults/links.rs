//! The network between daemon and broker.

use std::time::{Duration, Instant};

use super::{Scale, finish};
use crate::chance::Chance;
use crate::feeder::Feed;
use crate::plant::{Plant, pause};
use crate::proxy::{Way, Weather};
use crate::verdict::Verdict;

/// Soon enough that a dead connection is noticed within the suite's time.
const KEEP_ALIVE: &str = "broker.keep_alive_s = 5";
/// Bytes per second.
const SLOW: u64 = 4000;
/// The longest delay.
const LATE: Duration = Duration::from_millis(300);

pub(super) async fn half_open(scale: &Scale) -> Verdict {
    let mut plant = Plant::start(scale.seed, KEEP_ALIVE).await;
    let feeder = plant.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let times = scale.times.div_ceil(2);
    for time in 0..times {
        pause(scale.standing_ms).await;
        plant.proxy.kill_silently();
        plant.heal(); // a new connection would be carried from now on
        plant.is_online(2 + u64::from(time)).await;
        plant.has_recovered().await;
    }
    let rows = feeder.stop().await;
    let how = format!("{times} times, neither FIN nor RST, keep-alive 5 s");
    let mut verdict = finish(plant, "half-open link", how, rows).await;
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}

pub(super) async fn slow(scale: &Scale) -> Verdict {
    let how = format!("{SLOW} bytes/s each way, sensors faster than that");
    through(scale, Weather::Slow(SLOW), "slow link", how, scale.rows.min(120)).await
}

pub(super) async fn delay(scale: &Scale) -> Verdict {
    let how = format!("each piece later by 0 to {} ms", LATE.as_millis());
    through(scale, Weather::Late(LATE), "packets delayed", how, scale.rows.min(400)).await
}

/// All rows are sent in this weather; recovery is how long the last forecast took after the last reading was with the broker.
async fn through(scale: &Scale, weather: Weather, fault: &str, how: String, rows: i64) -> Verdict {
    let plant = Plant::start(scale.seed, "").await;
    plant.proxy.set(weather);
    let feed = Feed {
        until: Some(rows),
        rows_per_s: 40,
        ..Feed::default()
    };
    plant.feed(feed).done().await;
    let behind = Instant::now();
    plant.has_forecast(rows - 1, 0).await;
    let behind_s = behind.elapsed().as_secs_f64();
    plant.proxy.set(Weather::Clear);
    let mut verdict = finish(plant, fault, how, rows).await;
    verdict.recovery_s = vec![behind_s];
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}

pub(super) async fn cut(scale: &Scale) -> Verdict {
    let mut chance = Chance::new(scale.seed);
    let mut plant = Plant::start(scale.seed, "").await;
    let feeder = plant.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let times = 2 * scale.times;
    for time in 0..times {
        pause(scale.standing_ms).await;
        let way = if time % 2 == 0 { Way::ToDaemon } else { Way::ToBroker };
        plant.proxy.cut_after(way, 1 + chance.below(5000));
        while plant.proxy.cut_is_due() {
            pause(5).await;
        }
        plant.heal();
        plant.has_recovered().await;
    }
    let rows = feeder.stop().await;
    let how = format!("{times} times, either way, at a random byte within 5000");
    let mut verdict = finish(plant, "packets cut", how, rows).await;
    verdict.require(verdict.lost_by_broker == 0, "the broker lost readings");
    verdict
}
