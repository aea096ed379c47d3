//! The cases by name: configuration, weights and readings of each. Every number is made with additions, products and
//! quotients only, so that all machines draw the same numbers.

use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{
    Averages, Calendar, Config, Head, LinearHead, Mlp, NetworkConfig, Normalizer, Precision, S6, Season, VariateMixer, layout,
};

use crate::{Stream, noise::Noise};

/// The recipe of a case.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the case, and of its file without the ending.
    pub name: &'static str,
    /// The model.
    pub config: Config,
    /// T.
    pub steps: usize,
    /// Milliseconds from time step to time step.
    pub interval_ms: i64,
    /// Faults of the readings.
    pub faults: Faults,
}

/// Faults of a stream's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// None.
    None,
    /// Variates that begin late, runs of NaN, an infinity.
    Missing,
    /// Readings far outside the range of the training data.
    Extreme,
}

const TIME_MIXER: S6 = S6 {
    d_inner: 6,
    d_state: 2,
    dt_rank: 2,
    d_conv: 4,
};

/// Sizes that share no number with the time mixer's.
const VARIATE_SCAN: S6 = S6 {
    d_inner: 5,
    d_state: 3,
    dt_rank: 3,
    d_conv: 2,
};

const MLP: Mlp = Mlp { reduce: 2, hidden: 7 };

/// The network that the cases vary: both mixers over the variates.
#[must_use]
pub fn network() -> NetworkConfig {
    NetworkConfig {
        patch: 5,
        averages: false,
        calendar: false,
        d_model: 8,
        layers: 2,
        time_mixer: TIME_MIXER,
        variate_mixer: VariateMixer::Both {
            s6: VARIATE_SCAN,
            mlp: MLP,
        },
        head: Head::Shared,
    }
}

/// The model that the cases vary: the network without a linear head.
#[must_use]
pub fn base() -> Config {
    Config {
        variates: 3,
        past_covariates: 0,
        future_covariates: 0,
        horizon: 4,
        precision: Precision::Single,
        normalizer: Normalizer::Global,
        calendar: Calendar::default(),
        averages: None,
        network: Some(network()),
        linear_head: LinearHead::default(),
    }
}

/// Every case.
#[must_use]
pub fn recipes() -> Vec<Recipe> {
    let case = |name, config| Recipe {
        name,
        config,
        steps: 32,
        interval_ms: 60_000,
        faults: Faults::None,
    };
    let mixed = |variate_mixer| NetworkConfig {
        variate_mixer,
        ..network()
    };
    let per_variate = NetworkConfig {
        head: Head::PerVariate,
        ..network()
    };
    let linear = |linear_head| Config { linear_head, ..base() };
    let none = LinearHead::default();
    let exponential = Normalizer::Exponential { half_life: 6.5 };
    let season = Some(Season {
        period: 7,
        bins: None,
        rate: None,
    });
    let calendar = Calendar { day: 6, week: 2 };
    let averages = Some(Averages {
        count: 4,
        shortest: 1.5,
        longest: 96.0,
    });
    let slow = 25_000_000; // about seven hours: the time steps pass through all of the day and of the week
    vec![
        case("unmixed", base().with_network(mixed(VariateMixer::None))),
        case("scan_over_variates", base().with_network(mixed(VariateMixer::S6(VARIATE_SCAN)))),
        case(
            "mlp_over_variates",
            Config {
                normalizer: exponential,
                ..base().with_network(mixed(VariateMixer::Mlp(MLP)))
            },
        ),
        case("both_over_variates", base().with_network(NetworkConfig { layers: 3, ..network() })),
        case(
            "no_convolution",
            base().with_network(NetworkConfig {
                time_mixer: S6 { d_conv: 1, ..TIME_MIXER },
                variate_mixer: VariateMixer::S6(S6 { d_conv: 1, ..VARIATE_SCAN }),
                ..network()
            }),
        ),
        case(
            "one_variate",
            Config {
                variates: 1,
                normalizer: exponential,
                ..base().with_network(mixed(VariateMixer::None))
            },
        ),
        Recipe {
            interval_ms: slow,
            ..case(
                "calendar",
                base().with_network(NetworkConfig {
                    calendar: true,
                    ..network()
                }),
            )
        },
        case(
            "linear_head",
            Config {
                normalizer: exponential,
                ..linear(LinearHead {
                    lags: 6,
                    season,
                    cross_lags: 2,
                    ..none
                })
            },
        ),
        case(
            "linear_head_alone",
            Config {
                normalizer: exponential,
                network: None,
                ..linear(LinearHead {
                    lags: 6,
                    season,
                    cross_lags: 2,
                    per_variate: true,
                    ..none
                })
            },
        ),
        case(
            "heads_per_variate",
            linear(LinearHead {
                lags: 4,
                season,
                cross_lags: 3,
                per_variate: true,
                ..none
            })
            .with_network(per_variate),
        ),
        case(
            "past_covariate",
            Config {
                past_covariates: 1,
                ..linear(LinearHead {
                    lags: 4,
                    season,
                    cross_lags: 2,
                    ..none
                })
            },
        ),
        Recipe {
            steps: 48,
            faults: Faults::Missing,
            ..case(
                "past_covariates_and_heads_per_variate",
                Config {
                    variates: 4,
                    past_covariates: 2,
                    normalizer: exponential,
                    ..linear(LinearHead {
                        lags: 3,
                        season,
                        cross_lags: 3,
                        per_variate: true,
                        ..none
                    })
                    .with_network(per_variate)
                },
            )
        },
        Recipe {
            interval_ms: slow,
            ..case(
                "linear_head_with_calendar",
                linear(LinearHead {
                    lags: 3,
                    calendar: true,
                    per_variate: true,
                    ..none
                }),
            )
        },
        case(
            "future_covariate",
            Config {
                future_covariates: 1,
                horizon: 7,
                ..base()
            },
        ),
        Recipe {
            steps: 64,
            faults: Faults::Missing,
            ..case(
                "future_covariates_known_in_part",
                Config {
                    variates: 5,
                    past_covariates: 1,
                    future_covariates: 2,
                    horizon: 10,
                    normalizer: exponential,
                    ..linear(LinearHead {
                        lags: 3,
                        cross_lags: 2,
                        calendar: true,
                        future_covariates: true,
                        ..none
                    })
                    .with_network(NetworkConfig {
                        calendar: true,
                        ..network()
                    })
                },
            )
        },
        Recipe {
            steps: 48,
            faults: Faults::Missing,
            ..case(
                "missing_readings",
                Config {
                    normalizer: exponential,
                    ..linear(LinearHead { lags: 4, season, ..none })
                },
            )
        },
        Recipe {
            steps: 48,
            faults: Faults::Missing,
            ..case(
                "missing_readings_global",
                linear(LinearHead {
                    season,
                    cross_lags: 2,
                    ..none
                }),
            )
        },
        Recipe {
            faults: Faults::Extreme,
            ..case("extreme_readings", base())
        },
        Recipe {
            steps: 64,
            faults: Faults::Missing,
            interval_ms: slow,
            ..case(
                "averages_and_harmonics",
                Config {
                    normalizer: exponential,
                    calendar,
                    averages,
                    ..linear(LinearHead {
                        lags: 2,
                        averages: true,
                        season: Some(Season {
                            period: 14,
                            bins: Some(5),
                            rate: None,
                        }),
                        common_lags: 1,
                        common_averages: true,
                        calendar: true,
                        ..none
                    })
                    .with_network(NetworkConfig {
                        averages: true,
                        calendar: true,
                        ..network()
                    })
                },
            )
        },
        Recipe {
            steps: 64,
            faults: Faults::Missing,
            ..case(
                "relative_head",
                Config {
                    averages,
                    ..linear(LinearHead {
                        relative: true,
                        lags: 3,
                        averages: true,
                        season: Some(Season {
                            period: 40,
                            bins: Some(20),
                            rate: Some(0.7),
                        }),
                        common_lags: 2,
                        common_averages: true,
                        per_variate: true,
                        ..none
                    })
                },
            )
        },
        Recipe {
            steps: 64,
            faults: Faults::Missing,
            ..case(
                "bounded_head",
                Config {
                    averages,
                    ..linear(LinearHead {
                        relative: true,
                        lags: 3,
                        averages: true,
                        season: Some(Season {
                            period: 12,
                            bins: None,
                            rate: Some(0.7),
                        }),
                        common_lags: 2,
                        common_averages: true,
                        per_variate: true,
                        bounded: true,
                        ..none
                    })
                    .with_network(NetworkConfig {
                        averages: true,
                        ..network()
                    })
                },
            )
        },
        case(
            "head_of_a_rank",
            Config {
                variates: 5,
                past_covariates: 1,
                horizon: 9,
                network: None,
                averages,
                ..linear(LinearHead {
                    relative: true,
                    lags: 6,
                    averages: true,
                    common_lags: 1,
                    per_variate: true,
                    rank: 4,
                    ..none
                })
            },
        ),
        case(
            "integers",
            Config {
                precision: Precision::Int8,
                averages,
                ..linear(LinearHead {
                    relative: true,
                    lags: 5,
                    averages: true,
                    per_variate: true,
                    rank: 2,
                    ..none
                })
                .with_network(per_variate)
            },
        ),
        case(
            "integers_and_a_whole_head",
            Config {
                precision: Precision::Int8,
                ..linear(LinearHead {
                    lags: 5,
                    season,
                    cross_lags: 2,
                    ..none
                })
            },
        ),
        case(
            "shared_head_of_a_rank",
            Config {
                normalizer: exponential,
                ..linear(LinearHead {
                    lags: 6,
                    season,
                    rank: 3,
                    ..none
                })
            },
        ),
    ]
}

/// A model of this configuration, every part of which matters to its forecasts.
#[must_use]
pub fn bundle(name: &str, config: &Config, interval_ms: i64, seed: u64) -> Bundle {
    let mut noise = Noise::new(seed);
    let mut weights = Vec::new();
    layout(config, |name, shape| {
        let count = shape.iter().product();
        weights.extend((0..count).map(|i| weight(&name.to_string(), shape, i, noise.number())));
    })
    .expect("the catalogue's configurations are valid");
    let variates = (0..config.variates).map(|m| Variate {
        name: format!("v{m}"),
        unit: None,
        mean: [20.0, -5.0, 0.25][m % 3],
        std: [2.5, 1.5, 0.125][m % 3],
    });
    let mut meta = Metadata {
        format_version: FORMAT_VERSION,
        name: name.to_owned(),
        config: *config,
        variates: variates.collect(),
        interval_ms: u64::try_from(interval_ms).ok(),
        time_zone: None,
        provenance: Provenance::default(),
    };
    meta.config.precision = Precision::Single;
    let bundle = Bundle::new(meta, weights).expect("the catalogue's models are valid");
    match config.precision {
        Precision::Single => bundle,
        Precision::Int8 => bundle.to_int8().expect("the same model"),
    }
}

/// Element `i` of a tensor, from a number in [-1, 1): about the sizes that trained tensors have.
fn weight(name: &str, shape: &[usize], i: usize, noise: f32) -> f32 {
    let last = i + 1 == shape.iter().product::<usize>();
    match name.rsplit_once('.').map_or(name, |(_, leaf)| leaf) {
        "weight" if name.ends_with("norm.weight") => 1.0 + 0.3 * noise,
        "weight" if name.ends_with("conv.weight") => noise,
        "weight" => {
            // So that what the step size and the mixers do is not lost beside the residual stream.
            let loud = name.ends_with("dt_proj.weight") || name.ends_with("out_proj.weight");
            let fan_in = shape[shape.len() - 1] as f32;
            if loud { 2.0 * noise / fan_in.sqrt() } else { noise / fan_in.sqrt() }
        }
        "bias" if name.ends_with("dt_proj.bias") => noise - 1.5,
        "a_log" => 0.5 * (i % shape[1]) as f32 + 0.3 * noise,
        "b_bias" | "c_bias" | "d" | "gate_bias" => 0.8 + 0.3 * noise,
        // Some time steps lie within, some beyond, some beyond twice a bound.
        "bounds" => 0.8 + 0.5 * noise,
        "beta" | "theta" if last => 1.0 + 0.3 * noise,
        _ => 0.4 * noise,
    }
}

/// Readings about each variate's mean: a wave, a drift and noise, with the faults asked for.
#[must_use]
pub fn stream(bundle: &Bundle, steps: usize, interval_ms: i64, faults: Faults, seed: u64) -> Stream {
    const START_MS: i64 = 1_709_210_096_000; // Thursday 2024-02-29, 12:34:56 UTC
    let mut noise = Noise::new(seed);
    let mut stream = Stream::default();
    for t in 0..steps {
        for (m, variate) in bundle.meta().variates.iter().enumerate() {
            let position = (t as f32 + 3.0 * m as f32) / 13.0;
            let wave = 4.0 * (position - position.floor() - 0.5).abs() - 1.0;
            let drift = 0.5 * (t as f32 / steps as f32 - 0.5);
            let reading = variate.mean + variate.std * (wave + drift + 0.6 * noise.number());
            stream.readings.push(match faults {
                Faults::None => reading,
                Faults::Missing => missing(reading, t, m, noise.number()),
                Faults::Extreme => extreme(reading, t, m),
            });
        }
        stream.times.push(START_MS + interval_ms * t as i64);
    }
    stream.future = future(bundle, &stream, faults);
    stream
}

/// Future values: in a stream without faults the true ones at every time step; else now and then, of some time steps,
/// without the missing readings.
fn future(bundle: &Bundle, stream: &Stream, faults: Faults) -> Vec<f32> {
    let config = &bundle.meta().config;
    let (steps, width) = (stream.times.len(), config.horizon + 1);
    let mut future = Vec::new();
    for t in 0..steps {
        for m in config.variates - config.future_covariates..config.variates {
            let known = match faults {
                Faults::None => width,
                _ if (t + m) % 5 == 1 => (7 * t + m) % (width + 1),
                _ => 0,
            };
            let reading = |step: usize| match step < known.min(steps - t) {
                true => Some(stream.readings[(t + step) * config.variates + m]).filter(|x| x.is_finite()),
                false => None,
            };
            future.extend((0..width).map(|step| reading(step).unwrap_or(f32::NAN)));
        }
    }
    future
}

/// The variates after the first begin late, the last one after more than a season; later a variate is silent for a while, and single
/// readings are lost.
fn missing(reading: f32, t: usize, m: usize, noise: f32) -> f32 {
    let silent = t < 11 * m.min(2) || (m == 0 && (20..31).contains(&t));
    match () {
        () if silent || noise > 0.7 => f32::NAN,
        () if noise < -0.95 => f32::NEG_INFINITY,
        () => reading,
    }
}

/// From the middle on a variate now and then reads far beyond the limit of z, on both sides.
fn extreme(reading: f32, t: usize, m: usize) -> f32 {
    match (t, m) {
        (20, 0) => 1e30,
        (25, 1) => -1e6,
        _ => reading,
    }
}
