//! Worker: one thread that owns streams. Messages in, forecasts out, batches to the writer.
//!
//! 1. All messages of a stream come to the same worker, in order.
//! 2. A message enters a batch after all its forecasts are handed to the session.
//! 3. The worker never waits for the store. While the writer is busy the batch stays open; beyond a
//!    limit checkpoints replace its log entries.
//! 4. A stream that is not in memory is loaded before its message is processed.
//! 5. Every wait and every time step sends a heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, error, info};
use tsm2_mqtt::InFlight;

use crate::config::{Address, Kind, Prepared};
use crate::observe::{Metrics, WorkerMetrics};
use crate::runtime::admission::Admission;
use crate::runtime::batch::{Batch, Limits, OpenBatch, Uncommitted};
use crate::runtime::engine::{Engine, Input, Loaded};
use crate::runtime::forecasts::Forecasts;
use crate::runtime::patience::{Cut, Patience};
use crate::runtime::queue::{Next, RoundRobinQueue};
use crate::runtime::record::Key;
use crate::runtime::recorder::Row;
use crate::runtime::source::{self, Acknowledge};
use crate::state::StateStore;

/// How long the thread sleeps when nothing is to be done.
const IDLE: Duration = Duration::from_secs(1);
/// How long a batch with enough readings waits for more, while the broker's window has room.
const TOGETHER: Duration = Duration::from_millis(50);
/// How long to wait before a busy writer is asked again.
const BUSY: Duration = Duration::from_millis(20);
/// Batches of one worker that the writer may have.
const WITH_WRITER: u64 = 2;
/// Time steps in a stream's log that are worth a checkpoint at the end.
const LEAST_TAIL: u64 = 1;
/// How often the worker reports to the metrics and looks for streams to evict.
const REPORT: Duration = Duration::from_secs(2);
/// How often the worker looks for streams to forget, and more often where they are forgotten sooner.
const FORGET: Duration = Duration::from_secs(60);
/// How long to wait before state that cannot be read is read again.
const RETRY: Duration = Duration::from_secs(1);

/// A message on its way to its worker.
#[derive(Debug)]
pub(crate) struct Routed<A> {
    pub(crate) stream: String,
    pub(crate) kind: Kind,
    pub(crate) message: source::Message<A>,
}

/// The worker of a stream, the same in every process: FNV-1a.
pub(crate) fn worker_of(stream: &str, workers: usize) -> usize {
    let hash = stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % workers.max(1) as u64) as usize
}

/// See the module's description.
pub(crate) struct Worker<A> {
    /// Which one it is, of `prepared.workers`.
    pub(crate) number: usize,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) queue: Arc<RoundRobinQueue<Routed<A>>>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) batches: Sender<Batch<A>>,
    /// Up to which of its batches the state is durable.
    pub(crate) durable: Arc<[AtomicU64]>,
    pub(crate) uncommitted: Arc<Uncommitted>,
    pub(crate) in_flight: InFlight,
    pub(crate) forecasts: Forecasts,
    pub(crate) patience: Patience,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Metrics,
    pub(crate) report: WorkerMetrics,
}

impl<A: Acknowledge> Worker<A> {
    /// Runs until its queue has ended.
    pub(crate) fn run(self) {
        let prepared = self.prepared.clone();
        let mut engine = Engine::with_admission(&prepared, self.metrics.input.clone(), self.admission.clone());
        let mut open = OpenBatch::new();
        if self.work(&mut engine, &mut open).is_ok() {
            self.finish(&mut engine, open);
        }
        self.report_on(&engine);
    }

    fn work(&self, engine: &mut Engine<'_>, open: &mut OpenBatch<A>) -> Result<(), Cut> {
        let (mut reported, mut swept) = (None::<Instant>, None::<Instant>);
        loop {
            let now = Instant::now();
            self.patience.beat();
            if reported.is_none_or(|at| now >= at + REPORT) {
                reported = Some(now);
                self.report_on(engine);
                self.evict(engine);
            }
            if engine.streams.len() > self.most_in_memory() {
                self.evict(engine);
            }
            if let Some(after) = self.prepared.forget_after
                && swept.is_none_or(|at| now >= at + after.min(FORGET))
            {
                swept = Some(now);
                self.forget_silent(engine, open, before_now(after))?;
            }
            if self.patience.is_over() {
                self.cut()?;
            }
            let due = open.due(self.limits()).map(|due| due.saturating_duration_since(now));
            let timeout = match self.is_writer_busy(open) {
                true => BUSY,
                false => due.unwrap_or(IDLE).min(IDLE),
            };
            match self.queue.pop(timeout) {
                Next::Message(routed) => self.take(engine, open, routed)?,
                // The broker may be waiting, and what it waits for may be in this batch.
                Next::Idle if open.is_awaited() && self.in_flight.count() >= self.prepared.max_inflight => self.hand_over(engine, open),
                Next::Idle => {}
                Next::End => return Ok(()),
            }
            if open.due(self.limits()).is_some_and(|due| due <= Instant::now()) {
                self.hand_over(engine, open);
            }
        }
    }

    fn limits(&self) -> Limits {
        match &self.prepared.state {
            Some(durability) => Limits {
                readings: durability.readings,
                every: durability.every,
                pause: match 2 * self.in_flight.count() < self.prepared.max_inflight {
                    true => TOGETHER,
                    false => Duration::ZERO,
                },
            },
            // Nothing waits for a commit.
            None => Limits {
                readings: 1,
                every: Duration::ZERO,
                pause: Duration::ZERO,
            },
        }
    }

    /// Processes one message.
    fn take(&self, engine: &mut Engine<'_>, open: &mut OpenBatch<A>, routed: Routed<A>) -> Result<(), Cut> {
        let Routed { stream, kind, message } = routed;
        if !engine.streams.has(&stream) {
            self.load(engine, open, &stream)?;
        }
        let input = Input {
            topic: &message.topic,
            address: &Address { stream: &stream, kind },
            payload: &message.payload,
            retained: message.retained,
            arrival_ms: unix_ms(message.arrived),
        };
        let (mut published, mut is_cut) = (0, false);
        let mut rows = Vec::new();
        let accepted = engine.take(&input, |step| {
            self.patience.beat();
            if self.prepared.recordings.is_some() {
                rows.push(Row::of(&step));
            }
            if !is_cut {
                match self.forecasts.publish(&self.patience, step) {
                    Ok(forecasts) => published += forecasts,
                    Err(Cut) => is_cut = true,
                }
            }
        });
        if is_cut {
            // Before its entry and its acknowledgement: the message comes again.
            self.cut()?;
        }
        if published > 0 {
            self.metrics.input.forecasts.inc_by(published);
            self.metrics.input.latency.observe(message.arrived_at.elapsed().as_secs_f64());
        }
        if let (Some(accepted), true) = (accepted, self.prepared.state.is_some()) {
            open.add(self.prepared.fingerprint.key(&stream), &accepted);
            engine.streams.note_batch(&stream, open.number());
        }
        open.add_rows(rows);
        open.add_ack(message.ack);
        if let Some((readings, opened)) = open.content() {
            self.uncommitted.set((self.number, open.number()), readings, opened);
        }
        Ok(())
    }

    /// The time to stop is over. Where a file has the streams, what is open comes again; else the
    /// streams are handed over in memory as they are.
    fn cut(&self) -> Result<(), Cut> {
        if self.prepared.state.is_some() {
            return Err(Cut);
        }
        self.queue.close();
        while let Next::Message(unprocessed) = self.queue.pop(Duration::ZERO) {
            drop(unprocessed);
        }
        Ok(())
    }

    /// Whether the writer has as many batches of this worker as it may.
    fn is_writer_busy(&self, open: &OpenBatch<A>) -> bool {
        let durable = self.durable[self.number].load(Ordering::Acquire);
        open.number().saturating_sub(1 + durable) >= WITH_WRITER
    }

    /// Closes the batch and gives it to the writer. While the writer is busy it stays open.
    fn hand_over(&self, engine: &mut Engine<'_>, open: &mut OpenBatch<A>) {
        if self.is_writer_busy(open) {
            return;
        }
        for (key, is_collapsed) in open.keys() {
            let Some(stream) = self.prepared.fingerprint.stream_of(&key) else {
                continue;
            };
            if (is_collapsed || engine.streams.is_checkpoint_due(stream))
                && let Some(checkpoint) = engine.checkpoint(stream)
            {
                self.patience.beat();
                open.checkpoint(key, checkpoint);
            }
        }
        self.send(open);
    }

    fn send(&self, open: &mut OpenBatch<A>) {
        if let Some(batch) = open.close(self.number) {
            // Without a writer the daemon ends, and what is dropped here comes again.
            let _ = self.batches.send(batch);
        }
    }

    /// The last batch: checkpoints of the streams, so that the next start replays little.
    fn finish(&self, engine: &mut Engine<'_>, mut open: OpenBatch<A>) {
        let names = match self.prepared.state.is_some() {
            true => engine.streams.with_tail(LEAST_TAIL),
            false => engine.streams.with_tail(0),
        };
        let collapsed = open.keys().into_iter().filter(|(_, is_collapsed)| *is_collapsed);
        let collapsed: Vec<String> = collapsed.map(|(key, _)| key).collect();
        let keys = names.iter().map(|name| self.prepared.fingerprint.key(name)).chain(collapsed);
        for key in keys {
            let stream = self.prepared.fingerprint.stream_of(&key).unwrap_or_default();
            if let Some(checkpoint) = engine.checkpoint(stream) {
                self.patience.beat();
                open.checkpoint(key, checkpoint);
            }
        }
        self.send(&mut open);
    }

    /// Brings a stream back into memory, if it is stored. While it cannot be read this waits: a
    /// stream that began anew in its place would be another one.
    fn load(&self, engine: &mut Engine<'_>, open: &mut OpenBatch<A>, stream: &str) -> Result<(), Cut> {
        let key = self.prepared.fingerprint.key(stream);
        let Some(stored) = self.read(stream, || self.store.load(&key))? else {
            return Ok(());
        };
        let limit = self.prepared.warmup_entries();
        let history = || {
            let history = self.store.history(&key, limit);
            history.unwrap_or_else(|error| {
                error!(stream, "the stream's log cannot be read: {error}; it warms up from what comes");
                Vec::new()
            })
        };
        let now_ms = unix_ms(SystemTime::now());
        let loaded = engine.load(stream, &stored, now_ms, history, || self.patience.beat());
        if let (Loaded::Damaged(_), Some(checkpoint)) = (loaded, stored.checkpoint) {
            // The next checkpoint takes its place.
            open.checkpoint(Key::set_aside(&key, now_ms), checkpoint);
            self.metrics.state.set_aside();
        }
        Ok(())
    }

    fn read<T, E: std::fmt::Display>(&self, stream: &str, mut read: impl FnMut() -> Result<T, E>) -> Result<T, Cut> {
        let mut is_logged = false;
        loop {
            match read() {
                Ok(read) => return Ok(read),
                Err(error) if !is_logged => {
                    error!(stream, "stored state cannot be read: {error}; trying again");
                    is_logged = true;
                }
                Err(_) => {}
            }
            self.patience.pause(RETRY)?;
        }
    }

    fn report_on(&self, engine: &Engine<'_>) {
        let (errors, drifting) = engine.streams.errors(self.prepared.topics.targets(), &self.metrics.model().steps);
        self.report.report(engine.streams.len(), drifting, errors);
    }

    /// Streams of this worker that may be in memory, beside those that are not durable yet.
    fn most_in_memory(&self) -> usize {
        let durability = self.prepared.state.as_ref();
        durability.map_or(usize::MAX, |durability| {
            durability.max_streams_in_memory.div_ceil(self.prepared.workers)
        })
    }

    fn evict(&self, engine: &mut Engine<'_>) {
        let Some(durability) = &self.prepared.state else { return };
        let durable = self.durable[self.number].load(Ordering::Acquire);
        let evicted = engine
            .streams
            .evict(before_now(durability.idle_eviction), self.most_in_memory(), durable);
        if evicted > 0 {
            debug!(streams = evicted, "evicted from memory, kept in the store");
        }
    }

    /// Forgets the streams that have been silent for `state.forget_after_s`: in memory, in the store
    /// and at the broker.
    fn forget_silent(&self, engine: &mut Engine<'_>, open: &mut OpenBatch<A>, since_ms: i64) -> Result<(), Cut> {
        let mut silent = engine.streams.silent_since(since_ms);
        let stored = self.read("", || self.store.streams())?;
        silent.extend(stored.iter().filter(|info| info.last_write_ms < since_ms).filter_map(|info| {
            let stream = self.prepared.fingerprint.stream_of(&info.name)?;
            let is_own = worker_of(stream, self.prepared.workers) == self.number && self.prepared.topics.serves(stream);
            (is_own && !engine.streams.has(stream)).then(|| stream.to_owned())
        }));
        for stream in silent {
            info!(stream, "silent for longer than state.forget_after_s; the stream is forgotten");
            engine.streams.forget(&stream);
            open.forget(self.prepared.fingerprint.key(&stream));
            self.forecasts.remove(&self.patience, &stream)?;
        }
        Ok(())
    }
}

/// The wall clock so long ago, milliseconds since 1970-01-01 UTC.
fn before_now(time: Duration) -> i64 {
    unix_ms(SystemTime::now()).saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970-01-01 UTC; a clock before that counts backwards.
fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::worker_of;

    #[test]
    fn streams_spread_over_the_workers() {
        let mut streams = [0; 4];
        for stream in 0..4000 {
            streams[worker_of(&format!("sensor-{stream}"), 4)] += 1;
        }
        assert!(streams.iter().all(|&count| (800..1200).contains(&count)), "{streams:?}");
        assert_eq!(worker_of("a", 4), worker_of("a", 4));
    }
}
