//! The regions of the memory map (`an386.x`, `an505.x`).

use core::{ptr, slice};

unsafe extern "C" {
    static _model: u8;
    static _model_length: u8;
    static _settings: u8;
    static _settings_length: u8;
    static mut _retained: u8;
    static _retained_length: u8;
    static mut __sheap: u8;
}

/// Bytes at the end of the RAM that are left to the stack.
pub const STACK: usize = 64 * 1024;
/// End of the RAM that the start-up code uses; the retained part begins there.
fn ram_end() -> *mut u8 {
    &raw mut _retained
}

/// The flash that holds the model, of which the model is the first part.
#[must_use]
pub fn model() -> &'static [u8] {
    // SAFETY: the linker script reserves the region; nothing writes to it.
    unsafe { slice::from_raw_parts(&raw const _model, (&raw const _model_length).addr()) }
}

/// The flash that holds the settings.
#[must_use]
pub fn settings() -> &'static [u8] {
    // SAFETY: as `model`.
    unsafe { slice::from_raw_parts(&raw const _settings, (&raw const _settings_length).addr()) }
}

/// The RAM that survives a reset. Call it once: a second slice would alias the first.
#[must_use]
pub fn retained() -> &'static mut [u8] {
    // SAFETY: the linker script reserves the region for this function's only caller; RAM holds some bytes at any time.
    unsafe { slice::from_raw_parts_mut(&raw mut _retained, (&raw const _retained_length).addr()) }
}

/// The RAM between the program's variables and the stack. Call it once: a second slice would alias the first.
#[must_use]
pub fn free() -> &'static mut [f32] {
    let start = (&raw mut __sheap).addr().next_multiple_of(align_of::<f32>());
    let end = ram_end().addr() - STACK;
    // SAFETY: the linker puts nothing between `__sheap` and the stack; any bits are an f32.
    unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(start), (end - start) / size_of::<f32>()) }
}

/// The lowest address that the stack may use, and the end of the RAM from which it grows down.
#[must_use]
pub fn stack() -> (usize, usize) {
    (ram_end().addr() - STACK, ram_end().addr())
}
