//! Selection among the candidate maps, per step group.
//!
//! 1. A more complex map replaces a simpler one only if it lowers the validation error by a margin, and in every part of
//!    the validation rows. The margin grows with the step: a distant step fits into the validation rows only a few times.
//! 2. Maps that use the training mean are selected apart. Where they are better they get a share of the forecast that
//!    shrinks with the step, because the level of the rows to come may differ.
//! 3. Maps that are about as good as the selected one are averaged with it, with equal weights.

use ndarray::{Array2, s};
use tsm2_core::{Config, LinearHead, Normalizer};

use super::features::positions;
use super::gather::Gathered;
use super::maps::{BestMaps, CandidateGroup, FittedMap, MapKind, errors, fit_all};
use super::model::{GroupForecast, LinearModel};
use crate::linear::ridge::RidgeError;
use crate::linear::step_groups::{certainty, step_groups};

/// Minimum relative improvement of a map that uses the training mean, in addition to the margin of a more complex kind.
const LEVEL_MARGIN: f64 = 0.01;

/// Minimum relative improvement of a map that uses the calendar.
const CALENDAR_MARGIN: f64 = 0.02;

/// Largest relative excess error of a map that is about as good as the selected one. It grows for simpler maps where the validation part is short.
const TIE: f64 = 0.01;

/// Largest value that [`TIE`] grows to.
const LARGEST_TIE: f64 = 0.1;

/// The linear head under one normalizer. `origins` is the number of forecasts in the validation part.
pub(super) fn best_of(gathered: &Gathered, normalizer: Normalizer, config: &Config, origins: usize) -> Result<LinearModel, RidgeError> {
    let steps = step_groups(config.horizon);
    let fitted = fit_all(gathered, normalizer, config, &steps)?;
    let mut parts: Vec<(GroupForecast, Vec<(&FittedMap, f64)>)> = Vec::new();
    for (steps, bests) in steps.into_iter().zip(&fitted) {
        let certainty = certainty(origins, steps.end);
        let (free, level) = (most_complex(bests, false, certainty), most_complex(bests, true, certainty));
        let chosen = match (free, level) {
            (Some(free), Some(level)) => {
                let kind = if level.group.kind > free.group.kind {
                    level.group.kind.margin()
                } else {
                    0.0
                };
                match level.beats(free, (LEVEL_MARGIN + kind) / certainty) {
                    true => vec![(level, certainty), (free, 1.0 - certainty)],
                    false => vec![(free, 1.0)],
                }
            }
            (free, level) => Vec::from_iter(free.or(level).map(|only| (only, 1.0))),
        };
        let parts_of = chosen.iter().map(|(f, share)| match *share < 1.0 {
            true => format!("{share:.2} of {f}"),
            false => f.to_string(),
        });
        let mut what = parts_of.collect::<Vec<_>>().join(" and ");
        let alone = chosen.len();
        let chosen: Vec<_> = chosen
            .into_iter()
            .flat_map(|(f, share)| with_ties(f, share, bests, certainty))
            .collect();
        if chosen.len() > alone {
            what += &format!(", averaged with {} equally good", chosen.len() - alone);
        }
        parts.push((GroupForecast { steps, what }, chosen));
    }
    let chosen = || parts.iter().flat_map(|(_, chosen)| chosen.iter().map(|(f, _)| f));
    let linear_head = LinearHead {
        lags: chosen().map(|f| f.linear_head.lags).max().unwrap_or(0),
        season: chosen().find_map(|f| f.linear_head.season),
        cross_lags: chosen().map(|f| f.linear_head.cross_lags).max().unwrap_or(0),
        calendar: chosen().any(|f| f.linear_head.calendar),
        future_covariates: chosen().any(|f| f.linear_head.future_covariates),
        per_variate: chosen().any(|f| f.linear_head.per_variate),
        ..LinearHead::default()
    };
    let features = Config { linear_head, ..*config }.linear_head_features();
    let mut weights = vec![Array2::<f64>::zeros((config.horizon, features)); if linear_head.per_variate { config.targets() } else { 1 }];
    for (group, chosen) in &parts {
        for (part, share) in chosen {
            let positions = positions(config, &linear_head, &part.linear_head);
            for (m, whole) in weights.iter_mut().enumerate() {
                let own = &part.weights[if part.weights.len() > 1 { m } else { 0 }];
                for (own, &position) in own.columns().into_iter().zip(&positions) {
                    whole.slice_mut(s![group.steps.clone(), position]).scaled_add(*share, &own);
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
        .map(|step| errors.iter().map(|part| part[step]).sum::<f64>() / gathered.examples)
        .collect();
    Ok(LinearModel {
        normalizer,
        features: linear_head,
        weights: weights.iter().flat_map(|w| w.iter().map(|&w| w as f32)).collect(),
        mse,
        groups: parts.into_iter().map(|(group, _)| group).collect(),
    })
}

/// The most complex map that beats the simpler ones, among the maps that use the level or those that do not; then the same with the calendar.
fn most_complex(bests: &BestMaps, uses_level: bool, certainty: f64) -> Option<&FittedMap> {
    let last = |uses_calendar| {
        let kinds = MapKind::ALL.into_iter().filter_map(|kind| {
            let of_kind = |group: CandidateGroup| (group.uses_level, group.uses_calendar, group.kind) == (uses_level, uses_calendar, kind);
            let anchors = bests.values().filter(|map| of_kind(map.group));
            anchors.min_by(|a, b| a.total().total_cmp(&b.total()))
        });
        kinds.reduce(|plainer, next| match next.beats(plainer, next.group.kind.margin() / certainty) {
            true => next,
            false => plainer,
        })
    };
    match (last(false), last(true)) {
        (Some(plain), Some(uses_calendar)) if !uses_calendar.beats(plain, CALENDAR_MARGIN / certainty) => Some(plain),
        (plain, uses_calendar) => uses_calendar.or(plain),
    }
}

/// The chosen map and those that are about as good, with equal parts of `share`: maps of the same level and calendar, of any anchor, with and
/// without the season, up to the chosen kind or a map per variate. A repetition stays alone.
fn with_ties<'a>(chosen: &'a FittedMap, share: f64, bests: &'a BestMaps, certainty: f64) -> Vec<(&'a FittedMap, f64)> {
    let CandidateGroup {
        uses_level,
        uses_calendar,
        kind,
        ..
    } = chosen.group;
    if kind == MapKind::Repetition {
        return vec![(chosen, share)];
    }
    let kinds = MapKind::Shared..=kind.max(MapKind::PerVariate);
    let alike =
        |group: &CandidateGroup| (group.uses_level, group.uses_calendar) == (uses_level, uses_calendar) && kinds.contains(&group.kind);
    let margin = |group: &CandidateGroup| match group.kind > kind {
        true => TIE,
        false => (TIE / certainty).min(LARGEST_TIE),
    };
    let ties = |map: &FittedMap| map.total() <= (1.0 + margin(&map.group)) * chosen.total();
    let good: Vec<&FittedMap> = bests.values().filter(|map| alike(&map.group) && ties(map)).collect();
    let each = share / good.len() as f64;
    good.into_iter().map(|map| (map, each)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::runs::Part;
    use crate::data::scale::Scaler;
    use crate::data::split::SplitSpec;
    use crate::data::table::Table;
    use crate::linear::head::gather::{PARTS, gather};
    use crate::linear::head::maps::Anchor;

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
        let (scaler, _) = Scaler::fit(&table, &split);
        let gathered = gather(&config, &table, &split, &scaler, period).unwrap();
        best_of(
            &gathered,
            Normalizer::Global,
            &config,
            table.part(&split, Part::Validation).origin_count(8),
        )
        .unwrap()
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
        // By chance a walk may look as if it came back, the more so the further ahead; the forecast of the next two rows must be a repetition.
        for seed in 0..10 {
            let walk: Vec<f32> = noise(seed).into_iter().scan(0.0, step).collect();
            let choice = chosen(&[&|row| walk[row]]);
            let (first, second) = (&choice.groups[0], &choice.groups[1]);
            assert_eq!(
                [&*first.what, &*second.what],
                ["the last sample repeated"; 2],
                "{seed}: {:?}",
                choice.groups
            );
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
        let last = choice.groups.last().unwrap();
        assert_eq!(last.what, "the last season repeated", "{:?}", choice.groups);
        assert!(choice.mse[7] < 0.01, "{:?}", choice.mse);
    }

    #[test]
    fn a_level_that_stays_is_trusted_the_more_the_shorter_the_lead() {
        let noise = noise(5);
        let choice = chosen(&[&|row| noise[row]]);
        assert!(
            choice
                .groups
                .iter()
                .all(|group| group.what.contains("anchored to the training mean")),
            "{:?}",
            choice.groups
        );
        // Of white noise nothing but the level is known: a third of its span squared.
        assert!(choice.mse.iter().all(|mse| (mse - 1.0).abs() < 0.1), "{:?}", choice.mse);
        let share = |group: &GroupForecast| group.what.split(' ').next().unwrap().parse::<f64>().unwrap();
        let (first, last) = (share(&choice.groups[0]), share(choice.groups.last().unwrap()));
        assert!(first >= 0.95 && (0.5..first).contains(&last), "{:?}", choice.groups);
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
        assert!(choice.groups[0].what.contains(" averaged with "), "{:?}", choice.groups);
        // One row ahead nothing but the push is unknown.
        let unknown = 1.0 - 0.9_f64 * 0.9;
        assert!((choice.mse[0] / unknown - 1.0).abs() < 0.1, "{:?}", choice.mse);
    }

    #[test]
    fn what_is_as_good_depends_on_kind_and_certainty() {
        let plain = CandidateGroup {
            uses_level: false,
            uses_calendar: false,
            kind: MapKind::Shared,
            anchor: Anchor::Last,
            seasonal: false,
        };
        let of = |kind, anchor, seasonal| CandidateGroup {
            kind,
            anchor,
            seasonal,
            ..plain
        };
        let errs = [
            (plain, 1.0),
            (of(MapKind::Shared, Anchor::Mean, false), 1.009),
            (of(MapKind::Shared, Anchor::Last, true), 1.05),
            (of(MapKind::Shared, Anchor::Mean, true), 1.2),
            (of(MapKind::PerVariate, Anchor::Last, false), 1.009),
            (of(MapKind::PerVariate, Anchor::Mean, false), 1.05),
            (of(MapKind::Multivariate, Anchor::Last, false), 0.99),
            (
                CandidateGroup {
                    uses_calendar: true,
                    ..plain
                },
                1.0,
            ),
            (CandidateGroup { uses_level: true, ..plain }, 1.0),
        ];
        let fitted = |(group, error): (CandidateGroup, f64)| FittedMap {
            group,
            linear_head: LinearHead::default(),
            weights: Vec::new(),
            errors: [error / PARTS as f64; PARTS],
        };
        let bests: BestMaps = errs.into_iter().map(|map| (map.0, fitted(map))).collect();
        let with_ties = |group: &CandidateGroup, certainty| {
            let mut shares: Vec<_> = with_ties(&bests[group], 0.6, &bests, certainty)
                .into_iter()
                .map(|(f, part)| (f.total(), part))
                .collect();
            shares.sort_by(|a, b| a.0.total_cmp(&b.0));
            shares
        };
        let equal = |errors: &[f64]| Vec::from_iter(errors.iter().map(|&error| (error, 0.6 / errors.len() as f64)));
        assert_eq!(with_ties(&plain, 1.0), equal(&[1.0, 1.009, 1.009]));
        // A plainer map may be behind by chance where validation is less certainty, but not by any amount.
        assert_eq!(with_ties(&plain, 0.15), equal(&[1.0, 1.009, 1.009, 1.05]));
        assert_eq!(with_ties(&plain, 0.01), equal(&[1.0, 1.009, 1.009, 1.05]));
        assert_eq!(with_ties(&of(MapKind::Multivariate, Anchor::Last, false), 1.0), equal(&[0.99]));
    }

    #[test]
    fn the_other_variates_are_seen_where_they_lead() {
        let leader = noise(7);
        let choice = chosen(&[&|row| leader[row], &|row| if row < 3 { 0.0 } else { leader[row - 3] }]);
        assert!(choice.groups[0].what.contains("of every other variate"), "{:?}", choice.groups);
        // Two rows ahead everything of the second is known, and of the first nothing.
        assert!((0.45..0.6).contains(&choice.mse[1]), "{:?}", choice.mse);
    }

    #[test]
    fn step_groups_with_different_maps_make_one_head() {
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
