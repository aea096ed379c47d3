//! Registers of memory-mapped devices.

use core::ptr;

/// A device at an address that the memory map of the board gives.
#[derive(Clone, Copy)]
pub(crate) struct Registers(pub(crate) usize);

impl Registers {
    pub(crate) fn read(self, offset: usize) -> u32 {
        // SAFETY: the address is that of a device of this board; reading a register is always defined.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0 + offset).read_volatile() }
    }

    pub(crate) fn write(self, offset: usize, value: u32) {
        // SAFETY: as `read`; no register of these devices makes the processor touch other memory.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0 + offset).write_volatile(value) }
    }
}
