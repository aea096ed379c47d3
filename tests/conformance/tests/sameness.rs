//! Parallel form against the device's step over a long stream, at the sizes of shipped models: within 2e-5 of the forecast's scale.

use tsm2_conformance::catalogue::{Faults, base, bundle, stream};
use tsm2_conformance::deviation;
use tsm2_conformance::engines::{PARALLEL, STEP};
use tsm2_core::{Config, Mlp, Normaliser, Readout, S6, Season, VariateMixer};

const ROWS: usize = 2_000;
const LIMIT: f64 = 2e-5;
const INTERVAL_MS: i64 = 60_000;

const S6_SHIPPED: S6 = S6 {
    d_inner: 32,
    d_state: 2,
    dt_rank: 4,
    d_conv: 4,
};

fn check(name: &str, config: Config) {
    let bundle = bundle(name, &config, INTERVAL_MS, 11);
    let stream = stream(&bundle, ROWS, INTERVAL_MS, Faults::None, 12);
    let (step, parallel) = ((STEP.run)(&bundle, &stream), (PARALLEL.run)(&bundle, &stream));
    assert_eq!(step.issued.len(), ROWS);
    let deviation = deviation(&bundle, &parallel, &step);
    println!("{name}: parallel against step over {ROWS} rows: {deviation:.1e} of the forecast's scale");
    assert!(deviation <= LIMIT, "{name}: {deviation:e}");
}

#[test]
fn both_mixers_at_the_size_of_shipped_models() {
    check(
        "shipped",
        Config {
            variates: 7,
            horizon: 24,
            patch: 8,
            d_model: 64,
            time_mixer: S6_SHIPPED,
            variate_mixer: VariateMixer::Both {
                s6: S6_SHIPPED,
                mlp: Mlp { reduce: 8, hidden: 64 },
            },
            calendar: true,
            ..base()
        },
    );
}

#[test]
fn a_mamba_of_sixteen_states() {
    let s6 = S6 {
        d_inner: 128,
        d_state: 16,
        ..S6_SHIPPED
    };
    check(
        "mamba",
        Config {
            variates: 7,
            horizon: 24,
            patch: 8,
            d_model: 64,
            time_mixer: s6,
            variate_mixer: VariateMixer::S6(s6),
            raw_value_path: false,
            weighted_averaging: false,
            ..base()
        },
    );
}

#[test]
fn a_sliding_window_and_a_long_readout() {
    check(
        "readout",
        Config {
            variates: 7,
            horizon: 24,
            patch: 8,
            d_model: 64,
            time_mixer: S6_SHIPPED,
            variate_mixer: VariateMixer::S6(S6_SHIPPED),
            normaliser: Normaliser::Window { length: 336 },
            readout: Readout {
                lags: 336,
                season: Some(Season { period: 24 }),
                cross_lags: 4,
                ..Readout::default()
            },
            ..base()
        },
    );
}
