//! What the vitals say of what they are told.

use std::time::{Duration, Instant};

use super::{LONGEST_SILENCE, NotReady, Part, Score, Shown, Stalled, Vitals};
use crate::runtime::report::Summary;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_part_that_falls_silent_is_named_and_one_that_was_never_heard_of_is_not() {
    let vitals = Vitals::new(2);
    let late = vitals.started + LONGEST_SILENCE + SECOND;
    assert_eq!(vitals.is_alive(late), Ok(()), "nothing has begun");
    for part in [Part::Router, Part::Shard(0), Part::Shard(1)] {
        vitals.beat_at(part, late);
    }
    assert_eq!(vitals.is_alive(late + LONGEST_SILENCE), Ok(()));

    let later = late + LONGEST_SILENCE + SECOND;
    vitals.beat_at(Part::Router, later);
    vitals.beat_at(Part::Shard(0), later);
    let silent = LONGEST_SILENCE + SECOND;
    let stalled = Stalled {
        part: Part::Shard(1),
        silent,
    };
    assert_eq!(vitals.is_alive(later), Err(stalled));
    assert_eq!(stalled.to_string(), "model thread 1 has not been heard of for 31 s");

    vitals.beat_at(Part::Shard(1), later);
    assert_eq!(vitals.is_alive(later), Ok(()), "it is heard of again");
    vitals.beat_at(Part::Shard(2), later); // there is none
}

#[test]
fn it_is_ready_when_state_connection_and_commits_are_in_order() {
    let vitals = Vitals::new(1);
    assert_eq!(vitals.is_ready(), Err(NotReady::Restoring));
    vitals.restored();
    assert_eq!(vitals.is_ready(), Err(NotReady::Disconnected));
    vitals.connected(true);
    assert_eq!(vitals.is_ready(), Ok(()));
    vitals.commit_failed();
    assert_eq!(vitals.is_ready(), Err(NotReady::CommitFailing));
    vitals.committed(1, 100, SECOND);
    assert_eq!(vitals.is_ready(), Ok(()));
    vitals.connected(false);
    assert_eq!(vitals.is_ready(), Err(NotReady::Disconnected));
    vitals.stopping();
    assert_eq!(vitals.is_ready(), Err(NotReady::Stopping));
}

#[test]
fn counts_are_summed_over_shards_and_each_report_replaces_the_last() {
    let vitals = Vitals::new(2);
    let mut summary = Summary {
        messages: 3,
        ..Summary::default()
    };
    summary.refused.insert("late", 1);
    vitals.report(0, &summary, 5);
    summary.messages = 7;
    summary.refused.insert("not_json", 2);
    vitals.report(0, &summary, 4);
    vitals.report(1, &summary, 1);
    vitals.report(2, &summary, 100); // there is none
    let figures = vitals.figures(Instant::now());
    assert_eq!((figures.summary.messages, figures.streams), (14, 5));
    assert_eq!(figures.summary.refused, [("late", 2), ("not_json", 4)].into());
}

#[test]
fn scores_are_summed_over_shards_and_those_of_another_model_are_left_out() {
    let vitals = Vitals::new(2);
    let one = Score {
        weight: 1.0,
        absolute: 2.0,
        ..Score::default()
    };
    vitals.model(Shown::new("a", ["x"], 9));
    assert!(vitals.figures(Instant::now()).scores.is_empty(), "nobody has told any");
    vitals.skill(0, &[one; 3], 1);
    vitals.skill(1, &[one; 3], 2);
    let figures = vitals.figures(Instant::now());
    assert_eq!(figures.scores.len(), 3);
    assert_eq!(
        (figures.scores[2].weight, figures.scores[2].mae(), figures.drifting),
        (2.0, Some(2.0), 3)
    );

    vitals.model(Shown::new("b", ["x", "y"], 9));
    assert!(vitals.figures(Instant::now()).scores.is_empty());
    vitals.skill(0, &[one; 3], 0); // a shard that has not heard of it
    vitals.skill(1, &[one; 6], 0);
    let figures = vitals.figures(Instant::now());
    assert_eq!((figures.scores.len(), figures.scores[0].weight), (6, 1.0));
}

#[test]
fn connections_commits_and_reloads_are_counted() {
    let vitals = Vitals::new(0);
    for connected in [true, true, false, true] {
        vitals.connected(connected);
    }
    for ok in [true, false, false] {
        vitals.reloaded(ok);
    }
    vitals.committed(2, 10, SECOND);
    vitals.committed(3, 20, SECOND);
    vitals.commit_failed();
    let now = vitals.started + 5 * SECOND;
    vitals.uncommitted(9, Some(now));
    let figures = vitals.figures(now + 2 * SECOND);
    assert_eq!((figures.connections, figures.reloads, figures.failed_reloads), (2, 1, 2));
    assert_eq!(
        (figures.committed_streams, figures.committed_bytes, figures.failed_commits),
        (5, 30, 1)
    );
    assert_eq!((figures.commits.cumulative.last(), figures.commits.sum_s), (Some(&2), 2.0));
    assert_eq!((figures.uncommitted, figures.oldest_uncommitted), (9, 2 * SECOND));
    vitals.uncommitted(0, None);
    assert_eq!(vitals.figures(now).oldest_uncommitted, Duration::ZERO);
}

#[test]
fn what_has_ended_leaves_its_counts_and_no_worries() {
    let vitals = Vitals::new(1);
    let summary = Summary {
        messages: 3,
        streams: 1,
        ..Summary::default()
    };
    for _ in 0..2 {
        vitals.report(0, &summary, 1);
        vitals.ended(Part::Shard(0));
    }
    let between = vitals.figures(Instant::now());
    assert_eq!((between.summary.messages, between.summary.streams, between.streams), (6, 0, 0));
    vitals.report(0, &summary, 1);
    let figures = vitals.figures(Instant::now());
    assert_eq!((figures.summary.messages, figures.streams), (9, 1));

    vitals.restored();
    vitals.connected(true);
    vitals.uncommitted(5, Some(Instant::now()));
    vitals.commit_failed();
    vitals.ended(Part::Committer);
    assert_eq!(vitals.is_ready(), Ok(()), "a configuration without a file has no commits that fail");
    assert_eq!(vitals.figures(Instant::now()).uncommitted, 0);
}
