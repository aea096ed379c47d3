//! The numbers that fix the shape and the arithmetic of a model. Plain data; stored in the model file.
//!
//! Invariant: the rest of the crate works only with a configuration that passed [`Config::validate`].

use core::ops::Range;

use crate::Error;
use crate::math::power;

/// Largest number of layers.
pub const MAX_LAYERS: usize = 8;

/// The rates g of the seasonal averages E <- g E + (1 - g) z, where a season has none of its own.
pub const SEASON_RATES: [f32; 3] = [0.5, 0.8, 0.95];

/// Largest number of exponential averages of a variate.
pub const MAX_AVERAGES: usize = 16;

/// Largest number of harmonics of the day, and of the week.
const MAX_HARMONICS: usize = 64;

/// Largest value of a single dimension; sizes never overflow.
const MAX_DIMENSION: usize = 65_536;

/// Largest number of elements in a forecast.
const MAX_FORECAST: usize = 1 << 22;

/// Shape and options of a model.
///
/// A time step holds M variates in this order: targets, past covariates, future covariates.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Config {
    /// M: variates in a time step.
    pub variates: usize,
    /// Variates that the model reads and does not forecast, without future values.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub past_covariates: usize,
    /// K: variates that the model reads and does not forecast, whose next values are known: [`crate::Model::set_future`] sets them.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub future_covariates: usize,
    /// H: steps in a forecast.
    pub horizon: usize,
    /// How the weights of the large matrices are stored.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub precision: Precision,
    /// How samples are centred and scaled.
    pub normalizer: Normalizer,
    /// Harmonics of the calendar, where network or linear head use it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub calendar: Calendar,
    /// Exponential averages of every variate, where network or linear head use them.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub averages: Option<Averages>,
    /// The network; `None`: the model is its linear head.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub network: Option<NetworkConfig>,
    /// The linear head; the default has no features: the model is its network.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub linear_head: LinearHead,
}

/// Shape of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct NetworkConfig {
    /// P: samples in a token's patch.
    pub patch: usize,
    /// Adds the variate's exponential averages to its patch.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub averages: bool,
    /// Adds the calendar to every patch.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub calendar: bool,
    /// D: width of a variate's features.
    pub d_model: usize,
    /// L: layers, each a time mixer followed by a variate mixer.
    pub layers: usize,
    /// The mixer over the tokens of one variate.
    pub time_mixer: S6,
    /// The mixer over the variates of one token.
    pub variate_mixer: VariateMixer,
    /// Whether variates share the head.
    pub head: Head,
}

/// Harmonics of the calendar: sine and cosine of 1, 2, .. times the time of day, then of the time of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Calendar {
    /// Harmonics of the day.
    pub day: usize,
    /// Harmonics of the week.
    pub week: usize,
}

impl Default for Calendar {
    fn default() -> Self {
        Self { day: 1, week: 1 }
    }
}

impl Calendar {
    /// Numbers of the calendar.
    #[must_use]
    pub fn len(&self) -> usize {
        2 * (self.day + self.week)
    }

    /// Whether there are no harmonics.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Exponential averages of a variate's readings. The half-lives are evenly spaced on a logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Averages {
    /// Number of averages.
    pub count: usize,
    /// The shortest half-life, in readings.
    pub shortest: f32,
    /// The longest half-life, in readings.
    pub longest: f32,
}

impl Averages {
    /// Half-lives in readings, the shortest first.
    pub fn half_lives(self) -> impl Iterator<Item = f64> {
        let (shortest, longest) = (f64::from(self.shortest), f64::from(self.longest));
        let intervals = self.count.max(2) - 1;
        (0..self.count).map(move |i| shortest * power(longest / shortest, i as f64 / intervals as f64))
    }
}

/// How the weights of the large matrices are stored. All other tensors are in single precision in every model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Precision {
    /// Single precision.
    #[default]
    Single,
    /// 8-bit integers with a scale for each row.
    Int8,
}

/// Causal normalizer of the scaled samples z.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, rename_all = "snake_case")
)]
pub enum Normalizer {
    /// Mean 0 and standard deviation 1: z itself.
    Global,
    /// Exponentially weighted mean and standard deviation.
    Exponential {
        /// Samples after which a sample's weight has halved.
        half_life: f32,
    },
}

/// Sizes of a selective state-space mixer (S6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct S6 {
    /// E: channels of the scan.
    pub d_inner: usize,
    /// N: states per channel.
    pub d_state: usize,
    /// R: rank of the step size's projection.
    pub dt_rank: usize,
    /// Taps of the causal convolution.
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

/// The mixer over the variates of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, rename_all = "snake_case")
)]
pub enum VariateMixer {
    /// No mixing: variates meet only in the linear head.
    None,
    /// A bidirectional selective scan over the variates.
    S6(S6),
    /// One hidden layer over all variates (the paper's TSM2-MLP).
    Mlp(Mlp),
    /// Scan and MLP, added.
    Both {
        /// Sizes of the scan.
        s6: S6,
        /// Sizes of the MLP.
        mlp: Mlp,
    },
}

impl VariateMixer {
    /// Sizes of the scan, where the mixer has one.
    #[must_use]
    pub fn s6(&self) -> Option<S6> {
        match *self {
            Self::S6(s6) | Self::Both { s6, .. } => Some(s6),
            _ => None,
        }
    }

    /// Sizes of the MLP, where the mixer has one.
    #[must_use]
    pub fn mlp(&self) -> Option<Mlp> {
        match *self {
            Self::Mlp(mlp) | Self::Both { mlp, .. } => Some(mlp),
            _ => None,
        }
    }
}

/// Whether the head's weights are one matrix or one matrix per target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Head {
    /// `head.weight[H,D]`.
    Shared,
    /// `head.weight[targets,H,D]`.
    PerVariate,
}

/// Features of the linear head, per variate, in the order of the fields. The default has none: no linear head.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct LinearHead {
    /// Lags, exponential and seasonal averages count from the newest sample of their variate, and the forecast from the
    /// newest sample of its target: a head without a level of its own.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub relative: bool,
    /// The variate's last samples, normalized with the statistics of the origin. Here and below, the newest sample is one
    /// of them unless `relative`; then they end before it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub lags: usize,
    /// The variate's exponential averages, normalized with the statistics of the origin.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub averages: bool,
    /// Seasonal averages at the rates [`SEASON_RATES`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub season: Option<Season>,
    /// The last samples of every other variate, covariates included (a vector autoregression).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub cross_lags: usize,
    /// The last samples of all variates, covariates and the target itself included: the same numbers for every target.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub common_lags: usize,
    /// The exponential averages of all variates, after each variate's common lags.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub common_averages: bool,
    /// The calendar at the origin.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub calendar: bool,
    /// The future covariates' next values.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub future_covariates: bool,
    /// One weight matrix per target instead of a shared matrix.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub per_variate: bool,
    /// What network and linear head read of a variate is held to the range of the training rows, the tensor
    /// `linear_head.bounds`: a channel that leaves that range moves no forecast. Only in a `relative` head.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub bounded: bool,
    /// r: every weight matrix is a product `[H, r] [r, r] [r, features]`; 0: whole matrices.
    ///
    /// The first and the last factor are common to all targets; the core in the middle is the target's own where
    /// `per_variate`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub rank: usize,
}

/// Seasonal averages of the linear head.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Season {
    /// T: samples in a period.
    pub period: usize,
    /// Places in a period, each for an equal share of its samples; absent: a place for each sample.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub bins: Option<usize>,
    /// The one rate of the averages, between 0 and 1; absent: the [`SEASON_RATES`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub rate: Option<f32>,
}

impl Season {
    /// Places in a period.
    #[must_use]
    pub fn places(&self) -> usize {
        self.bins.unwrap_or(self.period)
    }

    /// Number of rates.
    #[must_use]
    pub fn rates(&self) -> usize {
        if self.rate.is_some() { 1 } else { SEASON_RATES.len() }
    }

    /// Numbers of the seasonal averages: of every place at each rate.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rates() * self.places()
    }

    /// Whether there are no places; never so in a valid configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places() == 0
    }
}

impl Default for Config {
    /// A model of one variate: the default network, no linear head.
    fn default() -> Self {
        Self {
            variates: 1,
            past_covariates: 0,
            future_covariates: 0,
            horizon: 1,
            precision: Precision::Single,
            normalizer: Normalizer::Global,
            calendar: Calendar::default(),
            averages: None,
            network: Some(NetworkConfig::default()),
            linear_head: LinearHead::default(),
        }
    }
}

impl Default for NetworkConfig {
    /// A small network: two layers of width 64.
    fn default() -> Self {
        let s6 = S6 {
            d_inner: 32,
            d_state: 2,
            dt_rank: 4,
            d_conv: 4,
        };
        Self {
            patch: 8,
            averages: false,
            calendar: false,
            d_model: 64,
            layers: 2,
            time_mixer: s6,
            variate_mixer: VariateMixer::S6(s6),
            head: Head::Shared,
        }
    }
}

/// The B bands of horizon steps over which a future covariate is averaged.
///
/// The first bands hold a single step each; every later band is half as wide as all steps before it, rounded down.
/// Band 0 begins with step 0, the first step of the forecast.
pub fn future_bands(horizon: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    core::iter::from_fn(move || {
        let end = (start + (start / 2).max(1)).min(horizon);
        let band = start..end;
        start = end;
        (!band.is_empty()).then_some(band)
    })
}

impl Config {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] with the key at fault.
    pub fn validate(&self) -> Result<(), Error> {
        dimension("variates", self.variates)?;
        let covariates = self.past_covariates.saturating_add(self.future_covariates);
        let key = if self.past_covariates >= self.variates {
            "past_covariates"
        } else {
            "future_covariates"
        };
        require(
            covariates < self.variates,
            key,
            "small enough to leave at least one target of the `variates`",
        )?;
        dimension("horizon", self.horizon)?;
        if let Normalizer::Exponential { half_life } = self.normalizer {
            require(
                half_life.is_finite() && half_life >= 1.0,
                "normalizer.exponential.half_life",
                "finite and at least 1",
            )?;
        }
        let head = &self.linear_head;
        for (key, lags) in [
            ("linear_head.lags", head.lags),
            ("linear_head.cross_lags", head.cross_lags),
            ("linear_head.common_lags", head.common_lags),
            ("linear_head.rank", head.rank),
        ] {
            require(lags <= MAX_DIMENSION, key, "at most 65536")?;
        }
        if let Some(season) = head.season {
            dimension("linear_head.season.period", season.period)?;
            require(
                (1..=season.period).contains(&season.places()),
                "linear_head.season.bins",
                "from 1 to the period",
            )?;
            require(
                season.rate.is_none_or(|rate| 0.0 < rate && rate < 1.0),
                "linear_head.season.rate",
                "between 0 and 1",
            )?;
        }
        require(
            self.calendar.day.max(self.calendar.week) <= MAX_HARMONICS,
            "calendar",
            "at most 64 harmonics of the day and of the week",
        )?;
        if let Some(Averages { count, shortest, longest }) = self.averages {
            require((1..=MAX_AVERAGES).contains(&count), "averages.count", "from 1 to 16")?;
            require(
                1.0 <= shortest && shortest <= longest && longest <= MAX_DIMENSION as f32,
                "averages",
                "half-lives from 1 to 65536, the shortest first",
            )?;
        }
        let uses_averages = head.averages || head.common_averages || self.network.is_some_and(|network| network.averages);
        require(
            self.averages.is_some() || !uses_averages,
            "averages",
            "present where network or linear head use them",
        )?;
        require(
            !self.linear_head.future_covariates || self.future_covariates > 0,
            "linear_head.future_covariates",
            "false where the model has no future covariates",
        )?;
        require(
            head.rank == 0 || head.cross_lags == 0,
            "linear_head.cross_lags",
            "0 in a head of a rank; use common_lags",
        )?;
        require(
            !head.bounded || head.relative,
            "linear_head.bounded",
            "false in a head that is not relative",
        )?;
        let features = self.linear_head_features_checked().ok_or(Error::Config {
            key: "linear_head",
            requirement: "smaller",
        })?;
        require(
            self.network.is_some() || features > 0,
            "network",
            "present where the linear head has no features",
        )?;
        require(
            self.targets()
                .checked_mul(self.horizon)
                .is_some_and(|numbers| numbers <= MAX_FORECAST),
            "horizon",
            "small enough that a forecast does not exceed 2^22 numbers",
        )?;
        bounded("future_covariates", &[self.future_covariates, self.horizon + 1 + self.future_len()])?;
        bounded(
            "linear_head",
            &[self.variates, self.horizon.max(head.rank), features.max(head.rank)],
        )?;
        bounded("linear_head", &[self.variates, self.ring_len()])?;
        self.network.map_or(Ok(()), |network| network.validate(self))
    }

    /// The same model with another network.
    #[must_use]
    pub fn with_network(self, network: NetworkConfig) -> Self {
        Self {
            network: Some(network),
            ..self
        }
    }

    /// The variates that are forecast: the first ones of a time step.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.variates
            .saturating_sub(self.past_covariates.saturating_add(self.future_covariates))
    }

    /// Numbers in a forecast `[targets, H]`.
    #[must_use]
    pub fn forecast_len(&self) -> usize {
        self.targets() * self.horizon
    }

    /// Multiply-adds of one step and of reading one forecast: matrix products, convolutions and scans.
    #[must_use]
    pub fn operations(&self) -> (usize, usize) {
        let (step, width) = self.network.map_or((0, 0), |network| (network.operations(self), network.d_model));
        let (features, rank) = (self.linear_head_features(), self.linear_head.rank);
        let linear = match rank {
            0 => self.horizon * features,
            _ => rank * (self.horizon + rank + features),
        };
        (step, self.targets() * (self.horizon * width + linear))
    }

    /// Numbers in a patch vector: P samples, exponential averages, calendar, and the future covariates' means. 0 without
    /// a network.
    #[must_use]
    pub fn patch_len(&self) -> usize {
        self.network.map_or(0, |network| {
            network.patch + self.averages_len(network.averages) + self.calendar_len(network.calendar) + self.future_len()
        })
    }

    /// Numbers of the calendar for a part that uses it or not.
    #[must_use]
    pub fn calendar_len(&self, is_used: bool) -> usize {
        if is_used { self.calendar.len() } else { 0 }
    }

    /// Exponential averages of a variate for a part that uses them or not.
    #[must_use]
    pub fn averages_len(&self, is_used: bool) -> usize {
        self.averages.filter(|_| is_used).map_or(0, |averages| averages.count)
    }

    /// Numbers that describe the future covariates: K times the number of [`future_bands`].
    #[must_use]
    pub fn future_len(&self) -> usize {
        self.future_covariates * future_bands(self.horizon).count()
    }

    /// Numbers in the linear head's feature vector of one variate.
    #[must_use]
    pub fn linear_head_features(&self) -> usize {
        self.linear_head_features_checked().unwrap_or(0)
    }

    fn linear_head_features_checked(&self) -> Option<usize> {
        let head = &self.linear_head;
        let own = head.lags + self.averages_len(head.averages) + head.season.map_or(0, |season| season.len());
        let cross = (self.variates - 1).checked_mul(head.cross_lags)?;
        let common = self.variates.checked_mul(self.common_len())?;
        let future = if head.future_covariates { self.future_len() } else { 0 };
        (own + self.calendar_len(head.calendar) + future)
            .checked_add(cross)?
            .checked_add(common)
    }

    /// Numbers of each variate that every target's linear head reads.
    #[must_use]
    pub fn common_len(&self) -> usize {
        self.linear_head.common_lags + self.averages_len(self.linear_head.common_averages)
    }

    /// Numbers of each variate in the tensor `linear_head.bounds`: of its samples, its lags, and each of its exponential
    /// averages.
    #[must_use]
    pub fn bounds_len(&self) -> usize {
        2 + self.averages_len(true)
    }

    /// Samples of each variate that the preprocessor keeps.
    pub(crate) fn ring_len(&self) -> usize {
        let patch = self.network.map_or(1, |network| network.patch);
        let head = &self.linear_head;
        let newest = usize::from(head.relative);
        patch.max(head.lags.max(head.cross_lags).max(head.common_lags) + newest)
    }
}

impl NetworkConfig {
    fn validate(&self, config: &Config) -> Result<(), Error> {
        let variates = config.variates;
        dimension("network.patch", self.patch)?;
        dimension("network.d_model", self.d_model)?;
        require((1..=MAX_LAYERS).contains(&self.layers), "network.layers", "from 1 to 8")?;
        bounded("network.d_model", &[variates, self.d_model, 2 * (self.layers + 1)])?;
        bounded(
            "network.patch",
            &[variates.max(self.d_model), config.with_network(*self).patch_len()],
        )?;
        bounded("horizon", &[variates, config.horizon, self.d_model])?;
        for mixer in [Some(self.time_mixer), self.variate_mixer.s6()].into_iter().flatten() {
            dimension("d_inner", mixer.d_inner)?;
            dimension("d_state", mixer.d_state)?;
            dimension("dt_rank", mixer.dt_rank)?;
            dimension("d_conv", mixer.d_conv)?;
            let width = mixer.d_inner.max(self.d_model);
            bounded("d_inner", &[width, 3 * width])?;
            bounded("d_state", &[width, mixer.dt_rank + 2 * mixer.d_state])?;
            bounded("d_state", &[self.layers, variates, mixer.d_inner, mixer.d_state + mixer.d_conv])?;
        }
        if let Some(mlp) = self.variate_mixer.mlp() {
            dimension("reduce", mlp.reduce)?;
            dimension("hidden", mlp.hidden)?;
            bounded("hidden", &[mlp.hidden, variates, mlp.reduce.max(self.d_model)])?;
        }
        Ok(())
    }

    /// Multiply-adds of one step.
    fn operations(&self, config: &Config) -> usize {
        let d = self.d_model;
        let s6 = |s: &S6| s.d_inner * s.d_conv + (s.dt_rank + 2 * s.d_state) * s.d_inner + s.d_inner * (s.dt_rank + 3 * s.d_state + 1);
        let time = 3 * self.time_mixer.d_inner * d + s6(&self.time_mixer);
        let scan = self.variate_mixer.s6().map_or(0, |s| 4 * s.d_inner * d + 2 * s6(&s));
        let mlp = self.variate_mixer.mlp().map_or(0, |s| s.reduce * d + s.hidden * (s.reduce + d));
        config.variates * (d * config.patch_len() + self.layers * (time + scan + mlp))
    }
}

#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn require(condition: bool, key: &'static str, requirement: &'static str) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::Config { key, requirement })
    }
}

fn dimension(key: &'static str, value: usize) -> Result<(), Error> {
    require(value >= 1, key, "at least 1")?;
    require(value <= MAX_DIMENSION, key, "at most 65536")
}

/// Each product that sizes a buffer or a tensor stays far inside 32 bits, the address space of a microcontroller.
fn bounded(key: &'static str, factors: &[usize]) -> Result<(), Error> {
    let product = factors.iter().try_fold(1usize, |p, &f| p.checked_mul(f).filter(|&p| p <= 1 << 28));
    require(product.is_some(), key, "small enough that no buffer exceeds 2^28 numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_faults_name_their_key() {
        let config = Config::default();
        let network = NetworkConfig::default();
        assert_eq!(config.validate(), Ok(()));
        let fault = |config: Config| match config.validate() {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        let with = |network| Config {
            network: Some(network),
            ..config
        };
        let linear = |linear_head| Config { linear_head, ..config };
        assert_eq!(fault(Config { variates: 0, ..config }), "variates");
        assert_eq!(
            fault(Config {
                past_covariates: 1,
                ..config
            }),
            "past_covariates"
        );
        assert_eq!(
            fault(Config {
                variates: 2,
                past_covariates: 1,
                future_covariates: 1,
                ..config
            }),
            "future_covariates"
        );
        let future = LinearHead {
            future_covariates: true,
            ..LinearHead::default()
        };
        assert_eq!(fault(linear(future)), "linear_head.future_covariates");
        assert_eq!(fault(with(NetworkConfig { layers: 9, ..network })), "network.layers");
        assert_eq!(fault(with(NetworkConfig { layers: 0, ..network })), "network.layers");
        assert_eq!(fault(Config { network: None, ..config }), "network");
        assert_eq!(
            fault(Config {
                normalizer: Normalizer::Exponential { half_life: f32::NAN },
                ..config
            }),
            "normalizer.exponential.half_life"
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
                ..with(NetworkConfig {
                    d_model: 65_536,
                    ..network
                })
            }),
            "network.d_model"
        );
        let cross = LinearHead {
            cross_lags: 65_536,
            ..LinearHead::default()
        };
        assert_eq!(
            fault(Config {
                variates: 65_536,
                ..linear(cross)
            }),
            "linear_head"
        );
    }

    #[test]
    fn bands_cover_every_step_once_and_widen() {
        for horizon in [1, 2, 3, 24, 60, 720, 65_536] {
            let mut next = 0;
            for band in future_bands(horizon) {
                assert_eq!(band.start, next);
                assert!(!band.is_empty() && band.len() <= (band.start / 2).max(1), "{band:?}");
                next = band.end;
            }
            assert_eq!(next, horizon);
        }
        assert_eq!(future_bands(60).count(), 11);
        assert!(future_bands(65_536).count() < 32);
    }
}
