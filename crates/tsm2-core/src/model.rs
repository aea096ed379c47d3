//! One step of the whole network: embedding, layers with weighted averaging, head and read-out.

use crate::config::{Config, Head, SelectionFrom};
use crate::error::Error;
use crate::front::{Front, Scaler, check_len};
use crate::math::dot;
use crate::mixer::{layer_norm, mlp_scratch_len, scan_scratch_len, time_mixer, time_scratch_len, variate_mlp, variate_scan};
use crate::network::Network;

/// A model ready to step: configuration, scaler and borrowed weights. It holds no state; one model serves any number of streams.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    config: Config,
    front: Front<'a>,
    network: Network<'a>,
}

/// A token that has just passed the network; the forecast issued at this sample can be read from it.
#[derive(Debug)]
pub struct Token<'t> {
    model: &'t Model<'t>,
    state: &'t [f32],
    features: &'t [f32],
    phi: &'t mut [f32],
}

impl<'a> Model<'a> {
    /// A model over `weights`, which hold every tensor of [`crate::layout`] one after the other.
    ///
    /// # Errors
    /// A fault of the configuration, the scaler, or the number of weights.
    pub fn new(config: &Config, scaler: Scaler<'a>, weights: &'a [f32]) -> Result<Self, Error> {
        Ok(Self {
            config: *config,
            front: Front::new(config, scaler)?,
            network: Network::view(config, weights)?,
        })
    }

    /// The configuration the model was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameter-free part of the model.
    #[must_use]
    pub fn front(&self) -> &Front<'a> {
        &self.front
    }

    /// Numbers in the state of one stream: the front end's, then one recurrent state per phase.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.front.state_len() + self.config.phases * self.phase_len()
    }

    fn phase_len(&self) -> usize {
        self.config.layers * self.config.variates * self.network.layers[0].time.s6.state_len()
    }

    /// Numbers of working memory a step needs; nothing in it outlives the [`Token`].
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        let c = &self.config;
        self.features_len() + c.variates * c.d_model + c.patch_len().max(c.readout_features()).max(self.mixer_scratch_len())
    }

    /// The outputs of the embedding and of every layer's two mixers, `[L + 1, 2, M, D]`, which the weighted averaging reads.
    fn features_len(&self) -> usize {
        2 * (self.config.layers + 1) * self.config.variates * self.config.d_model
    }

    fn mixer_scratch_len(&self) -> usize {
        let c = &self.config;
        let time = time_scratch_len(&c.time_mixer, c.d_model);
        let scan = c.variate_mixer.s6().map_or(0, |s6| scan_scratch_len(&s6, c.variates));
        let mlp = c.variate_mixer.mlp().map_or(0, |mlp| mlp_scratch_len(&mlp, c.variates));
        time.max(scan).max(mlp)
    }

    /// Sets the state to that of a stream that has seen nothing.
    ///
    /// # Errors
    /// [`Error::Length`] when `state` does not have [`Model::state_len`] numbers.
    pub fn reset(&self, state: &mut [f32]) -> Result<(), Error> {
        check_len("state", state.len(), self.state_len())?;
        state.fill(0.0);
        Ok(())
    }

    /// Tells what a variate that is known ahead (one of the last K of a row) will read, in the sensors' units: the value of the row that is stepped
    /// next, then those of the H rows after it, as far as they are known. A value that is not finite is not known, and stands at the last one before
    /// it that is, or else at the newest reading. What was told before is forgotten; what is not told anew moves up with every row, and beyond its end
    /// the last value stands. A row's own reading, where it is not missing, goes before what was told of it.
    ///
    /// # Errors
    /// [`Error::NotKnownAhead`] of any other variate; [`Error::Length`] when `state` has the wrong length or there are more than H + 1 values. The
    /// state is untouched then.
    pub fn foretell(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Error> {
        check_len("state", state.len(), self.state_len())?;
        self.front.foretell(&mut state[..self.front.state_len()], variate, values)
    }

    /// Consumes one row and advances the state.
    ///
    /// `row` holds M readings in the sensors' units; one that is not finite is missing and stands at its variate's last reading. `time_ms`
    /// is the row's Unix time in milliseconds. A token, and with it a forecast, is due at every sample when the stride is 1 or when all
    /// phases run, else at every `stride`-th sample.
    ///
    /// # Errors
    /// [`Error::Length`] when a slice has the wrong length; the state is untouched then.
    pub fn step<'t>(&'t self, state: &'t mut [f32], scratch: &'t mut [f32], row: &[f32], time_ms: i64) -> Result<Option<Token<'t>>, Error> {
        let c = &self.config;
        check_len("row", row.len(), c.variates)?;
        check_len("state", state.len(), self.state_len())?;
        check_len("scratch", scratch.len(), self.scratch_len())?;
        let (front_state, phases) = state.split_at_mut(self.front.state_len());
        self.front.push(front_state, row, time_ms)?;
        let phase = (self.front.samples(front_state) % c.stride as u64) as usize;
        if phase >= c.phases {
            return Ok(None);
        }
        let recurrent = &mut phases[phase * self.phase_len()..(phase + 1) * self.phase_len()];
        let (features, rest) = scratch.split_at_mut(self.features_len());
        let (xn, work) = rest.split_at_mut(c.variates * c.d_model);
        self.embed(front_state, features, work);
        self.mix(recurrent, features, xn, work);
        let md = c.variates * c.d_model;
        Ok(Some(Token {
            model: self,
            state: front_state,
            features: &features[features.len() - md..],
            phi: &mut work[..c.readout_features()],
        }))
    }

    /// u = W_e patch + b_e (+ the variate's vector), as the outputs yT_0 and yC_0.
    fn embed(&self, front_state: &[f32], features: &mut [f32], work: &mut [f32]) {
        let (c, w) = (&self.config, &self.network);
        let (d, md) = (c.d_model, c.variates * c.d_model);
        let patch = &mut work[..c.patch_len()];
        let (u, twin) = features[..2 * md].split_at_mut(md);
        for (m, u) in u.chunks_exact_mut(d).enumerate() {
            self.front.patch(front_state, m, patch);
            let rows = w.embed.chunks_exact(patch.len());
            for ((u, row), bias) in u.iter_mut().zip(rows).zip(w.embed_bias) {
                *u = dot(row, patch) + bias;
            }
            if let Some(variate) = w.embed_variate {
                for (u, e) in u.iter_mut().zip(&variate[m * d..]) {
                    *u += e;
                }
            }
        }
        twin.copy_from_slice(u);
    }

    /// The layers. `features` is `[L + 1, 2, M, D]`: after this, the last block is yC of the last layer.
    fn mix(&self, recurrent: &mut [f32], features: &mut [f32], xn: &mut [f32], work: &mut [f32]) {
        let c = &self.config;
        let (d, md) = (c.d_model, c.variates * c.d_model);
        let from_norm = c.selection_from == SelectionFrom::Norm;
        let states = recurrent.chunks_exact_mut(recurrent.len() / c.layers);
        for ((l, layer), state) in self.network.layers[..c.layers].iter().enumerate().zip(states) {
            let (done, rest) = features.split_at_mut(2 * (l + 1) * md);
            let (yt, yc) = rest[..2 * md].split_at_mut(md);
            if c.weighted_averaging {
                average(yt, done, layer.averaging.alpha, layer.averaging.beta);
            } else {
                yt.copy_from_slice(&done[(2 * l + 1) * md..]);
            }
            time_mixer(&layer.time, c.raw_value_path, from_norm, state, yt, work);
            if c.weighted_averaging {
                average(yc, done, &layer.averaging.theta[..=l], layer.averaging.gamma);
                add_scaled(yc, layer.averaging.theta[l + 1], yt);
            } else {
                yc.copy_from_slice(yt);
            }
            if layer.scan.is_none() && layer.mlp.is_none() {
                continue;
            }
            for (x, xn) in yc.chunks_exact(d).zip(xn.chunks_exact_mut(d)) {
                layer_norm(x, layer.variate_norm.weight, layer.variate_norm.bias, xn);
            }
            if let Some(scan) = &layer.scan {
                variate_scan(scan, c.raw_value_path, from_norm, yc, xn, work);
            }
            if let (Some(mlp), Some(sizes)) = (&layer.mlp, c.variate_mixer.mlp()) {
                variate_mlp(mlp, &sizes, xn, yc, work);
            }
        }
    }
}

/// out = sum_i t_i yT_i + c_i yC_i over the outputs `done` `[.., 2, M, D]`, with `out` `[M, D]`.
fn average(out: &mut [f32], done: &[f32], of_time: &[f32], of_variate: &[f32]) {
    out.fill(0.0);
    let weights = of_time.iter().zip(of_variate);
    for (pair, (t, v)) in done.chunks_exact(2 * out.len()).zip(weights) {
        let (yt, yc) = pair.split_at(out.len());
        add_scaled(out, *t, yt);
        add_scaled(out, *v, yc);
    }
}

fn add_scaled(out: &mut [f32], weight: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += weight * x;
    }
}

impl Token<'_> {
    /// Writes the forecast: `[M - X, H]`, in the sensors' units; lead 0 is the next sample after the one just consumed.
    ///
    /// # Errors
    /// [`Error::Length`] when `out` does not have [`Config::forecast_len`] numbers.
    pub fn forecast(&mut self, out: &mut [f32]) -> Result<(), Error> {
        let (c, w, front) = (&self.model.config, &self.model.network, &self.model.front);
        check_len("forecast", out.len(), c.forecast_len())?;
        let scaler = front.scaler();
        let of_variate = |m: usize, own: bool, len: usize| if own { m * len..(m + 1) * len } else { 0..len };
        for (m, (out, y)) in out
            .chunks_exact_mut(c.horizon)
            .zip(self.features.chunks_exact(c.d_model))
            .enumerate()
        {
            front.features(self.state, m, self.phi);
            let own_head = c.head == Head::PerVariate;
            let head = &w.head[of_variate(m, own_head, c.horizon * c.d_model)];
            let bias = &w.head_bias[of_variate(m, own_head, c.horizon)];
            for ((out, row), bias) in out.iter_mut().zip(head.chunks_exact(c.d_model)).zip(bias) {
                *out = dot(row, y) + bias;
            }
            if !self.phi.is_empty() {
                let readout = &w.readout[of_variate(m, c.readout.per_variate, c.horizon * self.phi.len())];
                for (out, row) in out.iter_mut().zip(readout.chunks_exact(self.phi.len())) {
                    *out += dot(row, self.phi);
                }
            }
            let (mu, sd) = front.statistics(self.state, m);
            for out in out {
                *out = (*out * sd + mu) * scaler.std[m] + scaler.mean[m];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
}
