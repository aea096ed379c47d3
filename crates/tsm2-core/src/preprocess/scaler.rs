//! Scaler: z = (x - mean) / std per variate, limited to [`Z_LIMIT`].

use crate::error::{Error, check_len};
use crate::slices::at;

/// Scaled samples are limited to this many training standard deviations on both sides: no reading can overflow the sums
/// over them.
pub const Z_LIMIT: f32 = 1e3;

/// Mean and standard deviation of each variate over the training data; z = (x - mean) / std.
#[derive(Clone, Copy, Debug)]
pub struct Scaler<'a> {
    /// Means, `[M]`, in the sensors' units.
    pub mean: &'a [f32],
    /// Standard deviations, `[M]`, in the sensors' units; positive.
    pub std: &'a [f32],
}

impl Scaler<'_> {
    /// Checks lengths and values.
    pub(crate) fn validate(&self, variates: usize) -> Result<(), Error> {
        check_len("scaler.mean", self.mean.len(), variates)?;
        check_len("scaler.std", self.std.len(), variates)?;
        let usable = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        match self.mean.iter().zip(self.std).position(|pair| !usable(pair)) {
            Some(variate) => Err(Error::Scaler { variate }),
            None => Ok(()),
        }
    }

    /// z of a reading; `None` for a reading that is not finite.
    pub(crate) fn scaled(&self, reading: f32, variate: usize) -> Option<f32> {
        // The reading itself is tested: an infinite reading would pass the limit.
        let z = (reading - at(self.mean, variate)) / at(self.std, variate);
        reading.is_finite().then(|| z.clamp(-Z_LIMIT, Z_LIMIT))
    }
}
