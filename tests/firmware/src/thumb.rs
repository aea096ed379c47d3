//! The few instructions of Thumb-2 code that matter for calls and the stack (Arm Architecture Reference Manual, A7.7).

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Calls the function at an address.
    Call(u32),
    /// Goes on at an address, of this function or of another.
    Jump(u32),
    /// Calls a function whose address is in a register, or goes on there.
    Indirect,
    /// Takes so many bytes of stack.
    Take(u32),
    /// Moves the stack pointer to where this decoder cannot tell.
    Unknown,
    /// Loads the lower or the upper half of a register with a constant.
    Half {
        /// The register.
        register: u32,
        /// Whether it is the upper half.
        is_upper: bool,
        /// The constant.
        constant: u32,
    },
    /// Anything else.
    Other,
}

/// The action of the instruction at `address`, whose first bytes are `code`, and its length in bytes.
#[must_use]
pub fn decode(code: &[u8], address: u32) -> (Action, u32) {
    let half = |at: usize| u32::from(code.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]])));
    let first = half(0);
    match first >> 11 {
        0b11101..=0b11111 => (wide(first, half(2), address.wrapping_add(4)), 4),
        _ => (narrow(first, address.wrapping_add(4)), 2),
    }
}

/// Instructions of 16 bits; `pc` is the address of the instruction and 4.
fn narrow(code: u32, pc: u32) -> Action {
    match code {
        0xB400..=0xB5FF => Action::Take(4 * (code & 0x1FF).count_ones()),
        0xB080..=0xB0FF => Action::Take(4 * (code & 0x7F)),
        0xE000..=0xE7FF => Action::Jump(pc.wrapping_add(signed(code << 1, 12))),
        0xD000..=0xDDFF => Action::Jump(pc.wrapping_add(signed(code << 1, 9))),
        0x4770 => Action::Other, // returns
        0x4700..=0x47FF if code & 7 == 0 => Action::Indirect,
        _ if code & 0xFF87 == 0x4685 => Action::Unknown, // a register becomes the stack pointer
        _ => Action::Other,
    }
}

/// Instructions of 32 bits.
fn wide(first: u32, second: u32, pc: u32) -> Action {
    let small = second & 0xFF;
    match (first, second) {
        (0xF000..=0xF7FF, _) if second & 0xD000 == 0xD000 => Action::Call(pc.wrapping_add(far(first, second))),
        (0xF000..=0xF7FF, _) if second & 0xD000 == 0x9000 => Action::Jump(pc.wrapping_add(far(first, second))),
        (0xF000..=0xF7FF, _) if second & 0xD000 == 0x8000 && first >> 7 & 7 != 7 => {
            let offset = (first & 0x3F) << 12 | (second & 0x7FF) << 1 | (second >> 13 & 1) << 18 | (second >> 11 & 1) << 19;
            Action::Jump(pc.wrapping_add(signed(offset | (first >> 10 & 1) << 20, 21)))
        }
        (0xE92D, _) => Action::Take(4 * second.count_ones()),
        (0xF84D, _) if second & 0xF00 == 0xD00 => Action::Take(small),
        (0xE96D, _) => Action::Take(4 * small),
        (0xED2D | 0xED6D, _) => Action::Take(4 * small),
        (0xF2AD | 0xF6AD, _) if second & 0x8F00 == 0x0D00 => Action::Take((first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | small),
        (0xF1AD | 0xF5AD | 0xF1BD | 0xF5BD, _) if second & 0x8F00 == 0x0D00 => {
            Action::Take(modified((first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | small))
        }
        (0xEBAD, _) if second & 0xF00 == 0xD00 => Action::Unknown,
        _ if matches!(first & 0xFBF0, 0xF240 | 0xF2C0) && second & 0x8000 == 0 => Action::Half {
            register: second >> 8 & 0xF,
            is_upper: first & 0x80 != 0,
            constant: (first & 0xF) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | small,
        },
        _ => Action::Other,
    }
}

/// The offset of BL and B.W.
fn far(first: u32, second: u32) -> u32 {
    let sign = first >> 10 & 1;
    let [j1, j2] = [13, 11].map(|bit| 1 ^ second >> bit & 1 ^ sign);
    signed(sign << 24 | j1 << 23 | j2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1, 25)
}

/// A constant of 12 bits that stands for one of 32 (ThumbExpandImm).
fn modified(constant: u32) -> u32 {
    let byte = constant & 0xFF;
    match constant >> 8 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte << 24 | byte << 16 | byte << 8 | byte,
        _ => (byte | 0x80).rotate_right(constant >> 7),
    }
}

/// The lowest bits as a number with a sign.
fn signed(bits: u32, count: u32) -> u32 {
    let unused = 32 - count;
    ((bits << unused).cast_signed() >> unused).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `arm-none-eabi-as` makes of the text beside it.
    #[test]
    fn calls_jumps_and_the_stack_are_decoded() {
        let cases: &[(&[u8], Action)] = &[
            (&[0xF0, 0xB5], Action::Take(20)),                 // push {r4-r7, lr}
            (&[0x86, 0xB0], Action::Take(24)),                 // sub sp, #24
            (&[0x2D, 0xE9, 0xF0, 0x4F], Action::Take(36)),     // push.w {r4-r11, lr}
            (&[0x2D, 0xED, 0x10, 0x8B], Action::Take(64)),     // vpush {d8-d15}
            (&[0x4D, 0xF8, 0x04, 0xBD], Action::Take(4)),      // str r11, [sp, #-4]!
            (&[0xAD, 0xF5, 0x80, 0x5D], Action::Take(0x1000)), // sub.w sp, sp, #4096
            (&[0xAD, 0xF6, 0x04, 0x0D], Action::Take(0x804)),  // subw sp, sp, #2052
            (&[0xA5, 0x46], Action::Unknown),                  // mov sp, r4
            (&[0x98, 0x47], Action::Indirect),                 // blx r3
            (&[0x18, 0x47], Action::Indirect),                 // bx r3
            (&[0x70, 0x47], Action::Other),                    // bx lr
            (&[0x00, 0xF0, 0x02, 0xF8], Action::Call(0x1008)), // bl +8
            (&[0xFF, 0xF7, 0xFE, 0xFF], Action::Call(0x1000)), // bl to itself
            (&[0x00, 0xF0, 0x02, 0xB8], Action::Jump(0x1008)), // b.w +8
            (&[0x00, 0xF0, 0x02, 0x80], Action::Jump(0x1008)), // beq.w +8
            (&[0xFE, 0xE7], Action::Jump(0x1000)),             // b to itself
            (&[0xFE, 0xD0], Action::Jump(0x1000)),             // beq to itself
            (
                &[0x41, 0xF2, 0x34, 0x22],
                Action::Half {
                    register: 2,
                    is_upper: false,
                    constant: 0x1234,
                },
            ), // movw r2, #0x1234
        ];
        for (code, action) in cases {
            assert_eq!(decode(code, 0x1000), (*action, code.len() as u32), "{code:02X?}");
        }
    }
}
