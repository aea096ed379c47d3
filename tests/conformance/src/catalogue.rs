//! The cases by name: which configuration each has, and how its weights and readings are drawn. Every number is made with additions,
//! products and quotients only, so that all machines draw the same.

use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, Discretisation, Head, Mlp, Normaliser, Readout, S6, Season, SelectionFrom, VariateMixer, layout};

use crate::{Stream, noise::Noise};

/// What a case is made from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the case, and of its file without the ending.
    pub name: &'static str,
    /// The model.
    pub config: Config,
    /// T.
    pub rows: usize,
    /// Milliseconds from row to row.
    pub interval_ms: i64,
    /// What is wrong with the readings.
    pub faults: Faults,
}

impl Recipe {
    /// How many times an engine's tolerance the case needs: where samples stand at the limits of what is read, the selection's fourth power
    /// carries one rounding error into further digits of the state.
    #[must_use]
    pub fn slack(&self) -> f64 {
        if self.faults == Faults::Extreme { 100.0 } else { 1.0 }
    }
}

/// What is wrong with a stream's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing.
    None,
    /// Variates that begin late, runs of NaN, an infinity.
    Missing,
    /// Readings beyond any sense.
    Extreme,
}

const NO_READOUT: Readout = Readout {
    lags: 0,
    season: None,
    cross_lags: 0,
    calendar: false,
    known_ahead: false,
    per_variate: false,
};

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

/// The model that the cases vary: both mixers over the variates, no read-out, all else as in the models that are shipped.
#[must_use]
pub fn base() -> Config {
    Config {
        variates: 3,
        exogenous: 0,
        known_ahead: 0,
        horizon: 4,
        patch: 5,
        stride: 1,
        phases: 1,
        normaliser: Normaliser::Global,
        calendar: false,
        d_model: 8,
        layers: 2,
        variate_embedding: true,
        time_mixer: TIME_MIXER,
        variate_mixer: VariateMixer::Both {
            s6: VARIATE_SCAN,
            mlp: MLP,
        },
        raw_value_path: true,
        selection_from: SelectionFrom::Conv,
        discretisation: Discretisation::Euler,
        weighted_averaging: true,
        head: Head::Shared,
        readout: NO_READOUT,
    }
}

/// Every case.
#[must_use]
pub fn recipes() -> Vec<Recipe> {
    let case = |name, config| Recipe {
        name,
        config,
        rows: 32,
        interval_ms: 60_000,
        faults: Faults::None,
    };
    let scan = VariateMixer::S6(VARIATE_SCAN);
    let window = Normaliser::Window { length: 9 };
    let exponential = Normaliser::Exponential { half_life: 6.5 };
    let season = Some(Season { period: 7 });
    vec![
        case(
            "mamba",
            Config {
                layers: 1,
                variate_embedding: false,
                variate_mixer: VariateMixer::None,
                raw_value_path: false,
                weighted_averaging: false,
                ..base()
            },
        ),
        case(
            "paper",
            Config {
                normaliser: window,
                variate_mixer: scan,
                raw_value_path: false,
                selection_from: SelectionFrom::Norm,
                discretisation: Discretisation::Zoh,
                ..base()
            },
        ),
        case(
            "scan_over_variates",
            Config {
                variate_mixer: scan,
                weighted_averaging: false,
                ..base()
            },
        ),
        case(
            "mlp_over_variates",
            Config {
                normaliser: exponential,
                variate_mixer: VariateMixer::Mlp(MLP),
                ..base()
            },
        ),
        case("both_over_variates", Config { layers: 3, ..base() }),
        case(
            "selection_from_norm",
            Config {
                selection_from: SelectionFrom::Norm,
                variate_embedding: false,
                ..base()
            },
        ),
        case(
            "zero_order_hold",
            Config {
                discretisation: Discretisation::Zoh,
                time_mixer: S6 { d_state: 4, ..TIME_MIXER },
                ..base()
            },
        ),
        case(
            "no_convolution",
            Config {
                time_mixer: S6 { d_conv: 1, ..TIME_MIXER },
                variate_mixer: VariateMixer::S6(S6 { d_conv: 1, ..VARIATE_SCAN }),
                ..base()
            },
        ),
        case(
            "one_variate",
            Config {
                variates: 1,
                variate_mixer: scan,
                // Of a sequence of one, A shows in the input matrix only.
                discretisation: Discretisation::Zoh,
                normaliser: exponential,
                ..base()
            },
        ),
        case(
            "stride_one_phase",
            Config {
                stride: 4,
                normaliser: window,
                ..base()
            },
        ),
        case(
            "stride_all_phases",
            Config {
                stride: 4,
                phases: 4,
                readout: Readout { lags: 3, ..NO_READOUT },
                ..base()
            },
        ),
        Recipe {
            interval_ms: 25_000_000, // about seven hours: the rows pass through all of the day and of the week
            ..case("calendar", Config { calendar: true, ..base() })
        },
        case(
            "readout",
            Config {
                normaliser: exponential,
                readout: Readout {
                    lags: 6,
                    season,
                    cross_lags: 2,
                    ..NO_READOUT
                },
                ..base()
            },
        ),
        case(
            "per_variate_readout_and_head",
            Config {
                head: Head::PerVariate,
                readout: Readout {
                    lags: 4,
                    season,
                    cross_lags: 3,
                    per_variate: true,
                    ..NO_READOUT
                },
                ..base()
            },
        ),
        case(
            "exogenous",
            Config {
                exogenous: 1,
                readout: Readout {
                    lags: 4,
                    season,
                    cross_lags: 2,
                    ..NO_READOUT
                },
                ..base()
            },
        ),
        Recipe {
            rows: 48,
            faults: Faults::Missing,
            ..case(
                "per_variate_but_exogenous",
                Config {
                    variates: 4,
                    exogenous: 2,
                    normaliser: window,
                    head: Head::PerVariate,
                    readout: Readout {
                        lags: 3,
                        season,
                        cross_lags: 3,
                        per_variate: true,
                        ..NO_READOUT
                    },
                    ..base()
                },
            )
        },
        Recipe {
            interval_ms: 25_000_000,
            ..case(
                "readout_of_the_calendar",
                Config {
                    readout: Readout {
                        lags: 3,
                        calendar: true,
                        per_variate: true,
                        ..NO_READOUT
                    },
                    ..base()
                },
            )
        },
        case(
            "known_ahead",
            Config {
                exogenous: 1,
                known_ahead: 1,
                horizon: 7,
                ..base()
            },
        ),
        Recipe {
            rows: 64,
            faults: Faults::Missing,
            ..case(
                "known_ahead_in_part",
                Config {
                    variates: 5,
                    exogenous: 3,
                    known_ahead: 2,
                    horizon: 10,
                    calendar: true,
                    normaliser: exponential,
                    readout: Readout {
                        lags: 3,
                        cross_lags: 2,
                        calendar: true,
                        known_ahead: true,
                        ..NO_READOUT
                    },
                    ..base()
                },
            )
        },
        Recipe {
            rows: 48,
            faults: Faults::Missing,
            ..case(
                "missing_readings_window",
                Config {
                    normaliser: window,
                    readout: Readout {
                        lags: 4,
                        season,
                        ..NO_READOUT
                    },
                    ..base()
                },
            )
        },
        Recipe {
            rows: 48,
            faults: Faults::Missing,
            ..case(
                "missing_readings_global",
                Config {
                    readout: Readout {
                        season,
                        cross_lags: 2,
                        ..NO_READOUT
                    },
                    ..base()
                },
            )
        },
        Recipe {
            faults: Faults::Extreme,
            ..case("extreme_readings_raw_value", base())
        },
        Recipe {
            faults: Faults::Extreme,
            ..case(
                "extreme_readings",
                Config {
                    raw_value_path: false,
                    ..base()
                },
            )
        },
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
    let meta = Metadata {
        format: FORMAT_VERSION,
        name: name.to_owned(),
        config: *config,
        variates: variates.collect(),
        interval_ms: u64::try_from(interval_ms).ok(),
        provenance: Provenance::default(),
    };
    Bundle::new(meta, weights).expect("the catalogue's models are valid")
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
        "beta" | "theta" if last => 1.0 + 0.3 * noise,
        _ => 0.4 * noise,
    }
}

/// Readings about each variate's mean: a wave, a drift and noise, with the faults asked for.
#[must_use]
pub fn stream(bundle: &Bundle, rows: usize, interval_ms: i64, faults: Faults, seed: u64) -> Stream {
    const START_MS: i64 = 1_709_210_096_000; // Thursday 2024-02-29, 12:34:56 UTC
    let mut noise = Noise::new(seed);
    let mut stream = Stream::default();
    for t in 0..rows {
        for (m, variate) in bundle.meta().variates.iter().enumerate() {
            let position = (t as f32 + 3.0 * m as f32) / 13.0;
            let wave = 4.0 * (position - position.floor() - 0.5).abs() - 1.0;
            let drift = 0.5 * (t as f32 / rows as f32 - 0.5);
            let reading = variate.mean + variate.std * (wave + drift + 0.6 * noise.number());
            stream.readings.push(match faults {
                Faults::None => reading,
                Faults::Missing => missing(reading, t, m, noise.number()),
                Faults::Extreme => extreme(reading, t, m),
            });
        }
        stream.times.push(START_MS + interval_ms * t as i64);
    }
    stream.ahead = ahead(bundle, &stream, faults);
    stream
}

/// What is told of the variates that are known ahead: of a flawless stream at every row what they will read; else now and then, of as many rows as it
/// happens, without the missing readings.
fn ahead(bundle: &Bundle, stream: &Stream, faults: Faults) -> Vec<f32> {
    let config = &bundle.meta().config;
    let (rows, width) = (stream.times.len(), config.horizon + 1);
    let mut ahead = Vec::new();
    for t in 0..rows {
        for m in config.variates - config.known_ahead..config.variates {
            let told = match faults {
                Faults::None => width,
                _ if (t + m) % 5 == 1 => (7 * t + m) % (width + 1),
                _ => 0,
            };
            let reading = |row: usize| match row < told.min(rows - t) {
                true => Some(stream.readings[(t + row) * config.variates + m]).filter(|x| x.is_finite()),
                false => None,
            };
            ahead.extend((0..width).map(|row| reading(row).unwrap_or(f32::NAN)));
        }
    }
    ahead
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
