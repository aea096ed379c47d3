use super::*;
use crate::{Discretisation, Mlp, Normaliser, Readout, S6, Season, VariateMixer, parameter_count};

/// Deterministic numbers in [-1, 1) with no structure.
fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

const MEAN: [f32; 3] = [10.0, -5.0, 0.0];
const STD: [f32; 3] = [2.0, 0.5, 1.0];

fn config() -> Config {
    let s6 = S6 {
        d_inner: 5,
        d_state: 3,
        dt_rank: 2,
        d_conv: 4,
    };
    Config {
        variates: 3,
        horizon: 4,
        patch: 6,
        d_model: 8,
        normaliser: Normaliser::Window { length: 7 },
        calendar: true,
        time_mixer: s6,
        variate_mixer: VariateMixer::Both {
            s6,
            mlp: Mlp { reduce: 2, hidden: 5 },
        },
        readout: Readout {
            lags: 5,
            season: Some(Season { period: 4 }),
            cross_lags: 2,
            calendar: true,
            known_ahead: false,
            per_variate: true,
        },
        ..Config::default()
    }
}

struct Run {
    config: Config,
    weights: Vec<f32>,
}

impl Run {
    fn new(config: Config) -> Self {
        let count = parameter_count(&config).expect("valid");
        Self {
            config,
            weights: noise(7, count).iter().map(|w| 0.4 * w).collect(),
        }
    }

    fn model(&self) -> Model<'_> {
        Model::new(&self.config, Scaler { mean: &MEAN, std: &STD }, &self.weights).expect("valid")
    }

    /// Feeds rows numbered `rows` and returns the forecasts made.
    fn feed(&self, state: &mut [f32], rows: core::ops::Range<usize>) -> Vec<Vec<f32>> {
        let model = self.model();
        let mut scratch = vec![f32::NAN; model.scratch_len()];
        let mut forecasts = Vec::new();
        for t in rows {
            let row = row(t);
            if let Some(mut token) = model.step(state, &mut scratch, &row, t as i64 * 60_000).expect("lengths fit") {
                let mut out = vec![0.0; self.config.forecast_len()];
                token.forecast(&mut out).expect("length fits");
                forecasts.push(out);
            }
        }
        forecasts
    }

    fn zero_state(&self) -> Vec<f32> {
        vec![0.0; self.model().state_len()]
    }
}

fn row(t: usize) -> [f32; 3] {
    let z = noise(1000 + t as u64, 3);
    let mut row: [f32; 3] = core::array::from_fn(|i| MEAN[i] + STD[i] * z[i]);
    if t % 11 == 5 {
        row[t % 3] = f32::NAN;
    }
    row
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    for (stride, phases) in [(1, 1), (4, 1), (4, 4)] {
        let run = Run::new(Config {
            stride,
            phases,
            ..config()
        });
        let mut state = run.zero_state();
        let whole = run.feed(&mut state, 0..60);
        assert_eq!(whole.len(), if phases == stride { 60 } else { 15 });
        let mut first = run.zero_state();
        let mut parts = run.feed(&mut first, 0..23);
        let mut restored: Vec<f32> = first.iter().map(|x| f32::from_bits(x.to_bits())).collect();
        parts.extend(run.feed(&mut restored, 23..60));
        assert!(whole.iter().flatten().all(|x| x.is_finite()));
        assert_eq!(whole, parts);
        assert!(state.iter().zip(&restored).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn each_phase_is_a_model_of_its_own() {
    // With a front end that remembers nothing beyond the patch, phase p of S sees what a one-phase model shifted by p would.
    let base = Config {
        normaliser: Normaliser::Global,
        readout: Readout {
            lags: 3,
            ..Readout::default()
        },
        ..config()
    };
    let all = Run::new(Config {
        stride: 3,
        phases: 3,
        ..base
    });
    let one = Run::new(Config {
        stride: 3,
        phases: 1,
        ..base
    });
    let every = all.feed(&mut all.zero_state(), 0..30);
    let third = one.feed(&mut one.zero_state(), 0..30);
    assert_eq!(third.len(), 10);
    for (i, forecast) in third.iter().enumerate() {
        assert_eq!(forecast, &every[3 * i + 2]);
    }
}

#[test]
fn every_option_changes_the_forecast_and_stays_finite() {
    let base = config();
    let s6 = base.time_mixer;
    let variants = [
        base,
        Config {
            discretisation: Discretisation::Zoh,
            ..base
        },
        Config {
            selection_from: SelectionFrom::Norm,
            ..base
        },
        Config {
            raw_value_path: false,
            ..base
        },
        Config {
            weighted_averaging: false,
            ..base
        },
        Config {
            variate_mixer: VariateMixer::None,
            ..base
        },
        Config {
            variate_mixer: VariateMixer::S6(s6),
            ..base
        },
        Config {
            variate_mixer: VariateMixer::Mlp(Mlp { reduce: 2, hidden: 5 }),
            ..base
        },
        Config {
            normaliser: Normaliser::Exponential { half_life: 9.0 },
            ..base
        },
        Config { calendar: false, ..base },
        Config {
            variate_embedding: false,
            ..base
        },
        Config {
            head: Head::PerVariate,
            ..base
        },
    ];
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for config in variants {
        let run = Run::new(config);
        let last = run.feed(&mut run.zero_state(), 0..20).pop().expect("a forecast");
        assert!(last.iter().all(|x| x.is_finite()), "{config:?}");
        assert!(!seen.contains(&last), "{config:?}");
        seen.push(last);
    }
}

#[test]
fn an_exogenous_variate_moves_the_others_forecasts_and_has_none() {
    let of = |config: Config, last: f32| {
        let run = Run::new(config);
        let model = run.model();
        let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
        let mut out = vec![f32::NAN; config.forecast_len()];
        for _ in 0..3 {
            let token = model.step(&mut state, &mut scratch, &[9.0, -4.5, last], 0).expect("lengths fit");
            token.expect("stride 1").forecast(&mut out).expect("length fits");
        }
        (out, state.len())
    };
    let none = VariateMixer::None;
    let apart = Readout {
        cross_lags: 0,
        ..config().readout
    };
    // The readings stand still, which a window would take for their level.
    let exogenous = Config {
        exogenous: 1,
        normaliser: Normaliser::Global,
        ..config()
    };
    for (config, is_read) in [
        (exogenous, true),
        // By the mixers alone, and by the read-out alone.
        (
            Config {
                readout: apart,
                ..exogenous
            },
            true,
        ),
        (
            Config {
                variate_mixer: none,
                ..exogenous
            },
            true,
        ),
        (
            Config {
                variate_mixer: none,
                readout: apart,
                ..exogenous
            },
            false,
        ),
    ] {
        let ((calm, len), (stirred, _)) = (of(config, 0.5), of(config, -1.0));
        assert_eq!(calm.len(), 2 * 4);
        assert_eq!(calm != stirred, is_read, "{config:?}");
        assert_eq!(
            len,
            of(Config { exogenous: 0, ..config }, 0.5).1,
            "its state is that of any variate"
        );
    }
}

#[test]
fn what_is_forecast_does_not_depend_on_whether_the_rest_is() {
    // The weights of the variates' own heads and read-outs lie last, variate by variate: cut off, all others are the same.
    let all = Run::new(Config {
        head: Head::PerVariate,
        ..config()
    });
    let config = Config {
        exogenous: 1,
        ..all.config
    };
    let mut some = Run::new(config);
    let ends = [4 * 8, 4, 4 * config.readout_features()].map(|of_variate| 3 * of_variate);
    let mut rest = all.weights.as_slice();
    some.weights = rest[..rest.len() - ends.iter().sum::<usize>()].to_vec();
    rest = &rest[some.weights.len()..];
    for tensor in ends {
        some.weights.extend_from_slice(&rest[..tensor * 2 / 3]);
        rest = &rest[tensor..];
    }
    let of_all = all.feed(&mut all.zero_state(), 0..20);
    let of_some = some.feed(&mut some.zero_state(), 0..20);
    for (all, some) in of_all.iter().zip(&of_some) {
        assert_eq!(all[..8], some[..]);
    }
}

#[test]
fn no_reading_poisons_the_state() {
    let run = Run::new(config());
    let model = run.model();
    let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
    let mut out = [0.0; 12];
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        0.0,
    ] {
        for row in [[value; 3], [0.0, value, 1.0]] {
            let mut token = model
                .step(&mut state, &mut scratch, &row, i64::MAX)
                .expect("lengths fit")
                .expect("stride 1");
            token.forecast(&mut out).expect("length fits");
            assert!(out.iter().all(|x| x.is_finite()), "{value}: {out:?}");
        }
    }
    assert!(state.iter().all(|x| x.is_finite()));
}

#[test]
fn wrong_lengths_are_errors_and_leave_the_state_alone() {
    let run = Run::new(config());
    let model = run.model();
    let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
    let fault = model
        .step(&mut state, &mut scratch, &[1.0], 0)
        .map(|_| ())
        .expect_err("one reading for three variates");
    assert_eq!(
        fault,
        Error::Length {
            buffer: "row",
            expected: 3,
            actual: 1
        }
    );
    assert!(model.step(&mut state[1..], &mut scratch, &row(0), 0).is_err());
    assert!(model.step(&mut state, &mut scratch[1..], &row(0), 0).is_err());
    assert!(state.iter().all(|&x| x == 0.0));
    let mut token = model
        .step(&mut state, &mut scratch, &row(0), 0)
        .expect("lengths fit")
        .expect("stride 1");
    assert!(token.forecast(&mut [0.0; 11]).is_err());
    let scaler = Scaler {
        mean: &MEAN,
        std: &[1.0, 0.0, 1.0],
    };
    assert_eq!(
        Model::new(&run.config, scaler, &run.weights).err(),
        Some(Error::Scaler { variate: 1 })
    );
}
