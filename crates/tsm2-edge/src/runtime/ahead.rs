//! What a stream was told of its variates that are known ahead, on its way to the model.
//!
//! Invariant: before each row the model is told anew what the outlooks say of it and of the rows after it, so that it knows as much as they do
//! however long ago they came; of a variate without an outlook it keeps what its state knows.

use tsm2_core::{Error, Model};
use tsm2_stream::Outlook;

/// One outlook per variate that is known ahead; empty where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outlooks(Vec<Outlook>);

impl Outlooks {
    /// Nothing is known ahead.
    pub(crate) fn none(model: &Model<'_>) -> Self {
        Outlooks(vec![Outlook::default(); model.config().known_ahead])
    }

    /// Replaces the outlook of a variate, an index into the row.
    ///
    /// # Errors
    /// The variate is not known ahead, or the state is another model's; nothing has changed then.
    pub(crate) fn take(&mut self, model: &Model<'_>, state: &mut [f32], variate: usize, outlook: Outlook) -> Result<(), Error> {
        // What came before is no longer true, though the next row may be long in coming.
        model.foretell(state, variate, &[])?;
        let first = model.config().variates - self.0.len();
        if let Some(old) = variate.checked_sub(first).and_then(|k| self.0.get_mut(k)) {
            *old = outlook;
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
        for (variate, outlook) in (first..).zip(&mut self.0).filter(|(_, outlook)| !outlook.is_empty()) {
            outlook.values(time_ms, interval_ms, values);
            model.foretell(state, variate, values)?;
            if outlook.pass(time_ms, interval_ms) {
                over(variate);
            }
        }
        Ok(())
    }

    /// Appends its bytes.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|outlook| outlook.save(out));
    }

    /// What [`Outlooks::save`] wrote; `None` for any other bytes, and where it is of another number of variates.
    pub(crate) fn restore(model: &Model<'_>, mut bytes: &[u8]) -> Option<Self> {
        let mut outlooks = Vec::new();
        for _ in 0..model.config().known_ahead {
            let (outlook, rest) = Outlook::restore(bytes)?;
            outlooks.push(outlook);
            bytes = rest;
        }
        bytes.is_empty().then_some(Outlooks(outlooks))
    }
}
