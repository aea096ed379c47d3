//! From moments to one linear read-out: for every band of leads the plainest kind of map that nothing beats for certain.
//!
//! The kinds, each of which must be better than those before it by its margin, and in every part of the validation rows: the newest sample
//! repeated, one map that variates share, a map per variate, and one that also sees the other variates. Maps that trust the level of the
//! training rows to stay are kept apart from those that know no level: where they are better they are given a share of the forecast that grows
//! with how many times validation holds the lead, for whether a level stays for so long is told once in so many rows only, and an average of
//! two forecasts is at most as wrong as they are on average.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use ndarray::{Array2, s};
use tsm2_core::{Config, Normaliser, Readout, SEASON_RATES};

use super::gather::{Gathered, PARTS};
use super::{CROSS_LAGS, Choice, LAGS};
use crate::errors::certainty;
use crate::ridge::{Moments, RidgeError, bands, fit_bands};

/// Ridges tried, relative to the mean diagonal of the features' second moments.
const LAMBDAS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Multiply-adds that solving one candidate for every variate may cost.
const SOLVING: f64 = 1e10;

/// The most lags for which every variate may have a map of its own: there must be enough examples of one variate for each.
const OWN_LAGS: usize = 96;

/// By what share a map that trusts the level must be better than one that does not, beside the margin of its kind where that is more particular.
const LEVEL_MARGIN: f64 = 0.01;

/// What the ridge draws a map to: what is forecast where the examples say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// The normaliser's level.
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

/// A map that was fitted, and its errors on validation in units of z.
struct Fitted {
    readout: Readout,
    view: View,
    /// `[H, features]` per variate, or one for all.
    weights: Vec<Array2<f64>>,
    /// Sums of squared errors per lead, by part of the validation rows.
    errors: [Vec<f64>; PARTS],
}

impl Fitted {
    fn kind(&self) -> Kind {
        match self.readout {
            Readout { cross_lags: 1.., .. } => Kind::Cross,
            Readout { per_variate: true, .. } => Kind::Own,
            Readout { lags: 1, season: None, .. } if self.view == View::Last && self.weights[0].iter().all(|&w| w == 1.0) => Kind::Repeat,
            _ => Kind::Shared,
        }
    }

    fn part(&self, part: usize, band: &Range<usize>) -> f64 {
        self.errors[part][band.clone()].iter().sum()
    }

    fn whole(&self, band: &Range<usize>) -> f64 {
        (0..PARTS).map(|part| self.part(part, band)).sum()
    }

    /// Whether it is better by this share on the whole, and at all in every part.
    fn beats(&self, other: &Fitted, margin: f64, band: &Range<usize>) -> bool {
        let everywhere = (0..PARTS).all(|part| self.part(part, band) <= other.part(part, band));
        everywhere && self.whole(band) < (1.0 - margin) * other.whole(band)
    }
}

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

/// The best read-out under one normaliser; `rows` is the number of validation rows.
pub(super) fn best_of(gathered: &Gathered, normaliser: Normaliser, config: &Config, rows: usize) -> Result<Choice, RidgeError> {
    // A normaliser that follows knows no level but that of the other variates.
    let trusts = |f: &Fitted| f.view == View::Level && (normaliser == Normaliser::Global || f.kind() == Kind::Cross);
    let fitted = fit_all(gathered, normaliser, config)?;
    let mut parts: Vec<(Band, Vec<(&Fitted, f64)>)> = Vec::new();
    for leads in bands(config.horizon) {
        let certain = certainty(rows, leads.end);
        let free = ladder(fitted.iter().filter(|f| !trusts(f)), &leads, certain);
        let level = ladder(fitted.iter().filter(|f| trusts(f)), &leads, certain);
        let chosen = match (free, level) {
            (Some(free), Some(level)) => {
                let kind = if level.kind() > free.kind() { level.kind().margin() } else { 0.0 };
                match level.beats(free, (LEVEL_MARGIN + kind) / certain.powi(2), &leads) {
                    true => vec![(level, certain), (free, 1.0 - certain)],
                    false => vec![(free, 1.0)],
                }
            }
            (free, level) => Vec::from_iter(free.or(level).map(|only| (only, 1.0))),
        };
        let said = chosen.iter().map(|(f, share)| {
            if *share < 1.0 {
                format!("{share:.2} of {f}")
            } else {
                f.to_string()
            }
        });
        let what = said.collect::<Vec<_>>().join(" and ");
        parts.push((Band { leads, what }, chosen));
    }
    let chosen = || parts.iter().flat_map(|(_, chosen)| chosen.iter().map(|(f, _)| f));
    let readout = Readout {
        lags: chosen().map(|f| f.readout.lags).max().unwrap_or(0),
        season: chosen().find_map(|f| f.readout.season),
        cross_lags: chosen().map(|f| f.readout.cross_lags).max().unwrap_or(0),
        per_variate: chosen().any(|f| f.readout.per_variate),
    };
    let others = config.variates - 1;
    let features = Config { readout, ..*config }.readout_features();
    let mut weights = vec![Array2::<f64>::zeros((config.horizon, features)); if readout.per_variate { config.endogenous() } else { 1 }];
    for (band, chosen) in &parts {
        for (part, share) in chosen {
            let positions = positions(&readout, &part.readout, others);
            for (m, whole) in weights.iter_mut().enumerate() {
                let own = &part.weights[if part.weights.len() > 1 { m } else { 0 }];
                for (feature, &position) in positions.iter().enumerate() {
                    for lead in band.leads.clone() {
                        whole[[lead, position]] += own[[lead, feature]] * share;
                    }
                }
            }
        }
    }
    let positions = positions(&gathered.widest, &readout, others);
    let mut mse = vec![0.0; config.horizon];
    for (m, parts) in gathered.validation.iter().enumerate() {
        let weights = &weights[if readout.per_variate { m } else { 0 }];
        for part in parts.iter().filter(|part| part.weight() > 0.0) {
            for (sum, error) in mse.iter_mut().zip(part.sub(&positions).mse(weights)) {
                *sum += error * part.weight() / gathered.examples;
            }
        }
    }
    Ok(Choice {
        normaliser,
        readout,
        weights: weights.iter().flat_map(|w| w.iter().map(|&w| w as f32)).collect(),
        mse,
        bands: parts.into_iter().map(|(band, _)| band).collect(),
    })
}

/// The last kind that proves itself, by the best of it.
fn ladder<'a>(fitted: impl Iterator<Item = &'a Fitted>, leads: &Range<usize>, certain: f64) -> Option<&'a Fitted> {
    let mut best: BTreeMap<Kind, &Fitted> = BTreeMap::new();
    for next in fitted {
        let best = best.entry(next.kind()).or_insert(next);
        if next.whole(leads) < best.whole(leads) {
            *best = next;
        }
    }
    best.into_values().reduce(|plainer, next| {
        if next.beats(plainer, next.kind().margin() / certain.powi(2), leads) {
            next
        } else {
            plainer
        }
    })
}

/// Every candidate, fitted on the training rows, with the ridge per band that is best on validation.
fn fit_all(gathered: &Gathered, normaliser: Normaliser, config: &Config) -> Result<Vec<Fitted>, RidgeError> {
    let sum = |moments: &mut dyn Iterator<Item = &Moments>| {
        let first = moments.next().cloned();
        first.map(|first| {
            moments.fold(first, |mut sum, part| {
                sum.merge(part);
                sum
            })
        })
    };
    let shared = (
        Vec::from_iter(sum(&mut gathered.train.iter())),
        Vec::from_iter(
            sum(&mut gathered.validation.iter().map(|parts| &parts[0]))
                .zip(sum(&mut gathered.validation.iter().map(|parts| &parts[1])))
                .map(|(first, second)| [first, second]),
        ),
    );
    let mut all = Vec::new();
    for readout in candidates(&gathered.widest) {
        let positions = positions(&gathered.widest, &readout, config.variates - 1);
        let (train, validation) = match readout.per_variate {
            true => (&gathered.train, &gathered.validation),
            false => (&shared.0, &shared.1),
        };
        let features = positions.len() as f64;
        let once = features * features * (features / 3.0 + 2.0 * config.horizon as f64);
        if readout.per_variate && (LAMBDAS.len() * train.len()) as f64 * once > SOLVING {
            continue;
        }
        for view in [View::Level, View::Mean, View::Last] {
            // Without lags there is nothing to be relative to; of one lag, mean and newest are the same.
            if view != View::Level && readout.lags == 0 || view == View::Mean && readout.lags == 1 {
                continue;
            }
            // Relative to its own mean, a window is seen the same under every normaliser.
            if view == View::Mean && normaliser != Normaliser::Global {
                continue;
            }
            let mut fitted = Fitted {
                readout,
                view,
                weights: Vec::new(),
                errors: std::array::from_fn(|_| vec![0.0; config.horizon]),
            };
            for (train, validation) in train.iter().zip(validation) {
                let (train, validation) = (train.sub(&positions), validation.each_ref().map(|part| part.sub(&positions)));
                let weights = fit(&train, &validation, view, &readout, &bands(config.horizon))?;
                fitted.add(&validation, weights);
            }
            all.push(fitted);
        }
    }
    all.push(repeat(gathered, config.horizon));
    Ok(all)
}

impl Fitted {
    /// The weights of the next variate, or of all, with what they do on validation.
    fn add(&mut self, validation: &[Moments; PARTS], weights: Array2<f64>) {
        for (errors, part) in self.errors.iter_mut().zip(validation).filter(|(_, part)| part.weight() > 0.0) {
            for (sum, mse) in errors.iter_mut().zip(part.mse(&weights)) {
                *sum += mse * part.weight();
            }
        }
        self.weights.push(weights);
    }
}

/// The newest sample at every lead.
fn repeat(gathered: &Gathered, horizon: usize) -> Fitted {
    let readout = Readout {
        lags: 1,
        season: None,
        cross_lags: 0,
        per_variate: false,
    };
    let mut repeat = Fitted {
        readout,
        view: View::Last,
        weights: Vec::new(),
        errors: std::array::from_fn(|_| vec![0.0; horizon]),
    };
    let newest = [gathered.widest.lags - 1];
    for parts in &gathered.validation {
        repeat.add(&parts.each_ref().map(|part| part.sub(&newest)), Array2::ones((horizon, 1)));
    }
    repeat.weights.truncate(1);
    repeat
}

/// The weights `[H, features]` in a view, as those of the plain features: what the view is drawn to for a variate that was never read in
/// training, and with the strongest ridge for one that was not on validation.
fn fit(
    train: &Moments,
    validation: &[Moments; PARTS],
    view: View,
    readout: &Readout,
    leads: &[Range<usize>],
) -> Result<Array2<f64>, RidgeError> {
    let (features, targets) = (train.features(), train.targets());
    // y - u phi = W A phi, so y = (W A + u) phi.
    let mut u = Array2::<f64>::zeros((1, features));
    match view {
        View::Level => {}
        View::Mean => u.slice_mut(s![.., ..readout.lags]).fill(1.0 / readout.lags as f64),
        View::Last => u[[0, readout.lags - 1]] = 1.0,
    }
    let mut a = Array2::<f64>::eye(features);
    if view != View::Level {
        let own = readout.lags + readout.season.map_or(0, |season| season.period * SEASON_RATES.len());
        let mut relative = a.slice_mut(s![..own, ..]);
        relative -= &u;
        for other in (own..features).step_by(readout.cross_lags.max(1)) {
            let newest = other + readout.cross_lags - 1;
            let mut relative = a.slice_mut(s![other..=newest, newest]);
            relative -= 1.0;
        }
    }
    let drawn = u.broadcast((targets, features)).map(|u| u.to_owned()).unwrap_or_default();
    let seen = |moments: &Moments| match view {
        View::Level => moments.clone(),
        _ => moments.map(a.view(), drawn.view()),
    };
    let mut whole = validation[0].clone();
    validation[1..].iter().for_each(|part| whole.merge(part));
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

/// Positions of a narrower read-out's features among the widest one's.
fn positions(widest: &Readout, narrow: &Readout, others: usize) -> Vec<usize> {
    let tail = |start: usize, wide: usize, keep: usize| start + wide - keep..start + wide;
    let season = |readout: &Readout| readout.season.map_or(0, |s| s.period * SEASON_RATES.len());
    let cross = widest.lags + season(widest);
    let mut positions: Vec<usize> = tail(0, widest.lags, narrow.lags).collect();
    positions.extend(widest.lags..widest.lags + season(narrow));
    for other in 0..others {
        positions.extend(tail(cross + other * widest.cross_lags, widest.cross_lags, narrow.cross_lags));
    }
    positions
}

/// The narrower read-outs that are tried.
fn candidates(widest: &Readout) -> Vec<Readout> {
    let mut list = Vec::new();
    let seasons = if widest.season.is_some() {
        vec![None, widest.season]
    } else {
        vec![None]
    };
    for season in seasons {
        let fewest = if season.is_some() { vec![0] } else { vec![] };
        for lags in fewest.into_iter().chain(LAGS.into_iter().filter(|&l| l <= widest.lags)) {
            let readout = |per_variate, cross_lags| Readout {
                lags,
                season,
                cross_lags,
                per_variate,
            };
            list.push(readout(false, 0));
            if lags <= OWN_LAGS {
                list.push(readout(true, 0));
                let cross = CROSS_LAGS.into_iter().filter(|&c| c <= widest.cross_lags && c <= lags.max(2));
                list.extend(cross.map(|cross_lags| readout(true, cross_lags)));
            }
        }
    }
    list
}

impl fmt::Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind() == Kind::Repeat {
            return f.write_str("the newest sample");
        }
        let Readout {
            lags,
            season,
            cross_lags,
            per_variate,
        } = self.readout;
        let mut features = Vec::new();
        features.extend((lags > 0).then(|| format!("{lags} lags")));
        features.extend(season.map(|s| format!("averages of a season of {}", s.period)));
        features.extend((cross_lags > 0).then(|| format!("{cross_lags} lags of every other variate")));
        let weights = if per_variate { "per variate" } else { "shared" };
        let drawn = match self.view {
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
    use crate::readout::gather::gather;
    use crate::scale::Scaler;
    use crate::split::SplitSpec;
    use crate::table::Table;

    /// What is chosen for 400 rows of validation out of 2000, forecast 8 rows ahead, and the table.
    fn chosen(columns: &[&dyn Fn(usize) -> f32]) -> Choice {
        let mut text = String::new();
        text.extend((0..columns.len()).map(|column| format!("v{column},")));
        text.pop();
        for row in 0..2000 {
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
        let split = SplitSpec::Rows([1600, 400, 0]).resolve(table.len()).unwrap();
        let (scaler, _) = Scaler::fit(&table, split.train_range());
        let gathered = gather(&config, &table, &split, &scaler, None).unwrap();
        best_of(&gathered, Normaliser::Global, &config, split.validation).unwrap()
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
            assert_eq!([&*first.what, &*second.what], ["the newest sample"; 2], "{seed}: {choice}");
            let lags = choice.readout.lags;
            assert!(
                choice.weights[..2 * lags]
                    .chunks(lags)
                    .all(|w| w.iter().sum::<f32>() == 1.0 && w[lags - 1] == 1.0)
            );
        }
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
        assert!(first > 0.95 && (0.5..first).contains(&last), "{choice}");
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
            readout: choice.readout,
            ..Config::default()
        };
        let maps = if choice.readout.per_variate { 2 } else { 1 };
        assert_eq!(choice.weights.len(), maps * 8 * config.readout_features());
        assert!(choice.mse.iter().all(|mse| *mse < 0.6), "{:?}", choice.mse);
    }
}
