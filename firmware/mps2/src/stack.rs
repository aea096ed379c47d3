//! High-water mark of the stack: its memory is painted at the start, and searched for the paint.

use core::ptr;

use crate::memory;

const PAINT: u32 = 0xA5A5_5A5A;
/// Bytes below the stack pointer that are not painted, for the painting itself.
const MARGIN: usize = 256;

/// Paints the unused part of the stack.
#[inline(never)]
pub fn paint() {
    let here = cortex_m::register::msp::read() as usize - MARGIN;
    let mut address = memory::stack().0;
    while address < here {
        // SAFETY: the memory between the stack's end and its pointer is unused.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(PAINT) };
        address += size_of::<u32>();
    }
}

/// Bytes of stack that were used since [`paint`].
#[must_use]
pub fn used() -> u32 {
    let (mut address, end) = memory::stack();
    // SAFETY: the stack's memory can be read at any time.
    while address < end && unsafe { ptr::with_exposed_provenance::<u32>(address).read_volatile() } == PAINT {
        address += size_of::<u32>();
    }
    (end - address) as u32
}
