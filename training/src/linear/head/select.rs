//! From moments to one linear head: for every band of leads the plainest kind of map that nothing beats for certain.
//!
//! The kinds, each of which must be better than those before it by its margin, and in every part of the validation rows: the last sample or the last
//! season repeated, one map that variates share, a map per variate, and one that also sees the other variates. Maps that trust the level of the
//! training rows to stay are kept apart from those that know no level: where they are better they are given a share of the forecast that grows
//! with how many times validation holds the lead, for whether a level stays for so long is told once in so many rows only, and an average of
//! two forecasts is at most as wrong as they are on average. For the same reason maps of other views and kinds, with and without the season, that are
//! about as good on validation share the forecast equally: which of them is the best is chance, and what they err by differs.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use ndarray::{Array2, s};
use tsm2_core::{CALENDAR, Config, LinearHead, Normalizer, SEASON_RATES};

use super::gather::{Gathered, PARTS};
use super::{CROSS_LAGS, LAGS, LinearModel};
use crate::evaluate::errors::certainty;
use crate::linear::ridge::{Moments, RidgeError, bands, fit_bands};

/// Ridges tried, relative to the mean diagonal of the features' second moments.
const LAMBDAS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Multiply-adds that solving one candidate for every variate may cost.
const SOLVING: f64 = 1e10;

/// The most lags for which every variate may have a map of its own: there must be enough examples of one variate for each.
const OWN_LAGS: usize = 96;

/// By what share a map that trusts the level must be better than one that does not, beside the margin of its kind where that is more particular.
const LEVEL_MARGIN: f64 = 0.01;

/// By what share a map that sees the calendar must be better than one that does not: a habit is learned from as many examples as it was followed.
const CALENDAR_MARGIN: f64 = 0.02;

/// A map that errs at most by this share more than the chosen one is as good. One that is no more particular is so up to a larger share where validation is
/// less certain.
const AS_GOOD: f64 = 0.01;

/// Where validation is least certain: the share up to which a map that is no more particular is as good.
const STILL_AS_GOOD: f64 = 0.1;

/// What the ridge draws a map to: what is forecast where the examples say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum View {
    /// The normalizer's level.
    Level,
    /// The mean of the lags, relative to which lags and seasonal averages are seen; other variates relative to their newest samples.
    Mean,
    /// The newest sample, likewise.
    Last,
}

/// How particular a map is; the order is that in which they must prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Repeat,
    Shared,
    Own,
    Cross,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Repeat, Kind::Shared, Kind::Own, Kind::Cross];

    /// By what share it must be better than the plainer ones where validation is certain, for what is more particular is the first to fail on the rows
    /// to come.
    fn margin(self) -> f64 {
        match self {
            Kind::Repeat => 0.0,
            Kind::Shared | Kind::Own => 0.01,
            Kind::Cross => 0.05,
        }
    }
}

/// What distinguishes maps of which the best is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    /// Whether it trusts the level.
    trusts: bool,
    /// Whether it sees the calendar.
    dated: bool,
    kind: Kind,
    view: View,
    /// Whether it sees seasonal averages.
    seasonal: bool,
}

/// A map for the leads of one band, and its errors on validation in units of z.
struct Fitted {
    sort: Sort,
    linear_head: LinearHead,
    /// `[leads of the band, features]` per variate, or one for all.
    weights: Vec<Array2<f64>>,
    /// Sums of squared errors over the band, by part of the validation rows.
    errors: [f64; PARTS],
}

impl Fitted {
    fn whole(&self) -> f64 {
        self.errors.iter().sum()
    }

    /// Whether it is better by this share on the whole, and at all in every part.
    fn beats(&self, other: &Fitted, margin: f64) -> bool {
        let everywhere = self.errors.iter().zip(&other.errors).all(|(own, other)| own <= other);
        everywhere && self.whole() < (1.0 - margin) * other.whole()
    }
}

/// Of the maps for one band the best of each sort.
type Bests = BTreeMap<Sort, Fitted>;

/// The forecast of the leads of one band, in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    pub(super) leads: Range<usize>,
    what: String,
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leads {}..={}: {}", self.leads.start + 1, self.leads.end, self.what)
    }
}

/// The best linear head under one normalizer; `origins` is the number of forecasts that validation holds.
pub(super) fn best_of(gathered: &Gathered, normalizer: Normalizer, config: &Config, origins: usize) -> Result<LinearModel, RidgeError> {
    let leads = bands(config.horizon);
    let fitted = fit_all(gathered, normalizer, config, &leads)?;
    let mut parts: Vec<(Band, Vec<(&Fitted, f64)>)> = Vec::new();
    for (leads, bests) in leads.into_iter().zip(&fitted) {
        let certain = certainty(origins, leads.end);
        let (free, level) = (ladder(bests, false, certain), ladder(bests, true, certain));
        let chosen = match (free, level) {
            (Some(free), Some(level)) => {
                let kind = if level.sort.kind > free.sort.kind {
                    level.sort.kind.margin()
                } else {
                    0.0
                };
                match level.beats(free, (LEVEL_MARGIN + kind) / certain) {
                    true => vec![(level, certain), (free, 1.0 - certain)],
                    false => vec![(free, 1.0)],
                }
            }
            (free, level) => Vec::from_iter(free.or(level).map(|only| (only, 1.0))),
        };
        let said = chosen.iter().map(|(f, share)| match *share < 1.0 {
            true => format!("{share:.2} of {f}"),
            false => f.to_string(),
        });
        let mut what = said.collect::<Vec<_>>().join(" and ");
        let alone = chosen.len();
        let chosen: Vec<_> = chosen.into_iter().flat_map(|(f, share)| beside(f, share, bests, certain)).collect();
        if chosen.len() > alone {
            what += &format!(", beside {} as good", chosen.len() - alone);
        }
        parts.push((Band { leads, what }, chosen));
    }
    let chosen = || parts.iter().flat_map(|(_, chosen)| chosen.iter().map(|(f, _)| f));
    let linear_head = LinearHead {
        lags: chosen().map(|f| f.linear_head.lags).max().unwrap_or(0),
        season: chosen().find_map(|f| f.linear_head.season),
        cross_lags: chosen().map(|f| f.linear_head.cross_lags).max().unwrap_or(0),
        calendar: chosen().any(|f| f.linear_head.calendar),
        future_covariates: chosen().any(|f| f.linear_head.future_covariates),
        per_variate: chosen().any(|f| f.linear_head.per_variate),
    };
    let features = Config { linear_head, ..*config }.linear_head_features();
    let mut weights = vec![Array2::<f64>::zeros((config.horizon, features)); if linear_head.per_variate { config.targets() } else { 1 }];
    for (band, chosen) in &parts {
        for (part, share) in chosen {
            let positions = positions(config, &linear_head, &part.linear_head);
            for (m, whole) in weights.iter_mut().enumerate() {
                let own = &part.weights[if part.weights.len() > 1 { m } else { 0 }];
                for (own, &position) in own.columns().into_iter().zip(&positions) {
                    whole.slice_mut(s![band.leads.clone(), position]).scaled_add(*share, &own);
                }
            }
        }
    }
    let positions = positions(config, &gathered.widest, &linear_head);
    let validation: Vec<_> = gathered
        .validation
        .iter()
        .map(|parts| parts.each_ref().map(|part| part.sub(&positions)))
        .collect();
    let errors = errors(validation.iter().zip(weights.iter().cycle()), config.horizon);
    let mse = (0..config.horizon)
        .map(|lead| errors.iter().map(|part| part[lead]).sum::<f64>() / gathered.examples)
        .collect();
    Ok(LinearModel {
        normalizer,
        features: linear_head,
        weights: weights.iter().flat_map(|w| w.iter().map(|&w| w as f32)).collect(),
        mse,
        bands: parts.into_iter().map(|(band, _)| band).collect(),
    })
}

/// The last kind that proves itself, among those that trust the level or those that do not; then, if it does too, the last that sees the calendar.
fn ladder(bests: &Bests, trusts: bool, certain: f64) -> Option<&Fitted> {
    let last = |dated| {
        let kinds = Kind::ALL.into_iter().filter_map(|kind| {
            let of_kind = |sort: Sort| (sort.trusts, sort.dated, sort.kind) == (trusts, dated, kind);
            let views = bests.values().filter(|map| of_kind(map.sort));
            views.min_by(|a, b| a.whole().total_cmp(&b.whole()))
        });
        kinds.reduce(|plainer, next| match next.beats(plainer, next.sort.kind.margin() / certain) {
            true => next,
            false => plainer,
        })
    };
    match (last(false), last(true)) {
        (Some(plain), Some(dated)) if !dated.beats(plain, CALENDAR_MARGIN / certain) => Some(plain),
        (plain, dated) => dated.or(plain),
    }
}

/// What was chosen, with what is as good: maps of one level, in other views, with and without the season, and of other kinds up to a map per variate or the
/// chosen kind. They have equal parts of `share` of the forecast. Nothing stands beside a repetition, which nothing beats.
fn beside<'a>(chosen: &'a Fitted, share: f64, bests: &'a Bests, certain: f64) -> Vec<(&'a Fitted, f64)> {
    let Sort { trusts, dated, kind, .. } = chosen.sort;
    if kind == Kind::Repeat {
        return vec![(chosen, share)];
    }
    let kinds = Kind::Shared..=kind.max(Kind::Own);
    let alike = |sort: &Sort| (sort.trusts, sort.dated) == (trusts, dated) && kinds.contains(&sort.kind);
    let margin = |sort: &Sort| match sort.kind > kind {
        true => AS_GOOD,
        false => (AS_GOOD / certain).min(STILL_AS_GOOD),
    };
    let as_good = |map: &Fitted| map.whole() <= (1.0 + margin(&map.sort)) * chosen.whole();
    let good: Vec<&Fitted> = bests.values().filter(|map| alike(&map.sort) && as_good(map)).collect();
    let each = share / good.len() as f64;
    good.into_iter().map(|map| (map, each)).collect()
}

/// Fits every candidate on the training rows, with the ridge per band that is best on validation, and keeps the best for each band.
fn fit_all(gathered: &Gathered, normalizer: Normalizer, config: &Config, leads: &[Range<usize>]) -> Result<Vec<Bests>, RidgeError> {
    let shared = (
        [sum(gathered.train.iter())],
        [std::array::from_fn(|part| {
            sum(gathered.validation.iter().map(|parts| &parts[part]))
        })],
    );
    let mut bests: Vec<Bests> = leads.iter().map(|_| Bests::new()).collect();
    for linear_head in candidates(&gathered.widest) {
        let positions = positions(config, &gathered.widest, &linear_head);
        let (train, validation) = match linear_head.per_variate {
            true => (gathered.train.as_slice(), gathered.validation.as_slice()),
            false => (shared.0.as_slice(), shared.1.as_slice()),
        };
        let features = positions.len() as f64;
        let once = features * features * (features / 3.0 + 2.0 * config.horizon as f64);
        let differs = linear_head.cross_lags > 0 || gathered.train.len() > 1;
        if linear_head.per_variate && (!differs || (LAMBDAS.len() * train.len()) as f64 * once > SOLVING) {
            continue;
        }
        let kind = match (linear_head.cross_lags, linear_head.per_variate) {
            (1.., _) => Kind::Cross,
            (0, true) => Kind::Own,
            (0, false) => Kind::Shared,
        };
        let examples: Vec<_> = train
            .iter()
            .zip(validation)
            .map(|(train, validation)| (train.sub(&positions), validation.each_ref().map(|part| part.sub(&positions))))
            .collect();
        for view in views(&linear_head, normalizer) {
            let fitted = examples
                .iter()
                .map(|(train, validation)| fit(train, validation, view, config, &linear_head, leads));
            let weights = fitted.collect::<Result<Vec<_>, _>>()?;
            let errors = errors(examples.iter().map(|(_, validation)| validation).zip(&weights), config.horizon);
            // A normalizer that follows knows no level but that of the other variates.
            let trusts = view == View::Level && (normalizer == Normalizer::Global || kind == Kind::Cross);
            let sort = Sort {
                trusts,
                dated: linear_head.calendar,
                kind,
                view,
                seasonal: linear_head.season.is_some(),
            };
            keep(&mut bests, leads, sort, linear_head, &weights, &errors);
        }
    }
    for lags in [Some(1), gathered.widest.season.map(|season| season.period)].into_iter().flatten() {
        if let Some(unseen) = gathered.widest.lags.checked_sub(lags) {
            let linear_head = LinearHead {
                lags,
                ..LinearHead::default()
            };
            let samples: Vec<usize> = (unseen..gathered.widest.lags).collect();
            let validation: Vec<_> = gathered
                .validation
                .iter()
                .map(|parts| parts.each_ref().map(|part| part.sub(&samples)))
                .collect();
            let weights = Array2::from_shape_fn((config.horizon, lags), |(lead, lag)| f64::from(u8::from(lead % lags == lag)));
            let errors = errors(validation.iter().zip(std::iter::repeat(&weights)), config.horizon);
            let sort = Sort {
                trusts: false,
                dated: false,
                kind: Kind::Repeat,
                view: View::Last,
                seasonal: false,
            };
            keep(&mut bests, leads, sort, linear_head, &[weights], &errors);
        }
    }
    Ok(bests)
}

/// Keeps what is the best of its sort so far, band by band.
fn keep(
    bests: &mut [Bests],
    leads: &[Range<usize>],
    sort: Sort,
    linear_head: LinearHead,
    weights: &[Array2<f64>],
    errors: &[Vec<f64>; PARTS],
) {
    for (bests, band) in bests.iter_mut().zip(leads) {
        let errors = errors.each_ref().map(|part| part[band.clone()].iter().sum());
        if bests.get(&sort).is_none_or(|best| errors.iter().sum::<f64>() < best.whole()) {
            let of_band = |weights: &Array2<f64>| weights.slice(s![band.clone(), ..]).to_owned();
            let weights = weights.iter().map(of_band).collect();
            let fitted = Fitted {
                sort,
                linear_head,
                weights,
                errors,
            };
            bests.insert(sort, fitted);
        }
    }
}

/// Sums of squared errors per lead, by part of the validation rows, over variates with the weights of each.
fn errors<'a>(of_variates: impl Iterator<Item = (&'a [Moments; PARTS], &'a Array2<f64>)>, horizon: usize) -> [Vec<f64>; PARTS] {
    let mut errors = std::array::from_fn(|_| vec![0.0; horizon]);
    for (validation, weights) in of_variates {
        for (errors, part) in errors.iter_mut().zip(validation).filter(|(_, part)| part.weight() > 0.0) {
            for (sum, mse) in errors.iter_mut().zip(part.mse(weights)) {
                *sum += mse * part.weight();
            }
        }
    }
    errors
}

/// All examples together; there is at least one variate.
fn sum<'a>(mut moments: impl Iterator<Item = &'a Moments>) -> Moments {
    let first = moments.next().cloned().unwrap_or_else(|| Moments::new(0, 0));
    moments.fold(first, |mut sum, part| {
        sum.merge(part);
        sum
    })
}

/// The views in which a linear head is fitted.
fn views(linear_head: &LinearHead, normalizer: Normalizer) -> impl Iterator<Item = View> {
    let lags = linear_head.lags;
    [View::Level, View::Mean, View::Last].into_iter().filter(move |view| match view {
        View::Level => true,
        // Of one lag, mean and newest are the same. A normalizer that follows has taken its mean already.
        View::Mean => lags > 1 && normalizer == Normalizer::Global,
        View::Last => lags > 0,
    })
}

/// The weights `[H, features]` in a view, as those of the plain features: what the view is drawn to for a variate that was never read in
/// training, and with the strongest ridge for one that was not on validation.
fn fit(
    train: &Moments,
    validation: &[Moments; PARTS],
    view: View,
    config: &Config,
    linear_head: &LinearHead,
    leads: &[Range<usize>],
) -> Result<Array2<f64>, RidgeError> {
    let (features, targets) = (train.features(), train.targets());
    // y - u phi = W A phi, so y = (W A + u) phi.
    let mut u = Array2::<f64>::zeros((1, features));
    match view {
        View::Level => {}
        View::Mean => u.slice_mut(s![.., ..linear_head.lags]).fill(1.0 / linear_head.lags as f64),
        View::Last => u[[0, linear_head.lags - 1]] = 1.0,
    }
    let mut a = Array2::<f64>::eye(features);
    if view != View::Level {
        let own = linear_head.lags + linear_head.season.map_or(0, |season| season.period * SEASON_RATES.len());
        let mut relative = a.slice_mut(s![..own, ..]);
        relative -= &u;
        let cross = own..own + (config.variates - 1) * linear_head.cross_lags;
        for other in cross.step_by(linear_head.cross_lags.max(1)) {
            let newest = other + linear_head.cross_lags - 1;
            let mut relative = a.slice_mut(s![other..=newest, newest]);
            relative -= 1.0;
        }
    }
    let drawn = u.broadcast((targets, features)).map(|u| u.to_owned()).unwrap_or_default();
    let seen = |moments: &Moments| match view {
        View::Level => moments.clone(),
        _ => moments.map(a.view(), drawn.view()),
    };
    let whole = sum(validation.iter());
    let weights = if train.weight() <= 0.0 {
        return Ok(drawn);
    } else if whole.weight() <= 0.0 {
        seen(train).solve(LAMBDAS[LAMBDAS.len() - 1])?
    } else {
        fit_bands(&seen(train), &seen(&whole), &LAMBDAS, leads)?.0
    };
    Ok(match view {
        View::Level => weights,
        _ => weights.dot(&a) + drawn,
    })
}

/// Positions of a narrower linear head's features among the widest one's.
fn positions(config: &Config, widest: &LinearHead, narrow: &LinearHead) -> Vec<usize> {
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
        (widest.calendar, narrow.calendar, CALENDAR),
        (widest.future_covariates, narrow.future_covariates, config.future_len()),
    ] {
        let end = start + if wide { count } else { 0 };
        positions.extend((start..end).filter(|_| keep));
        start = end;
    }
    positions
}

/// The narrower linear heads that are tried.
fn candidates(widest: &LinearHead) -> Vec<LinearHead> {
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
            };
            list.push(linear_head(false, 0));
            if lags <= OWN_LAGS {
                list.push(linear_head(true, 0));
                let cross = CROSS_LAGS.into_iter().filter(|&c| c <= widest.cross_lags && c <= lags.max(2));
                list.extend(cross.map(|cross_lags| linear_head(true, cross_lags)));
            }
        }
    }
    list
}

impl fmt::Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sort.kind == Kind::Repeat {
            let last = if self.linear_head.lags == 1 { "sample" } else { "season" };
            return write!(f, "the last {last} again");
        }
        let LinearHead {
            lags,
            season,
            cross_lags,
            calendar,
            future_covariates,
            per_variate,
        } = self.linear_head;
        let mut features = Vec::new();
        features.extend((lags > 0).then(|| format!("{lags} lags")));
        features.extend(season.map(|s| format!("averages of a season of {}", s.period)));
        features.extend((cross_lags > 0).then(|| format!("{cross_lags} lags of every other variate")));
        features.extend(calendar.then(|| "the calendar".to_owned()));
        features.extend(future_covariates.then(|| "what is known ahead".to_owned()));
        let weights = if per_variate { "per variate" } else { "shared" };
        let drawn = match self.sort.view {
            View::Level => "the level",
            View::Mean => "the lags' mean",
            View::Last => "the newest sample",
        };
        write!(f, "{} {weights}, drawn to {drawn}", features.join(" + "))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::scale::Scaler;
    use crate::data::split::SplitSpec;
    use crate::data::table::Table;
    use crate::linear::head::gather::gather;

    /// What is chosen for 400 rows of validation out of 2000, forecast 8 rows ahead.
    fn chosen(columns: &[&dyn Fn(usize) -> f32]) -> LinearModel {
        chosen_of(2000, None, columns)
    }

    /// The same of so many rows and a season.
    fn chosen_of(rows: usize, period: Option<usize>, columns: &[&dyn Fn(usize) -> f32]) -> LinearModel {
        let mut text = String::new();
        text.extend((0..columns.len()).map(|column| format!("v{column},")));
        text.pop();
        for row in 0..rows {
            text.push('\n');
            text.extend(columns.iter().map(|column| format!("{},", column(row))));
            text.pop();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, text).unwrap();
        let table = Table::read(&path).unwrap();
        let config = Config {
            variates: columns.len(),
            horizon: 8,
            ..Config::default()
        };
        let split = SplitSpec::Rows([rows / 5 * 4, rows / 5, 0]).resolve(table.len()).unwrap();
        let (scaler, _) = Scaler::fit(&table, split.train_range());
        let gathered = gather(&config, &table, &split, &scaler, period).unwrap();
        best_of(&gathered, Normalizer::Global, &config, split.validation_origins(8)).unwrap()
    }

    /// Numbers without pattern in [-1, 1), the same every time, one per row.
    fn noise(seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..2000).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn walks_without_pattern_are_repeated() {
        let step = |sum: &mut f32, step: f32| {
            *sum += step;
            Some(*sum)
        };
        // By chance a walk may look as if it came back, the more so the further ahead; what is said of the next two rows is to be certain.
        for seed in 0..10 {
            let walk: Vec<f32> = noise(seed).into_iter().scan(0.0, step).collect();
            let choice = chosen(&[&|row| walk[row]]);
            let (first, second) = (&choice.bands[0], &choice.bands[1]);
            assert_eq!([&*first.what, &*second.what], ["the last sample again"; 2], "{seed}: {choice}");
            let lags = choice.features.lags;
            assert!(
                choice.weights[..2 * lags]
                    .chunks(lags)
                    .all(|w| w.iter().sum::<f32>() == 1.0 && w[lags - 1] == 1.0)
            );
        }
    }

    #[test]
    fn of_a_short_recording_with_a_season_the_last_one_is_repeated() {
        let noise = noise(11);
        let choice = chosen_of(
            100,
            Some(12),
            &[&|row| (row as f32 * std::f32::consts::TAU / 12.0).sin() + 0.02 * noise[row]],
        );
        let last = choice.bands.last().unwrap();
        assert_eq!(last.what, "the last season again", "{choice}");
        assert!(choice.mse[7] < 0.01, "{:?}", choice.mse);
    }

    #[test]
    fn a_level_that_stays_is_trusted_the_more_the_shorter_the_lead() {
        let noise = noise(5);
        let choice = chosen(&[&|row| noise[row]]);
        assert!(choice.bands.iter().all(|band| band.what.contains("drawn to the level")), "{choice}");
        // Of white noise nothing but the level is known: a third of its span squared.
        assert!(choice.mse.iter().all(|mse| (mse - 1.0).abs() < 0.1), "{:?}", choice.mse);
        let share = |band: &Band| band.what.split(' ').next().unwrap().parse::<f64>().unwrap();
        let (first, last) = (share(&choice.bands[0]), share(choice.bands.last().unwrap()));
        assert!(first >= 0.95 && (0.5..first).contains(&last), "{choice}");
    }

    #[test]
    fn maps_that_are_as_good_share_the_forecast() {
        let damped = |seed| {
            let push = |value: &mut f32, push: f32| {
                *value = 0.9 * *value + push;
                Some(*value)
            };
            Vec::from_iter(noise(seed).into_iter().scan(0.0, push))
        };
        let (first, second) = (damped(3), damped(4));
        let choice = chosen(&[&|row| first[row], &|row| second[row]]);
        assert!(choice.bands[0].what.contains(" beside "), "{choice}");
        // One row ahead nothing but the push is unknown.
        let unknown = 1.0 - 0.9_f64 * 0.9;
        assert!((choice.mse[0] / unknown - 1.0).abs() < 0.1, "{:?}", choice.mse);
    }

    #[test]
    fn what_is_as_good_depends_on_kind_and_certainty() {
        let plain = Sort {
            trusts: false,
            dated: false,
            kind: Kind::Shared,
            view: View::Last,
            seasonal: false,
        };
        let of = |kind, view, seasonal| Sort {
            kind,
            view,
            seasonal,
            ..plain
        };
        let errs = [
            (plain, 1.0),
            (of(Kind::Shared, View::Mean, false), 1.009),
            (of(Kind::Shared, View::Last, true), 1.05),
            (of(Kind::Shared, View::Mean, true), 1.2),
            (of(Kind::Own, View::Last, false), 1.009),
            (of(Kind::Own, View::Mean, false), 1.05),
            (of(Kind::Cross, View::Last, false), 0.99),
            (Sort { dated: true, ..plain }, 1.0),
            (Sort { trusts: true, ..plain }, 1.0),
        ];
        let fitted = |(sort, error): (Sort, f64)| Fitted {
            sort,
            linear_head: LinearHead::default(),
            weights: Vec::new(),
            errors: [error / PARTS as f64; PARTS],
        };
        let bests: Bests = errs.into_iter().map(|map| (map.0, fitted(map))).collect();
        let beside = |sort: &Sort, certain| {
            let mut shares: Vec<_> = beside(&bests[sort], 0.6, &bests, certain)
                .into_iter()
                .map(|(f, part)| (f.whole(), part))
                .collect();
            shares.sort_by(|a, b| a.0.total_cmp(&b.0));
            shares
        };
        let equal = |errors: &[f64]| Vec::from_iter(errors.iter().map(|&error| (error, 0.6 / errors.len() as f64)));
        assert_eq!(beside(&plain, 1.0), equal(&[1.0, 1.009, 1.009]));
        // A plainer map may be behind by chance where validation is less certain, but not by any amount.
        assert_eq!(beside(&plain, 0.15), equal(&[1.0, 1.009, 1.009, 1.05]));
        assert_eq!(beside(&plain, 0.01), equal(&[1.0, 1.009, 1.009, 1.05]));
        assert_eq!(beside(&of(Kind::Cross, View::Last, false), 1.0), equal(&[0.99]));
    }

    #[test]
    fn the_other_variates_are_seen_where_they_lead() {
        let leader = noise(7);
        let choice = chosen(&[&|row| leader[row], &|row| if row < 3 { 0.0 } else { leader[row - 3] }]);
        assert!(choice.bands[0].what.contains("of every other variate"), "{choice}");
        // Two rows ahead everything of the second is known, and of the first nothing.
        assert!((0.45..0.6).contains(&choice.mse[1]), "{:?}", choice.mse);
    }

    #[test]
    fn bands_with_different_maps_make_one() {
        let slow = |row: usize| (row as f32 / 40.0).sin() * 3.0;
        let (first, second) = (noise(1), noise(2));
        let choice = chosen(&[&|row| slow(row) + 0.1 * first[row], &|row| second[row]]);
        let config = Config {
            variates: 2,
            horizon: 8,
            linear_head: choice.features,
            ..Config::default()
        };
        let maps = if choice.features.per_variate { 2 } else { 1 };
        assert_eq!(choice.weights.len(), maps * 8 * config.linear_head_features());
        assert!(choice.mse.iter().all(|mse| *mse < 0.6), "{:?}", choice.mse);
    }
}
