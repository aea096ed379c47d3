//! Serial line: the payloads of MQTT, a line each.
//!
//! In: a JSON object of readings per line. Out: `forecast VARIATE JSON` for each target after each new
//! forecast, and `rejected REASON` for a line that cannot be read. Lines end with a line feed.
//! `docs/how-to/microcontroller.md` documents the protocol.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use crate::board::Board;
use crate::shared::Shared;

/// Longest line that is read; the rest of a longer one is skipped.
const MAX_LINE: usize = 2048;

/// Serves the serial line for ever.
pub(crate) async fn serve<B: Board>(board: &B, shared: &Shared<'_>) {
    let mut line = Vec::with_capacity(MAX_LINE);
    let mut is_too_long = false;
    loop {
        match next(board, shared, !line.is_empty()).await {
            b'\n' if is_too_long => {
                is_too_long = false;
                line.clear();
                write(board, shared, b"rejected too_large\n").await;
            }
            b'\n' => {
                answer(board, shared, &line).await;
                line.clear();
            }
            b'\r' => {}
            byte if line.len() < MAX_LINE => line.push(byte),
            _ => is_too_long = true,
        }
    }
}

async fn answer<B: Board>(board: &B, shared: &Shared<'_>, line: &[u8]) {
    if line.is_empty() {
        return;
    }
    let result = shared.take_or(line);
    match result {
        Err(rejected) => {
            write(board, shared, b"rejected ").await;
            write(board, shared, rejected.reason().as_bytes()).await;
            write(board, shared, b"\n").await;
        }
        Ok(false) => {}
        Ok(true) => {
            let targets = shared.station().blob().config().targets();
            for target in 0..targets {
                let (name, payload) = {
                    let station = shared.station();
                    let Some(payload) = station.forecast(target) else { return };
                    (station.blob().variate(target), payload)
                };
                for part in [b"forecast ", name.as_bytes(), b" ", &payload, b"\n"] {
                    write(board, shared, part).await;
                }
            }
        }
    }
}

/// The next byte; meanwhile messages of the log leave. Within a line the board does not sleep.
async fn next<B: Board>(board: &B, shared: &Shared<'_>, is_within_line: bool) -> u8 {
    loop {
        let byte = poll_fn(|_| match board.read_serial() {
            Some(byte) => Poll::Ready(Some(byte)),
            None if shared.has_messages() => Poll::Ready(None),
            None => {
                if is_within_line {
                    shared.keep_awake();
                }
                Poll::Pending
            }
        });
        if let Some(byte) = byte.await {
            return byte;
        }
        while let Some(message) = shared.next_message() {
            write(board, shared, b"# ").await;
            write(board, shared, message.as_bytes()).await;
            write(board, shared, b"\n").await;
        }
    }
}

async fn write<B: Board>(board: &B, shared: &Shared<'_>, bytes: &[u8]) {
    for &byte in bytes {
        poll_fn(|_| match board.write_serial(byte) {
            true => Poll::Ready(()),
            false => {
                shared.keep_awake();
                Poll::Pending
            }
        })
        .await;
    }
}
