//! The network between daemon and broker.

use std::time::{Duration, Instant};

use tsm2_e2e::http::get;
use tsm2_mqtt_testkit::mosquitto::free_port;

use super::scale::{Scale, finish};
use crate::load_generator::Feed;
use crate::result::FaultResult;
use crate::test_bed::{TestBed, pause};
use tsm2_mqtt_testkit::proxy::{Direction, LinkCondition};
use tsm2_mqtt_testkit::rng::Rng;

/// Soon enough that a dead connection is noticed within the suite's time.
const KEEP_ALIVE: &str = "broker.keep_alive_s = 5";
/// Bytes per second.
const SLOW: u64 = 4000;
/// The longest delay.
const LATE: Duration = Duration::from_millis(300);

pub(super) async fn half_open(scale: &Scale) -> FaultResult {
    let mut bed = TestBed::start(scale.seed, KEEP_ALIVE).await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let times = scale.times.div_ceil(2);
    for time in 0..times {
        pause(scale.standing_ms).await;
        bed.proxy.kill_silently();
        bed.clear_fault(); // a new connection would be carried from now on
        bed.is_online(2 + u64::from(time)).await;
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let how = format!("{times} times, neither FIN nor RST, keep-alive 5 s");
    let mut result = finish(bed, "half-open link", how, rows).await;
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

pub(super) async fn slow(scale: &Scale) -> FaultResult {
    let how = format!("{SLOW} bytes/s each way, sensors faster than that");
    through(scale, LinkCondition::Slow(SLOW), "slow link", how, scale.rows.min(120)).await
}

pub(super) async fn delay(scale: &Scale) -> FaultResult {
    let how = format!("each piece later by 0 to {} ms", LATE.as_millis());
    through(scale, LinkCondition::Delayed(LATE), "packets delayed", how, scale.rows.min(400)).await
}

/// All rows are sent in this condition; recovery is how long the last forecast took after the last reading was with the broker.
async fn through(scale: &Scale, condition: LinkCondition, fault: &str, how: String, rows: i64) -> FaultResult {
    let bed = TestBed::start(scale.seed, "").await;
    bed.proxy.set(condition);
    let feed = Feed {
        until: Some(rows),
        rows_per_s: 40,
        ..Feed::default()
    };
    bed.feed(feed).done().await;
    let behind = Instant::now();
    bed.has_forecast(rows - 1, 0).await;
    let behind_s = behind.elapsed().as_secs_f64();
    bed.proxy.set(LinkCondition::Normal);
    let mut result = finish(bed, fault, how, rows).await;
    result.recovery_s = vec![behind_s];
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

pub(super) async fn cut(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::start(scale.seed, "").await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let times = 2 * scale.times;
    for time in 0..times {
        pause(scale.standing_ms).await;
        let direction = if time % 2 == 0 { Direction::ToClient } else { Direction::ToBroker };
        bed.proxy.cut_after(direction, 1 + rng.below(5000));
        while bed.proxy.cut_is_due() {
            pause(5).await;
        }
        bed.clear_fault();
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let how = format!("{times} times, either way, at a random byte within 5000");
    let mut result = finish(bed, "packets cut", how, rows).await;
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

/// The broker stops answering for a while and then goes on, on the same connection.
pub(super) async fn stall(scale: &Scale) -> FaultResult {
    let http = free_port();
    let mut bed = TestBed::start(scale.seed, &format!("http.listen = '127.0.0.1:{http}'")).await;
    let generator = bed.feed(Feed {
        rows_per_s: 20,
        ..Feed::default()
    });
    let times = scale.times.div_ceil(4);
    let mut unhealthy = 0;
    for _ in 0..times {
        pause(scale.standing_ms).await;
        bed.proxy.set(LinkCondition::Stalled);
        for _ in 0..scale.stall_s {
            pause(1000).await;
            unhealthy += u32::from(!is_healthy(http).await);
        }
        bed.proxy.set(LinkCondition::Normal);
        bed.clear_fault();
        bed.wait_for_recovery().await;
    }
    let rows = generator.stop().await;
    let how = format!("{times} times for {} s; /healthz stays 200", scale.stall_s);
    let mut result = finish(bed, "stalled broker", how, rows).await;
    result.require(unhealthy == 0, format!("/healthz failed {unhealthy} times"));
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

async fn is_healthy(port: u16) -> bool {
    let page = tokio::task::spawn_blocking(move || get(port, "/healthz")).await;
    matches!(page, Ok(Some((200, _))))
}
