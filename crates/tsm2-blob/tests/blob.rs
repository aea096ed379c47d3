//! Blobs of every configuration come back as they were; every wrong blob is one clear error.

use tsm2_blob::{Blob, BlobError, CHECKSUM, MAGIC, Parts, VERSION, write};
use tsm2_core::{
    Averages, Calendar, Config, Head, LinearHead, Mlp, NetworkConfig, Normalizer, Precision, S6, Scaler, Season, VariateMixer, storage_lens,
};

const S6_SIZES: S6 = S6 {
    d_inner: 6,
    d_state: 2,
    dt_rank: 3,
    d_conv: 4,
};
const MLP: Mlp = Mlp { reduce: 2, hidden: 9 };

/// A blob in words, so that its bytes are aligned as in flash.
struct Flash(Vec<u32>);

impl Flash {
    fn new(bytes: &[u8]) -> Self {
        Flash(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect())
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    /// States the checksum of what the blob now holds.
    fn sealed(mut self) -> Self {
        let length = self.0[2] as usize;
        self.0[3] = CHECKSUM.checksum(&self.bytes()[16..length]);
        self
    }

    fn error(&self) -> BlobError {
        Blob::open(self.bytes()).expect_err("must be refused")
    }
}

fn config() -> Config {
    Config {
        variates: 3,
        past_covariates: 1,
        horizon: 4,
        ..Config::default()
    }
}

fn weights(config: &Config) -> (Vec<f32>, Vec<i8>) {
    let (singles, integers) = storage_lens(config).expect("valid");
    // Bounds are not negative.
    let least = if config.linear_head.bounded { 0.0 } else { -0.4 };
    let singles = (0..singles).map(|i| (i % 7) as f32 / 7.0 + least).collect();
    (singles, (0..integers).map(|i| (i % 255) as u8 as i8).collect())
}

fn blob_of(config: Config) -> Flash {
    let (weights, integers) = weights(&config);
    let names = ["a", "température", "abcd", "e", "f"];
    Flash::new(&write(&Parts {
        name: "test",
        digest: core::array::from_fn(|i| i as u8),
        interval_ms: 3_600_000,
        config,
        scaler: Scaler {
            mean: &[1.0, -2.0, 3.0, 0.0, 5.0][..config.variates],
            std: &[0.5, 1.5, 2.5, 1.0, 2.0][..config.variates],
        },
        variates: &names[..config.variates],
        coverage: 0.9,
        initial_widths: &vec![0.75; config.forecast_len()],
        weights: &weights,
        integers: &integers,
    }))
}

#[test]
fn every_configuration_comes_back_as_it_was() {
    let network = NetworkConfig {
        patch: 3,
        d_model: 5,
        time_mixer: S6_SIZES,
        ..NetworkConfig::default()
    };
    let mixers = [
        VariateMixer::None,
        VariateMixer::S6(S6_SIZES),
        VariateMixer::Mlp(MLP),
        VariateMixer::Both { s6: S6_SIZES, mlp: MLP },
    ];
    let mut configs: Vec<Config> = mixers
        .map(|variate_mixer| config().with_network(NetworkConfig { variate_mixer, ..network }))
        .to_vec();
    configs.push(Config {
        normalizer: Normalizer::Exponential { half_life: 6.5 },
        ..config().with_network(NetworkConfig {
            calendar: true,
            head: Head::PerVariate,
            layers: 3,
            ..network
        })
    });
    let linear_head = LinearHead {
        lags: 4,
        season: Some(Season {
            period: 7,
            bins: None,
            rate: None,
        }),
        cross_lags: 2,
        calendar: true,
        future_covariates: true,
        per_variate: true,
        ..LinearHead::default()
    };
    configs.push(Config {
        variates: 5,
        future_covariates: 2,
        network: None,
        linear_head,
        ..config()
    });
    configs.push(Config {
        calendar: Calendar { day: 6, week: 2 },
        averages: Some(Averages {
            count: 3,
            shortest: 1.5,
            longest: 48.0,
        }),
        linear_head: LinearHead {
            relative: true,
            averages: true,
            season: Some(Season {
                period: 12,
                bins: Some(5),
                rate: Some(0.75),
            }),
            cross_lags: 0,
            common_lags: 1,
            common_averages: true,
            future_covariates: false,
            bounded: true,
            rank: 2,
            ..linear_head
        },
        ..config().with_network(NetworkConfig { averages: true, ..network })
    });
    let int8: Vec<Config> = configs
        .iter()
        .map(|config| Config {
            precision: Precision::Int8,
            ..*config
        })
        .collect();
    for config in configs.into_iter().chain(int8) {
        let flash = blob_of(config);
        let blob = Blob::open(flash.bytes()).expect("valid");
        assert_eq!(blob.config(), &config);
        assert_eq!((blob.name(), blob.variate(1), blob.variate(9)), ("test", "température", ""));
        assert_eq!((blob.variate_named("abcd"), blob.variate_named("x")), (Some(2), None));
        assert_eq!((blob.interval_ms(), blob.coverage(), blob.digest()[31]), (3_600_000, 0.9, 31));
        assert_eq!(blob.initial_widths(), vec![0.75; config.forecast_len()]);
        assert_eq!(blob.bytes(), flash.bytes().len());
        let (weights, integers) = weights(&config);
        let scaler = Scaler {
            mean: &[1.0, -2.0, 3.0, 0.0, 5.0][..config.variates],
            std: &[0.5, 1.5, 2.5, 1.0, 2.0][..config.variates],
        };
        let expected = tsm2_core::Model::with_int8(&config, scaler, &weights, &integers).expect("valid");
        assert_eq!(forecast(&blob.model().expect("valid")), forecast(&expected));
    }
}

fn forecast(model: &tsm2_core::Model<'_>) -> Vec<f32> {
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut forecast = vec![0.0; model.config().forecast_len()];
    let readings = vec![1.25; model.config().variates];
    let mut token = model
        .step(&mut state, &mut scratch, &readings, 1_700_000_000_000)
        .expect("lengths fit");
    token.forecast(&mut forecast).expect("length fits");
    forecast
}

#[test]
fn the_weights_are_read_in_place() {
    let flash = blob_of(config());
    let blob = Blob::open(flash.bytes()).expect("valid");
    assert!(flash.bytes().as_ptr_range().contains(&blob.initial_widths().as_ptr().cast()));
}

#[test]
fn what_follows_the_blob_does_not_matter() {
    let mut flash = blob_of(config());
    flash.0.extend([u32::MAX; 8]);
    assert!(Blob::open(flash.bytes()).is_ok());
}

#[test]
fn empty_flash_is_no_blob() {
    assert_eq!(Flash(vec![u32::MAX; 100]).error(), BlobError::Magic { found: u32::MAX });
    assert!(matches!(Flash(vec![]).error(), BlobError::Length { available: 0, .. }));
}

#[test]
fn an_unaligned_blob_is_refused() {
    let words = [vec![0], blob_of(config()).0].concat();
    let bytes: Vec<u8> = bytemuck::cast_slice(&words).to_vec();
    let place = (0..4).find(|place| !bytes[*place..].as_ptr().cast::<f32>().is_aligned());
    let error = Blob::open(&bytes[place.expect("one of four")..]).expect_err("must be refused");
    assert_eq!(error, BlobError::Alignment);
}

#[test]
fn another_version_is_refused_by_number() {
    let mut flash = blob_of(config());
    flash.0[1] = VERSION + 1;
    assert_eq!(flash.error(), BlobError::Version { found: VERSION + 1 });
    assert!(flash.error().to_string().contains("export the bundle again"));
}

#[test]
fn a_blob_cut_short_is_refused() {
    let flash = blob_of(config());
    for length in (4..flash.0.len()).step_by(17) {
        let cut = Flash(flash.0[..length].to_vec());
        assert!(matches!(cut.error(), BlobError::Length { .. }), "{length}");
    }
    for stated in [0, 3, 60, flash.0[2] + 1, u32::MAX] {
        let mut flash = Flash(flash.0.clone());
        flash.0[2] = stated;
        assert!(matches!(flash.error(), BlobError::Length { .. }), "{stated}");
    }
}

#[test]
fn a_changed_byte_fails_the_checksum() {
    let flash = blob_of(config());
    for place in (3..flash.0.len()).step_by(11) {
        let mut changed = Flash(flash.0.clone());
        changed.0[place] ^= 1 << (place % 32);
        assert!(matches!(changed.error(), BlobError::Checksum { .. }), "{place}");
    }
}

#[test]
fn a_configuration_that_the_blob_does_not_fit_is_refused() {
    // Words 16 to 19: variates, past covariates, future covariates, horizon; word 20: precision.
    for (place, word) in [(16, 4), (16, 2), (19, 5), (19, 3)] {
        let mut flash = blob_of(config());
        flash.0[place] = word;
        let error = flash.sealed().error();
        assert!(
            matches!(
                error,
                BlobError::Size { .. } | BlobError::Name { .. } | BlobError::NotFinite { .. } | BlobError::Model(_)
            ),
            "{place}: {error}"
        );
    }
    for (place, word) in [(16, 0), (16, u32::MAX), (17, 3), (19, 70_000)] {
        let mut flash = blob_of(config());
        flash.0[place] = word;
        assert!(matches!(flash.sealed().error(), BlobError::Model(_)), "{place}");
    }
    let mut flash = blob_of(config());
    flash.0[15] += 1;
    assert!(matches!(flash.sealed().error(), BlobError::Size { .. }));
    let mut flash = blob_of(config());
    flash.0[20] = 9;
    let error = flash.sealed().error();
    assert_eq!(error, BlobError::Option { key: "precision", word: 9 });
}

#[test]
fn numbers_that_cannot_be_used_are_refused() {
    let with = |place: usize, word: u32| {
        let mut flash = blob_of(config());
        let place = if place == 0 { flash.0.len() - 16 } else { place };
        flash.0[place] = word;
        flash.sealed().error()
    };
    assert_eq!(with(14, 1.0f32.to_bits()), BlobError::Range { key: "coverage" });
    assert_eq!(with(13, u32::MAX), BlobError::Range { key: "interval_ms" });
    assert_eq!(with(0, f32::NAN.to_bits()), BlobError::NotFinite { part: "weights" });
}

#[test]
fn the_magic_reads_as_text() {
    assert_eq!(blob_of(config()).bytes()[..4], *b"TSM2");
    assert_eq!(blob_of(config()).0[0], MAGIC);
}
