//! The trainer's interface: parameters, a recurrent state, and a forward pass over chunks of tokens.
//!
//! TSM2 and the neural baselines are trained by the same code, through this trait.

use candle_core::{Device, Result, Tensor};

use crate::network::parameters::Parameter;

/// A forecaster that can be trained.
pub trait Learner: Send + Sync {
    /// Every trained tensor, always in the same order.
    fn parameters(&self) -> &[Parameter];

    /// The state of streams before their first token.
    ///
    /// # Errors
    /// The device's.
    fn zero_state(&self, streams: usize, device: &Device) -> Result<State>;

    /// Patches `[streams, tokens, variates, patch]` to the forecast at each token, normalised, `[streams, tokens, targets, H]`, and the state
    /// after the last, detached.
    ///
    /// # Errors
    /// Shapes that do not fit; the device's.
    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)>;
}

/// Recurrent state of a number of streams: tensors whose first dimension is the streams. It enters and leaves detached, so that training can
/// carry it from one chunk to the next (truncated back-propagation, docs/explanation/training.md, Training).
#[derive(Clone, Debug, Default)]
pub struct State(pub Vec<Tensor>);

impl State {
    /// The state with each stream's part multiplied by its entry of `keep` `[streams]` (0 restarts a stream).
    ///
    /// # Errors
    /// The device's.
    pub fn masked(&self, keep: &Tensor) -> Result<Self> {
        let mask = |tensor: &Tensor| {
            let mut shape = vec![1; tensor.rank()];
            shape[0] = keep.elem_count();
            tensor.broadcast_mul(&keep.reshape(shape)?)
        };
        Ok(Self(self.0.iter().map(mask).collect::<Result<_>>()?))
    }
}
