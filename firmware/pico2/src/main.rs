//! The station on a Raspberry Pi Pico 2: the serial line on its pins GP0 and GP1.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use cortex_m::peripheral::{SCB, SYST};
use cortex_m::singleton;
use cortex_m_rt::entry;
use embassy_rp::peripherals::UART0;
use embassy_rp::uart::{self, BufferedInterruptHandler, BufferedUart, BufferedUartRx, BufferedUartTx};
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{bind_interrupts, clocks};
use embassy_time::Duration;
use embedded_io_async::{Read, Write};
use tsm2_cortex_m::clock;
use tsm2_firmware::{Board, NoEthernet};

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

const WATCHDOG: Duration = Duration::from_secs(10);
/// Bytes of each direction of the serial line.
const SERIAL: usize = 4096;

struct Pico {
    watchdog: RefCell<Watchdog>,
    receiver: RefCell<BufferedUartRx>,
    sender: RefCell<BufferedUartTx>,
}

impl Pico {
    /// Starts clocks, watchdog and serial line; `None` where this was done before.
    fn start(syst: SYST) -> Option<Self> {
        let parts = embassy_rp::init(embassy_rp::config::Config::default());
        clock::start(syst, clocks::clk_sys_freq());
        let mut watchdog = Watchdog::new(parts.WATCHDOG);
        watchdog.start(WATCHDOG);
        let mut line = uart::Config::default();
        line.baudrate = 115_200;
        let buffers = (singleton!(: [u8; SERIAL] = [0; SERIAL])?, singleton!(: [u8; SERIAL] = [0; SERIAL])?);
        let serial = BufferedUart::new(parts.UART0, parts.PIN_0, parts.PIN_1, Interrupts, buffers.0, buffers.1, line);
        let (sender, receiver) = serial.split();
        Some(Pico {
            watchdog: RefCell::new(watchdog),
            receiver: RefCell::new(receiver),
            sender: RefCell::new(sender),
        })
    }
}

impl Board for Pico {
    type Ethernet = NoEthernet;

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn seed(&self) -> u64 {
        clock::seed()
    }

    fn hardware_address(&self) -> [u8; 6] {
        [0; 6]
    }

    fn ethernet(&mut self) -> Option<NoEthernet> {
        None
    }

    fn feed_watchdog(&self) {
        self.watchdog.borrow_mut().feed(WATCHDOG);
    }

    fn sleep(&self) {
        cortex_m::asm::wfi();
    }

    /// From the buffer that the interrupt handler fills. `embedded_hal_nb::serial::Read` reads the hardware's
    /// FIFO instead, which the handler has emptied.
    fn read_serial(&self) -> Option<u8> {
        let mut byte = [0];
        match poll_once(self.receiver.borrow_mut().read(&mut byte)) {
            Poll::Ready(Ok(1)) => Some(byte[0]),
            _ => None,
        }
    }

    fn write_serial(&self, byte: u8) -> bool {
        matches!(poll_once(self.sender.borrow_mut().write(&[byte])), Poll::Ready(Ok(1)))
    }
}

/// Polls without a waker: the main loop asks again.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[entry]
fn main() -> ! {
    let start = || Pico::start(cortex_m::Peripherals::take()?.SYST);
    match start() {
        Some(board) => tsm2_cortex_m::serve(board),
        None => SCB::sys_reset(),
    }
}
