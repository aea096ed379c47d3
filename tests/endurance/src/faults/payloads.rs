//! Messages that no sensor should send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::json;
use tsm2_mqtt::rfc3339;

use super::scale::Scale;
use crate::load_generator::{Extra, Feed};
use crate::readings::{time_ms, topic};
use crate::result::{Epoch, FaultResult};
use crate::test_bed::TestBed;
use tsm2_mqtt_testkit::rng::Rng;

pub(super) async fn oversize(scale: &Scale) -> FaultResult {
    // Just above the bound of 64 KiB, far above it, and above the 1 MiB of many brokers.
    let sizes = [65_537, 100_000, 1 << 20, 4 << 20];
    let extra = move |index: i64| {
        let size = sizes[index as usize % sizes.len()];
        let mut payload = format!("{{\"time\": \"{}\", \"value\": 1, \"more\": \"", rfc3339(time_ms(index) + 1));
        payload.push_str(&"x".repeat(size));
        payload.push_str("\"}");
        match index % 5 {
            0 => vec![(topic("a", "temp"), payload.into())],
            _ => Vec::new(),
        }
    };
    flood(scale, Box::new(extra), "oversize payloads", "64 KiB to 4 MiB, among the readings").await
}

pub(super) async fn malformed(scale: &Scale) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let extra = move |index: i64| (0..20).map(|_| nonsense(&mut rng, index)).collect();
    let how = "20 per row: random bytes, deep JSON, wrong types, no time, unknown names";
    flood(scale, Box::new(extra), "malformed payloads", how).await
}

/// A message that the daemon must refuse, once.
fn nonsense(rng: &mut Rng, index: i64) -> (String, Bytes) {
    let time = rfc3339(time_ms(index) + 1);
    let payload: Bytes = match rng.below(12) {
        // Not UTF-8, whatever follows.
        0 => [vec![0xff], rng.bytes(60)].concat().into(),
        1 => format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)).into(),
        2 => format!("{{\"value\": {}", "{\"value\": ".repeat(2000)).into(),
        3 => json!({ "time": time, "value": "warm" }).to_string().into(),
        4 => json!({ "time": time, "value": { "of": [1, 2, 3] } }).to_string().into(),
        5 => json!({ "time": time, "value": [1, 2] }).to_string().into(),
        6 => json!({ "time": "noon", "value": 1 }).to_string().into(),
        7 => json!({ "value": 1 }).to_string().into(),
        8 => format!("{{\"time\": \"{time}\", \"value\": 1").into(),
        9 => Bytes::new(),
        10 => return (topic("a", "humour"), json!({ "time": time, "value": 1 }).to_string().into()),
        _ => {
            return (
                topic(&"x".repeat(200), "temp"),
                json!({ "time": time, "value": 1 }).to_string().into(),
            );
        }
    };
    (topic("a", "temp"), payload)
}

async fn flood(scale: &Scale, mut extra: Extra, fault: &str, how: &str) -> FaultResult {
    let mut bed = TestBed::start(scale.seed, "").await;
    let sent = Arc::<AtomicU64>::default();
    let counted = sent.clone();
    let extra: Extra = Box::new(move |index| {
        let messages = extra(index);
        counted.fetch_add(messages.len() as u64, Ordering::Relaxed);
        messages
    });
    let feed = Feed {
        until: Some(scale.rows),
        extra: Some(extra),
        ..Feed::default()
    };
    bed.feed(feed).done().await;
    let mut result = FaultResult {
        fault: fault.into(),
        how: how.into(),
        nonsense: sent.load(Ordering::Relaxed),
        ..FaultResult::default()
    };
    result.require(bed.has_forecast(scale.rows - 1, 0).await, "the last row has no forecast");
    let summary = bed.stop_daemon().await;
    result.weigh(&bed, &Epoch::until(scale.rows), &bed.stored());
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result.require_rejected(&summary);
    result
}
