//! Writer: one thread that makes batches durable and acknowledges their messages.
//!
//! 1. A message is acknowledged after the commit of the batch that contains it, never before.
//! 2. A batch is committed after the broker has its forecasts. The broker sends the messages of a
//!    batch that was never committed again, so after a kill no forecast is missing.
//! 3. A failed commit acknowledges nothing and is retried; it is logged once.
//! 4. When the time to stop is over, what is not durable is dropped unacknowledged.
//! 5. Every wait sends heartbeats.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::observe::{Health, StateMetrics};
use crate::runtime::batch::{Batch, Uncommitted};
use crate::runtime::patience::Patience;
use crate::runtime::recorder::{Recorder, Row};
use crate::runtime::source::Acknowledge;
use crate::state::{StateStore, StoreError};

/// How long forecasts of readings that nobody sends again are waited for.
const UNAWAITED: Duration = Duration::from_secs(3);
/// How often the writer sends a heartbeat while nothing arrives.
const IDLE: Duration = Duration::from_secs(1);
/// Readings in one transaction, beyond which no further batch is merged.
const MOST_READINGS: u64 = 50_000;

/// Waits until the broker has all forecasts that were handed over.
pub(crate) trait Delivery: Send {
    /// Resolves when the broker has them, or to `false` when it never will.
    fn delivered(&self) -> impl Future<Output = bool> + Send;
}

impl Delivery for tsm2_mqtt::Publisher {
    async fn delivered(&self) -> bool {
        self.flush().await.is_ok()
    }
}

/// Up to which batch each worker's state is durable.
pub(crate) type Durable = Arc<[AtomicU64]>;

/// See the module's description.
pub(crate) struct Writer<D> {
    pub(crate) store: Arc<dyn StateStore>,
    /// `None`: nothing is durable, so nothing waits for forecasts.
    pub(crate) forecasts: Option<D>,
    /// `None`: nothing is recorded.
    pub(crate) recorder: Option<RefCell<Recorder>>,
    pub(crate) retry_every: Duration,
    pub(crate) durable: Durable,
    pub(crate) uncommitted: Arc<Uncommitted>,
    pub(crate) patience: Patience,
    pub(crate) metrics: StateMetrics,
    pub(crate) health: Arc<Health>,
}

impl<D: Delivery> Writer<D> {
    /// Runs until all workers have ended and their batches are written.
    ///
    /// # Errors
    /// Another process owns the store.
    pub(crate) fn run<A: Acknowledge>(self, batches: &Receiver<Batch<A>>) -> Result<(), StoreError> {
        let mut next = None;
        while let Some(mut batch) = next.take().or_else(|| self.next(batches)) {
            while batch.readings < MOST_READINGS && next.is_none() {
                match batches.try_recv() {
                    Ok(later) => next = batch.merge(later),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.write(batch)?;
        }
        Ok(())
    }

    fn next<A>(&self, batches: &Receiver<Batch<A>>) -> Option<Batch<A>> {
        loop {
            self.patience.beat();
            match batches.recv_timeout(IDLE) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn write<A: Acknowledge>(&self, batch: Batch<A>) -> Result<(), StoreError> {
        let is_durable = !batch.has_state() || (self.deliver(&batch) && self.commit(&batch)?);
        self.uncommitted.remove(&batch.numbers);
        if !is_durable {
            warn!(
                readings = batch.readings,
                "stopped before these readings were durable; the broker sends them again"
            );
            return Ok(());
        }
        for &(worker, number) in &batch.numbers {
            if let Some(durable) = self.durable.get(worker) {
                durable.store(number, Ordering::Release);
            }
        }
        for ack in batch.acks {
            ack.done();
        }
        Ok(())
    }

    /// Waits until the broker has the batch's forecasts. Readings that nobody sends again do not
    /// wait long.
    fn deliver<A>(&self, batch: &Batch<A>) -> bool {
        let Some(forecasts) = &self.forecasts else { return true };
        let is_awaited = !batch.acks.is_empty();
        let delivered = async {
            match is_awaited {
                true => forecasts.delivered().await,
                false => tokio::time::timeout(UNAWAITED, forecasts.delivered()).await.is_ok(),
            }
        };
        self.patience.wait(delivered).unwrap_or(false) || !is_awaited
    }

    /// Rows before the state: after a kill between the two, the readings come again and give the same
    /// rows.
    fn record(&self, rows: &[Row]) -> Result<(), StoreError> {
        let Some(recorder) = self.recorder.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let appended = recorder.borrow_mut().append(rows);
        appended.map_err(|(path, source)| StoreError::Io { path, source })
    }

    /// Commits, again and again where it fails; `false` when the time to stop is over before.
    fn commit<A>(&self, batch: &Batch<A>) -> Result<bool, StoreError> {
        let mut is_retry = false;
        loop {
            let begun = Instant::now();
            // First what leaves: a stream may begin anew in the same batch.
            let recorded = self.record(&batch.rows);
            let forgotten = recorded.and_then(|()| self.store.forget(&batch.forget));
            let committed = forgotten.and_then(|()| self.store.commit(&batch.state));
            self.patience.beat();
            match committed {
                Ok(committed) => {
                    let updates = batch.state.streams.values();
                    let entries: usize = updates.clone().map(|update| update.entries.len()).sum();
                    self.metrics.entries.inc_by(entries as u64);
                    self.metrics
                        .checkpoints
                        .inc_by(updates.filter(|update| update.checkpoint.is_some()).count() as u64);
                    self.metrics.bytes.inc_by(committed.bytes);
                    self.metrics.commit_duration.observe(begun.elapsed().as_secs_f64());
                    if is_retry {
                        self.health.set_commit_failing(false);
                        info!("state is durable again");
                    }
                    return Ok(true);
                }
                Err(stale @ StoreError::StaleOwner { .. }) => return Err(stale),
                Err(why) => {
                    self.metrics.commit_failures.inc();
                    self.health.set_commit_failing(true);
                    if !is_retry {
                        error!("state is not durable, readings stay unacknowledged: {why}; trying again");
                    }
                    is_retry = true;
                    if self.patience.pause(self.retry_every).is_err() {
                        self.health.set_commit_failing(false);
                        return Ok(false);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Component, Metrics};
    use crate::runtime::batch::OpenBatch;
    use crate::runtime::engine::Accepted;
    use crate::runtime::record::Entry;
    use crate::runtime::stop::Stop;
    use crate::state::memory::MemoryStore;
    use crate::state::{Committed, Stored, StreamInfo};
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    /// What happened, in order.
    type Events = Arc<Mutex<Vec<String>>>;

    struct Ack(u32, Events);

    impl Acknowledge for Ack {
        fn is_awaited(&self) -> bool {
            true
        }

        fn done(self) {
            self.1.lock().unwrap().push(format!("ack {}", self.0));
        }
    }

    /// A broker that takes forecasts, or never does.
    struct Broker(bool, Events);

    impl Delivery for Broker {
        async fn delivered(&self) -> bool {
            match self.0 {
                true => self.1.lock().unwrap().push("delivered".into()),
                false => std::future::pending::<()>().await,
            }
            true
        }
    }

    /// Fails so many times.
    struct Store(MemoryStore, Mutex<u32>, Events);

    impl StateStore for Store {
        fn load(&self, stream: &str) -> Result<Option<Stored>, StoreError> {
            self.0.load(stream)
        }

        fn history(&self, stream: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
            self.0.history(stream, limit)
        }

        fn commit(&self, batch: &crate::state::Batch) -> Result<Committed, StoreError> {
            let mut failures = self.1.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(StoreError::Io {
                    path: PathBuf::new(),
                    source: std::io::ErrorKind::StorageFull.into(),
                });
            }
            self.2.lock().unwrap().push(format!("commit {}", batch.streams.len()));
            self.0.commit(batch)
        }

        fn streams(&self) -> Result<Vec<StreamInfo>, StoreError> {
            self.0.streams()
        }

        fn forget(&self, streams: &[String]) -> Result<(), StoreError> {
            self.0.forget(streams)
        }
    }

    struct Bench {
        events: Events,
        stop: Stop,
        writer: Writer<Broker>,
        runtime: tokio::runtime::Runtime,
    }

    impl Bench {
        fn new(failures: u32, broker_takes: bool) -> Self {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_time()
                .build()
                .unwrap();
            let events = Events::default();
            let (stop, signal) = Stop::new();
            let (health, metrics) = (Arc::new(Health::new()), Metrics::new().state);
            let store = Store(MemoryStore::new(10), Mutex::new(failures), events.clone());
            let writer = Writer {
                store: Arc::new(store),
                recorder: None,
                forecasts: Some(Broker(broker_takes, events.clone())),
                retry_every: Duration::from_millis(1),
                durable: Arc::new([AtomicU64::new(0), AtomicU64::new(0)]),
                patience: Patience {
                    stop: signal,
                    heartbeat: health.watch(Component::Writer),
                    runtime: runtime.handle().clone(),
                },
                uncommitted: Arc::new(Uncommitted::new(metrics.clone())),
                metrics,
                health,
            };
            Bench {
                events,
                stop,
                writer,
                runtime,
            }
        }

        fn batch(&self, worker: usize, message: u32) -> Batch<Ack> {
            let mut open = OpenBatch::new();
            let entry = Entry::Readings {
                time_ms: message.into(),
                values: vec![(0, 1.0)],
            };
            open.add(
                format!("stream {worker}"),
                &Accepted {
                    entries: vec![entry],
                    readings: 1,
                },
            );
            open.add_ack(Ack(message, self.events.clone()));
            open.close(worker).unwrap()
        }
    }

    #[test]
    fn forecasts_then_commit_then_acknowledgements() {
        let bench = Bench::new(0, true);
        let (batches, waiting) = channel();
        batches.send(bench.batch(0, 1)).unwrap();
        batches.send(bench.batch(1, 2)).unwrap();
        drop(batches);
        let (events, durable) = (bench.events.clone(), bench.writer.durable.clone());
        bench.writer.run(&waiting).unwrap();
        assert_eq!(*events.lock().unwrap(), ["delivered", "commit 2", "ack 1", "ack 2"]);
        assert_eq!(durable[0].load(Ordering::Relaxed), 1);
        drop(bench.runtime);
    }

    #[test]
    fn a_failed_commit_acknowledges_nothing_and_is_retried() {
        let bench = Bench::new(3, true);
        let (batches, waiting) = channel();
        batches.send(bench.batch(0, 1)).unwrap();
        drop(batches);
        let (events, metrics) = (bench.events.clone(), bench.writer.metrics.clone());
        bench.writer.run(&waiting).unwrap();
        assert_eq!(*events.lock().unwrap(), ["delivered", "commit 1", "ack 1"]);
        assert_eq!(metrics.commit_failures.get(), 3);
    }

    #[test]
    fn stop_under_back_pressure_acknowledges_nothing_uncommitted() {
        // The broker takes no forecasts, then the daemon stops.
        let bench = Bench::new(0, false);
        let (batches, waiting) = channel();
        batches.send(bench.batch(0, 1)).unwrap();
        batches.send(bench.batch(0, 2)).unwrap();
        drop(batches);
        bench.stop.ask(Duration::ZERO);
        let events = bench.events.clone();
        bench.writer.run(&waiting).unwrap();
        assert!(events.lock().unwrap().is_empty(), "{events:?}");
    }

    #[test]
    fn stop_with_a_full_disk_acknowledges_nothing() {
        let bench = Bench::new(u32::MAX, true);
        let (batches, waiting) = channel();
        batches.send(bench.batch(0, 1)).unwrap();
        drop(batches);
        bench.stop.ask(Duration::ZERO);
        let events = bench.events.clone();
        bench.writer.run(&waiting).unwrap();
        assert_eq!(*events.lock().unwrap(), ["delivered"]);
    }

    #[test]
    fn a_batch_that_its_worker_dropped_is_not_acknowledged() {
        // A worker that panics drops its open batch and its end of the channel.
        let bench = Bench::new(0, true);
        let (batches, waiting) = channel::<Batch<Ack>>();
        let open = bench.batch(0, 1);
        let worker = std::thread::spawn(move || {
            let _unfinished = (batches, open);
            panic!("a worker that fails on purpose");
        });
        assert!(worker.join().is_err());
        let events = bench.events.clone();
        bench.writer.run::<Ack>(&waiting).unwrap();
        assert!(events.lock().unwrap().is_empty(), "{events:?}");
    }

    #[test]
    fn a_writer_that_waits_for_the_broker_stays_alive() {
        let bench = Bench::new(0, false);
        let (batches, waiting) = channel();
        batches.send(bench.batch(0, 1)).unwrap();
        drop(batches);
        let health = bench.writer.health.clone();
        let writer = bench.writer;
        let writer = std::thread::spawn(move || writer.run(&waiting));
        // The wait is longer than a pause between heartbeats, and shorter than what counts as stalled.
        std::thread::sleep(Duration::from_millis(1500));
        let soon = Instant::now() + crate::observe::health::STALLED_AFTER - Duration::from_millis(500);
        assert_eq!(health.is_alive(soon), Ok(()));
        bench.stop.ask(Duration::ZERO);
        writer.join().unwrap().unwrap();
    }
}
