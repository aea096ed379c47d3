//! Parallel form against the device's step over a long stream, at the sizes of shipped models.

use tsm2_conformance::catalogue::{Faults, base, bundle, network, stream};
use tsm2_conformance::engines::{PARALLEL, STEP};
use tsm2_conformance::tolerance::{Distance, Tolerance};
use tsm2_core::{Config, LinearHead, Mlp, NetworkConfig, Normalizer, S6, Season, VariateMixer};

const STEPS: usize = 2_000;
const INTERVAL_MS: i64 = 60_000;

const SHIPPED: S6 = S6 {
    d_inner: 32,
    d_state: 2,
    dt_rank: 4,
    d_conv: 4,
};

fn config(network: NetworkConfig) -> Config {
    Config {
        variates: 7,
        horizon: 24,
        ..base().with_network(network)
    }
}

fn shipped() -> NetworkConfig {
    NetworkConfig {
        patch: 8,
        d_model: 64,
        time_mixer: SHIPPED,
        ..network()
    }
}

fn check(name: &str, config: Config) {
    let bundle = bundle(name, &config, INTERVAL_MS, 11);
    let stream = stream(&bundle, STEPS, INTERVAL_MS, Faults::None, 12);
    let (step, parallel) = ((STEP.run)(&bundle, &stream), (PARALLEL.run)(&bundle, &stream));
    let distance = Distance::new(&bundle, &parallel, &step).forecasts;
    println!("{name}: parallel against step over {STEPS} time steps: {distance:.1e} of the forecast's scale");
    assert!(distance <= Tolerance::Long.limit(), "{name}: {distance:e}");
}

#[test]
fn both_mixers_at_the_size_of_shipped_models() {
    check(
        "shipped",
        config(NetworkConfig {
            variate_mixer: VariateMixer::Both {
                s6: SHIPPED,
                mlp: Mlp { reduce: 8, hidden: 64 },
            },
            calendar: true,
            ..shipped()
        }),
    );
}

#[test]
fn sixteen_states_per_channel() {
    let s6 = S6 {
        d_inner: 128,
        d_state: 16,
        ..SHIPPED
    };
    check(
        "sixteen states",
        config(NetworkConfig {
            time_mixer: s6,
            variate_mixer: VariateMixer::S6(s6),
            ..shipped()
        }),
    );
}

#[test]
fn an_exponential_normalizer_and_a_long_linear_head() {
    check(
        "linear head",
        Config {
            normalizer: Normalizer::Exponential { half_life: 128.0 },
            linear_head: LinearHead {
                lags: 336,
                season: Some(Season {
                    period: 24,
                    bins: None,
                    rate: None,
                }),
                cross_lags: 4,
                ..LinearHead::default()
            },
            ..config(NetworkConfig {
                variate_mixer: VariateMixer::S6(SHIPPED),
                ..shipped()
            })
        },
    );
}
