//! The features of a linear head, which the network reads too: few lags, exponential averages from two readings to a sixteenth of
//! the recording, a seasonal profile, harmonics of day and week, the other variates, future covariates. All have constant state.

use tsm2_core::{Averages, Calendar, Config, LinearHead, Season};

/// Samples before the newest one.
const LAGS: usize = 7;

/// The shortest half-life of an average, in readings.
const SHORTEST: f32 = 2.0;

/// Exponential averages of a variate.
const AVERAGES: usize = 8;

/// The longest half-life is this part of the training rows: one of so many.
const LONGEST: usize = 16;

/// Harmonics of the day and of the week.
const CALENDAR: Calendar = Calendar { day: 6, week: 2 };

/// Places of a season, each with averages at three rates.
const BINS: usize = 32;

/// A season of more horizons than this is left to the harmonics of the calendar, where there is one.
const MOST_HORIZONS: usize = 8;

/// Samples of every variate, before its newest one, that each target sees.
const COMMON_LAGS: usize = 1;

/// Most features of all variates together that each target sees.
const MOST_COMMON: usize = 400;

/// Numbers that all sets of moments together may hold: 4 GiB.
const MEMORY: usize = 1 << 29;

/// The configuration `config` with the features of the linear head: for `rows` training rows, with a season of `period` rows.
/// Whether it uses the calendar is `calendar`. `sets` is the number of sets of moments that are held of each target.
pub fn with_features(config: &Config, rows: usize, period: Option<usize>, calendar: bool, sets: usize) -> Config {
    let period = period.filter(|&period| !calendar || period <= MOST_HORIZONS * config.horizon);
    let season = |bins: usize| {
        period.map(|period| Season {
            period,
            bins: (period > bins).then_some(bins),
            rate: None,
        })
    };
    let longest = (rows / LONGEST).clamp(2, 65_536) as f32;
    let with = |season: Option<Season>, common: bool| {
        let linear_head = LinearHead {
            relative: true,
            lags: LAGS.min(rows / 8).max(1),
            averages: true,
            season,
            common_lags: if common { COMMON_LAGS } else { 0 },
            common_averages: common,
            calendar,
            future_covariates: config.future_covariates > 0,
            per_variate: config.targets() > 1,
            bounded: true,
            ..LinearHead::default()
        };
        Config {
            calendar: CALENDAR,
            averages: Some(Averages {
                count: AVERAGES,
                shortest: SHORTEST,
                longest,
            }),
            linear_head,
            ..*config
        }
    };
    let common = config.variates > 1 && with(None, true).common_len() * config.variates <= MOST_COMMON;
    let numbers = |config: &Config| {
        let features = config.linear_head_features();
        sets * config.targets() * features * (features + config.horizon)
    };
    // From wide to narrow; the last one is taken whatever it holds.
    let wide = [(BINS, common), (BINS / 4, common), (BINS / 4, false)].map(|(bins, common)| with(season(bins), common));
    let narrow = with(None, false);
    wide.into_iter().find(|config| numbers(config) <= MEMORY).unwrap_or(narrow)
}
