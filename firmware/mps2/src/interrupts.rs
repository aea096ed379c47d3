//! The table of the board's interrupts. None of them is enabled: the main loop asks the devices.

/// Interrupts of the board: as many as its documentation has, not as many as its processor could have.
const COUNT: usize = if cfg!(feature = "an505") { 124 } else { 32 };

unsafe extern "C" {
    /// The handler of the start-up code for every interrupt without one of its own.
    fn DefaultHandler();
}

/// Part of the vector table, which the start-up code places at the start of flash.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); COUNT] = [DefaultHandler; COUNT];
