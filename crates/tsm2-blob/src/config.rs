//! The configuration as words. One walk both writes and reads, so that the two cannot disagree.
//!
//! Every struct is taken apart without `..`: a field that is added to the core's configuration does
//! not compile here until it has its word. A change of the walk is a new [`crate::VERSION`].

use tsm2_core::{Averages, Calendar, Config, Head, LinearHead, Mlp, NetworkConfig, Normalizer, Precision, S6, Season, VariateMixer};

use crate::error::BlobError;

/// Passes one word, named by its key. A writer keeps the word and returns it; a reader ignores it
/// and returns the blob's word instead.
pub(crate) trait Words: FnMut(&'static str, u32) -> Result<u32, BlobError> {}

impl<F: FnMut(&'static str, u32) -> Result<u32, BlobError>> Words for F {}

/// Walks the configuration.
pub(crate) fn config(words: &mut impl Words, config: &Config) -> Result<Config, BlobError> {
    let Config {
        variates,
        past_covariates,
        future_covariates,
        horizon,
        precision,
        normalizer,
        calendar: Calendar { day, week },
        averages,
        network,
        linear_head,
    } = *config;
    Ok(Config {
        variates: size(words, "variates", variates)?,
        past_covariates: size(words, "past_covariates", past_covariates)?,
        future_covariates: size(words, "future_covariates", future_covariates)?,
        horizon: size(words, "horizon", horizon)?,
        precision: match flag(words, "precision", precision == Precision::Int8)? {
            true => Precision::Int8,
            false => Precision::Single,
        },
        normalizer: self::normalizer(words, normalizer)?,
        calendar: Calendar {
            day: size(words, "calendar.day", day)?,
            week: size(words, "calendar.week", week)?,
        },
        averages: self::averages(words, averages)?,
        network: match flag(words, "network", network.is_some())? {
            true => Some(self::network(words, network.unwrap_or_default())?),
            false => None,
        },
        linear_head: self::linear_head(words, linear_head)?,
    })
}

fn averages(words: &mut impl Words, averages: Option<Averages>) -> Result<Option<Averages>, BlobError> {
    let Averages { count, shortest, longest } = averages.unwrap_or(Averages {
        count: 0,
        shortest: 0.0,
        longest: 0.0,
    });
    let averages = Averages {
        count: size(words, "averages.count", count)?,
        shortest: number(words, "averages.shortest", shortest)?,
        longest: number(words, "averages.longest", longest)?,
    };
    Ok((averages.count > 0).then_some(averages))
}

fn normalizer(words: &mut impl Words, normalizer: Normalizer) -> Result<Normalizer, BlobError> {
    let (kind, half_life) = match normalizer {
        Normalizer::Global => (0, 0.0),
        Normalizer::Exponential { half_life } => (1, half_life),
    };
    let kind = words("normalizer", kind)?;
    let half_life = number(words, "normalizer.exponential.half_life", half_life)?;
    match kind {
        0 => Ok(Normalizer::Global),
        1 => Ok(Normalizer::Exponential { half_life }),
        word => Err(BlobError::Option { key: "normalizer", word }),
    }
}

fn network(words: &mut impl Words, network: NetworkConfig) -> Result<NetworkConfig, BlobError> {
    let NetworkConfig {
        patch,
        averages,
        calendar,
        d_model,
        layers,
        time_mixer,
        variate_mixer,
        head,
    } = network;
    Ok(NetworkConfig {
        patch: size(words, "network.patch", patch)?,
        averages: flag(words, "network.averages", averages)?,
        calendar: flag(words, "network.calendar", calendar)?,
        d_model: size(words, "network.d_model", d_model)?,
        layers: size(words, "network.layers", layers)?,
        time_mixer: s6(words, time_mixer)?,
        variate_mixer: self::variate_mixer(words, variate_mixer)?,
        head: match flag(words, "network.head", head == Head::PerVariate)? {
            true => Head::PerVariate,
            false => Head::Shared,
        },
    })
}

fn variate_mixer(words: &mut impl Words, mixer: VariateMixer) -> Result<VariateMixer, BlobError> {
    const UNUSED: S6 = S6 {
        d_inner: 0,
        d_state: 0,
        dt_rank: 0,
        d_conv: 0,
    };
    let kind = match mixer {
        VariateMixer::None => 0,
        VariateMixer::S6(_) => 1,
        VariateMixer::Mlp(_) => 2,
        VariateMixer::Both { .. } => 3,
    };
    let kind = words("network.variate_mixer", kind)?;
    let s6 = s6(words, mixer.s6().unwrap_or(UNUSED))?;
    let mlp = mlp(words, mixer.mlp().unwrap_or(Mlp { reduce: 0, hidden: 0 }))?;
    match kind {
        0 => Ok(VariateMixer::None),
        1 => Ok(VariateMixer::S6(s6)),
        2 => Ok(VariateMixer::Mlp(mlp)),
        3 => Ok(VariateMixer::Both { s6, mlp }),
        word => Err(BlobError::Option {
            key: "network.variate_mixer",
            word,
        }),
    }
}

fn s6(words: &mut impl Words, sizes: S6) -> Result<S6, BlobError> {
    let S6 {
        d_inner,
        d_state,
        dt_rank,
        d_conv,
    } = sizes;
    Ok(S6 {
        d_inner: size(words, "d_inner", d_inner)?,
        d_state: size(words, "d_state", d_state)?,
        dt_rank: size(words, "dt_rank", dt_rank)?,
        d_conv: size(words, "d_conv", d_conv)?,
    })
}

fn mlp(words: &mut impl Words, sizes: Mlp) -> Result<Mlp, BlobError> {
    let Mlp { reduce, hidden } = sizes;
    Ok(Mlp {
        reduce: size(words, "reduce", reduce)?,
        hidden: size(words, "hidden", hidden)?,
    })
}

fn linear_head(words: &mut impl Words, head: LinearHead) -> Result<LinearHead, BlobError> {
    let LinearHead {
        relative,
        lags,
        averages,
        season,
        cross_lags,
        common_lags,
        common_averages,
        calendar,
        future_covariates,
        per_variate,
        bounded,
        rank,
    } = head;
    let (relative, bounded) = self::relative(words, relative, bounded)?;
    Ok(LinearHead {
        relative,
        lags: size(words, "linear_head.lags", lags)?,
        averages: flag(words, "linear_head.averages", averages)?,
        season: self::season(words, season)?,
        cross_lags: size(words, "linear_head.cross_lags", cross_lags)?,
        common_lags: size(words, "linear_head.common_lags", common_lags)?,
        common_averages: flag(words, "linear_head.common_averages", common_averages)?,
        calendar: flag(words, "linear_head.calendar", calendar)?,
        future_covariates: flag(words, "linear_head.future_covariates", future_covariates)?,
        per_variate: flag(words, "linear_head.per_variate", per_variate)?,
        bounded,
        rank: size(words, "linear_head.rank", rank)?,
    })
}

/// Whether the head is relative, and bounded: 2. A bounded head is always relative.
fn relative(words: &mut impl Words, relative: bool, bounded: bool) -> Result<(bool, bool), BlobError> {
    let key = "linear_head.relative";
    match words(key, u32::from(relative) + u32::from(bounded))? {
        word @ 0..=2 => Ok((word > 0, word == 2)),
        word => Err(BlobError::Option { key, word }),
    }
}

/// A period of 0 means no season, 0 bins and a rate of 0 mean absent.
fn season(words: &mut impl Words, season: Option<Season>) -> Result<Option<Season>, BlobError> {
    let Season { period, bins, rate } = season.unwrap_or(Season {
        period: 0,
        bins: None,
        rate: None,
    });
    let period = size(words, "linear_head.season.period", period)?;
    let bins = size(words, "linear_head.season.bins", bins.unwrap_or(0))?;
    let rate = number(words, "linear_head.season.rate", rate.unwrap_or(0.0))?;
    let season = Season {
        period,
        bins: (bins > 0).then_some(bins),
        rate: (rate != 0.0).then_some(rate),
    };
    Ok((period > 0).then_some(season))
}

/// A size fits a word, since no size of a valid configuration exceeds 65,536.
fn size(words: &mut impl Words, key: &'static str, size: usize) -> Result<usize, BlobError> {
    let word = words(key, u32::try_from(size).unwrap_or(u32::MAX))?;
    usize::try_from(word).map_err(|_| BlobError::Option { key, word })
}

fn number(words: &mut impl Words, key: &'static str, number: f32) -> Result<f32, BlobError> {
    Ok(f32::from_bits(words(key, number.to_bits())?))
}

fn flag(words: &mut impl Words, key: &'static str, flag: bool) -> Result<bool, BlobError> {
    match words(key, u32::from(flag))? {
        0 => Ok(false),
        1 => Ok(true),
        word => Err(BlobError::Option { key, word }),
    }
}
