//! Router, worker and writer together, over messages and a store in memory. The session never connects,
//! so it takes every forecast and keeps the newest of each topic.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tsm2_mqtt::{Publisher, Receiver, Session, SessionOptions};

use crate::config::{Config, Prepared, prepare};
use crate::observe::{Component, Health, Metrics};
use crate::runtime::admission::Admission;
use crate::runtime::batch::Uncommitted;
use crate::runtime::engine::{Engine, Input};
use crate::runtime::forecasts::Forecasts;
use crate::runtime::patience::Patience;
use crate::runtime::queue::{Next, RoundRobinQueue};
use crate::runtime::router::Router;
use crate::runtime::source::{Acknowledge, Message, Source};
use crate::runtime::stop::Stop;
use crate::runtime::worker::{Routed, Worker};
use crate::runtime::writer::Writer;
use crate::state::memory::MemoryStore;
use crate::state::{Batch, StateStore, Stored, StreamUpdate};

/// Milliseconds between the time steps of the model.
const HOUR: Duration = Duration::from_secs(3600);

/// Adds its number to the list when it is done.
struct Ack(u32, bool, Arc<Mutex<Vec<u32>>>);

impl Acknowledge for Ack {
    fn is_awaited(&self) -> bool {
        self.1
    }

    fn done(self) {
        self.2.lock().unwrap().push(self.0);
    }
}

struct Messages(std::vec::IntoIter<Message<Ack>>);

impl Source for Messages {
    type Ack = Ack;

    async fn recv(&mut self) -> Option<Message<Ack>> {
        self.0.next()
    }
}

struct Bench {
    prepared: Arc<Prepared>,
    metrics: Metrics,
    health: Arc<Health>,
    store: Arc<MemoryStore>,
    acknowledged: Arc<Mutex<Vec<u32>>>,
    queues: Vec<Arc<RoundRobinQueue<Routed<Ack>>>>,
    ends: (Session, Publisher, Receiver),
}

impl Bench {
    /// With the hourly model `etth1` and so many workers. `change`: the prepared configuration.
    fn new(workers: usize, change: impl FnOnce(&mut Prepared)) -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/etth1/model.safetensors");
        let mut prepared = prepare(&Config::new(model, "s/{stream}")).unwrap();
        prepared.workers = workers;
        change(&mut prepared);
        let mut options = SessionOptions::new("127.0.0.1", 1, "bench");
        options.filters.clear();
        Bench {
            prepared: Arc::new(prepared),
            metrics: Metrics::new(),
            health: Arc::default(),
            store: Arc::new(MemoryStore::new(10)),
            acknowledged: Arc::default(),
            queues: (0..workers).map(|_| Arc::new(RoundRobinQueue::new())).collect(),
            ends: Session::start(options).unwrap(),
        }
    }

    /// Message `number` at hour `hour` of 1970, all variates in one object.
    fn message(&self, number: u32, topic: &str, hour: u32, is_awaited: bool) -> Message<Ack> {
        let variates = &self.prepared.bundle.meta().variates;
        let fields: Vec<String> = variates.iter().map(|variate| format!("\"{}\":1.5", variate.name)).collect();
        Message {
            topic: topic.to_owned(),
            payload: format!("{{{}}}", fields.join(",")).into(),
            retained: false,
            arrived: SystemTime::UNIX_EPOCH + hour * HOUR,
            arrived_at: Instant::now(),
            ack: Ack(number, is_awaited, self.acknowledged.clone()),
            budget: None,
        }
    }

    /// Routes the messages.
    async fn route(&self, messages: Vec<Message<Ack>>) {
        let router = Router {
            prepared: self.prepared.clone(),
            queues: self.queues.clone(),
            in_flight: self.ends.2.in_flight(),
            metrics: self.metrics.input.clone(),
            heartbeat: self.health.watch(Component::Router),
        };
        router.run(Messages(messages.into_iter())).await;
    }

    /// Routes the messages, processes them and commits.
    async fn run(&self, messages: Vec<Message<Ack>>) {
        self.route(messages).await;
        let (stop, signal) = Stop::new();
        let patience = |component| Patience {
            stop: signal.clone(),
            heartbeat: self.health.watch(component),
            runtime: Handle::current(),
        };
        let (batches, closed) = mpsc::channel();
        let durable: Arc<[AtomicU64]> = self.queues.iter().map(|_| AtomicU64::new(0)).collect();
        let uncommitted = Arc::new(Uncommitted::new(self.metrics.state.clone()));
        let writer = Writer::<Publisher> {
            recorder: None,
            store: self.store.clone(),
            forecasts: None,
            retry_every: Duration::from_millis(1),
            durable: durable.clone(),
            uncommitted: uncommitted.clone(),
            patience: patience(Component::Writer),
            metrics: self.metrics.state.clone(),
            health: self.health.clone(),
        };
        let reports = self.metrics.workers(self.queues.len());
        let mut threads = Vec::new();
        for ((number, queue), report) in self.queues.iter().enumerate().zip(reports) {
            queue.close();
            let worker = Worker {
                number,
                prepared: self.prepared.clone(),
                queue: queue.clone(),
                store: self.store.clone(),
                batches: batches.clone(),
                durable: durable.clone(),
                uncommitted: uncommitted.clone(),
                in_flight: self.ends.2.in_flight(),
                forecasts: Forecasts::new(self.prepared.clone(), self.ends.1.clone(), None, None),
                patience: patience(Component::Worker(number)),
                admission: Arc::new(Admission::new(self.prepared.max_streams)),
                metrics: self.metrics.clone(),
                report,
            };
            threads.push(tokio::task::spawn_blocking(move || worker.run()));
        }
        drop(batches);
        let writing = tokio::task::spawn_blocking(move || writer.run(&closed));
        for thread in threads {
            thread.await.unwrap();
        }
        writing.await.unwrap().unwrap();
        drop(stop);
    }

    fn acknowledged(&self) -> Vec<u32> {
        let mut numbers = self.acknowledged.lock().unwrap().clone();
        numbers.sort_unstable();
        numbers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_measured_by_the_monotonic_clock() {
    // By the wall clock the message arrived in 1970.
    let bench = Bench::new(1, |_| ());
    bench.run(vec![bench.message(1, "s/a", 5, true)]).await;
    let latency = &bench.metrics.input.latency;
    assert_eq!((latency.get_sample_count(), bench.acknowledged()), (1, vec![1]));
    assert!(latency.get_sample_sum() < HOUR.as_secs_f64(), "{}", latency.get_sample_sum());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_no_stream_is_acknowledged_and_counted() {
    let bench = Bench::new(2, |_| ());
    bench
        .run(vec![bench.message(1, "other/topic", 0, true), bench.message(2, "s/a", 0, true)])
        .await;
    assert_eq!(bench.acknowledged(), [1, 2]);
    let summary = bench.metrics.summary();
    assert_eq!((summary.messages, summary.time_steps, summary.rejected["topic"]), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_no_broker_limits_is_dropped_and_counted() {
    let bench = Bench::new(1, |_| ());
    let flood = (0..3000).map(|number| bench.message(number, "s/a", 0, false)).collect();
    bench.route(flood).await;
    assert_eq!(bench.metrics.input.dropped_messages.get(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_window_wakes_the_workers_that_have_nothing_new() {
    let bench = Bench::new(2, |prepared| prepared.max_inflight = 0);
    bench.route(vec![bench.message(1, "s/a", 0, true)]).await;
    let for_ever = Duration::from_secs(u32::MAX.into());
    for queue in &bench.queues {
        let mut next = queue.pop(for_ever);
        if let Next::Message(_) = next {
            next = queue.pop(for_ever);
        }
        assert!(matches!(next, Next::Idle));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_kept_beside_the_next_one() {
    let durability = |prepared: &mut Prepared| {
        prepared.state = Some(crate::config::Durability {
            path: "unused".into(),
            readings: 1,
            every: HOUR,
            warmup_steps: 10,
            idle_eviction: HOUR,
            max_streams_in_memory: 10,
        });
    };
    let bench = Bench::new(1, durability);
    let (key, damaged) = (bench.prepared.fingerprint.key("a"), vec![0xff; 50]);
    let update = StreamUpdate {
        entries: Vec::new(),
        checkpoint: Some(damaged.clone()),
    };
    let streams = [(key.clone(), update)].into();
    bench.store.commit(&Batch { streams }).unwrap();
    bench.run(vec![bench.message(1, "s/a", 0, true)]).await;
    let mut kept = bench.store.streams().unwrap();
    kept.retain(|info| info.name != key);
    assert_eq!(kept.len(), 1);
    assert!(kept[0].name.starts_with(&format!("{key}.damaged-")), "{}", kept[0].name);
    let stored = |name: &str| bench.store.load(name).unwrap().unwrap().checkpoint.unwrap();
    assert_eq!(stored(&kept[0].name), damaged);
    assert_ne!(stored(&key), damaged, "the stream has a checkpoint again");
    let page = bench.metrics.page(&bench.health);
    assert!(page.contains("tsm2_edge_unused_streams{reason=\"damaged\"} 1"), "{page}");
    assert_eq!(bench.acknowledged(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_gap_calls_back_for_each_time_step_so_that_heartbeats_go_on() {
    let bench = Bench::new(1, |_| ());
    let mut engine = Engine::new(&bench.prepared, bench.metrics.input.clone());
    let (mut steps, mut tail) = (0, Vec::new());
    for hour in [0, 1000] {
        let Message {
            topic, payload, arrived, ..
        } = bench.message(1, "s/a", hour, true);
        let arrived = arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let input = Input {
            topic: &topic,
            address: &bench.prepared.topics.parse(&topic).unwrap(),
            payload: &payload,
            retained: false,
            arrival_ms: arrived.as_millis() as i64,
        };
        let accepted = engine.take(&input, |_| steps += 1).unwrap();
        tail.extend(accepted.entries.iter().map(|entry| entry.encode()));
    }
    assert_eq!(steps, 1001);
    let (mut replayed, stored) = (0, Stored { checkpoint: None, tail });
    engine.load("b", &stored, 0, Vec::new, || replayed += 1);
    assert_eq!(replayed, 1001);
}
