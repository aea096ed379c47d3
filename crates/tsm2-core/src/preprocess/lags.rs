//! Lags: a ring buffer of each variate's last samples.

/// The ring `[len, M]` of the last samples; sample t lies at slot t mod len.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// M.
    variates: usize,
    /// Samples kept per variate.
    len: usize,
}

impl Ring {
    pub fn new(variates: usize, len: usize) -> Self {
        Self { variates, len }
    }

    /// Numbers of state.
    pub fn state_len(&self) -> usize {
        self.variates * self.len
    }

    /// Stores sample `t` of variate `v`; with `first` the sample stands for all the past.
    pub fn push(&self, ring: &mut [f32], t: u64, v: usize, z: f32, first: bool) {
        if first {
            ring.iter_mut().skip(v).step_by(self.variates.max(1)).for_each(|slot| *slot = z);
        }
        if let Some(slot) = ring.get_mut(self.slot(t) * self.variates + v) {
            *slot = z;
        }
    }

    /// Writes the last `out.len()` of the `t` samples of variate `v` without the newest `back`, oldest first, normalized with
    /// `statistics`.
    pub fn read(&self, ring: &[f32], t: u64, v: usize, back: usize, statistics: (f32, f32), out: &mut [f32]) {
        let (mean, deviation) = statistics;
        let mut slot = self.slot(t + (self.len - out.len() - back) as u64);
        for value in out {
            let Some(sample) = ring.get(slot * self.variates + v) else { break };
            *value = (sample - mean) / deviation;
            slot = if slot + 1 == self.len { 0 } else { slot + 1 };
        }
    }

    fn slot(&self, t: u64) -> usize {
        t.checked_rem(self.len as u64).unwrap_or(0) as usize
    }
}
