//! LAN9118 Ethernet controller, polled (SMSC LAN9118 datasheet, sections 3 and 5).

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::register::Registers;

const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
const RX_FIFO_INF: usize = 0x7C;
const TX_FIFO_INF: usize = 0x80;
const MAC_CSR_CMD: usize = 0xA4;
const MAC_CSR_DATA: usize = 0xA8;

/// Registers of the MAC, behind `MAC_CSR_CMD`.
const MAC_CR: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;

const BUSY: u32 = 1 << 31;
/// Transmitter and receiver of the MAC on.
const MAC_ON: u32 = 1 << 3 | 1 << 2;
const TX_ON: u32 = 1 << 1;
const FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;
const RX_ERROR: u32 = 1 << 15;
/// Bytes of the checksum at the end of a received frame.
const CHECKSUM: usize = 4;
/// Bytes of a frame without its checksum.
const FRAME: usize = 1514;
/// Bytes that the controller keeps beside a frame.
const COMMANDS: usize = 16;

/// The controller.
pub struct Lan9118 {
    registers: Registers,
    /// Words of the frame that was received last.
    frame: [u8; FRAME + 2],
}

/// A frame that was received.
pub struct Received<'f>(&'f [u8]);

/// Room for a frame to be sent.
pub struct Room(Registers);

impl Lan9118 {
    /// Resets the controller and gives it an address.
    pub(crate) fn new(registers: Registers, address: [u8; 6]) -> Self {
        registers.write(HW_CFG, 1);
        while registers.read(HW_CFG) & 1 != 0 {}
        registers.write(HW_CFG, 1 << 20 | 5 << 16);
        let [a, b, c, d, e, f] = address;
        mac(registers, MAC_ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]));
        mac(registers, MAC_ADDRESS_HIGH, u32::from(u16::from_le_bytes([e, f])));
        mac(registers, MAC_CR, MAC_ON);
        registers.write(TX_CFG, TX_ON);
        Lan9118 {
            registers,
            frame: [0; FRAME + 2],
        }
    }

    /// Takes the next frame without errors; its length.
    fn take(&mut self) -> Option<usize> {
        while self.registers.read(RX_FIFO_INF) >> 16 & 0xFF != 0 {
            let status = self.registers.read(RX_STATUS);
            let length = (status >> 16 & 0x3FFF) as usize;
            for place in 0..length.div_ceil(4) {
                let word = self.registers.read(RX_DATA);
                if let Some(bytes) = self.frame.as_chunks_mut().0.get_mut(place) {
                    *bytes = word.to_le_bytes();
                }
            }
            let length = length.saturating_sub(CHECKSUM);
            if status & RX_ERROR == 0 && (1..=FRAME).contains(&length) {
                return Some(length);
            }
        }
        None
    }
}

fn mac(registers: Registers, register: u32, value: u32) {
    registers.write(MAC_CSR_DATA, value);
    registers.write(MAC_CSR_CMD, BUSY | register);
    while registers.read(MAC_CSR_CMD) & BUSY != 0 {}
}

fn has_room(registers: Registers) -> bool {
    // Each frame sent leaves a status that nobody needs.
    while registers.read(TX_FIFO_INF) >> 16 & 0xFF != 0 {
        registers.read(TX_STATUS);
    }
    (registers.read(TX_FIFO_INF) & 0xFFFF) as usize >= FRAME + COMMANDS
}

impl Device for Lan9118 {
    type RxToken<'f> = Received<'f>;
    type TxToken<'f> = Room;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Room)> {
        if !has_room(self.registers) {
            return None;
        }
        let length = self.take()?;
        Some((Received(&self.frame[..length]), Room(self.registers)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room> {
        has_room(self.registers).then_some(Room(self.registers))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = [0; FRAME + 2];
        let length = length.min(FRAME);
        let result = f(&mut frame[..length]);
        self.0.write(TX_DATA, FIRST_AND_LAST | length as u32);
        self.0.write(TX_DATA, length as u32);
        for bytes in &frame.as_chunks().0[..length.div_ceil(4)] {
            self.0.write(TX_DATA, u32::from_le_bytes(*bytes));
        }
        result
    }
}
