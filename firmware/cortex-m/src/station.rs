//! The station of a board: its heap, its start, and what happens where it cannot go on.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use embedded_alloc::LlffHeap;
use tsm2_firmware::{Board, Flash, run};

use crate::memory;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// Serves the station of a board for ever. Call it once, before anything else takes memory from the heap.
///
/// A station that cannot start writes the reason to the serial line and waits for the watchdog.
pub fn serve(mut board: impl Board) -> ! {
    let room = memory::free();
    // SAFETY: called once, before anything is allocated; nothing else uses this memory.
    unsafe { HEAP.init(room.as_mut_ptr().addr(), size_of_val(room)) };
    let flash = Flash {
        model: memory::model(),
        settings: memory::settings(),
    };
    let Err(error) = run(&mut board, flash, memory::retained());
    let _ = writeln!(Line(&board), "# {error}");
    // Until the watchdog resets the board; meanwhile the line leaves.
    loop {
        board.sleep();
    }
}

/// The serial line.
struct Line<'b, B>(&'b B);

impl<B: Board> Write for Line<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while !self.0.write_serial(byte) {}
        }
        Ok(())
    }
}

/// The state before the payload that caused the panic is in the retained memory.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
