//! What a stream was told of its variates that are known ahead, on its way to the model.
//!
//! Invariant: before each row the model is told anew what the covariates say of it and of the rows after it, so that it knows as much as they do
//! however long ago they came; of a variate without an covariate it keeps what its state knows.

use tsm2_core::{Error, Model};
use tsm2_stream::FutureCovariate;

/// One covariate per variate that is known ahead; empty where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FutureCovariates(Vec<FutureCovariate>);

impl FutureCovariates {
    /// Nothing is known ahead.
    pub(crate) fn none(model: &Model<'_>) -> Self {
        FutureCovariates(vec![FutureCovariate::default(); model.config().future_covariates])
    }

    /// Replaces the covariate of a variate, an index into the row.
    ///
    /// # Errors
    /// The variate is not known ahead, or the state is another model's; nothing has changed then.
    pub(crate) fn set_future(
        &mut self,
        model: &Model<'_>,
        state: &mut [f32],
        variate: usize,
        covariate: FutureCovariate,
    ) -> Result<(), Error> {
        // What came before is no longer true, though the next row may be long in coming.
        model.set_future(state, variate, &[])?;
        let first = model.config().variates - self.0.len();
        if let Some(old) = variate.checked_sub(first).and_then(|k| self.0.get_mut(k)) {
            *old = covariate;
        }
        Ok(())
    }

    /// Tells the model what is known of the row at `time_ms`, which it is stepped with next, and of the H rows after it. `values` is working
    /// memory, `[H + 1]`; `over` hears of a variate when nothing is known of it any more.
    ///
    /// # Errors
    /// The state is another model's.
    pub(crate) fn tell(
        &mut self,
        model: &Model<'_>,
        state: &mut [f32],
        (time_ms, interval_ms): (i64, i64),
        values: &mut [f32],
        mut over: impl FnMut(usize),
    ) -> Result<(), Error> {
        let first = model.config().variates - self.0.len();
        for (variate, covariate) in (first..).zip(&mut self.0).filter(|(_, covariate)| !covariate.is_empty()) {
            covariate.values(time_ms, interval_ms, values);
            model.set_future(state, variate, values)?;
            if covariate.pass(time_ms, interval_ms) {
                over(variate);
            }
        }
        Ok(())
    }

    /// Appends its bytes.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        // Numbers always have bytes.
        out.extend(postcard::to_allocvec(&self.0).unwrap_or_default());
    }

    /// What [`FutureCovariates::save`] wrote; `None` for any other bytes, and where it is of another number of variates.
    pub(crate) fn restore(model: &Model<'_>, bytes: &[u8]) -> Option<Self> {
        let (all, []) = postcard::take_from_bytes::<Vec<FutureCovariate>>(bytes).ok()? else {
            return None;
        };
        (all.len() == model.config().future_covariates).then_some(FutureCovariates(all))
    }
}
