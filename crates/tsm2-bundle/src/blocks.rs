//! The linear head in the file: blocks of horizon steps and features; everything outside the blocks is zero.
//!
//! Training decides per band of steps which features it uses, so about half of the whole matrix is zero. The file holds
//! the list of blocks, `[blocks, 4]` (first step, end of steps, first feature, end of features), and their numbers one
//! after the other, each block `[matrices, steps, features]`.

use crate::BundleError;

/// Tensor of the list of blocks, I32 `[blocks, 4]`.
pub(crate) const BLOCKS: &str = "linear_head.blocks";

/// Tensor of the blocks' numbers, F32, flat.
pub(crate) const WEIGHT: &str = "linear_head.weight";

/// Whole matrices of more numbers than this must be stored by a sixteenth at least: a small file cannot demand
/// gigabytes.
const UNBOUNDED: usize = 1 << 20;

/// The whole matrices: `[matrices, horizon, features]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrices {
    pub matrices: usize,
    pub horizon: usize,
    pub features: usize,
}

/// First and end of a half-open range.
type Span = (usize, usize);

/// One block: half-open ranges of steps and features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    steps: Span,
    features: Span,
}

impl Block {
    fn len(&self, of: &Matrices) -> usize {
        of.matrices * (self.steps.1 - self.steps.0) * (self.features.1 - self.features.0)
    }

    /// The block's rows as ranges of the whole matrices, in the order of the file.
    fn rows(self, of: Matrices) -> impl Iterator<Item = core::ops::Range<usize>> {
        let rows = (0..of.matrices).flat_map(move |matrix| (self.steps.0..self.steps.1).map(move |step| matrix * of.horizon + step));
        rows.map(move |row| row * of.features + self.features.0..row * of.features + self.features.1)
    }

    /// As it stands in the file.
    pub fn numbers(&self) -> [i32; 4] {
        [self.steps.0, self.steps.1, self.features.0, self.features.1].map(|number| i32::try_from(number).unwrap_or(i32::MAX))
    }
}

impl Matrices {
    fn len(&self) -> usize {
        self.matrices * self.horizon * self.features
    }

    /// The fewest blocks of whole columns that hold every number but zeros, band by band of steps.
    pub fn blocks(&self, weights: &[f32]) -> Vec<Block> {
        let columns = |step: usize| -> Vec<Span> {
            let used = |feature: usize| (0..self.matrices).any(|m| weights[(m * self.horizon + step) * self.features + feature] != 0.0);
            let mut runs: Vec<Span> = Vec::new();
            for feature in (0..self.features).filter(|&feature| used(feature)) {
                match runs.last_mut() {
                    Some(run) if run.1 == feature => run.1 += 1,
                    _ => runs.push((feature, feature + 1)),
                }
            }
            runs
        };
        let mut bands: Vec<(Span, Vec<Span>)> = Vec::new();
        for step in 0..self.horizon {
            let runs = columns(step);
            match bands.last_mut() {
                Some((steps, same)) if *same == runs => steps.1 += 1,
                _ => bands.push(((step, step + 1), runs)),
            }
        }
        let of_band = |(steps, runs): (Span, Vec<Span>)| runs.into_iter().map(move |features| Block { steps, features });
        let blocks: Vec<Block> = bands.into_iter().flat_map(of_band).collect();
        if self.is_bounded(blocks.iter().map(|block| block.len(self)).sum()) {
            return blocks;
        }
        vec![Block {
            steps: (0, self.horizon),
            features: (0, self.features),
        }]
    }

    /// The blocks' numbers out of the whole matrices.
    pub fn gather(&self, blocks: &[Block], weights: &[f32]) -> Vec<f32> {
        let rows = blocks.iter().flat_map(|block| block.rows(*self));
        rows.flat_map(|row| weights[row].iter().copied()).collect()
    }

    /// The whole matrices out of the file's list of blocks and their numbers.
    pub fn scatter(&self, list: &[i32], stored: &[f32]) -> Result<Vec<f32>, BundleError> {
        let fault = |what: String| BundleError::Blocks { what };
        let mut blocks: Vec<Block> = Vec::new();
        for (i, numbers) in list.as_chunks::<4>().0.iter().enumerate() {
            let [first_step, end_step, first, end] = numbers.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
            let block = Block {
                steps: (first_step, end_step),
                features: (first, end),
            };
            if !(first_step < end_step && end_step <= self.horizon && first < end && end <= self.features) {
                return Err(fault(format!(
                    "block {i} is {numbers:?} where there are {} steps and {} features",
                    self.horizon, self.features
                )));
            }
            let follows = |before: &Block| match before.steps == block.steps {
                true => before.features.1 <= block.features.0,
                false => before.steps.1 <= block.steps.0,
            };
            if blocks.last().is_some_and(|before| !follows(before)) {
                return Err(fault(format!("block {i} overlaps the block before it or lies before it")));
            }
            blocks.push(block);
        }
        let count: usize = blocks.iter().map(|block| block.len(self)).sum();
        if count != stored.len() {
            return Err(fault(format!(
                "`{WEIGHT}` has {} numbers where the blocks have {count}",
                stored.len()
            )));
        }
        if !self.is_bounded(count) {
            return Err(fault(format!(
                "{count} numbers are stored of {}; at least a sixteenth is needed",
                self.len()
            )));
        }
        let mut weights = vec![0.0; self.len()];
        let mut rest = stored;
        for row in blocks.iter().flat_map(|block| block.rows(*self)) {
            let (numbers, tail) = rest.split_at(row.len());
            weights[row].copy_from_slice(numbers);
            rest = tail;
        }
        Ok(weights)
    }

    fn is_bounded(&self, stored: usize) -> bool {
        self.len() <= UNBOUNDED || stored >= self.len() / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Matrices = Matrices {
        matrices: 2,
        horizon: 3,
        features: 4,
    };

    /// Steps 0 and 1 use features 1 and 2, step 2 uses features 0 and 3.
    const WEIGHTS: [f32; 24] = [
        0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 5.0, 0.0, 0.0, 6.0, //
        0.0, 7.0, 8.0, 0.0, 0.0, 9.0, 0.0, 0.0, 1.5, 0.0, 0.0, 2.5,
    ];

    fn list(blocks: &[Block]) -> Vec<i32> {
        blocks.iter().flat_map(Block::numbers).collect()
    }

    #[test]
    fn blocks_hold_all_but_the_zero_columns_of_each_band() {
        let blocks = OF.blocks(&WEIGHTS);
        assert_eq!(list(&blocks), [0, 2, 1, 3, 2, 3, 0, 1, 2, 3, 3, 4]);
        let stored = OF.gather(&blocks, &WEIGHTS);
        assert_eq!(stored, [1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0, 0.0, 5.0, 1.5, 6.0, 2.5]);
        assert_eq!(OF.scatter(&list(&blocks), &stored).expect("valid"), WEIGHTS);
        assert!(OF.blocks(&[0.0; 24]).is_empty());
        assert_eq!(OF.scatter(&[], &[]).expect("valid"), [0.0; 24]);
    }

    #[test]
    fn a_list_of_blocks_that_does_not_fit_is_refused() {
        let fault = |list: &[i32], stored: usize| OF.scatter(list, &vec![0.0; stored]).expect_err("must be refused").to_string();
        for block in [[0, 4, 0, 4], [0, 3, 0, 5], [1, 1, 0, 4], [0, 3, 2, 2], [-1, 3, 0, 4]] {
            assert!(fault(&block, 24).contains("block 0 is"), "{block:?}");
        }
        assert!(fault(&[0, 2, 0, 4, 1, 3, 0, 4], 32).contains("overlaps"));
        assert!(fault(&[0, 3, 0, 2, 0, 3, 1, 4], 30).contains("overlaps"));
        assert!(fault(&[0, 3, 0, 4], 23).contains("23 numbers where the blocks have 24"));
    }

    #[test]
    fn a_few_numbers_do_not_demand_a_huge_matrix() {
        let huge = Matrices {
            matrices: 1,
            horizon: 4096,
            features: 4096,
        };
        let fault = huge.scatter(&[0, 1, 0, 1], &[1.0]).expect_err("must be refused").to_string();
        assert!(fault.contains("at least a sixteenth"), "{fault}");
        let mut weights = vec![0.0; 4096 * 4096];
        weights[5] = 1.0;
        assert_eq!(list(&huge.blocks(&weights)), [0, 4096, 0, 4096]);
    }
}
