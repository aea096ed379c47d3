//! The board: CMSDK UART and watchdog, LAN9118.

use cortex_m::peripheral::SYST;
use tsm2_cortex_m::clock;
use tsm2_firmware::Board;

use crate::counter::HZ;
use crate::lan9118::Lan9118;
use crate::register::Registers;

const UART: Registers = Registers(if cfg!(feature = "an505") { 0x5020_0000 } else { 0x4000_4000 });
const ETHERNET: Registers = Registers(if cfg!(feature = "an505") { 0x5200_0000 } else { 0x4020_0000 });
const WATCHDOG: Registers = Registers(if cfg!(feature = "an505") { 0x5008_1000 } else { 0x4000_8000 });

const UART_DATA: usize = 0x0;
const UART_STATE: usize = 0x4;
const UART_CTRL: usize = 0x8;
const UART_BAUD_DIVIDER: usize = 0x10;
const UART_TX_FULL: u32 = 1;
const UART_RX_FULL: u32 = 2;
const BAUD: u32 = 115_200;

const WATCHDOG_LOAD: usize = 0x0;
const WATCHDOG_CTRL: usize = 0x8;
const WATCHDOG_CLEAR: usize = 0xC;
const WATCHDOG_LOCK: usize = 0xC00;
const WATCHDOG_KEY: u32 = 0x1ACC_E551;
/// Interrupt at the first timeout, which nobody takes, and reset at the second.
const WATCHDOG_ON: u32 = 3;
/// Seconds of one timeout.
const WATCHDOG_S: u32 = 5;

/// An MPS2 board.
pub struct Mps2 {
    ethernet: Option<Lan9118>,
}

impl Mps2 {
    const HARDWARE_ADDRESS: [u8; 6] = [0x02, b'T', b'S', b'M', b'2', 1];

    /// Starts clock, serial line, watchdog and Ethernet.
    #[must_use]
    pub fn start(syst: SYST) -> Self {
        clock::start(syst, HZ);
        UART.write(UART_BAUD_DIVIDER, HZ / BAUD);
        UART.write(UART_CTRL, 3);
        WATCHDOG.write(WATCHDOG_LOCK, WATCHDOG_KEY);
        WATCHDOG.write(WATCHDOG_LOAD, WATCHDOG_S * HZ);
        WATCHDOG.write(WATCHDOG_CTRL, WATCHDOG_ON);
        Mps2 {
            ethernet: Some(Lan9118::new(ETHERNET, Self::HARDWARE_ADDRESS)),
        }
    }
}

impl Board for Mps2 {
    type Ethernet = Lan9118;

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn seed(&self) -> u64 {
        clock::seed()
    }

    fn hardware_address(&self) -> [u8; 6] {
        Self::HARDWARE_ADDRESS
    }

    fn ethernet(&mut self) -> Option<Lan9118> {
        self.ethernet.take()
    }

    fn feed_watchdog(&self) {
        WATCHDOG.write(WATCHDOG_CLEAR, 1);
    }

    /// The clock's interrupt comes every millisecond.
    fn sleep(&self) {
        cortex_m::asm::wfi();
    }

    fn read_serial(&self) -> Option<u8> {
        (UART.read(UART_STATE) & UART_RX_FULL != 0).then(|| UART.read(UART_DATA) as u8)
    }

    fn write_serial(&self, byte: u8) -> bool {
        let has_room = UART.read(UART_STATE) & UART_TX_FULL == 0;
        if has_room {
            UART.write(UART_DATA, u32::from(byte));
        }
        has_room
    }
}
