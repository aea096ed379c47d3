//! What missing readings, gaps and cold starts do to a forecast whose arithmetic is known: of a wave, from its last two readings.

use std::fmt::Write;
use std::path::Path;

use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, LinearHead, Normalizer};
use tsm2_train::data::scale;
use tsm2_train::data::split::SplitSpec;
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::robustness::{PerturbedErrors, RobustnessTest};
use tsm2_train::evaluate::{EvaluateError, Protocol, baseline_errors, model_errors};
use tsm2_train::model::Stepper;

const HORIZON: usize = 5;

const PERCENT: [u32; 4] = [0, 5, 15, 30];

/// Radians a row: a period of 23.7 rows, so that no two places of a gap are alike.
const ANGLE: f64 = std::f64::consts::TAU / 23.7;

/// Rows of two waves of that period, the second without some readings of its own if there are `holes`.
fn waves(holes: bool) -> Table {
    let mut text = String::from("a,b\n");
    for row in 0..1000 {
        let angle = ANGLE * f64::from(row);
        let b = format!("{:.6}", angle.cos());
        let b = if holes && row % 90 == 17 { "" } else { &b };
        writeln!(text, "{:.6},{b}", angle.sin()).expect("memory");
    }
    Table::parse(Path::new("waves.csv"), text.as_bytes()).expect("a table")
}

/// A model whose network is silent and whose linear head continues the waves: x(t + 1) = 2 cos(angle) x(t) - x(t - 1).
struct Continued {
    bundle: Bundle,
    scaler: scale::Scaler,
}

impl Continued {
    fn new() -> Self {
        let config = Config {
            variates: 2,
            horizon: HORIZON,
            network: None,
            normalizer: Normalizer::Global,
            linear_head: LinearHead {
                lags: 2,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        let mut weights = Vec::new();
        tsm2_core::layout(&config, |name, shape| {
            let count = shape.iter().product::<usize>();
            if name.to_string() != "linear_head.weight" {
                weights.resize(weights.len() + count, 0.0);
                return;
            }
            let (mut older, mut newer) = (-1.0, 2.0 * ANGLE.cos());
            for _ in 0..HORIZON {
                weights.extend([older as f32, newer as f32]);
                (older, newer) = (-newer, 2.0 * ANGLE.cos() * newer + older);
            }
        })
        .expect("a valid configuration");
        let scaler = scale::Scaler {
            mean: vec![0.0; 2],
            std: vec![1.0; 2],
            ..scale::Scaler::default()
        };
        let variate = |name: &str| Variate {
            name: name.into(),
            unit: None,
            mean: 0.0,
            std: 1.0,
        };
        let meta = Metadata {
            format_version: FORMAT_VERSION,
            name: "waves".into(),
            config,
            variates: ["a", "b"].map(variate).to_vec(),
            interval_ms: None,
            time_zone: None,
            provenance: Provenance::default(),
        };
        let bundle = Bundle::new(meta, weights).expect("a bundle");
        Self { bundle, scaler }
    }

    fn model(&self) -> Stepper<'_> {
        (&self.bundle).into()
    }

    /// What is measured of it on the last 600 of 1,000 rows.
    fn test<'a>(&'a self, model: &'a Stepper<'a>, table: &'a Table) -> RobustnessTest<'a> {
        RobustnessTest {
            model,
            table,
            scaler: &self.scaler,
            rows: 400..1000,
            horizons: &[1, HORIZON],
            seed: 3,
            start_points: 128,
            longest_age: 1024,
        }
    }
}

#[test]
fn with_nothing_missing_the_errors_are_those_of_an_evaluation_and_each_share_more_is_worse() {
    let (table, wave) = (waves(true), Continued::new());
    let model = wave.model();
    let test = wave.test(&model, &table);
    let shares = test.missing(&PERCENT, &|_| ()).expect("measures");
    assert_eq!(shares.iter().map(|share| share.percent).collect::<Vec<_>>(), PERCENT);
    let own = model_errors(
        &model,
        &table,
        &wave.scaler,
        &test.rows.clone().into(),
        test.horizons,
        Protocol::Carried,
        &|_| (),
    );
    assert_eq!(shares[0].model, own.expect("evaluates").total);
    let split = SplitSpec::Rows([300, 100, 600]).resolve(1000).expect("a split");
    let (baselines, _) = baseline_errors(&table, &wave.scaler, &split, &test.rows.clone().into(), test.horizons).expect("evaluates");
    assert_eq!(shares[0].naive, baselines.naive);
    for pair in shares.windows(2) {
        for i in 0..2 {
            assert!(pair[0].model[i].mse < pair[1].model[i].mse, "{pair:?}");
            assert!(pair[0].naive[i].mse < pair[1].naive[i].mse, "{pair:?}");
            // Compared with the true readings, whatever the model was not shown.
            assert_eq!(pair[0].model[i].missing, pair[1].model[i].missing, "{pair:?}");
        }
    }
}

/// The mean squared error over all steps relative to the carried state's, by age.
fn relative(ages: &[PerturbedErrors]) -> Vec<(usize, f64)> {
    ages.iter().map(|age| (age.rows, age.errors[1].mse / age.carried[1].mse)).collect()
}

#[test]
fn two_readings_after_a_gap_or_a_cold_start_the_forecast_is_that_of_the_carried_state() {
    let (table, wave) = (waves(false), Continued::new());
    let model = wave.model();
    let test = wave.test(&model, &table);
    let gap = test.gap(10, &|_| ()).expect("measures");
    let cold = test.cold_start(&|_| ()).expect("measures");
    assert_eq!(
        gap.iter().map(|age| age.rows).collect::<Vec<_>>(),
        [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]
    );
    assert_eq!(
        cold.iter().map(|age| age.rows).collect::<Vec<_>>(),
        [1, 2, 4, 8, 16, 32, 64, 128, 256]
    );
    for (rows, relative) in relative(&gap).into_iter().chain(relative(&cold)) {
        match rows {
            0 | 1 => assert!(relative > 2.0, "after {rows} rows: {relative}"),
            _ => assert_eq!(relative, 1.0, "after {rows} rows"),
        }
    }
    assert!(gap.iter().chain(&cold).all(|age| age.errors[0].origins == 128));
}

#[test]
fn a_seed_makes_a_trial() {
    let (table, wave) = (waves(false), Continued::new());
    let model = wave.model();
    let measured = |seed| {
        let test = RobustnessTest {
            seed,
            ..wave.test(&model, &table)
        };
        let measured = (test.missing(&PERCENT, &|_| ()), test.gap(3, &|_| ()), test.cold_start(&|_| ()));
        (
            measured.0.expect("measures"),
            measured.1.expect("measures"),
            measured.2.expect("measures"),
        )
    };
    let (one, again, other) = (measured(1), measured(1), measured(2));
    assert_eq!(one, again);
    assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2);
}

#[test]
fn what_cannot_be_measured_is_named() {
    let (table, wave) = (waves(false), Continued::new());
    let model = wave.model();
    let test = wave.test(&model, &table);
    for horizons in [&[HORIZON + 1], &[0], &[][..]] {
        let test = RobustnessTest { horizons, ..test.clone() };
        for error in [
            test.missing(&PERCENT, &|_| ()).map(|_| ()),
            test.gap(1, &|_| ()).map(|_| ()),
            test.cold_start(&|_| ()).map(|_| ()),
        ] {
            assert!(
                matches!(error, Err(EvaluateError::BeyondModel { .. } | EvaluateError::NoHorizon)),
                "{error:?}"
            );
        }
    }
    // All that fits is measured.
    let ages = test.gap(595, &|_| ()).expect("the rows hold the gap and the forecast at its end");
    assert_eq!(
        ages.iter().map(|age| (age.rows, age.errors[0].origins)).collect::<Vec<_>>(),
        [(0, 1)]
    );
    let message = test.gap(596, &|_| ()).expect_err("it does not fit").to_string();
    assert!(message.contains("600 rows") && message.contains("a gap of 596 rows"), "{message}");
    let short = RobustnessTest { rows: 995..1000, ..test };
    let message = short.cold_start(&|_| ()).expect_err("it does not fit").to_string();
    assert!(message.contains("5 rows") && message.contains("cold start"), "{message}");
}
