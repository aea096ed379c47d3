//! The steps by which the linear part is chosen: neighbouring steps are alike, and a long horizon need not be judged at each.

/// Most steps that are judged.
const STEPS: usize = 96;

/// Steps of a horizon, evenly spaced; all of a short one.
pub(super) fn judged_steps(horizon: usize) -> Vec<usize> {
    let count = horizon.min(STEPS);
    (0..count).map(|i| i * horizon / count).collect()
}

/// The place among the judged steps of the last one at or before each step of the horizon.
pub(super) fn places(steps: &[usize], horizon: usize) -> impl Iterator<Item = usize> {
    (0..horizon).map(|step| steps.partition_point(|&judged| judged <= step).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_horizon_is_judged_at_every_step_and_a_long_one_at_some() {
        assert!(judged_steps(60).into_iter().eq(0..60));
        let steps = judged_steps(720);
        assert_eq!((steps.len(), steps[0], steps[95]), (96, 0, 712));
        let places: Vec<usize> = places(&steps, 720).collect();
        assert_eq!((places.len(), places[14], places[15], places[719]), (720, 1, 2, 95));
    }
}
