//! The shape of the network, and the time that a training takes by default.

use std::time::Duration;

use tsm2_core::{Config, Head, NetworkConfig, S6, VariateMixer};

use super::candidate::MLP;
use crate::data::runs::Part;
use crate::data::split::Split;
use crate::data::table::Table;

/// Up to this many variates are mixed by an MLP, whose cost grows with their square; more by the selective scan.
const MLP_VARIATES: usize = 40;

/// Up to this many variates have a head of their own.
const OWN_HEADS: usize = 40;

/// Minimum time span of the training rows, in ms, for the calendar: two weeks.
const CALENDAR_SPAN: i64 = 14 * 24 * 3_600_000;

/// Readings for which a training takes a second by default.
const READINGS_PER_SECOND: usize = 250;

/// Bounds of the default time, in seconds.
const DEFAULT_SECONDS: (usize, usize) = (20, 600);

/// The configuration before any choice on validation.
pub fn start_config(table: &Table, horizon: usize) -> Config {
    let variates = table.variates();
    let s6 = S6 {
        d_inner: 32,
        d_state: 2,
        dt_rank: 4,
        d_conv: 4,
    };
    let variate_mixer = match variates {
        1 => VariateMixer::None,
        2..=MLP_VARIATES => VariateMixer::Mlp(MLP),
        _ => VariateMixer::S6(s6),
    };
    let head = if variates <= OWN_HEADS { Head::PerVariate } else { Head::Shared };
    Config {
        variates,
        past_covariates: table.past_covariates,
        future_covariates: table.future_covariates,
        horizon,
        network: Some(NetworkConfig {
            time_mixer: s6,
            variate_mixer,
            head,
            ..NetworkConfig::default()
        }),
        ..Config::default()
    }
}

/// The time of a training without a budget: small data train in proportion.
#[must_use]
pub fn default_time(table: &Table) -> Duration {
    let (least, most) = DEFAULT_SECONDS;
    Duration::from_secs((table.values.len() / READINGS_PER_SECOND).clamp(least, most) as u64)
}

/// Whether the training rows have calendar times and those of a device span two weeks.
pub fn spans_weeks(table: &Table, split: &Split) -> bool {
    let pieces = table.part(split, Part::Train);
    let mut ends = Vec::new();
    for piece in pieces.iter() {
        ends.resize(piece.device + 1, None);
        let first = table.time_ms(piece.rows.start);
        let (first, _) = ends[piece.device].unwrap_or((first, first));
        ends[piece.device] = Some((first, table.time_ms(piece.rows.end - 1)));
    }
    table.has_calendar && ends.iter().flatten().any(|(first, last)| last - first >= CALENDAR_SPAN)
}
