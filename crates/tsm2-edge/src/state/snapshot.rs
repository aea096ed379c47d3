//! One stream as bytes: its grid and the model's state for it, whose they are, and a digest.
//!
//! `b"TSM2" | format u32 | identity | length of the grid u32 | grid | length of the monitor u32 | monitor | state, f32 each | sha256 of all
//! before`, least significant byte first; of a model that is told what is known ahead, under a format of its own, with `length of the covariates u32 |
//! covariates` before the state.
//! Invariants: a snapshot of another format or of other variates is refused, never guessed at; of another model only grid and monitor are
//! used, for those have none of its state; any bytes are decoded without a panic.

use sha2::{Digest, Sha256};
use tsm2_bundle::{Bundle, BundleError};
use tsm2_core::Model;
use tsm2_stream::{Monitor, MonitorConfig, Resampler, ResamplerConfig, ResamplerError};

use crate::runtime::ahead::FutureCovariates;

/// Raise it with every change of this layout, of the grid's, or of what the numbers of the model's state mean.
const FORMAT: u32 = 5;
/// The same with covariates.
const FORMAT_AHEAD: u32 = 6;
const MAGIC: [u8; 4] = *b"TSM2";

/// A sha256.
pub(crate) type Hash = [u8; 32];

/// Whose numbers a snapshot has. Each part says more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the variates, in order, and the sampling interval: what a row is.
    rows: Hash,
    /// Of the model's configuration: what the numbers of its state are.
    shape: Hash,
    /// Of the whole bundle.
    model: Hash,
}

/// What a snapshot may be used for under another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// The same model.
    Same,
    /// Another model whose state has the same shape.
    Shape,
    /// Another model of the same variates.
    Rows,
}

impl Identity {
    /// That of a bundle whose rows come every `interval_ms`.
    pub(crate) fn of(bundle: &Bundle, interval_ms: u64) -> Result<Self, BundleError> {
        let meta = bundle.meta();
        let mut rows = Sha256::new_with_prefix(interval_ms.to_le_bytes());
        for variate in &meta.variates {
            rows.update((variate.name.len() as u64).to_le_bytes());
            rows.update(&variate.name);
        }
        // A configuration of numbers and names always has a text.
        let shape = Sha256::digest(serde_json::to_vec(&meta.config).unwrap_or_default());
        Ok(Identity {
            rows: rows.finalize().into(),
            shape: shape.into(),
            model: Sha256::digest(bundle.to_bytes()?).into(),
        })
    }

    /// The bundle's hash.
    pub(crate) fn model(&self) -> Hash {
        self.model
    }

    /// What `self` may use of what `other` wrote; `None`: nothing.
    pub(crate) fn kinship(&self, other: &Identity) -> Option<Kinship> {
        match () {
            () if self.rows != other.rows => None,
            () if self.model == other.model => Some(Kinship::Same),
            () if self.shape == other.shape => Some(Kinship::Shape),
            () => Some(Kinship::Rows),
        }
    }
}

/// Why a stream's snapshot is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The digest does not match, or the snapshot is cut short.
    #[error("the snapshot is damaged")]
    Damaged,
    /// Written in a format that this program does not know.
    #[error("the snapshot has format {found}, this program reads {FORMAT} and {FORMAT_AHEAD}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Written with a model of other variates or of another sampling interval.
    #[error("the snapshot belongs to a model of other variates or of another sampling interval")]
    OtherRows,
    /// The grid in it breaks its own rules, or has other aggregations.
    #[error("{0}")]
    Resampler(#[from] ResamplerError),
    /// The configuration names the streams, and this is none of them.
    #[error("the stream is not in input.streams")]
    NotServed,
    /// There are more streams than allowed.
    #[error("the stream is one more than the {max} of input.max_streams")]
    TooMany {
        /// `input.max_streams`.
        max: usize,
    },
}

/// The snapshot's bytes.
pub(crate) fn encode(
    identity: &Identity,
    grid: &Resampler,
    monitor: &Monitor,
    covariates: Option<&FutureCovariates>,
    state: &[f32],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * state.len() + Monitor::bytes(monitor.config()) + 1024);
    out.extend(MAGIC);
    out.extend(if covariates.is_some() { FORMAT_AHEAD } else { FORMAT }.to_le_bytes());
    for hash in [identity.rows, identity.shape, identity.model] {
        out.extend(hash);
    }
    // Numbers always have bytes.
    append(&mut out, |out| {
        out.extend(postcard::to_allocvec(&grid.snapshot()).unwrap_or_default())
    });
    append(&mut out, |out| {
        out.extend(postcard::to_allocvec(&monitor.snapshot()).unwrap_or_default())
    });
    if let Some(covariates) = covariates {
        append(&mut out, |out| covariates.save(out));
    }
    out.extend(state.iter().flat_map(|number| number.to_le_bytes()));
    let digest: Hash = Sha256::digest(&out).into();
    out.extend(digest);
    out
}

/// Appends what `save` writes, its length first.
fn append(out: &mut Vec<u8>, save: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    save(out);
    // A row has far fewer than 2^28 variates, a forecast fewer than 2^25 numbers.
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// What [`append`] wrote, and the rest.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A snapshot's parts, as they lie in its bytes.
struct Parts<'b> {
    identity: Identity,
    grid: &'b [u8],
    monitor: &'b [u8],
    covariates: Option<&'b [u8]>,
    state: &'b [[u8; 4]],
}

impl<'b> Parts<'b> {
    fn of(bytes: &'b [u8]) -> Result<Self, SnapshotError> {
        let (content, digest) = bytes.split_last_chunk::<32>().ok_or(SnapshotError::Damaged)?;
        if *digest != Hash::from(Sha256::digest(content)) {
            return Err(SnapshotError::Damaged);
        }
        let (magic, rest) = content.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        let (format, rest) = rest.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        match u32::from_le_bytes(*format) {
            _ if *magic != MAGIC => return Err(SnapshotError::Damaged),
            FORMAT => Self::cut(rest, false),
            FORMAT_AHEAD => Self::cut(rest, true),
            found => return Err(SnapshotError::Format { found }),
        }
        .ok_or(SnapshotError::Damaged)
    }

    fn cut(rest: &'b [u8], has_outlooks: bool) -> Option<Self> {
        let (&rows, rest) = rest.split_first_chunk()?;
        let (&shape, rest) = rest.split_first_chunk()?;
        let (&model, rest) = rest.split_first_chunk()?;
        let (grid, rest) = part(rest)?;
        let (monitor, rest) = part(rest)?;
        let (covariates, rest) = match has_outlooks {
            true => part(rest).map(|(covariates, rest)| (Some(covariates), rest))?,
            false => (None, rest),
        };
        let (state, []) = rest.as_chunks() else { return None };
        Some(Parts {
            identity: Identity { rows, shape, model },
            grid,
            monitor,
            covariates,
            state,
        })
    }
}

/// What this identity may use of a snapshot, told without reading its content.
pub(crate) fn kinship(bytes: &[u8], identity: &Identity) -> Result<Kinship, SnapshotError> {
    identity.kinship(&Parts::of(bytes)?.identity).ok_or(SnapshotError::OtherRows)
}

/// What was in a snapshot.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) grid: Resampler,
    /// `None` where it is one of another horizon, season or coverage.
    pub(crate) monitor: Option<Monitor>,
    /// `None` where there are none of these variates.
    pub(crate) covariates: Option<FutureCovariates>,
    /// Whether the state is used.
    pub(crate) has_state: bool,
}

/// Reads a snapshot; `state` is filled where it may be used as `accepts` says, and else left as it is.
pub(crate) fn decode(
    bytes: &[u8],
    identity: &Identity,
    (grid, monitor, model): (ResamplerConfig, MonitorConfig, &Model<'_>),
    accepts: impl FnOnce(Kinship, &Hash) -> bool,
    state: &mut [f32],
) -> Result<Decoded, SnapshotError> {
    let parts = Parts::of(bytes)?;
    let kinship = identity.kinship(&parts.identity).ok_or(SnapshotError::OtherRows)?;
    let decoded = Decoded {
        grid: Resampler::restore(grid, postcard::from_bytes(parts.grid).map_err(|_| SnapshotError::Damaged)?)?,
        monitor: postcard::from_bytes(parts.monitor)
            .ok()
            .and_then(|saved| Monitor::restore(monitor, saved).ok()),
        covariates: parts.covariates.and_then(|covariates| FutureCovariates::restore(model, covariates)),
        has_state: accepts(kinship, &parts.identity.model),
    };
    if decoded.has_state {
        if parts.state.len() != state.len() {
            return Err(SnapshotError::Damaged);
        }
        for (place, number) in state.iter_mut().zip(parts.state) {
            *place = f32::from_le_bytes(*number);
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsm2_core::{Config, Scaler, parameter_count};
    use tsm2_stream::{FutureCovariate, Reading};

    fn config() -> ResamplerConfig {
        ResamplerConfig::new(2, 1000, 5)
    }

    const MODEL: Identity = Identity {
        rows: [5; 32],
        shape: [6; 32],
        model: [7; 32],
    };
    const WATCH: MonitorConfig = MonitorConfig {
        variates: 2,
        horizon: 3,
        season: Some(2),
        coverage: 0.9,
    };
    const STATE: [f32; 3] = [1.5, -0.0, f32::NAN];

    fn snapshot() -> Vec<u8> {
        let mut grid = Resampler::new(config()).unwrap();
        let reading = Reading {
            variate: 1,
            value: 2.5,
            time_ms: 9_000,
        };
        grid.push(reading, |_| ()).unwrap();
        let mut monitor = Monitor::new(WATCH, &[1.0; 6]).unwrap();
        monitor.observe(&[1.0, 2.0]);
        monitor.issue(&[1.0; 6]);
        encode(&MODEL, &grid, &monitor, None, &STATE)
    }

    /// What `check` makes of a model of two variates, the last `known_ahead` of which are known ahead.
    fn with_model<T>(known_ahead: usize, check: impl FnOnce(&Model<'_>) -> T) -> T {
        let config = Config {
            variates: 2,
            future_covariates: known_ahead,
            ..Config::default()
        };
        let weights = vec![0.0; parameter_count(&config).unwrap()];
        let scaler = Scaler {
            mean: &[0.0; 2],
            std: &[1.0; 2],
        };
        check(&Model::new(&config, scaler, &weights).unwrap())
    }

    fn decoded(bytes: &[u8], model: &Identity) -> Result<Vec<u8>, SnapshotError> {
        let mut state = [0.0; 3];
        let same = |kinship, _: &Hash| kinship == Kinship::Same;
        let decoded = with_model(0, |of| decode(bytes, model, (config(), WATCH, of), same, &mut state))?;
        let monitor = decoded.monitor.unwrap_or_else(|| Monitor::new(WATCH, &[1.0; 6]).unwrap());
        Ok(encode(model, &decoded.grid, &monitor, None, &state))
    }

    /// `bytes` with a digest that fits.
    fn sealed(content: &[u8]) -> Vec<u8> {
        let digest: Hash = Sha256::digest(content).into();
        [content, &digest].concat()
    }

    #[test]
    fn what_was_encoded_is_decoded_to_the_bit() {
        let snapshot = snapshot();
        assert_eq!(decoded(&snapshot, &MODEL), Ok(snapshot));
    }

    #[test]
    fn of_another_model_the_grid_is_used_and_of_other_rows_or_formats_nothing() {
        let snapshot = snapshot();
        let mut grown = MODEL;
        grown.model = [8; 32];
        assert_eq!(kinship(&snapshot, &grown), Ok(Kinship::Shape));
        grown.shape = [8; 32];
        assert_eq!(kinship(&snapshot, &grown), Ok(Kinship::Rows));
        let mut state = [9.0; 3];
        let watch = MonitorConfig { horizon: 4, ..WATCH };
        let same = |kinship, _: &Hash| kinship == Kinship::Same;
        let decoded = with_model(0, |of| decode(&snapshot, &grown, (config(), watch, of), same, &mut state)).unwrap();
        assert_eq!((decoded.grid.counts().readings, decoded.has_state, state), (1, false, [9.0; 3]));
        assert!(decoded.monitor.is_none(), "of another horizon");
        let other = Identity { rows: [8; 32], ..MODEL };
        assert_eq!(kinship(&snapshot, &other), Err(SnapshotError::OtherRows));
        assert_eq!(self::decoded(&snapshot, &other), Err(SnapshotError::OtherRows));
        let mut newer = snapshot[..snapshot.len() - 32].to_vec();
        newer[4] = FORMAT_AHEAD as u8 + 1;
        assert_eq!(
            self::decoded(&sealed(&newer), &MODEL),
            Err(SnapshotError::Format { found: FORMAT_AHEAD + 1 })
        );
    }

    #[test]
    fn outlooks_go_along_and_are_not_taken_for_those_of_other_variates() {
        let same = |kinship, _: &Hash| kinship == Kinship::Same;
        let bytes = with_model(1, |model| {
            let mut covariates = FutureCovariates::none(model);
            let mut state = vec![0.0; model.state_len()];
            let covariate = FutureCovariate::new(vec![(60_000, 1.5), (120_000, 2.5)]);
            covariates.set_future(model, &mut state, 1, covariate.clone()).unwrap();
            assert!(covariates.set_future(model, &mut state, 0, covariate).is_err());
            let grid = Resampler::new(config()).unwrap();
            let monitor = Monitor::new(WATCH, &[1.0; 6]).unwrap();
            let bytes = encode(&MODEL, &grid, &monitor, Some(&covariates), &STATE);
            let decoded = decode(&bytes, &MODEL, (config(), WATCH, model), same, &mut [0.0; 3]).unwrap();
            assert_eq!(decoded.covariates, Some(covariates));
            let none = decode(&snapshot(), &MODEL, (config(), WATCH, model), same, &mut [0.0; 3]).unwrap();
            assert_eq!(none.covariates, None, "from before there were any");
            bytes
        });
        let decoded = with_model(0, |model| decode(&bytes, &MODEL, (config(), WATCH, model), same, &mut [0.0; 3])).unwrap();
        assert_eq!((decoded.covariates, decoded.has_state), (None, true));
    }

    #[test]
    fn damage_anywhere_is_found_with_the_digest_and_harmless_without() {
        let snapshot = snapshot();
        for at in 0..snapshot.len() {
            assert_eq!(decoded(&snapshot[..at], &MODEL), Err(SnapshotError::Damaged));
            let mut flipped = snapshot.clone();
            flipped[at] ^= 0x40;
            assert_eq!(decoded(&flipped, &MODEL), Err(SnapshotError::Damaged));
            // A digest that fits: refused or taken, never a panic.
            let content = at.min(snapshot.len() - 32);
            assert!(decoded(&sealed(&snapshot[..content]), &MODEL).is_err() || content == snapshot.len() - 32);
            let _ = decoded(&sealed(&flipped[..snapshot.len() - 32]), &MODEL);
        }
    }
}
