//! Several daemons share the streams over one broker, which alone decides who owns what.
//!
//! The streams are divided into partitions by their names. A partition is a persistent MQTT session, `<client id>-p<number>`: a broker lets
//! one client at a time have it and keeps its unacknowledged messages for the next, so whoever is connected as the partition owns it, and the
//! state of its streams lies in retained messages that only its owner can write. Members tell each other that they are there by a retained
//! message each, with a Will, and each partition falls to the member that wins a hash of both names (rendezvous hashing), so that one that
//! joins or leaves moves no other partitions than its own.
//!
//! Invariants: a member without a connection owns nothing; an ownership lasts as long as one connection and no longer, for after it somebody
//! else may have gone on; when two members disagree for a moment the broker has one of them disconnected, and a reading's state is committed
//! before it is acknowledged, so that nothing is lost or counted twice.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};
use tsm2_mqtt::{Incoming, Session, SessionOptions, Status};

use crate::daemon::DaemonError;
use crate::pipeline::{Pipeline, Share};
use crate::report::Summary;
use crate::retained::Retained;
use crate::service::{Member, Service};
use crate::shard::hash;
use crate::vitals::Vitals;

/// Seconds between signs of life, at most: a member that is cut off is missed after one and a half of it.
const KEEP_ALIVE_S: u16 = 4;
/// How long after connecting a member listens for others before it takes a partition.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a member that lost a partition which it still thinks its own leaves it alone.
const PAUSE: Duration = Duration::from_secs(2);
/// How often ownership is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Runs as a member until `shutdown` resolves.
pub(crate) async fn run(
    service: &Arc<Service>,
    member: &Member,
    vitals: &Arc<Vitals>,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, DaemonError> {
    let members_topic = format!("{}/cluster/members/", service.prefix);
    let mut options = options(service);
    options.client_id = format!("{}-{}", options.client_id, member.name);
    options.filters = vec![format!("{members_topic}+")];
    options.status_topic = Some(format!("{members_topic}{}", member.name));
    options.persistent = false; // who is there is told anew
    let (session, _, mut receiver) = Session::start(options)?;
    info!(member = member.name, partitions = member.partitions, "a member of a cluster");
    let mut cluster = Cluster {
        service,
        member,
        vitals,
        members: BTreeSet::new(),
        since: None,
        tenures: (0..member.partitions).map(|_| Tenure::Vacant { from: Instant::now() }).collect(),
        running: JoinSet::new(),
        summary: Summary::default(),
    };
    vitals.restored();
    tokio::pin!(shutdown);
    let mut look = tokio::time::interval(LOOK);
    let done = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            incoming = receiver.recv() => match incoming {
                Some(incoming) => cluster.hear(&members_topic, incoming),
                None => break Err(DaemonError::SessionEnded),
            },
            Some(ended) = cluster.running.join_next() => match ended {
                Ok((partition, ended)) => cluster.end(partition, ended),
                Err(_) => break Err(DaemonError::Panic),
            },
            _ = look.tick() => cluster.look(session.is_connected()),
        }
    };
    for tenure in &mut cluster.tenures {
        tenure.stop();
    }
    while let Some(ended) = cluster.running.join_next().await {
        if let Ok((partition, ended)) = ended {
            cluster.end(partition, ended);
        }
    }
    vitals.connected(false);
    session.shutdown().await;
    done.map(|()| cluster.summary)
}

/// The broker's settings for each session of a member.
fn options(service: &Service) -> SessionOptions {
    let mut options = service.session.clone();
    options.keep_alive_s = options.keep_alive_s.min(KEEP_ALIVE_S);
    options
}

/// What this member does about a partition.
enum Tenure {
    /// Nothing, and before this moment it does not try.
    Vacant { from: Instant },
    /// It owns it or is about to.
    Held { stop: watch::Sender<bool> },
}

impl Tenure {
    fn stop(&mut self) {
        if let Tenure::Held { stop } = self {
            stop.send_replace(true);
        }
    }
}

struct Cluster<'s> {
    service: &'s Arc<Service>,
    member: &'s Member,
    vitals: &'s Arc<Vitals>,
    /// The members that are there.
    members: BTreeSet<String>,
    /// Since when this one has had a connection.
    since: Option<Instant>,
    tenures: Vec<Tenure>,
    running: JoinSet<(usize, Result<Summary, DaemonError>)>,
    summary: Summary,
}

impl Cluster<'_> {
    /// A member came or left.
    fn hear(&mut self, members_topic: &str, incoming: Incoming) {
        if let Some(name) = incoming.topic.strip_prefix(members_topic) {
            let is_there = incoming.payload.as_ref() == Status::Online.as_str().as_bytes();
            let is_news = match is_there {
                true => self.members.insert(name.to_owned()),
                false => self.members.remove(name),
            };
            if is_news && name != self.member.name {
                info!(member = name, is_there, "another member");
            }
        }
        incoming.ack.done();
    }

    /// Takes what falls to this member and gives up what does not.
    fn look(&mut self, is_connected: bool) {
        self.vitals.connected(is_connected);
        self.since = is_connected.then(|| self.since.unwrap_or_else(Instant::now));
        if !is_connected {
            // What the others did meanwhile is told anew.
            self.members.clear();
        }
        let is_settled = self.since.is_some_and(|since| since.elapsed() >= SETTLE);
        for partition in 0..self.tenures.len() {
            let is_own = is_connected && owner(&self.members, partition) == Some(&self.member.name);
            match &mut self.tenures[partition] {
                Tenure::Vacant { from } if is_own && is_settled && *from <= Instant::now() => {
                    let (stop, stopped) = watch::channel(false);
                    self.tenures[partition] = Tenure::Held { stop };
                    let (service, member, vitals) = (self.service.clone(), self.member.clone(), self.vitals.clone());
                    self.running
                        .spawn(async move { (partition, hold(service, &member, partition, vitals, stopped).await) });
                }
                Tenure::Held { stop } if !is_own => drop(stop.send_replace(true)),
                _ => {}
            }
        }
    }

    fn end(&mut self, partition: usize, ended: Result<Summary, DaemonError>) {
        match ended {
            Ok(summary) => self.summary += &summary,
            Err(error) => warn!(partition, "a partition cannot be held: {error}"),
        }
        self.tenures[partition] = Tenure::Vacant {
            from: Instant::now() + PAUSE,
        };
    }
}

/// The member to which a partition falls.
fn owner(members: &BTreeSet<String>, partition: usize) -> Option<&String> {
    members.iter().max_by_key(|name| hash(&format!("{partition}/{name}")))
}

/// Owns a partition for one connection, or until it is to stop.
async fn hold(
    service: Arc<Service>,
    member: &Member,
    partition: usize,
    vitals: Arc<Vitals>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Summary, DaemonError> {
    let share = Share::Partition {
        number: partition,
        of: member.partitions,
    };
    let mut options = options(&service);
    options.client_id = format!("{}-p{partition}", options.client_id);
    options.status_topic = Some(format!("{}/cluster/partitions/{partition}", service.prefix));
    if let Some(streams) = &service.streams {
        options.filters = streams
            .iter()
            .filter(|stream| share.has(stream))
            .flat_map(|stream| service.filters_of(stream))
            .collect();
        if options.filters.is_empty() {
            // There is nothing to do, and nobody else has more.
            asked(&mut stopped).await;
            return Ok(Summary::default());
        }
    }
    let ends = Session::start_once(options.clone())?;
    let read = async {
        ends.0.connected().await;
        let reader = format!("{}-{partition}", member.name);
        Retained::read(&service.prefix, partition, &options, &reader, ends.1.clone()).await
    };
    let retained = tokio::select! {
        retained = read => retained?,
        () = asked(&mut stopped) => {
            ends.0.shutdown().await;
            return Ok(Summary::default());
        }
    };
    info!(partition, streams = retained.len(), "a partition is taken over");
    let ended = Pipeline {
        known: Arc::new(AtomicUsize::new(retained.len())),
        shelf: Arc::new(retained),
        service,
        share,
        ends,
        vitals,
        observer: None,
    }
    .run(asked(&mut stopped))
    .await?;
    info!(partition, was_asked = ended.asked, "a partition is given up");
    Ok(ended.summary)
}

/// Waits for the word to stop, or for the end of whoever could give it.
async fn asked(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|&stopped| stopped).await);
}

#[cfg(test)]
mod tests {
    use super::owner;
    use std::collections::BTreeSet;

    fn members(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn partitions_are_spread_and_one_that_leaves_moves_no_others() {
        let all = members(&["a", "b", "c"]);
        let owners: Vec<&String> = (0..60).filter_map(|partition| owner(&all, partition)).collect();
        for name in &all {
            let share = owners.iter().filter(|&&owner| owner == name).count();
            assert!((8..=32).contains(&share), "{name} has {share} of 60");
        }
        let left = members(&["a", "c"]);
        for (partition, before) in owners.into_iter().enumerate() {
            let after = owner(&left, partition).unwrap();
            assert!(
                before == after || before == "b",
                "partition {partition} went from {before} to {after}"
            );
        }
        assert_eq!(owner(&BTreeSet::new(), 0), None);
    }
}
