//! Parts of slices, without a panic in the program.
//!
//! The checks of configuration and lengths guarantee that every part exists before a step begins. In builds with debug
//! assertions these functions assert it. In other builds a part that does not exist is empty, a number that does not
//! exist is 0, and a write to it does nothing: the compiler cannot prove that neither occurs, and a panic function in
//! each place would take flash and could stop a device.

/// The `len` elements from `start` on.
// Once in the program: a check in each place would take a kilobyte of flash.
#[inline(never)]
pub(crate) fn part<T>(slice: &[T], start: usize, len: usize) -> &[T] {
    let part = slice.get(start..start + len);
    debug_assert!(part.is_some(), "{start}, {len} of {}", slice.len());
    part.unwrap_or_default()
}

/// As [`part`].
// Once in the program: a check in each place would take a kilobyte of flash.
#[inline(never)]
pub(crate) fn part_mut<T>(slice: &mut [T], start: usize, len: usize) -> &mut [T] {
    debug_assert!(start + len <= slice.len(), "{start}, {len} of {}", slice.len());
    slice.get_mut(start..start + len).unwrap_or_default()
}

/// Row `index` of rows of `width` elements.
pub(crate) fn row<T>(slice: &[T], index: usize, width: usize) -> &[T] {
    part(slice, index * width, width)
}

/// As [`row`].
pub(crate) fn row_mut<T>(slice: &mut [T], index: usize, width: usize) -> &mut [T] {
    part_mut(slice, index * width, width)
}

/// The whole rows of `width` elements, which is at least 1.
pub(crate) fn rows<T>(slice: &[T], width: usize) -> core::slice::ChunksExact<'_, T> {
    slice.chunks_exact(width.max(1))
}

/// As [`rows`].
pub(crate) fn rows_mut<T>(slice: &mut [T], width: usize) -> core::slice::ChunksExactMut<'_, T> {
    slice.chunks_exact_mut(width.max(1))
}

/// The first `at` elements, and the others.
pub(crate) fn split<T>(slice: &[T], at: usize) -> (&[T], &[T]) {
    debug_assert!(at <= slice.len(), "{at} of {}", slice.len());
    slice.split_at(at.min(slice.len()))
}

/// As [`split`].
pub(crate) fn split_mut<T>(slice: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    debug_assert!(at <= slice.len(), "{at} of {}", slice.len());
    slice.split_at_mut(at.min(slice.len()))
}

/// Number `index`.
pub(crate) fn at(slice: &[f32], index: usize) -> f32 {
    debug_assert!(index < slice.len(), "{index} of {}", slice.len());
    slice.get(index).copied().unwrap_or_default()
}

/// Copies all elements; both slices have the same length.
pub(crate) fn copy(from: &[f32], to: &mut [f32]) {
    debug_assert_eq!(from.len(), to.len());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Moves each row of `width` elements to the place of the row before it; the last row stays as it is.
///
/// Row by row, since a copy of overlapping memory would take 1.5 KiB of a microcontroller's flash.
pub(crate) fn shift_rows(slice: &mut [f32], width: usize) {
    let mut rest = slice;
    while rest.len() > width {
        let (row, later) = split_mut(rest, width);
        for (to, from) in row.iter_mut().zip(&*later) {
            *to = *from;
        }
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_move_up_and_the_last_one_stays() {
        let mut numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        shift_rows(&mut numbers, 2);
        assert_eq!(numbers, [3.0, 4.0, 5.0, 6.0, 5.0, 6.0]);
        shift_rows(&mut numbers, 6);
        assert_eq!(numbers, [3.0, 4.0, 5.0, 6.0, 5.0, 6.0]);
    }

    #[test]
    #[should_panic(expected = "2, 2 of 3")]
    fn a_part_that_does_not_exist_is_a_panic_of_a_debug_build() {
        let _ = part(&[1.0, 2.0, 3.0], 2, 2);
    }
}
