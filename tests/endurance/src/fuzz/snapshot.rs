//! Checkpoints and log entries: after `R`, a checkpoint's bytes as they are; after `E`, a log entry's; else changes of a
//! genuine checkpoint, three bytes each (where, in two bytes; what).

use std::cell::RefCell;
use std::sync::OnceLock;

use tsm2_e2e::engine::TestEngine;
use tsm2_edge::config::Config;
use tsm2_edge::config::{Prepared, prepare};
use tsm2_edge::state::Stored;

const MINUTE: i64 = 60_000;

/// Loads a stream and continues with it.
///
/// # Panics
/// When what is stored is not what is loaded, or the next message cannot be taken.
pub fn snapshot(data: &[u8]) {
    thread_local! {
        static ENGINE: RefCell<TestEngine<'static>> = RefCell::new(TestEngine::new(prepared()));
    }
    let (checkpoint, tail) = match data {
        [b'R', bytes @ ..] => (bytes.to_vec(), Vec::new()),
        [b'E', bytes @ ..] => (genuine().to_vec(), vec![bytes.to_vec()]),
        changes => (changed(changes), Vec::new()),
    };
    let stored = |checkpoint, tail| Stored {
        checkpoint: Some(checkpoint),
        tail,
    };
    ENGINE.with_borrow_mut(|engine| {
        // What is damaged or another model's begins anew; then what is stored is what was loaded.
        engine.load("a", &stored(checkpoint, tail), &[]);
        let saved = engine.checkpoint("a").expect("the stream is in memory");
        engine.load("a", &stored(saved.clone(), Vec::new()), &[]);
        assert!(engine.checkpoint("a") == Some(saved), "loaded and stored again, it is the same");
        let time = engine.counts("a").map_or(0, |counts| counts.time_steps as i64 % 1000) * MINUTE;
        engine.take("s/a", br#"{"temp": 1, "power": 2}"#, false, time, |_| 0);
    });
}

fn changed(changes: &[u8]) -> Vec<u8> {
    let mut bytes = genuine().to_vec();
    let length = bytes.len();
    for &[high, low, byte] in changes.as_chunks::<3>().0 {
        bytes[usize::from(u16::from_be_bytes([high, low])) % length] = byte;
    }
    bytes
}

fn prepared() -> &'static Prepared {
    static SERVICE: OnceLock<Prepared> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bundle = tsm2_e2e::bundle::random(folder.path(), "fuzz", &["temp", "power"], 2, Some(MINUTE as u64));
        prepare(&Config::new(bundle, "s/{stream}")).expect("a valid configuration")
    })
}

/// A checkpoint of a stream with an open time bin.
fn genuine() -> &'static [u8] {
    static CHECKPOINT: OnceLock<Vec<u8>> = OnceLock::new();
    CHECKPOINT.get_or_init(|| {
        let mut engine = TestEngine::new(prepared());
        for minute in 0..9 {
            engine.take("s/a", br#"{"temp": 1.5, "power": 2}"#, false, minute * MINUTE, |_| 0);
        }
        engine.take("s/a", br#"{"temp": 1.5}"#, false, 9 * MINUTE, |_| 0);
        engine.checkpoint("a").expect("the stream is there")
    })
}
