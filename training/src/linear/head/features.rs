//! Feature sets of the linear head that are tried.

use tsm2_core::{Config, LinearHead, SEASON_RATES};

/// Numbers of lags tried.
pub(super) const LAGS: [usize; 7] = [1, 4, 12, 24, 96, 256, 512];

/// Numbers of the other variates' samples tried.
pub(super) const CROSS_LAGS: [usize; 3] = [2, 8, 24];

/// Largest number of lags of a map per variate: each variate alone must have enough examples.
const PER_VARIATE_LAGS: usize = 96;

/// Positions of the features of `narrow` among those of `widest`.
pub(super) fn positions(config: &Config, widest: &LinearHead, narrow: &LinearHead) -> Vec<usize> {
    let tail = |start: usize, wide: usize, keep: usize| start + wide - keep..start + wide;
    let season = |linear_head: &LinearHead| linear_head.season.map_or(0, |s| s.period * SEASON_RATES.len());
    let (cross, others) = (widest.lags + season(widest), config.variates - 1);
    let mut positions: Vec<usize> = tail(0, widest.lags, narrow.lags).collect();
    positions.extend(widest.lags..widest.lags + season(narrow));
    for other in 0..others {
        positions.extend(tail(cross + other * widest.cross_lags, widest.cross_lags, narrow.cross_lags));
    }
    let mut start = cross + others * widest.cross_lags;
    for (wide, keep, count) in [
        (widest.calendar, narrow.calendar, config.calendar.len()),
        (widest.future_covariates, narrow.future_covariates, config.future_len()),
    ] {
        let end = start + if wide { count } else { 0 };
        positions.extend((start..end).filter(|_| keep));
        start = end;
    }
    positions
}

/// The feature sets within `widest` that are tried.
pub(super) fn candidates(widest: &LinearHead) -> Vec<LinearHead> {
    let mut list = Vec::new();
    let seasons = if widest.season.is_some() {
        vec![None, widest.season]
    } else {
        vec![None]
    };
    let both = |possible: bool| [false, true].into_iter().filter(move |&seen| possible || !seen);
    let seen = both(widest.calendar)
        .flat_map(|calendar| both(widest.future_covariates).map(move |future_covariates| (calendar, future_covariates)));
    for (season, (calendar, future_covariates)) in seasons.iter().flat_map(|&season| seen.clone().map(move |seen| (season, seen))) {
        let fewest = if season.is_some() { vec![0] } else { vec![] };
        for lags in fewest.into_iter().chain(LAGS.into_iter().filter(|&l| l <= widest.lags)) {
            let linear_head = |per_variate, cross_lags| LinearHead {
                lags,
                season,
                cross_lags,
                calendar,
                future_covariates,
                per_variate,
                ..LinearHead::default()
            };
            list.push(linear_head(false, 0));
            if lags <= PER_VARIATE_LAGS {
                list.push(linear_head(true, 0));
                let cross = CROSS_LAGS.into_iter().filter(|&c| c <= widest.cross_lags && c <= lags.max(2));
                list.extend(cross.map(|cross_lags| linear_head(true, cross_lags)));
            }
        }
    }
    list
}
