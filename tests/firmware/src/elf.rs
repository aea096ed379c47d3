//! What the tests read of a program: ELF of 32 bits, little-endian.

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'e> {
    /// Its name.
    pub name: &'e str,
    /// Its address in memory.
    pub address: u32,
    /// Its bytes in memory.
    pub size: usize,
    /// Its place in the file.
    start: usize,
}

/// A name for an address.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'e> {
    /// The name, as the compiler wrote it.
    pub name: &'e str,
    /// The address; that of a function in Thumb code is odd.
    pub address: u32,
    /// Bytes; 0 where the compiler gives none.
    pub size: u32,
    /// Whether it is a function.
    pub is_function: bool,
}

fn word(elf: &[u8], at: usize) -> u32 {
    elf.get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The sections of a program.
#[must_use]
pub fn sections(elf: &[u8]) -> Vec<Section<'_>> {
    let half = |at: usize| word(elf, at) as usize & 0xFFFF;
    let field = |index: usize, offset: usize| word(elf, word(elf, 0x20) as usize + index * half(0x2E) + offset);
    let names = field(half(0x32), 0x10) as usize;
    let section = |index: usize| Section {
        name: text(elf, names + field(index, 0) as usize),
        address: field(index, 0xC),
        size: field(index, 0x14) as usize,
        start: field(index, 0x10) as usize,
    };
    (0..half(0x30)).map(section).collect()
}

/// The bytes of a section in the file.
///
/// # Panics
/// When the program has no section of this name.
#[must_use]
pub fn contents<'e>(elf: &'e [u8], name: &str) -> &'e [u8] {
    let sections = sections(elf);
    let section = sections
        .iter()
        .find(|section| section.name == name)
        .unwrap_or_else(|| panic!("a program with {name}"));
    &elf[section.start..][..section.size]
}

/// All symbols, those of the linker included.
///
/// # Panics
/// When the program has no symbols.
#[must_use]
pub fn symbols(elf: &[u8]) -> Vec<Symbol<'_>> {
    let (table, names) = (contents(elf, ".symtab"), contents(elf, ".strtab"));
    let symbol = |entry: &[u8; 16]| Symbol {
        name: text(names, word(entry, 0) as usize),
        address: word(entry, 4),
        size: word(entry, 8),
        is_function: entry[12] & 0xF == 2,
    };
    table.as_chunks().0.iter().map(symbol).collect()
}

/// The text up to the first zero.
fn text(bytes: &[u8], start: usize) -> &str {
    let text = bytes[start..].split(|&byte| byte == 0).next().unwrap_or_default();
    str::from_utf8(text).unwrap_or_default()
}
