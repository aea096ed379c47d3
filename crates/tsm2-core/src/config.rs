//! Every number that fixes the shape and the arithmetic of a model. Plain data; stored in the model file.
//!
//! Invariant: the rest of the crate only ever sees a configuration that passed [`Config::validate`].

use crate::{Error, ahead_bands};

/// Layers a model may have at most (the network's view of its weights is a fixed-size array).
pub const MAX_LAYERS: usize = 8;

/// The rates g of the seasonal averages E <- g E + (1 - g) z.
pub const SEASON_RATES: [f32; 3] = [0.5, 0.8, 0.95];

/// Numbers of the calendar: sine and cosine of the time of day, and of the day of the week.
pub const CALENDAR: usize = 4;

/// No single dimension is larger than this, so that sizes never overflow.
const MAX_DIMENSION: usize = 65_536;

/// Shape and options of a model in stream mode.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Config {
    /// M: readings in a row.
    pub variates: usize,
    /// X: how many of them, the last ones, are read but not forecast. Left out of the model file when there is none, so that readers from
    /// before it existed take such a file and refuse any other.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub exogenous: usize,
    /// K: how many of these, the last ones, are known ahead: what they will read in the rows to come is told by [`crate::Model::foretell`]. Left
    /// out of the model file likewise.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub known_ahead: usize,
    /// H: leads in a forecast.
    pub horizon: usize,
    /// P: samples in a token's patch.
    pub patch: usize,
    /// S: samples from one token of a phase to its next.
    pub stride: usize,
    /// Interleaved copies of the recurrent state: 1 (a token every S samples) or S (a token at every sample).
    pub phases: usize,
    /// How samples are centred and scaled when a token is made.
    pub normaliser: Normaliser,
    /// Adds sin and cos of the time of day and of the day of the week (UTC) to every patch.
    pub calendar: bool,
    /// D: width of a variate's features.
    pub d_model: usize,
    /// Layers, each a time mixer followed by a variate mixer.
    pub layers: usize,
    /// A learned vector per variate, added to its embedding.
    pub variate_embedding: bool,
    /// The mixer over the tokens of one variate.
    pub time_mixer: S6,
    /// The mixer over the variates of one token.
    pub variate_mixer: VariateMixer,
    /// The value path bypasses the LayerNorm.
    pub raw_value_path: bool,
    /// What d, B and C are computed from.
    pub selection_from: SelectionFrom,
    /// How the continuous state equation becomes a step.
    pub discretisation: Discretisation,
    /// Learned weights for the features of all earlier layers (paper, equations 8 and 9); off: plain residual stack.
    pub weighted_averaging: bool,
    /// Whether variates share the head.
    pub head: Head,
    /// The linear read-out beside the network.
    pub readout: Readout,
}

/// Causal normaliser of the scaled samples z.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, rename_all = "snake_case")
)]
pub enum Normaliser {
    /// Mean 0 and standard deviation 1: z as it is.
    Global,
    /// Mean and standard deviation of the last `length` samples.
    Window {
        /// Samples in the window.
        length: usize,
    },
    /// Exponentially weighted mean and standard deviation.
    Exponential {
        /// Samples after which a sample's weight has halved.
        half_life: f32,
    },
}

/// Sizes of a selective state-space mixer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct S6 {
    /// E: channels of the scan.
    pub d_inner: usize,
    /// N: states per channel.
    pub d_state: usize,
    /// R: rank of the step size's projection.
    pub dt_rank: usize,
    /// K: taps of the causal convolution.
    pub d_conv: usize,
}

/// Sizes of the MLP across variates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Mlp {
    /// r: numbers each variate contributes.
    pub reduce: usize,
    /// h: width of the hidden layer.
    pub hidden: usize,
}

/// What mixes the variates of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, rename_all = "snake_case")
)]
pub enum VariateMixer {
    /// Nothing: variates meet only in the read-out.
    None,
    /// A bidirectional selective scan over the variates.
    S6(S6),
    /// One hidden layer over all variates (the paper's TSM2-MLP).
    Mlp(Mlp),
    /// Both, added.
    Both {
        /// Sizes of the scan.
        s6: S6,
        /// Sizes of the MLP.
        mlp: Mlp,
    },
}

impl VariateMixer {
    /// The scan's sizes, if there is one.
    #[must_use]
    pub fn s6(&self) -> Option<S6> {
        match *self {
            Self::S6(s6) | Self::Both { s6, .. } => Some(s6),
            _ => None,
        }
    }

    /// The MLP's sizes, if there is one.
    #[must_use]
    pub fn mlp(&self) -> Option<Mlp> {
        match *self {
            Self::Mlp(mlp) | Self::Both { mlp, .. } => Some(mlp),
            _ => None,
        }
    }
}

/// The source of d, B and C in a selective scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SelectionFrom {
    /// The convolved values c (Mamba's code).
    Conv,
    /// The LayerNormed input (the paper's text).
    Norm,
}

/// The input matrix of a step: dt B, or the exact zero-order hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Discretisation {
    /// dt B (Mamba's code).
    Euler,
    /// (exp(dt A) - 1) / A B (the paper's equation 4).
    Zoh,
}

/// Whether the head's weights are one matrix or one per variate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Head {
    /// `head.weight[H,D]`.
    Shared,
    /// `head.weight[M-X,H,D]`.
    PerVariate,
}

/// Features of the linear read-out, per variate, in this order; all zero or none, as by default: no read-out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Readout {
    /// The variate's last samples, normalised at the origin.
    pub lags: usize,
    /// Seasonal averages at the rates [`SEASON_RATES`].
    pub season: Option<Season>,
    /// The last samples of every other variate, exogenous ones included (a vector autoregression).
    pub cross_lags: usize,
    /// Sines and cosines of the time of day and of the day of the week (UTC) at the origin. Of these a map per lead makes those at the lead. Left
    /// out of the model file where it is off.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "core::ops::Not::not"))]
    pub calendar: bool,
    /// What is known of the rows to come. Left out of the model file where it is off.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "core::ops::Not::not"))]
    pub known_ahead: bool,
    /// One weight matrix per variate instead of a shared one.
    pub per_variate: bool,
}

/// Seasonal averages of the read-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Season {
    /// T: samples in a period.
    pub period: usize,
}

impl Default for Config {
    /// A small model of one variate: the working point of the paper's design in stream mode.
    fn default() -> Self {
        let s6 = S6 {
            d_inner: 32,
            d_state: 2,
            dt_rank: 4,
            d_conv: 4,
        };
        Self {
            variates: 1,
            exogenous: 0,
            known_ahead: 0,
            horizon: 1,
            patch: 8,
            stride: 1,
            phases: 1,
            normaliser: Normaliser::Global,
            calendar: false,
            d_model: 64,
            layers: 2,
            variate_embedding: true,
            time_mixer: s6,
            variate_mixer: VariateMixer::S6(s6),
            raw_value_path: true,
            selection_from: SelectionFrom::Conv,
            discretisation: Discretisation::Euler,
            weighted_averaging: true,
            head: Head::Shared,
            readout: Readout::default(),
        }
    }
}

impl Config {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] with the key at fault.
    pub fn validate(&self) -> Result<(), Error> {
        let dimension = |key, value: usize| {
            require(value >= 1, key, "at least 1")?;
            require(value <= MAX_DIMENSION, key, "at most 65536")
        };
        let s6 = |s6: &S6| {
            dimension("d_inner", s6.d_inner)?;
            dimension("d_state", s6.d_state)?;
            dimension("dt_rank", s6.dt_rank)?;
            dimension("d_conv", s6.d_conv)
        };
        dimension("variates", self.variates)?;
        require(self.exogenous < self.variates, "exogenous", "less than `variates`")?;
        require(self.known_ahead <= self.exogenous, "known_ahead", "at most `exogenous`")?;
        dimension("horizon", self.horizon)?;
        dimension("patch", self.patch)?;
        dimension("stride", self.stride)?;
        require(self.phases == 1 || self.phases == self.stride, "phases", "1 or equal to `stride`")?;
        match self.normaliser {
            Normaliser::Global => {}
            Normaliser::Window { length } => {
                dimension("normaliser.window.length", length)?;
                require(length >= 2, "normaliser.window.length", "at least 2")?;
            }
            Normaliser::Exponential { half_life } => {
                require(
                    half_life.is_finite() && half_life >= 1.0,
                    "normaliser.exponential.half_life",
                    "finite and at least 1",
                )?;
            }
        }
        dimension("d_model", self.d_model)?;
        require((1..=MAX_LAYERS).contains(&self.layers), "layers", "from 1 to 8")?;
        s6(&self.time_mixer)?;
        if let Some(sizes) = self.variate_mixer.s6() {
            s6(&sizes)?;
        }
        if let Some(mlp) = self.variate_mixer.mlp() {
            dimension("reduce", mlp.reduce)?;
            dimension("hidden", mlp.hidden)?;
        }
        require(self.readout.lags <= MAX_DIMENSION, "readout.lags", "at most 65536")?;
        require(self.readout.cross_lags <= MAX_DIMENSION, "readout.cross_lags", "at most 65536")?;
        if let Some(season) = self.readout.season {
            dimension("readout.season.period", season.period)?;
        }
        require(
            !self.readout.known_ahead || self.known_ahead > 0,
            "readout.known_ahead",
            "off where no variate is known ahead",
        )?;
        // Each product that sizes a buffer or a tensor stays far inside 32 bits, the address space of a microcontroller.
        let bounded = |key, factors: &[usize]| {
            let product = factors.iter().try_fold(1usize, |p, &f| p.checked_mul(f).filter(|&p| p <= 1 << 28));
            require(product.is_some(), key, "small enough that no buffer exceeds 2^28 numbers")
        };
        let feature_bound = self.readout_features_checked().ok_or(Error::Config {
            key: "readout",
            requirement: "smaller",
        })?;
        bounded("d_model", &[self.variates, self.d_model, 2 * (self.layers + 1)])?;
        bounded(
            "patch",
            &[self.variates.max(self.d_model), self.patch + CALENDAR + self.ahead_len()],
        )?;
        bounded("known_ahead", &[self.known_ahead, self.horizon + 1 + self.ahead_len()])?;
        bounded("horizon", &[self.variates, self.horizon, self.d_model])?;
        bounded("readout", &[self.variates, self.horizon, feature_bound])?;
        bounded("readout", &[self.variates, self.ring_len()])?;
        for mixer in [Some(self.time_mixer), self.variate_mixer.s6()].into_iter().flatten() {
            let width = mixer.d_inner.max(self.d_model);
            bounded("d_inner", &[width, 3 * width])?;
            bounded("d_state", &[width, mixer.dt_rank + 2 * mixer.d_state])?;
            bounded(
                "d_state",
                &[
                    self.phases * self.layers,
                    self.variates,
                    mixer.d_inner,
                    mixer.d_state + mixer.d_conv,
                ],
            )?;
        }
        if let Some(mlp) = self.variate_mixer.mlp() {
            bounded("hidden", &[mlp.hidden, self.variates, mlp.reduce.max(self.d_model)])?;
        }
        Ok(())
    }

    /// M - X: the variates that are forecast, the first ones of a row.
    #[must_use]
    pub fn endogenous(&self) -> usize {
        self.variates.saturating_sub(self.exogenous)
    }

    /// Numbers in a forecast `[M - X, H]`.
    #[must_use]
    pub fn forecast_len(&self) -> usize {
        self.endogenous() * self.horizon
    }

    /// Multiply-adds of one step that makes a token, and of reading one forecast: matrix products, convolutions and scans.
    #[must_use]
    pub fn operations(&self) -> (usize, usize) {
        let (m, d) = (self.variates, self.d_model);
        let s6 = |s: &S6| {
            let selection = if self.selection_from == SelectionFrom::Conv { s.d_inner } else { d };
            s.d_inner * s.d_conv + (s.dt_rank + 2 * s.d_state) * selection + s.d_inner * (s.dt_rank + 3 * s.d_state + 1)
        };
        let time = 3 * self.time_mixer.d_inner * d + s6(&self.time_mixer);
        let scan = self.variate_mixer.s6().map_or(0, |s| 4 * s.d_inner * d + 2 * s6(&s));
        let mlp = self.variate_mixer.mlp().map_or(0, |s| s.reduce * d + s.hidden * (s.reduce + d));
        (
            m * (d * self.patch_len() + self.layers * (time + scan + mlp)),
            self.forecast_len() * (d + self.readout_features()),
        )
    }

    /// Numbers in a patch vector: P samples, the calendar's four, and what is known ahead.
    #[must_use]
    pub fn patch_len(&self) -> usize {
        self.patch + if self.calendar { CALENDAR } else { 0 } + self.ahead_len()
    }

    /// Numbers that say what is known ahead: K times the number of [`ahead_bands`].
    #[must_use]
    pub fn ahead_len(&self) -> usize {
        self.known_ahead * ahead_bands(self.horizon).count()
    }

    /// Numbers in the read-out's feature vector of one variate.
    #[must_use]
    pub fn readout_features(&self) -> usize {
        self.readout_features_checked().unwrap_or(0)
    }

    fn readout_features_checked(&self) -> Option<usize> {
        let season = self.readout.season.map_or(0, |s| s.period * SEASON_RATES.len());
        let cross = (self.variates - 1).checked_mul(self.readout.cross_lags)?;
        let calendar = if self.readout.calendar { CALENDAR } else { 0 };
        let ahead = if self.readout.known_ahead { self.ahead_len() } else { 0 };
        (self.readout.lags + season + calendar + ahead).checked_add(cross)
    }

    /// Samples of each variate that the front end keeps.
    pub(crate) fn ring_len(&self) -> usize {
        let window = if let Normaliser::Window { length } = self.normaliser {
            length
        } else {
            0
        };
        self.patch.max(self.readout.lags).max(self.readout.cross_lags).max(window)
    }
}

#[cfg(feature = "serde")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn require(condition: bool, key: &'static str, requirement: &'static str) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::Config { key, requirement })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_faults_name_their_key() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        let fault = |config: Config| match config.validate() {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(Config { variates: 0, ..config }), "variates");
        assert_eq!(fault(Config { exogenous: 1, ..config }), "exogenous");
        assert_eq!(fault(Config { known_ahead: 1, ..config }), "known_ahead");
        let readout = Readout {
            known_ahead: true,
            ..Readout::default()
        };
        assert_eq!(fault(Config { readout, ..config }), "readout.known_ahead");
        assert_eq!(fault(Config { layers: 9, ..config }), "layers");
        assert_eq!(
            fault(Config {
                stride: 4,
                phases: 2,
                ..config
            }),
            "phases"
        );
        assert_eq!(
            fault(Config {
                normaliser: Normaliser::Window { length: 1 },
                ..config
            }),
            "normaliser.window.length"
        );
        assert_eq!(
            fault(Config {
                normaliser: Normaliser::Exponential { half_life: f32::NAN },
                ..config
            }),
            "normaliser.exponential.half_life"
        );
        assert_eq!(
            fault(Config {
                horizon: usize::MAX,
                ..config
            }),
            "horizon"
        );
        assert_eq!(
            fault(Config {
                variates: 65_536,
                d_model: 65_536,
                ..config
            }),
            "d_model"
        );
        assert_eq!(
            fault(Config {
                variates: 65_536,
                readout: Readout {
                    cross_lags: 65_536,
                    ..config.readout
                },
                ..config
            }),
            "readout"
        );
    }
}
